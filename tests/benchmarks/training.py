"""Training as the assets do it, and bare XGBoost on the matrix that is ready in memory."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from figures import Figure, piece

from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.models.trees import TrainingParams, train_trees
from housing_assets.engines.dask import train_on_dask
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


DASK_SPEEDUPS = {1: None, 2: 1.4, 4: 1.0}
"""By workers, how many times as fast as one they should be on 2 cores: 70% of the ideal, and no slower where they share
cores."""


def on_dask(folder: Path, trees: int, workers: int) -> float:
    """Seconds on workers of this machine, of one thread each, which are there before; keeps the bytes they moved."""
    from distributed import LocalCluster

    rows = Store.open(str(folder)).table("training_features").of("train")
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:  # pyright: ignore[reportArgumentType]
        before, begun = psutil.net_io_counters(pernic=True)["lo"].bytes_sent, time.perf_counter()
        train_on_dask(cluster.scheduler_address, rows, TrainingParams(n_estimators=trees))
        seconds = time.perf_counter() - begun
        moved = psutil.net_io_counters(pernic=True)["lo"].bytes_sent - before
    _moved_file(folder, workers).write_text(json.dumps(moved))
    return seconds


def dask_figures(folder: Path, trees: int) -> Iterator[Figure]:
    """What more workers save, and the bytes that they send each other over the machine's own network.

    Args:
        folder: the store.
        trees: to train.
    """
    first = 0.0
    for workers, least in DASK_SPEEDUPS.items():
        cost = piece("dask_training", folder, trees, workers)
        first = first or cost.seconds
        moved = json.loads(_moved_file(folder, workers).read_text())
        speedup = first / cost.seconds
        told = f"{cost.seconds:.1f} s, {speedup:.2f} times as fast as 1, {moved / 1e6 / trees:.1f} MB a tree"
        name = f"{trees} trees on {workers} workers of one thread"
        target = ("", None) if least is None else (f"{least:g} times as fast as 1", speedup >= least)
        yield Figure("dask", name, told, *target, memory=cost.memory)


def _moved_file(folder: Path, workers: int) -> Path:
    return folder / f"dask-{workers}.json"
