"""Training: XGBoost on a feature frame, and predictions from a booster."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.features import FEATURES
from housing_assets.core.schema import BY_NAME

if TYPE_CHECKING:
    import xgboost

# Idle OpenMP threads spin by default, which on a busy 2-core machine is 10 to 50 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

MIN_PRICE = float(BY_NAME["price"].low or 0)
"""US dollars: no prediction is lower, since no valid price is."""

Target = Literal["price", "log_price"]


@dataclass(frozen=True)
class TrainingParams:
    """Hyperparameters. The defaults are those of the reference implementation of the same brief.

    Attributes:
        n_estimators: number of trees.
        max_depth: of a tree.
        learning_rate: shrinkage of each tree.
        subsample: share of the rows a tree sees.
        colsample_bytree: share of the features a tree sees.
        min_child_weight: least sum of instance weight in a leaf.
        reg_alpha, reg_lambda: L1 and L2 penalties of leaf weights.
        max_bin: histogram bins of a feature.
        target: what the trees fit: the price in US dollars, or its natural logarithm.
        seed: of the row and column samples.
    """

    n_estimators: int = 500
    max_depth: int = 6
    learning_rate: float = 0.05
    subsample: float = 0.8
    colsample_bytree: float = 0.8
    min_child_weight: float = 1.0
    reg_alpha: float = 0.0
    reg_lambda: float = 1.0
    max_bin: int = 256
    target: Target = "price"
    seed: int = 42

    def __post_init__(self) -> None:
        limits = {
            "n_estimators": (1, 20_000),
            "max_depth": (1, 16),
            "learning_rate": (1e-4, 1.0),
            "subsample": (0.05, 1.0),
            "colsample_bytree": (0.05, 1.0),
            "min_child_weight": (0.0, 1e6),
            "reg_alpha": (0.0, 1e6),
            "reg_lambda": (0.0, 1e6),
            "max_bin": (2, 4096),
            "seed": (0, 2**31 - 1),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise HousingError(f"{name}={getattr(self, name)} is outside {low:g} to {high:g}: change it")
        if self.target not in ("price", "log_price"):
            raise HousingError(f"target={self.target!r}: use 'price' or 'log_price'")

    def booster_params(self) -> dict[str, object]:
        """The same in XGBoost's own names."""
        own = asdict(self)
        for ours in ("n_estimators", "target"):
            del own[ours]
        return {"objective": "reg:squarederror", "tree_method": "hist", "nthread": os.cpu_count() or 1, **own}


def train_booster(
    features: pl.DataFrame, params: TrainingParams, progress: Callable[[int, int], None] | None = None
) -> "xgboost.Booster":
    """Fit trees on training features.

    Args:
        features: n rows with `FEATURES` (missing is null) and `price` (US dollars).
        params: hyperparameters.
        progress: called with the trees done and the trees to do.

    Raises:
        HousingError: no rows, or a price that is null, not finite or not positive.
    """
    import xgboost as xgb
    from xgboost.callback import TrainingCallback

    if features.is_empty():
        raise HousingError("no train rows: check HOUSING_EVAL_START and that train months are materialized")
    price = features["price"].to_numpy()
    bad = int((~(np.isfinite(price) & (price > 0))).sum())
    if bad:
        raise HousingError(f"{bad} train rows have a price that is missing, infinite or not positive: clean them")
    label = np.log(price) if params.target == "log_price" else price
    matrix = xgb.QuantileDMatrix(
        feature_matrix(features), label=label, feature_names=list(FEATURES), max_bin=params.max_bin
    )

    class Report(TrainingCallback):
        def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: object) -> bool:  # noqa: ARG002
            if progress:
                progress(epoch + 1, params.n_estimators)
            return False

    return xgb.train(params.booster_params(), matrix, num_boost_round=params.n_estimators, callbacks=[Report()])


def predict_prices(booster: "xgboost.Booster", features: pl.DataFrame, target: Target) -> np.ndarray:
    """Prices in US dollars, float64 of shape (n,), of the rows of a feature frame."""
    if features.is_empty():
        return np.empty(0)
    raw = booster.inplace_predict(feature_matrix(features), validate_features=False).astype(np.float64)
    return np.maximum(np.exp(raw) if target == "log_price" else raw, MIN_PRICE)


def feature_matrix(features: pl.DataFrame) -> np.ndarray:
    """The columns `FEATURES` as a float32 array of shape (n, len(FEATURES)), missing as NaN."""
    return features.select(pl.col(FEATURES).cast(pl.Float32).fill_null(float("nan"))).to_numpy(order="c")
