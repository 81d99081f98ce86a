"""Training as the assets do it, and bare XGBoost on the matrix that is ready in memory."""

import time
from pathlib import Path

import numpy as np

from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.models.trees import TrainingParams, train_trees
from housing_assets.store.layout import Store


def ready(store: Store, split: str) -> dict[str, np.ndarray]:
    """The matrix and the prices of one split."""
    rows = store.table("training_features").of(split).read([*FEATURES, "price"])
    return {"x": feature_matrix(rows), "y": rows["price"].to_numpy()}


def bare(folder: Path, trees: int) -> float:
    """Seconds of XGBoost alone: its quantile matrix from an array in memory, and the trees."""
    import xgboost as xgb

    params = TrainingParams(n_estimators=trees)
    x, y = (np.load(folder / f"train-{name}.npy") for name in ("x", "y"))
    begun = time.perf_counter()
    matrix = xgb.QuantileDMatrix(x, label=y, feature_names=list(FEATURES), max_bin=params.max_bin)
    xgb.train(params.booster_params(), matrix, num_boost_round=trees)
    return time.perf_counter() - begun


def own(store: Store, trees: int) -> None:
    """From `training_features` in the store to trees."""
    train_trees(store.table("training_features").of("train"), TrainingParams(n_estimators=trees))
