"""Growth models: log growth of a zip's price from an origin month, by its history.

The forecast is the plain average of a ridge regression and small trees on the same history. Over four windows of real
indices the average was steadier than either. The further ahead, the less a model adds to damped momentum, since a
market's turn is not in its past: the forecast is shrunk towards that, more so at long horizons.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import DAMPED_MOMENTUM, METRO_GROWTH, reference_growth
from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import (
    HISTORY_FEATURES,
    LONGEST_HORIZON,
    History,
    HistoryAtOrigin,
    require_horizon,
)
from housing_assets.core.models.ridge import Ridge, fit_ridge
from housing_assets.core.months import add_months, month_range

if TYPE_CHECKING:
    import xgboost

LEAST_TRAIN_MONTHS = 24
"""Origins of a horizon that its part of a model needs: fewer do not cover the season twice."""

TREE_FEATURES: tuple[str, ...] = (*(f for f in HISTORY_FEATURES if not f.startswith("nation_")), "horizon")
"""Columns of the trees' matrix. Only the ridge has national growth: trees take a regime that they saw for the rule."""

_TREE_COLUMNS = [HISTORY_FEATURES.index(name) for name in TREE_FEATURES if name != "horizon"]
"""Columns of the history features that the trees use, in their order."""

_TREES = 200

_TREE_PARAMS: Mapping[str, object] = {
    "objective": "reg:squarederror",
    "tree_method": "hist",
    "max_depth": 4,
    "learning_rate": 0.05,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "min_child_weight": 20,
    "max_bin": 128,
}

_MOST_ORIGIN_ROWS = 200_000

_MOST_TREE_ROWS = 200_000


def shrinkage_weight(horizon: int) -> float:
    """Weight of ridge and trees beside `reference_growth`: 1 one month ahead, 1/2 twelve months ahead."""
    return (LONGEST_HORIZON - 1) / (LONGEST_HORIZON - 2 + horizon)


