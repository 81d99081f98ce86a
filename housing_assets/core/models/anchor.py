"""The anchor: a linear price level that trees correct.

Trees answer with prices they have seen, so that in a rising market they fall behind. A ridge regression of
log price on the logs of what is asked for homes today goes on rising with it; trees fitted on the rest keep
their accuracy. Ridge: Hoerl and Kennard (1970), "Ridge Regression: Biased Estimation for Nonorthogonal Problems".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

ANCHOR_FEATURES: tuple[str, ...] = (
    "city_full_target",
    "median_list_price",
    "median_ppsf",
    "median_list_ppsf",
    "Per Capita Income",
    "Median Home Value",
    "Median Rent",
)
"""Features that are amounts of money: their logs enter."""
_PENALTY = 100.0
"""Rows at which a weight is shrunk by half, where the log has a variance of one."""
_LEAST = 1.0
"""US dollars: no amount counts as less, so that its log exists."""


@dataclass(frozen=True)
class Anchor:
    """`log price = intercept + sum of weight * (log feature - mean)`.

    Attributes:
        intercept: mean log price of train.
        means: mean log of each feature in train; a missing value counts as the mean.
        weights: of each feature: percent of price for a percent of the feature.
    """

    intercept: float
    means: Mapping[str, float]
    weights: Mapping[str, float]

    def log_price(self, features: pl.DataFrame) -> np.ndarray:
        """Natural logs of US dollars, float64 of shape (n,), of n rows with `ANCHOR_FEATURES`."""
        return self.log_price_of(_amounts(features))

    def log_price_of(self, amounts: np.ndarray) -> np.ndarray:
        """The same of the columns `ANCHOR_FEATURES` as float64 of shape (n, 7), missing NaN."""
        means, weights = self._arrays
        return self.intercept + _centred(amounts, means) @ weights

    def parts(self, amounts: np.ndarray) -> np.ndarray:
        """What each of `ANCHOR_FEATURES` adds to the log price, shape (n, 7); with the intercept they add up to it."""
        means, weights = self._arrays
        return _centred(amounts, means) * weights

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and weights in the order of `ANCHOR_FEATURES`."""
        means, weights = (np.array([table[name] for name in ANCHOR_FEATURES]) for table in (self.means, self.weights))
        return means, weights


def fit_anchor(features: pl.DataFrame) -> Anchor:
    """Fit the anchor.

    Args:
        features: n rows with `ANCHOR_FEATURES` (missing is null) and `price` (US dollars, positive).
    """
    amounts = _amounts(features)
    logs = _logs(amounts)
    is_known = ~np.isnan(logs)
    means = np.where(is_known, logs, 0).sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    named = dict(zip(ANCHOR_FEATURES, means.tolist(), strict=True))
    x = _centred(amounts, means)
    y = np.log(features["price"].to_numpy())
    intercept = float(y.mean())
    weights = np.linalg.solve(x.T @ x + _PENALTY * np.eye(x.shape[1]), x.T @ (y - intercept))
    return Anchor(intercept, named, dict(zip(ANCHOR_FEATURES, weights.tolist(), strict=True)))


def _amounts(features: pl.DataFrame) -> np.ndarray:
    wanted = [pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in ANCHOR_FEATURES]
    return features.select(wanted).to_numpy()


def _logs(amounts: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(amounts, _LEAST))


def _centred(amounts: np.ndarray, means: np.ndarray) -> np.ndarray:
    centred = _logs(amounts) - means
    centred[np.isnan(centred)] = 0  # three times faster than nan_to_num on the one row of a request
    return centred
