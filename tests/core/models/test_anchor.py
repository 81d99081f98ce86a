"""The anchor: a linear price level in logs, fitted by ridge."""

import json
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest

from housing_assets.core.models.anchor import ANCHOR_FEATURES, Anchor, fit_anchor
from housing_assets.core.months import Split


@pytest.fixture(scope="module")
def train(features) -> pl.DataFrame:
    return features.filter(split=Split.TRAIN)


@pytest.fixture(scope="module")
def anchor(train) -> Anchor:
    return fit_anchor(train)


def test_it_rises_with_what_is_asked_beyond_any_price_it_has_seen(anchor, train):
    money = [pl.col(name) * 10 for name in ANCHOR_FEATURES]
    before, after = anchor.log_price(train), anchor.log_price(train.with_columns(money))
    weights = sum(anchor.weights.values())
    np.testing.assert_allclose((after - before)[train["Median Rent"].is_not_null()][:5], np.log(10) * weights, rtol=0.3)
    assert after.max() > np.log(train["price"].max())


def test_it_is_the_mean_log_price_where_nothing_is_known(anchor, train):
    unknown = train.head(3).with_columns(pl.lit(None, pl.Float32).alias(name) for name in ANCHOR_FEATURES)
    np.testing.assert_allclose(anchor.log_price(unknown), np.log(train["price"].to_numpy()).mean())


def test_it_explains_most_of_the_price(anchor, train):
    log_price = np.log(train["price"].to_numpy())
    assert np.var(log_price - anchor.log_price(train)) < 0.3 * np.var(log_price)


def test_a_column_that_is_missing_throughout_weighs_nothing(train):
    gappy = fit_anchor(train.with_columns(pl.lit(None, pl.Float32).alias("Median Rent")))
    assert gappy.weights["Median Rent"] == 0
    assert np.isfinite(gappy.log_price(train)).all()


def test_the_order_of_rows_does_not_matter(anchor, train):
    other = fit_anchor(train.reverse())
    assert other.weights == pytest.approx(dict(anchor.weights))
    assert other.intercept == pytest.approx(anchor.intercept)


def test_it_is_json_there_and_back(anchor):
    assert Anchor(**json.loads(json.dumps(asdict(anchor)))) == anchor
