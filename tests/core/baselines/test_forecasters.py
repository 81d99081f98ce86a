"""Naive forecasters: their growth by hand, and what every forecaster has to offer."""

import numpy as np
import polars as pl
import pytest

from housing_assets.core.baselines.forecaster import Forecaster, forecast_prices
from housing_assets.core.baselines.growth import DAMPING, NAIVE_FORECASTERS, NAIVE_GROWTH, reference_growth
from housing_assets.core.features.history import HISTORY_FEATURES, LONGEST_HORIZON, History, history_table
from housing_assets.core.models.refitted import fit_refitted
from housing_assets.core.months import add_months, month_end
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame

ORIGIN = "2019-03"


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return history_table([sample_frame(SampleSpec(zips=40, start="2014-01", end="2019-12"))])


@pytest.fixture(scope="module")
def history(table) -> History:
    """All zips but the first begin with the table; the first begins half a year before the origin."""
    young = (pl.col("zipcode") == table["zipcode"].min()) & (pl.col("date") < month_end(add_months(ORIGIN, -6)))
    return History.from_table(table.filter(~young))


@pytest.fixture(scope="module")
def forecasters(history) -> dict[str, Forecaster]:
    """All that the platform has."""
    model = fit_refitted(history, range(1, LONGEST_HORIZON + 1), ORIGIN)
    return {model.name: model, **NAIVE_FORECASTERS}


def test_the_naive_forecasts_by_hand(history):
    at, horizon, column = history.at(ORIGIN), 2, history.column(ORIGIN)
    growth = {name: naive.log_growth(at, horizon)[1:] for name, naive in NAIVE_FORECASTERS.items()}
    log = history.log_price[1:]
    assert tuple(growth) == NAIVE_GROWTH
    assert not growth["flat"].any()
    assert growth["momentum_3"] == pytest.approx(2 * (log[:, column] - log[:, column - 3]) / 3)
    assert growth["momentum_12"] == pytest.approx(2 * (log[:, column] - log[:, column - 12]) / 12)
    faded = (log[:, column] - log[:, column - 3]) / 3 * (DAMPING + DAMPING**2)
    assert growth["damped_momentum"] == pytest.approx(faded)
    assert len(np.unique(growth["metro_growth"].round(12))) == len(history.metros)
    assert reference_growth(at, horizon)[1:] == pytest.approx((faded + growth["metro_growth"]) / 2)


def test_every_forecaster_keeps_the_protocol(history, forecasters):
    """A forecaster that is added needs no other test of its place in tables, grades and explanations."""
    at = history.at(ORIGIN)
    assert len({forecaster.label for forecaster in forecasters.values()}) == len(forecasters)
    for name, forecaster in forecasters.items():
        assert (forecaster.name, bool(forecaster.words)) == (name, True)
        assert list(forecaster.horizons) == list(range(1, LONGEST_HORIZON + 1))
        for horizon in (1, LONGEST_HORIZON):
            growth = forecaster.log_growth(at, horizon)
            assert growth.shape == (len(history.zips),)
            assert np.isfinite(growth).tolist() == at.known.tolist() == [False] + [True] * 39


def test_contributions_add_up_to_the_growth(history, forecasters):
    at, rows = history.at(ORIGIN), np.array([4, 1, 7])
    for forecaster in forecasters.values():
        base, parts = forecaster.contributions(at, 3, rows)
        assert parts.shape == (3, len(HISTORY_FEATURES))
        assert base + parts.sum(axis=1) == pytest.approx(forecaster.log_growth(at, 3)[rows], abs=1e-6)


def test_a_forecaster_is_shown_nothing_after_the_origin(table, forecasters):
    later = pl.col("date") > month_end(ORIGIN)
    doubled = table.with_columns(price=pl.when(later).then(2 * pl.col("price")).otherwise("price"))
    for forecaster in forecasters.values():
        expected = forecaster.log_growth(History.from_table(table).at(ORIGIN), 6)
        np.testing.assert_array_equal(forecaster.log_growth(History.from_table(doubled).at(ORIGIN), 6), expected)


def test_a_price_forecast_grows_from_the_last_known_price(history, forecasters):
    flat = forecast_prices(forecasters["flat"], history, ORIGIN, 3)
    assert flat[1:] == pytest.approx(np.exp(history.log_price[1:, history.column(ORIGIN)]))
    assert np.isnan(flat[0])
    assert np.isnan(forecast_prices(forecasters["flat"], history, "2025-01", 3)).all()
