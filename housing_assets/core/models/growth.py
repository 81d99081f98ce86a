"""The growth model of earlier bundles: ridge regression and small trees, shrunk towards damped momentum.

It is read and forecasts as it did. What is fitted now is in `housing_assets.core.models.combination`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from housing_assets.core.baselines.forecaster import require_modelled
from housing_assets.core.baselines.growth import DAMPED_MOMENTUM, METRO_GROWTH, reference_growth
from housing_assets.core.errors import BundleError
from housing_assets.core.features.history import HISTORY_FEATURES, LONGEST_HORIZON, HistoryAtOrigin
from housing_assets.core.models.engine import import_xgboost
from housing_assets.core.models.ridge import Ridge, ridges_from_file

if TYPE_CHECKING:
    import xgboost

TREE_FEATURES: tuple[str, ...] = (*(f for f in HISTORY_FEATURES if not f.startswith("nation_")), "horizon")
"""Columns of the trees' matrix. Only the ridge has national growth: trees take a regime that they saw for the rule."""

_TREE_COLUMNS = [HISTORY_FEATURES.index(name) for name in TREE_FEATURES if name != "horizon"]
"""Columns of the history features that the trees use, in their order."""


def shrinkage_weight(horizon: int) -> float:
    """Weight of what was learned beside what is assumed: 1 one month ahead, 1/2 twelve months ahead."""
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
    name: str = field(default="ridge_and_trees", init=False)
    label: str = field(default="ridge and trees", init=False)
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
        require_modelled(horizon, self.horizons)
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
        import_xgboost()
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


_TREE_FILE, _RIDGE_FILE, _GOLDEN_FILE = "growth{}.ubj", "growth_ridges{}.parquet", "growth_golden{}.json"

_GOLDEN_TOLERANCE = 1e-6
"""Largest difference of log growth of a golden answer."""


def ridge_and_trees_from_files(files: Mapping[str, bytes], mark: str = "") -> GrowthModel | None:
    """Read a growth model back; None where there is none. The caller has verified the hashes of `files`.

    Raises:
        BundleError: a file is missing, the features are not those of this code, or a golden answer is another one.
    """
    if _TREE_FILE.format(mark) not in files:
        return None
    import_xgboost()
    import xgboost as xgb

    try:
        ridges = ridges_from_file(files[_RIDGE_FILE.format(mark)])
        golden = json.loads(files[_GOLDEN_FILE.format(mark)])
    except KeyError as error:
        raise BundleError(f"the growth model lacks {error}: publish it again") from error
    if golden["features"] != list(HISTORY_FEATURES):
        raise BundleError("the growth model was made with other history features than this version makes: train again")
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
