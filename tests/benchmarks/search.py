"""The search for hyperparameters with successive halving, and with every trial grown to the end."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from figures import Figure, piece

from housing_assets.core.tuning import study
from housing_assets.core.tuning.space import TuningSpec
from housing_assets.store.layout import Store

HALVED, WHOLE = "successive halving", "every trial to the end"
_SHOWN = 6
_ZIPS = 1_500
"""Most zips that are searched over: each search of more takes many minutes, and halving saves the same share."""


def search_figures(folder: Path) -> Iterator[Figure]:
    """Both searches over `training_features` of a store, each in a process of its own.

    Args:
        folder: the store.
    """
    curves: dict[str, list[list[float]]] = {}
    for kind in (HALVED, WHOLE):
        cost = piece("search", folder, kind)
        curves[kind] = json.loads(_result(folder, kind).read_text())
        steps = curves[kind][:: max(1, len(curves[kind]) // _SHOWN)]
        curve = ", ".join(f"{100 * best:.2f}% at {seconds:.0f} s" for seconds, best in steps)
        seconds, best = curves[kind][-1]
        told = f"{seconds:.0f} s of CPU, RMSE / mean price {100 * best:.3f}%"
        yield Figure("search", f"{len(curves[kind])} trials, {kind}", told, memory=cost.memory)
        yield Figure("search", f"best score so far, {kind}", curve)
    (halved, halved_best), (whole, whole_best) = (curves[kind][-1] for kind in (HALVED, WHOLE))
    yield Figure("search", "halving / to the end: CPU", f"{halved / whole:.2f}", "0.5", halved <= 0.5 * whole)
    ratio = halved_best / whole_best
    yield Figure("search", "halving / to the end: best score", f"{ratio:.4f}", "1.005", ratio <= 1.005)


def run(folder: Path, kind: str) -> None:
    """Search, and keep for each trial the seconds of CPU until its end and the best complete score by then."""
    if kind == WHOLE:
        study._is_promising = lambda *_: True  # pyright: ignore[reportPrivateUsage]
    train = _some_zips(Store.open(str(folder)).table("training_features").of("train").read())
    begun, curve = time.process_time(), []

    def note(row: dict[str, Any]) -> None:
        best = curve[-1][1] if curve else float("inf")
        score = row["score"] if row["state"] == "complete" else best
        curve.append([time.process_time() - begun, min(best, score)])

    storage = folder / f"{kind}.db"
    storage.unlink(missing_ok=True)
    study.tune(train, TuningSpec(), f"sqlite:///{storage}", "search", note)
    _result(folder, kind).write_text(json.dumps(curve))


def _some_zips(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `_ZIPS` zips or some more, every so many-th of all."""
    zips = rows["zipcode"].unique().sort()
    return rows.filter(pl.col("zipcode").is_in(zips.gather_every(max(1, zips.len() // _ZIPS)).implode()))


def _result(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.json"
