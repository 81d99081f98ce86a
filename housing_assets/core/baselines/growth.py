"""Naive predictors of the growth of a price after an origin."""

import numpy as np

from housing_assets.core.features.history import HISTORY_FEATURES, History, require_horizon

DAMPING = 0.85
"""Share of its growth that a place keeps from month to month (Gardner and McKenzie 1985, "Forecasting Trends in Time
Series", for damping as such; the value is about the autocorrelation of the index's growth at lag 1)."""

NAIVE_GROWTH: tuple[str, ...] = ("flat", "momentum_3", "momentum_12", "damped_momentum", "metro_growth")
"""The naive baselines, as `naive_growth` names them."""

NAIVE_DESCRIPTIONS: dict[str, str] = {
    "flat": "the last known price stays",
    "momentum_3": "the mean growth of the zip's last 3 months goes on",
    "momentum_12": "the mean growth of the zip's last 12 months goes on",
    "damped_momentum": "the growth of the zip's last 3 months goes on and fades",
    "metro_growth": "the growth of the metro's last 3 months goes on and fades",
}
"""What the naive baselines say, in words."""

assert tuple(NAIVE_DESCRIPTIONS) == NAIVE_GROWTH, "a naive baseline has no words"


def naive_growth(history: History, origin: str, horizon: int) -> dict[str, np.ndarray]:
    """Log growth from an origin to the month predicted without a model, shape (zips,), by name of `NAIVE_GROWTH`.

    `flat`: none. `momentum_3`, `momentum_12`: the mean monthly growth of the last 3 or 12 months goes on.
    `damped_momentum`: that of 3 months fades by `DAMPING` a month. `metro_growth`: the same of the zip's metro.

    Raises:
        HousingError: the horizon is not 1 to `LONGEST_HORIZON`, or the origin is outside the history.
    """
    require_horizon(horizon)
    own, year, metro = (
        np.nan_to_num(growth)
        for growth in (
            history.growth(origin, 3) / 3,
            history.growth(origin, 12) / 12,
            history.metro_growth(origin, 3) / 3,
        )
    )
    faded = sum(DAMPING**month for month in range(1, horizon + 1))
    return {
        "flat": np.zeros_like(own),
        "momentum_3": own * horizon,
        "momentum_12": year * horizon,
        "damped_momentum": own * faded,
        "metro_growth": metro * faded,
    }


FEATURE_OF = {
    "momentum_3": "own_growth_3",
    "momentum_12": "own_growth_12",
    "damped_momentum": "own_growth_3",
    "metro_growth": "metro_growth_3",
}
"""The feature of history that a naive baseline goes by; `flat` goes by none."""


def naive_contributions(history: History, origin: str, horizon: int, name: str, at: np.ndarray) -> np.ndarray:
    """What each of `HISTORY_FEATURES` adds to the log growth that a naive baseline says.

    Args:
        history, origin, horizon: as in `naive_growth`.
        name: of `NAIVE_GROWTH`.
        at: places of n zips in the history, integers of shape (n,).

    Returns:
        Shape (n, len(HISTORY_FEATURES)): zero but for the one feature that the baseline goes by.
    """
    parts = np.zeros((len(at), len(HISTORY_FEATURES)))
    if name in FEATURE_OF:
        parts[:, HISTORY_FEATURES.index(FEATURE_OF[name])] = naive_growth(history, origin, horizon)[name][at]
    return parts


def reference_growth(history: History, origin: str, horizon: int) -> np.ndarray:
    """What a model's say is added to: the mean of the zip's and its metro's damped momentum, shape (zips,)."""
    naive = naive_growth(history, origin, horizon)
    return (naive["damped_momentum"] + naive["metro_growth"]) / 2
