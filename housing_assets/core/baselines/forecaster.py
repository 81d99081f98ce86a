"""What every forecaster of price growth offers, whether it is naive or learned, and the price that follows from it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History, HistoryAtOrigin


class Forecaster(Protocol):
    """Something that forecasts how prices grow after an origin.

    The naive baselines of `housing_assets.core.baselines.growth` are forecasters, and so is the fitted
    `housing_assets.core.models.growth.GrowthModel`. A combination of several can be one as well. A forecaster that
    learns is returned by its fit function, which is told the month before which every target must lie.
    """

    @property
    def name(self) -> str:
        """The name in tables, such as `monthly_forecasts.predictor`."""
        ...

    @property
    def label(self) -> str:
        """A few words for a legend or a table."""
        ...

    @property
    def words(self) -> str:
        """What the forecaster assumes, as the end of a sentence."""
        ...

    @property
    def horizons(self) -> Sequence[int]:
        """Months ahead that it forecasts, in order."""
        ...

    def log_growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        """Log growth from the price at the origin to the price `horizon` months later.

        Args:
            at: the history as it was known at the origin.
            horizon: months ahead, one of `horizons`.

        Returns:
            Shape (zips,); NaN for the zips that `HistoryAtOrigin.known` leaves out, finite for all others.

        Raises:
            HousingError: the horizon is not one of `horizons`.
        """
        ...

    def contributions(self, at: HistoryAtOrigin, horizon: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The parts that `log_growth` of some zips adds up from.

        Args:
            at: the history as it was known at the origin.
            horizon: months ahead, one of `horizons`.
            rows: indices of n zips in the history, integers of shape (n,).

        Returns:
            Log growth before anything is known of a zip, shape (n,), and what each of `HISTORY_FEATURES` adds to it,
            shape (n, len(HISTORY_FEATURES)).
        """
        ...


def require_modelled(horizon: int, horizons: Sequence[int]) -> None:
    """Refuse a horizon that a forecaster does not model.

    Args:
        horizon: months ahead.
        horizons: that are modelled, in order.

    Raises:
        HousingError: it is not one of them.
    """
    if horizon not in horizons:
        modelled = ", ".join(str(h) for h in horizons) or "none"
        raise HousingError(f"horizon={horizon} is not modelled: choose one of {modelled}")


def forecast_prices(forecaster: Forecaster, history: History, origin: str, horizon: int) -> np.ndarray:
    """Prices in US dollars `horizon` months after an origin, shape (zips,).

    It is NaN for zips without enough history, and for all of them where the origin is outside the history.
    """
    if not history.first_month <= origin <= history.last_month:
        return np.full(len(history.zips), np.nan)
    at = history.at(origin)
    return np.exp(at.log_price + forecaster.log_growth(at, horizon))
