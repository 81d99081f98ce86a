"""The score of a trial on the folds."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.features.encoding import fit_encoders
from housing_assets.core.features.monthly import FEATURES, KEYS, make_features
from housing_assets.core.models.anchor import Anchor
from housing_assets.core.models.engine import import_xgboost
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

    def score(self, params: TrainingParams, patience: int, threads: int) -> tuple[float, int]:
        """RMSE over the mean price of the validation months, and the number of trees with the least error."""
        import_xgboost()
        import xgboost as xgb

        train, validation = self.with_labels(params)
        booster = xgb.train(
            params.booster_params() | {"nthread": threads},
            train,
            num_boost_round=params.n_estimators,
            evals=[(validation, "validation")],
            early_stopping_rounds=patience,
            verbose_eval=False,
        )
        trees = booster.best_iteration + 1
        raw = booster.predict(validation, iteration_range=(0, trees))
        actual = self.validation["price"].to_numpy()
        fitted = PriceTrees(booster, params.target, self.anchors[params.target])
        error = fitted.to_prices(raw, self.validation) - actual
        return float(np.sqrt((error**2).mean()) / actual.mean()), trees


def fold_scores(folds: list[FoldData], params: TrainingParams, patience: int) -> Iterator[tuple[float, int]]:
    """The score and the number of trees of each fold, in order.

    Folds are scored side by side, since small ones gain little from more threads each.
    """
    cores = os.cpu_count() or 1
    pool = ThreadPoolExecutor(min(cores, len(folds)), thread_name_prefix="fold")
    try:
        threads = max(1, cores // len(folds))
        yield from pool.map(lambda fold: fold.score(params, patience, threads), folds)
    finally:
        pool.shutdown(cancel_futures=True)
