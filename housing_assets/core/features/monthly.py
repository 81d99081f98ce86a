"""Features of a month: what the columns of the matrix are, and the one function that makes them.

Training, monthly predictions and raw rows over HTTP all come through `make_matrix`. It reads nothing but the row itself
and the encoders, so a row alone gets the same features as in any batch.

To add a feature: a column of the panel becomes one by `feature=True` in `housing_assets.core.panel.schema`. One that is
computed from other columns is a function here and an entry in `COMPUTED`. Features that need other months of the zip
belong in `housing_assets.core.features.history`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from housing_assets.core.errors import HousingError
from housing_assets.core.features.encoding import Encoders
from housing_assets.core.features.history_words import HISTORY_DESCRIPTIONS
from housing_assets.core.panel.schema import BY_NAME, NEVER_FEATURES, NUMERIC_FEATURES


@dataclass(frozen=True)
class FeatureInputs:
    """n standardized rows, column by column: everything that a feature may be computed from.

    Attributes:
        years, months: of `date`; integers, shape (n,).
        zipcodes: n values of 5 characters.
        metros: n values of `city_full`; None where it is missing.
        latitudes, longitudes: degrees, shape (n,); NaN where the metro is not known.
        numbers: `NUMERIC_FEATURES` in the units of the schema, float64 of shape (n, len(NUMERIC_FEATURES)). Missing is
            NaN.
    """

    years: np.ndarray
    months: np.ndarray
    zipcodes: Sequence[str | None]
    metros: Sequence[str | None]
    latitudes: ArrayLike
    longitudes: ArrayLike
    numbers: np.ndarray

    def number(self, column: str) -> np.ndarray:
        """The values of one of `NUMERIC_FEATURES`, float64 of shape (n,); missing NaN."""
        return self.numbers[:, NUMERIC_FEATURES.index(column)]


@dataclass(frozen=True)
class ComputedFeature:
    """A feature that is not a number of the panel as it stands.

    Attributes:
        name: of the column in the matrix.
        compute: its values, shape (n,), from the inputs of n rows and the encoders; missing NaN.
        description: what it is.
        words: the same in words that a buyer understands; empty: the description says it.
    """

    name: str
    compute: Callable[[FeatureInputs, Encoders], ArrayLike]
    description: str
    words: str = ""


def _zipcode_frequency(rows: FeatureInputs, encoders: Encoders) -> ArrayLike:
    frequencies = encoders.zipcode_frequency
    return [frequencies.get(zipcode, 0.0) for zipcode in rows.zipcodes]  # pyright: ignore[reportArgumentType, reportCallIssue]


def _city_full_target(rows: FeatureInputs, encoders: Encoders) -> ArrayLike:
    targets, prior = encoders.city_full_target, encoders.prior
    return [targets.get(metro, prior) for metro in rows.metros]  # pyright: ignore[reportArgumentType, reportCallIssue]


COMPUTED: tuple[ComputedFeature, ...] = (
    ComputedFeature("year", lambda rows, _: rows.years, "Year of `date`", "Year"),
    ComputedFeature(
        "quarter", lambda rows, _: (rows.months + 2) // 3, "Quarter of `date`, 1 to 4", "Quarter of the year"
    ),
    ComputedFeature("month", lambda rows, _: rows.months, "Month of `date`, 1 to 12", "Month of the year"),
    ComputedFeature(
        "zipcode_frequency", _zipcode_frequency, "Share of the train rows that the zip has; 0 if never seen"
    ),
    ComputedFeature("city_full_target", _city_full_target, "Smoothed mean price of the metro in train (US dollars)"),
    ComputedFeature(
        "latitude", lambda rows, _: rows.latitudes, "Latitude of the metro (degrees)", "Where it is, north to south"
    ),
    ComputedFeature(
        "longitude", lambda rows, _: rows.longitudes, "Longitude of the metro (degrees)", "Where it is, east to west"
    ),
)
"""Features that are computed, in the order of their columns."""

FEATURES: tuple[str, ...] = (*(feature.name for feature in COMPUTED), *NUMERIC_FEATURES)
"""Names and order of the matrix's columns: computed features first, then the panel's own numbers."""

FEATURE_DESCRIPTIONS: dict[str, str] = {feature.name: feature.description for feature in COMPUTED}
"""What the computed features are."""

KEYS: tuple[str, ...] = ("date", "zipcode", "city_full", "split", "price")
"""What `training_features` keeps beside the matrix: who a row is, and the target."""

FEATURE_INPUTS: tuple[str, ...] = ("date", "zipcode", "city_full", "latitude", "longitude", *NUMERIC_FEATURES)
"""Columns of `cleaned` that features are made from."""


def make_matrix(rows: FeatureInputs, encoders: Encoders) -> np.ndarray:
    """Features of standardized rows.

    Args:
        rows: of n rows.
        encoders: fitted on train months.

    Returns:
        float32 of shape (n, len(FEATURES)) in the order of the rows; missing NaN.
    """
    matrix = np.empty((len(rows.numbers), len(FEATURES)), np.float32, order="F")
    for position, feature in enumerate(COMPUTED):
        matrix[:, position] = feature.compute(rows, encoders)
    matrix[:, len(COMPUTED) :] = rows.numbers
    return matrix


def make_features(rows: pl.DataFrame, encoders: Encoders) -> pl.DataFrame:
    """`make_matrix` for frames.

    Args:
        rows: n standardized rows with the columns of `FEATURE_INPUTS`.
        encoders: fitted on train months.

    Returns:
        n rows in the same order, columns `FEATURES`, Float32; missing null.
    """
    matrix = make_matrix(feature_inputs(rows), encoders)
    return pl.from_numpy(matrix, schema=dict.fromkeys(FEATURES, pl.Float32), orient="row").fill_nan(None)


def feature_inputs(rows: pl.DataFrame) -> FeatureInputs:
    """The columns `FEATURE_INPUTS` of standardized rows as the inputs of `make_matrix`."""
    return FeatureInputs(
        years=rows["date"].dt.year().to_numpy(),
        months=rows["date"].dt.month().to_numpy(),
        zipcodes=rows["zipcode"].to_list(),
        metros=rows["city_full"].to_list(),
        latitudes=rows["latitude"].to_numpy(),
        longitudes=rows["longitude"].to_numpy(),
        numbers=rows.select(pl.col(NUMERIC_FEATURES).cast(pl.Float64)).to_numpy(),
    )


def make_training_features(rows: pl.DataFrame, encoders: Encoders) -> pl.DataFrame:
    """`KEYS` and `FEATURES` of the rows that have a price, which models are trained and evaluated on."""
    priced = rows.filter(pl.col("price").is_not_null())
    return pl.concat([priced.select(KEYS), make_features(priced, encoders)], how="horizontal")


def silent_features(features: pl.DataFrame) -> dict[str, str]:
    """Features with a single value or none in train, each with the reason: `constant`, or `empty`.

    A panel of prices alone has no figures of its months: all of the panel's own columns are empty, and models use
    season, place and encodings.

    Args:
        features: training features of the train months.

    Raises:
        HousingError: some of the panel's own columns have values, and none has two different ones.
    """
    silent: dict[str, str] = {}
    for name in FEATURES:
        values = features[name].drop_nulls().n_unique()
        if values < 2:
            silent[name] = "constant" if values else "empty"
    if silent.keys() >= set(NUMERIC_FEATURES) and not is_prices_alone(silent):
        raise HousingError(
            f"no feature of the source says anything in train: {len(silent)} of {len(FEATURES)} are empty or "
            f"constant, such as {NUMERIC_FEATURES[0]}: check the source's columns"
        )
    return silent


def is_prices_alone(silent: Mapping[str, str]) -> bool:
    """True if none of the panel's own columns has a value in train.

    Args:
        silent: as `silent_features` returns it.
    """
    return all(silent.get(name) == "empty" for name in NUMERIC_FEATURES)


assert not NEVER_FEATURES & set(FEATURES), "a column the schema bars is in the feature list"


_IN_WORDS: dict[str, str] = {feature.name: feature.words or feature.description for feature in COMPUTED}


def describe_feature(feature: str) -> str:
    """A feature, of a month or of history, in words that a buyer understands."""
    if feature in _IN_WORDS:
        return _IN_WORDS[feature]
    if feature in HISTORY_DESCRIPTIONS:
        return HISTORY_DESCRIPTIONS[feature]
    return BY_NAME[feature].description
