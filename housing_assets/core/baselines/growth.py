"""Naive forecasters of the growth of a price, each with its words.

To add one, write its class here, add it to `_NAIVE`, and test it in `tests/core/baselines/test_forecasters.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from housing_assets.core.features.history import HISTORY_FEATURES, LONGEST_HORIZON, HistoryAtOrigin, require_horizon

DAMPING = 0.85
"""Share of its growth that a place keeps from month to month (Gardner and McKenzie 1985, "Forecasting Trends in Time
Series", for damping as such; the value is about the autocorrelation of the index's growth at lag 1)."""


class NaiveForecaster(ABC):
    """A `housing_assets.core.baselines.forecaster.Forecaster` that continues one growth of the past.

    Attributes:
        name, label, words: see the protocol.
        feature: the one of `HISTORY_FEATURES` that the forecast is explained by; None: by none.
    """

    name: str
    label: str
    words: str
    feature: str | None = None
    horizons: tuple[int, ...] = tuple(range(1, LONGEST_HORIZON + 1))

    @abstractmethod
    def _growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        """Log growth of every zip, shape (zips,); NaN where the growth that is continued is not known."""

    def log_growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        """See the protocol. A zip whose past growth is not known is forecast to keep its price."""
        require_horizon(horizon)
        return np.where(at.known, np.nan_to_num(self._growth(at, horizon)), np.nan)

    def contributions(self, at: HistoryAtOrigin, horizon: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See the protocol. All of the growth is the part of `feature`."""
        parts = np.zeros((len(rows), len(HISTORY_FEATURES)))
        if self.feature is not None:
            parts[:, HISTORY_FEATURES.index(self.feature)] = self.log_growth(at, horizon)[rows]
        return np.zeros(len(rows)), parts


class Flat(NaiveForecaster):
    """The price stays what it is."""

    name = "flat"
    label = "no change"
    words = "the last known price stays"

    def _growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:  # noqa: ARG002
        return np.zeros(len(at.history.zips))


class Momentum(NaiveForecaster):
    """The mean monthly growth of the last months continues unchanged."""

    def __init__(self, months: int) -> None:
        """Continue the growth of so many months, one of `housing_assets.core.features.history.LAGS`."""
        self.months = months
        self.name = f"momentum_{months}"
        self.label = f"{months}-month growth goes on"
        self.words = f"the mean growth of the zip's last {months} months goes on"
        self.feature = f"own_growth_{months}"

    def _growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        return at.growth(self.months) / self.months * horizon


class DampedMomentum(NaiveForecaster):
    """The mean monthly growth of the last 3 months continues and fades by `DAMPING` a month."""

    name = "damped_momentum"
    label = "3-month growth fades"
    words = "the growth of the zip's last 3 months goes on and fades"
    feature = "own_growth_3"

    def _growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        return at.growth(3) / 3 * _faded_months(horizon)


class MetroGrowth(NaiveForecaster):
    """The mean monthly growth of the metro's last 3 months continues and fades by `DAMPING` a month."""

    name = "metro_growth"
    label = "metro growth fades"
    words = "the growth of the metro's last 3 months goes on and fades"
    feature = "metro_growth_3"

    def _growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        return at.metro_growth(3) / 3 * _faded_months(horizon)


def _faded_months(horizon: int) -> float:
    """How many months of full growth a horizon of fading growth is worth."""
    return sum(DAMPING**month for month in range(1, horizon + 1))


DAMPED_MOMENTUM, METRO_GROWTH = DampedMomentum(), MetroGrowth()

_NAIVE = (Flat(), Momentum(3), Momentum(12), DAMPED_MOMENTUM, METRO_GROWTH)

NAIVE_FORECASTERS: Mapping[str, NaiveForecaster] = {forecaster.name: forecaster for forecaster in _NAIVE}
"""The naive forecasters by name, in the order in which they are shown."""

NAIVE_GROWTH: tuple[str, ...] = tuple(NAIVE_FORECASTERS)
"""The names of `NAIVE_FORECASTERS`."""


def reference_growth(at: HistoryAtOrigin, horizon: int) -> np.ndarray:
    """The mean of the zip's and its metro's damped momentum, towards which a model is shrunk: shape (zips,)."""
    return (DAMPED_MOMENTUM.log_growth(at, horizon) + METRO_GROWTH.log_growth(at, horizon)) / 2
