"""The score of a trial on the folds."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.features.encoding import fit_encoders
from housing_assets.core.features.monthly import FEATURES, KEYS, make_features
from housing_assets.core.models.anchor import Anchor
from housing_assets.core.models.engine import CORES, import_xgboost
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.models.trees import (
    TARGETS,
    PriceTrees,
    Target,
    TrainingParams,
    target_anchor,
    training_labels,
)
from housing_assets.core.tuning.folds import Fold

if TYPE_CHECKING:
    import xgboost


@dataclass
class FoldData:
    """One fold as frames, with encoders of its own. Only one thread at a time may score it.

    Attributes:
        train, validation: `KEYS` and `FEATURES` of the two parts.
        anchors: by target, fitted on `train`; None for targets without one.
    """

    train: pl.DataFrame
    validation: pl.DataFrame
    anchors: Mapping[Target, Anchor | None]
    # Training and validation matrix by number of bins, each built by the first trial that needs it.
    _matrices: dict[int, tuple["xgboost.QuantileDMatrix", "xgboost.QuantileDMatrix"]] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def make(cls, rows: pl.DataFrame, fold: Fold) -> "FoldData":
        """Training and validation rows of a fold.

        Raises:
            HousingError: a part of the fold has no rows.
        """
        month = pl.col("date").dt.strftime("%Y-%m")
        parts = [rows.filter(month.is_in(part)) for part in (fold.train, fold.validation)]
        for name, part, months in zip(("train", "validation"), parts, (fold.train, fold.validation), strict=True):
            if part.is_empty():
                raise HousingError(
                    f"tuning: no {name} rows in {months[0]} to {months[-1]}: materialize cleaned for these months"
                )
        encoders = fit_encoders([parts[0]])
        train, validation = (
            pl.concat([part.select(KEYS), make_features(part, encoders)], how="horizontal") for part in parts
        )
        return cls(train, validation, {target: target_anchor(train, target) for target in TARGETS})

    def with_labels(self, params: TrainingParams) -> tuple["xgboost.QuantileDMatrix", "xgboost.QuantileDMatrix"]:
        """Training and validation matrices that carry the labels of the parameters' target."""
        import_xgboost()
        import xgboost as xgb

        if params.max_bin not in self._matrices:
            names = list(FEATURES)
            train = xgb.QuantileDMatrix(feature_matrix(self.train), feature_names=names, max_bin=params.max_bin)
            validation = xgb.QuantileDMatrix(
                feature_matrix(self.validation), feature_names=names, max_bin=params.max_bin, ref=train
            )
            self._matrices[params.max_bin] = (train, validation)
        train, validation = self._matrices[params.max_bin]
        for matrix, rows in ((train, self.train), (validation, self.validation)):
            matrix.set_label(training_labels(rows, params.target, self.anchors[params.target]))
        return train, validation

    def begin(self, params: TrainingParams, patience: int, threads: int) -> "FoldFit":
        """Trees of these parameters, of which none is grown yet."""
        import_xgboost()
        import xgboost as xgb

        train, validation = self.with_labels(params)
        # A fold is not always continued by the thread that began it, and XGBoost keeps its random state by thread.
        own = params.booster_params() | {"nthread": threads, "seed_per_iteration": True}
        trees = PriceTrees(xgb.Booster(own, [train, validation]), params.target, self.anchors[params.target])
        return FoldFit(self, trees, train, validation, patience)


@dataclass
class FoldFit:
    """The trees of one trial on one fold. They are grown in stages, and stop early.

    Attributes:
        fold: what they are fitted on.
        trees: those grown so far.
        train, validation: the fold's matrices with the labels of this trial.
        patience: trees without a better validation error after which no more are grown.
    """

    fold: FoldData
    trees: PriceTrees
    train: "xgboost.QuantileDMatrix"
    validation: "xgboost.QuantileDMatrix"
    patience: int
    _errors: list[float] = field(default_factory=list, init=False, repr=False)

    @property
    def best(self) -> int:
        """The number of trees with the least validation error."""
        return self._errors.index(min(self._errors)) + 1

    @property
    def stopped(self) -> bool:
        """True if more trees did not lower the validation error."""
        return bool(self._errors) and len(self._errors) - self.best >= self.patience

    def grow(self, trees: int) -> float:
        """Grow on until there are `trees` of them, or they stop.

        Returns:
            The RMSE over the mean price of the validation months, of the best trees so far.
        """
        booster = self.trees.booster
        while len(self._errors) < trees and not self.stopped:
            at = len(self._errors)
            booster.update(self.train, at)
            self._errors.append(float(booster.eval_set([(self.validation, "validation")], at).rpartition(":")[2]))
        raw = booster.predict(self.validation, iteration_range=(0, self.best))
        actual = self.fold.validation["price"].to_numpy()
        error = self.trees.to_prices(raw, self.fold.validation) - actual
        return float(np.sqrt((error**2).mean()) / actual.mean())


@dataclass(frozen=True)
class StageScores:
    """How a trial does on every fold once its trees are grown to the end of a stage.

    Attributes:
        trees: to which each fold was grown, if it did not stop before.
        scores: of the folds, in order.
        best: the number of trees with the least error, of the folds.
        finished: True if no fold grows further.
    """

    trees: int
    scores: list[float]
    best: list[int]
    finished: bool


def fold_scores(
    folds: list[FoldData], params: TrainingParams, patience: int, stages: Sequence[int]
) -> Iterator[StageScores]:
    """The scores of a trial after each stage, until no fold grows further.

    Folds are grown side by side, since small ones gain little from more threads each.

    Args:
        folds: to score on.
        params: of the trial.
        patience: see `FoldFit`.
        stages: numbers of trees at which a stage ends, rising.
    """
    threads = max(1, CORES // len(folds))
    fits = [fold.begin(params, patience, threads) for fold in folds]
    pool = ThreadPoolExecutor(min(CORES, len(folds)), thread_name_prefix="fold")
    try:
        for trees in stages:
            scores = list(pool.map(lambda fit, trees=trees: fit.grow(trees), fits))
            finished = trees == stages[-1] or all(fit.stopped for fit in fits)
            yield StageScores(trees, scores, [fit.best for fit in fits], finished)
            if finished:
                return
    finally:
        pool.shutdown(cancel_futures=True)
