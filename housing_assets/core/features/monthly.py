"""Features: the one function that turns standardized rows into the matrix a model sees.

Training, monthly predictions and a single raw row all come through `make_features`. It looks at nothing
but the row itself and the encoders, so a row alone gets the same features as in any batch.
"""

import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.features.encoding import Encoders
from housing_assets.core.features.history_words import HISTORY_DESCRIPTIONS
from housing_assets.core.panel.schema import BY_NAME, NEVER_FEATURES, NUMERIC_FEATURES

FEATURES: tuple[str, ...] = (
    "year",
    "quarter",
    "month",
    "zipcode_frequency",
    "city_full_target",
    "latitude",
    "longitude",
    *NUMERIC_FEATURES,
)
"""Names and order of the matrix's columns."""

FEATURE_DESCRIPTIONS: dict[str, str] = {
    "year": "Year of `date`",
    "quarter": "Quarter of `date`, 1 to 4",
    "month": "Month of `date`, 1 to 12",
    "zipcode_frequency": "Share of the train rows that the zip has; 0 if never seen",
    "city_full_target": "Smoothed mean price of the metro in train (US dollars)",
}
"""What the features are that no column of `cleaned` is."""

KEYS: tuple[str, ...] = ("date", "zipcode", "city_full", "split", "price")
"""What `training_features` keeps beside the matrix: who a row is, and the target."""

FEATURE_INPUTS: tuple[str, ...] = ("date", "zipcode", "city_full", "latitude", "longitude", *NUMERIC_FEATURES)
"""Columns of `cleaned` that features are made from."""


def make_features(rows: pl.DataFrame, encoders: Encoders) -> pl.DataFrame:
    """Features of standardized rows.

    Args:
        rows: n rows with the columns of `FEATURE_INPUTS`.
        encoders: fitted on train months.

    Returns:
        n rows in the same order, columns `FEATURES`, Float32; missing stays null.
    """
    return rows.select(
        pl.col("date").dt.year().alias("year"),
        pl.col("date").dt.quarter().alias("quarter"),
        pl.col("date").dt.month().alias("month"),
        _encode("zipcode", encoders.zipcode_frequency, 0.0).alias("zipcode_frequency"),
        _encode("city_full", encoders.city_full_target, encoders.prior).alias("city_full_target"),
        "latitude",
        "longitude",
        *NUMERIC_FEATURES,
    ).cast(pl.Float32)


def _encode(column: str, table: dict[str, float], unseen: float) -> pl.Expr:
    return pl.col(column).replace_strict(list(table), list(table.values()), default=unseen, return_dtype=pl.Float64)


def make_training_features(rows: pl.DataFrame, encoders: Encoders) -> pl.DataFrame:
    """`KEYS` and `FEATURES` of the rows that have a price: what a model trains and is evaluated on."""
    known = rows.filter(pl.col("price").is_not_null())
    return pl.concat([known.select(KEYS), make_features(known, encoders)], how="horizontal")


def silent_features(features: pl.DataFrame) -> dict[str, str]:
    """Features that tell rows of train apart in nothing, with why: `empty`, or `constant`.

    Args:
        features: training features of the train months.

    Raises:
        HousingError: none of the panel's own columns has two different values.
    """
    silent: dict[str, str] = {}
    for name in FEATURES:
        values = features[name].drop_nulls().n_unique()
        if values < 2:
            silent[name] = "constant" if values else "empty"
    if silent.keys() >= set(NUMERIC_FEATURES):
        raise HousingError(
            f"no feature of the source says anything in train: {len(silent)} of {len(FEATURES)} are empty or "
            f"constant, such as {NUMERIC_FEATURES[0]}: check the source's columns"
        )
    return silent


assert not NEVER_FEATURES & set(FEATURES), "a column the schema bars is in the feature list"


_IN_WORDS = {
    "latitude": "Where it is, north to south",
    "longitude": "Where it is, east to west",
    "year": "Year",
    "quarter": "Quarter of the year",
    "month": "Month of the year",
}


def describe_feature(feature: str) -> str:
    """A feature, of a month or of history, in words that a buyer understands."""
    if feature in _IN_WORDS:
        return _IN_WORDS[feature]
    if feature in HISTORY_DESCRIPTIONS:
        return HISTORY_DESCRIPTIONS[feature]
    return BY_NAME[feature].description if feature in BY_NAME else FEATURE_DESCRIPTIONS[feature]
