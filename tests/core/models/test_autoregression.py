"""Autoregressions: a rule that a panel follows is found, each level at its own speed, and nothing later is seen."""

from dataclasses import replace

import numpy as np
import pytest

from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import SIGNALS, History
from housing_assets.core.models.autoregression import LAGS, SPANS, fit_autoregression
from housing_assets.core.months import add_months, month_range

MONTHS = month_range("2010-01", "2019-12")


def history_of(log_price: np.ndarray, metro: np.ndarray) -> History:
    """A history of prices alone: log prices of shape (zips, months), and the metro of each zip."""
    return History(
        zips=tuple(f"{i:05d}" for i in range(len(log_price))),
        first_month=MONTHS[0],
        last_month=MONTHS[log_price.shape[1] - 1],
        metros=tuple(f"metro {i}" for i in range(metro.max() + 1)),
        metro=metro,
        priced=np.isfinite(log_price),
        log_price=log_price,
        signals={name: np.full(log_price.shape, np.nan, np.float32) for name in SIGNALS},
    )


def simulated(own: float, metro: float, seed: int = 0) -> History:
    """40 zips in 8 metros: growth beside the metro keeps a share `own` from month to month, of metros `metro`."""
    dice = np.random.default_rng(seed)
    of_zip = np.repeat(np.arange(8), 5)

    def levels(count: int, share: float) -> np.ndarray:
        growth = np.zeros((count, len(MONTHS)))
        for month in range(1, len(MONTHS)):
            growth[:, month] = share * growth[:, month - 1] + 0.001 * dice.standard_normal(count)
        return growth

    growth = 0.003 + levels(8, metro)[of_zip] + levels(40, own)
    return history_of(12 + np.cumsum(growth, axis=1), of_zip)


def test_each_level_fades_at_its_own_speed():
    model = fit_autoregression(simulated(own=0.3, metro=0.8), "2020-01", "autoregression")
    assert model.own[0] == pytest.approx(0.3, abs=0.06)
    assert model.metro[0] == pytest.approx(0.8, abs=0.12)
    assert np.abs(model.own[2:]).max() < 0.1
    assert model.usual == pytest.approx(0.003, abs=0.001)


def test_a_growth_is_the_months_added_up():
    history = simulated(own=0.5, metro=0.7)
    model = fit_autoregression(history, "2020-01", "autoregression_120")
    at = history.at("2019-12")
    base, parts = model.contributions(at, 6, np.arange(40))
    assert base + parts.sum(axis=1) == pytest.approx(model.log_growth(at, 6))
    steps = np.diff([model.log_growth(at, h)[3] for h in range(1, 13)])
    assert np.abs(steps).max() < 0.02


@pytest.mark.parametrize("name", SPANS)
def test_nothing_from_the_month_on_is_learned_from(name):
    history, before = simulated(0.4, 0.7), "2018-01"
    later = history.log_price.copy()
    later[:, history.column(before) :] += np.linspace(0, 3, later.shape[1] - history.column(before))
    expected = fit_autoregression(history, before, name)
    for other in (history.until(add_months(before, -1)), replace(history, log_price=later)):
        model = fit_autoregression(other, before, name)
        for level in ("own", "metro", "nation"):
            np.testing.assert_array_equal(getattr(model, level), getattr(expected, level))
        origin = add_months(before, -1)
        np.testing.assert_array_equal(
            model.log_growth(other.at(origin), 12), expected.log_growth(history.at(origin), 12)
        )


def test_a_jump_of_level_is_no_growth():
    history = simulated(0.4, 0.7)
    jumped = history.log_price.copy()
    jumped[3, 60:] += 0.7
    model = fit_autoregression(replace(history, log_price=jumped), "2020-01", "autoregression")
    expected = fit_autoregression(history, "2020-01", "autoregression")
    assert model.own == pytest.approx(expected.own, abs=0.02)


def test_constant_prices_grow_by_nothing():
    history = history_of(np.full((6, len(MONTHS)), 12.0), np.zeros(6, int))
    model = fit_autoregression(history, "2020-01", "autoregression")
    assert model.log_growth(history.at("2019-12"), 12).tolist() == [0.0] * 6


def test_a_metro_of_one_zip_is_forecast_by_its_metro():
    history = history_of(simulated(0.4, 0.7).log_price[:3], np.arange(3))
    growth = fit_autoregression(history, "2020-01", "autoregression").log_growth(history.at("2019-12"), 3)
    assert np.isfinite(growth).all()


def test_too_few_months_are_counted():
    history = simulated(0.4, 0.7).until("2011-05")
    with pytest.raises(HousingError, match=f"17 months before 2011-06; an autoregression needs {LAGS + 13}"):
        fit_autoregression(history, "2011-06", "autoregression")
