"""Ridge regression on standardized features."""

from dataclasses import dataclass

import numpy as np

from housing_assets.core.features.history import HISTORY_FEATURES

_PENALTY = {"own": 100.0, "metro": 12.0, "nation": 0.4}
"""Strength of the ridge by whose value a feature is: rows, rows by zips of a metro, rows by zips of the nation. A value
that many rows share says no more than one row does. Times the horizon, since windows that overlap say less."""

_MOST_SIGMAS = 4.0


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on standardized features; a missing one counts as its mean, an extreme one as 4 deviations.

    Attributes:
        intercept: mean log growth of the training rows.
        means, scales: of each of `HISTORY_FEATURES` in training.
        weights: log growth for one deviation of a feature.
    """

    intercept: float
    means: np.ndarray
    scales: np.ndarray
    weights: np.ndarray

    def parts(self, features: np.ndarray) -> np.ndarray:
        """What each feature adds, shape (n, len(HISTORY_FEATURES)), of features of that shape."""
        return self._standard(features) * self.weights

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Log growth, shape (n,)."""
        return self.intercept + self._standard(features) @ self.weights

    def _standard(self, features: np.ndarray) -> np.ndarray:
        return _standardize(features, self.means, self.scales)


def _standardize(features: np.ndarray, means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        deviations = (features.astype(np.float64) - means) / scales
    return np.clip(np.nan_to_num(deviations), -_MOST_SIGMAS, _MOST_SIGMAS)


def fit_ridge(features: np.ndarray, growth: np.ndarray, horizon: int, zips: int, metros: int) -> Ridge:
    """Fit the ridge of one horizon.

    Args:
        features: (n, len(HISTORY_FEATURES)), missing NaN.
        growth: log growth over the horizon, (n,), finite.
        horizon: months.
        zips, metros: numbers of them in the panel, see `_PENALTY`.
    """
    known = np.isfinite(features)
    count = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, features, 0).sum(axis=0, dtype=np.float64) / count
    squares = np.where(known, (features - means) ** 2, 0).sum(axis=0, dtype=np.float64) / count
    scales = np.where(squares > 1e-18, np.sqrt(squares), 1.0)
    x = _standardize(features, means, scales)
    shared = {"own": 1.0, "metro": zips / metros, "nation": float(zips)}
    penalty = [_PENALTY[who] * shared[who] * horizon for who in (f.split("_")[0] for f in HISTORY_FEATURES)]
    intercept = float(growth.mean())
    weights = np.linalg.solve(x.T @ x + np.diag(penalty), x.T @ (growth - intercept))
    return Ridge(intercept, means, scales, weights)
