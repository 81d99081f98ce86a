"""A small panel and a small model on it: made once, shared, and never changed by a test."""

import polars as pl
import pytest

from housing_assets.core.features.encoding import Encoders, fit_encoders
from housing_assets.core.features.monthly import make_training_features
from housing_assets.core.intervals.conformal import calibrate
from housing_assets.core.models.price import PriceModel
from housing_assets.core.models.trees import TrainingParams, train_trees
from housing_assets.core.months import Split, TimeSplit, month_of
from housing_assets.core.panel.cleaning import clean_month
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame


@pytest.fixture(scope="session")
def raw_panel() -> pl.DataFrame:
    """60 zips over train, eval and holdout months, without planted dirt."""
    return sample_frame(SampleSpec(zips=60, start="2018-07", end="2022-03"))


@pytest.fixture(scope="session")
def raw_month(raw_panel: pl.DataFrame) -> pl.DataFrame:
    """June 2021 of the panel."""
    return raw_panel.filter(pl.col("date") == pl.date(2021, 6, 30))


@pytest.fixture(scope="session")
def panel(raw_panel: pl.DataFrame) -> pl.DataFrame:
    """The panel cleaned, each month with its split."""
    split = TimeSplit()
    return pl.concat(
        clean_month(rows.with_columns(split=pl.lit(split.of(month_of(day)).value))).frame
        for (day,), rows in raw_panel.group_by("date", maintain_order=True)
    )


@pytest.fixture(scope="session")
def encoders(panel: pl.DataFrame) -> Encoders:
    """Encoders of the train months."""
    return fit_encoders([panel.filter(split=Split.TRAIN)])


@pytest.fixture(scope="session")
def features(panel: pl.DataFrame, encoders: Encoders) -> pl.DataFrame:
    """The training matrix: train and eval rows."""
    return make_training_features(panel.filter(pl.col("split") != Split.HOLDOUT), encoders)


@pytest.fixture(scope="session")
def model(features: pl.DataFrame, encoders: Encoders) -> PriceModel:
    """A model of a few trees."""
    trees = train_trees(features.filter(split=Split.TRAIN), TrainingParams(n_estimators=12, max_depth=4))
    held = features.filter(split=Split.EVAL)
    widths = calibrate(held["city_full"], held["price"].to_numpy(), trees.prices(held))
    return PriceModel(trees, encoders, widths, "test-1")
