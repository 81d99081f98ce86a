"""Limits and defaults that settings check values by, without the libraries of the modules they are of."""

LONGEST_HORIZON = 12
"""Months: the season a year ago covers horizons up to here."""

MAX_TRIALS = 10_000
"""Optuna trials of one search."""

DEFAULT_STORE_URI = "data/store"
"""Where assets live if HOUSING_STORE_URI does not say."""

MOST_ZIPS = 20_100
"""Zips of the largest sample: those that the prefixes of its metros have room for."""