@dataclass(frozen=True)
class GrowthModel:
    """Ridges and trees that forecast how a zip's price grows: a `housing_assets.core.baselines.forecaster.Forecaster`.

    Attributes:
        ridges: by horizon in months; a horizon without one is not modelled.
        trees: over `TREE_FEATURES`: log growth a month.
        name, label, words: see the protocol.
    """

    ridges: Mapping[int, Ridge]
    trees: "xgboost.Booster"
    name: str = field(default="forecast_model", init=False)
    label: str = field(default="the model", init=False)
    words: str = field(
        default="ridge regression and trees on the zip's history, shrunk towards damped momentum", init=False
    )

    @property
    def horizons(self) -> tuple[int, ...]:
        """Months ahead that it models, in order."""
        return tuple(self.ridges)

    def log_growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        """Log growth from the origin's price, shape (zips,); NaN where a zip's history is too short.

        Raises:
            HousingError: the horizon is not modelled.
        """
        if horizon not in self.ridges:
            modelled = ", ".join(str(h) for h in self.horizons) or "none"
            raise HousingError(f"horizon={horizon} is not modelled: choose one of {modelled}")
        features = at.features(horizon)
        ridge = self.ridges[horizon].predict(features)
        trees = horizon * self.trees.inplace_predict(tree_matrix(features, horizon), validate_features=False)
        reference = reference_growth(at, horizon)
        growth = reference + shrinkage_weight(horizon) * ((ridge + trees) / 2 - reference)
        return np.where(at.known, growth, np.nan)

    def contributions(self, at: HistoryAtOrigin, horizon: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Forecaster.contributions`. The ridge's parts are exact, those of the trees are TreeSHAP.

        TreeSHAP: Lundberg et al. (2020), "From local explanations to global understanding with explainable AI for
        trees".
        """
        import xgboost as xgb

        features = at.features(horizon)[rows]
        ridge, weight = self.ridges[horizon], shrinkage_weight(horizon)
        matrix = xgb.DMatrix(tree_matrix(features, horizon), feature_names=list(TREE_FEATURES))
        shares = self.trees.predict(matrix, pred_contribs=True, strict_shape=True).reshape(len(rows), -1)
        shares = horizon * shares.astype(np.float64)
        by_column = dict(zip((*TREE_FEATURES, "bias"), shares.T, strict=True))
        # The horizon is no property of a zip: its part belongs to the base.
        usual = ridge.intercept + (by_column.pop("horizon") + by_column.pop("bias"))
        parts = weight * ridge.parts(features) / 2
        for name, share in by_column.items():
            parts[:, HISTORY_FEATURES.index(name)] += weight * share / 2
        for naive in (DAMPED_MOMENTUM, METRO_GROWTH):
            parts += (1 - weight) * naive.contributions(at, horizon, rows)[1] / 2
        return weight * usual / 2, parts


def tree_matrix(features: np.ndarray, horizon: int) -> np.ndarray:
    """The matrix of the trees, float32 of shape (n, len(TREE_FEATURES)), of history features of n zips."""
    return np.hstack([features[:, _TREE_COLUMNS], np.full((len(features), 1), horizon, np.float32)])


def fit_growth(history: History, horizons: Sequence[int], before: str, seed: int = 42) -> GrowthModel:
    """Fit a growth model on what was known before a month.

    Args:
        history: may go on after `before`. Later months are not used.
        horizons: months ahead to model. Those with too few origins are left out.
        before: every target lies in a month before this one.
        seed: of the sample of rows, in a panel with more of them than are needed, and of the trees.

    Raises:
        HousingError: too few months or zips for even the shortest horizon, or a horizon above `LONGEST_HORIZON`.
    """
    import xgboost as xgb

    for horizon in horizons:
        require_horizon(horizon)
    last = add_months(before, -1)
    origins = [m for m in month_range(history.first_month, last) if m <= history.last_month and history.known(m).any()]
    usable = {h: [m for m in origins if add_months(m, h) <= last] for h in sorted(horizons)}
    modelled = [h for h, months in usable.items() if len(months) >= LEAST_TRAIN_MONTHS]
    if not modelled:
        raise HousingError(
            f"history: {len(usable[min(horizons)])} months before {before} have a year of history and an outcome; a "
            f"growth model needs {LEAST_TRAIN_MONTHS}: give it a panel that begins earlier"
        )
    rows = _sample_rows(history, usable[modelled[0]], seed)
    origin_features = np.vstack([history.at(origin).origin_features[zips] for origin, zips in rows])
    ridges, matrices, labels = {}, [], []
    share = min(1.0, _MOST_TREE_ROWS / (len(origin_features) * len(modelled)))
    draws = np.random.default_rng(seed)
    for horizon in modelled:
        season = np.vstack([history.at(origin).season_features(horizon)[zips] for origin, zips in rows])
        growth = np.concatenate([history.outcome(origin, horizon, last)[zips] for origin, zips in rows])
        has_outcome = np.isfinite(growth)
        features, growth = np.hstack([origin_features, season])[has_outcome], growth[has_outcome]
        ridges[horizon] = fit_ridge(features, growth, horizon, len(history.zips), len(history.metros))
        is_drawn = draws.random(len(growth)) < share
        matrices.append(tree_matrix(features[is_drawn], horizon))
        labels.append(growth[is_drawn] / horizon)
    matrix = xgb.QuantileDMatrix(
        np.vstack(matrices), label=np.concatenate(labels), feature_names=list(TREE_FEATURES), max_bin=128
    )
    return GrowthModel(ridges, xgb.train({**_TREE_PARAMS, "seed": seed}, matrix, num_boost_round=_TREES))


def _sample_rows(history: History, origins: Sequence[str], seed: int) -> list[tuple[str, np.ndarray]]:
    """The rows to learn from: by origin the indices of all zips with enough history, or in a large panel of a share."""
    draws = np.random.default_rng(seed)
    rows = [(origin, np.flatnonzero(history.known(origin))) for origin in origins]
    share = min(1.0, _MOST_ORIGIN_ROWS / sum(len(zips) for _, zips in rows))
    return [(origin, zips if share == 1 else zips[draws.random(len(zips)) < share]) for origin, zips in rows]


_TREE_FILE, _RIDGE_FILE, _GOLDEN_FILE = "growth{}.ubj", "growth_ridges{}.parquet", "growth_golden{}.json"

_GOLDEN_TOLERANCE = 1e-6
"""Largest difference of log growth of a golden answer."""


def growth_files(model: GrowthModel, mark: str = "") -> dict[str, bytes]:
    """The files of a growth model, by name: its trees, a readable table of its ridges, and golden answers.

    Args:
        model: to keep.
        mark: in the names, where a bundle has several growth models.
    """
    frames = [
        pl.DataFrame(
            {
                "feature": HISTORY_FEATURES,
                "horizon": horizon,
                "mean": ridge.means,
                "scale": ridge.scales,
                "weight": ridge.weights,
                "intercept": ridge.intercept,
            }
        )
        for horizon, ridge in model.ridges.items()
    ]
    buffer = io.BytesIO()
    pl.concat(frames).write_parquet(buffer, compression="zstd")
    golden = {"features": list(HISTORY_FEATURES), "expected": _golden_answers(model)}
    return {
        _TREE_FILE.format(mark): bytes(model.trees.save_raw("ubj")),
        _RIDGE_FILE.format(mark): buffer.getvalue(),
        _GOLDEN_FILE.format(mark): (json.dumps(golden, indent=2) + "\n").encode(),
    }


def growth_from_files(files: Mapping[str, bytes], mark: str = "") -> GrowthModel | None:
    """Read a growth model back; None where there is none. The caller has verified the hashes of `files`.

    Raises:
        BundleError: a file is missing, the features are not those of this code, or a golden answer is another one.
    """
    if _TREE_FILE.format(mark) not in files:
        return None
    import xgboost as xgb

    try:
        table = pl.read_parquet(io.BytesIO(files[_RIDGE_FILE.format(mark)]))
        golden = json.loads(files[_GOLDEN_FILE.format(mark)])
    except KeyError as error:
        raise BundleError(f"the growth model lacks {error}: publish it again") from error
    if golden["features"] != list(HISTORY_FEATURES):
        raise BundleError("the growth model was made with other history features than this version makes: train again")
    ridges = {}
    for (horizon,), part in table.group_by("horizon", maintain_order=True):
        columns = (part[name].to_numpy() for name in ("mean", "scale", "weight"))
        ridges[int(horizon)] = Ridge(float(part["intercept"][0]), *columns)  # type: ignore[call-overload]
    trees = xgb.Booster({"nthread": 1})
    trees.load_model(bytearray(files[_TREE_FILE.format(mark)]))
    model = GrowthModel(ridges, trees)
    if not np.allclose(_golden_answers(model), golden["expected"], rtol=0, atol=_GOLDEN_TOLERANCE):
        raise BundleError("the growth model gives its golden rows other growth than when it was made")
    return model


def _golden_answers(model: GrowthModel) -> list[float]:
    """Growth by the ridge and by the trees of each horizon: of its mean features, and of one deviation more of each."""
    answers: list[float] = []
    for horizon, ridge in model.ridges.items():
        rows = np.vstack([ridge.means, ridge.means + ridge.scales]).astype(np.float32)
        trees = model.trees.inplace_predict(tree_matrix(rows, horizon), validate_features=False)
        answers += [*ridge.predict(rows).tolist(), *trees.astype(float).tolist()]
    return answers
