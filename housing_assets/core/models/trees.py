"""Training: XGBoost on a feature frame, and prices from its trees."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.models.anchor import ANCHOR_FEATURES, Anchor, fit_anchor
from housing_assets.core.models.engine import CORES, import_xgboost
from housing_assets.core.models.rows import Rows, WholeFrame, feature_matrix
from housing_assets.core.panel.schema import BY_NAME

if TYPE_CHECKING:
    import xgboost

MIN_PRICE = float(BY_NAME["price"].low or 0)
"""US dollars: no prediction is lower, since no valid price is."""

Target = Literal["price", "log_price", "log_anchor"]
"""What trees fit: the price in US dollars, its natural logarithm, or what that logarithm exceeds the anchor
by (see `housing_assets.core.models.anchor`)."""

TARGETS: tuple[Target, ...] = get_args(Target)

LABEL_COLUMNS: tuple[str, ...] = ("price", *ANCHOR_FEATURES)
"""What labels and anchor are made of."""

MONOTONE_FEATURES: tuple[str, ...] = (
    "city_full_target",
    "median_list_price",
    "median_ppsf",
    "Per Capita Income",
    "Median Home Value",
)
"""Features with which, all else equal, a price can only rise; used when `monotone` is set."""

PARAM_LIMITS: dict[str, tuple[float, float]] = {
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
"""Lowest and highest value of each numeric hyperparameter, both included."""


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
        target: what the trees fit, see `Target`.
        monotone: keep the prediction from falling when one of `MONOTONE_FEATURES` rises. Without effect on
            `log_anchor`, where the anchor does the rising and trees must be free to correct it.
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
    monotone: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        for name, (low, high) in PARAM_LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise HousingError(f"{name}={getattr(self, name)} is outside {low:g} to {high:g}: change it")
        if self.target not in TARGETS:
            raise HousingError(f"target={self.target!r}: use one of {', '.join(TARGETS)}")

    def booster_params(self) -> dict[str, object]:
        """The same in XGBoost's own names."""
        own = asdict(self)
        for ours in ("n_estimators", "target", "monotone"):
            del own[ours]
        if self.monotone and self.target != "log_anchor":
            own["monotone_constraints"] = dict.fromkeys(MONOTONE_FEATURES, 1)
        return {"objective": "reg:squarederror", "tree_method": "hist", "nthread": CORES, **own}


ANCHORED = np.array([FEATURES.index(name) for name in ANCHOR_FEATURES])
"""Where the anchor's features are in a feature matrix."""


@dataclass(frozen=True)
class PriceTrees:
    """Trees, and what turns their output into a price.

    Attributes:
        booster: the trees, over `FEATURES`.
        target: what they fit.
        anchor: of the target `log_anchor`; None with the others.
    """

    booster: "xgboost.Booster"
    target: Target
    anchor: Anchor | None = None

    def prices(self, features: pl.DataFrame) -> np.ndarray:
        """Prices in US dollars, float64 of shape (n,), of the rows of a feature frame."""
        if features.is_empty():
            return np.empty(0)
        raw = self.booster.inplace_predict(feature_matrix(features), validate_features=False)
        return self.to_prices(raw, features)

    def prices_of(self, raw: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """The output of these trees, shape (n,), for a feature matrix (n, len(FEATURES)), as prices in US dollars."""
        logs = self.anchor.log_price_of(matrix[:, ANCHORED].astype(np.float64)) if self.anchor else 0.0
        return _prices(raw, self.target, logs)

    def to_prices(self, raw: np.ndarray, features: pl.DataFrame) -> np.ndarray:
        """The output of these trees, shape (n,), as prices in US dollars."""
        return prices_from_trees(raw, features, self.target, self.anchor)


@dataclass(frozen=True)
class SavedTrees:
    """Trees as the bytes of their file, parsed when they are first asked for: serving never asks.

    Attributes:
        data: XGBoost's UBJSON.
        target, anchor: see `PriceTrees`.
        threads: that the trees predict with.
    """

    data: bytes
    target: Target
    anchor: Anchor | None = None
    threads: int = 1

    @classmethod
    def of(cls, trees: PriceTrees) -> "SavedTrees":
        """Save trees."""
        return cls(bytes(trees.booster.save_raw("ubj")), trees.target, trees.anchor)

    @cached_property
    def trees(self) -> PriceTrees:
        """The trees."""
        import_xgboost()
        import xgboost as xgb

        booster = xgb.Booster({"nthread": self.threads})
        booster.load_model(bytearray(self.data))
        return PriceTrees(booster, self.target, self.anchor)


def train_trees(
    features: pl.DataFrame | Rows, params: TrainingParams, progress: Callable[[int, int], None] | None = None
) -> PriceTrees:
    """Fit trees, and the anchor if the target has one, on training features.

    The trees are the same to the last bit in however many pieces the rows come.

    Args:
        features: n rows with `FEATURES` (missing is null) and `price` (US dollars).
        params: hyperparameters.
        progress: called with the trees done and the trees to do.

    Raises:
        HousingError: no rows, or a price that is null, not finite or not positive.
    """
    import_xgboost()
    import xgboost as xgb
    from xgboost.callback import TrainingCallback

    from housing_assets.core.models.quantile import quantile_matrix

    rows = WholeFrame(features) if isinstance(features, pl.DataFrame) else features
    anchor, labels = fit_labels(rows, params.target)
    matrix = quantile_matrix(rows, labels, params.max_bin)

    class Report(TrainingCallback):
        def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: object) -> bool:  # noqa: ARG002
            if progress:
                progress(epoch + 1, params.n_estimators)
            return False

    booster = xgb.train(params.booster_params(), matrix, num_boost_round=params.n_estimators, callbacks=[Report()])
    return PriceTrees(booster, params.target, anchor)


def fit_labels(rows: Rows, target: Target) -> tuple[Anchor | None, np.ndarray]:
    """The anchor of a target, None if it has none, and what the trees fit, shape (n,).

    Raises:
        HousingError: no rows, or a price that is null, not finite or not positive.
    """
    labelled = pl.concat(rows.pieces(LABEL_COLUMNS))
    require_prices(labelled)
    anchor = target_anchor(labelled, target)
    return anchor, training_labels(labelled, target, anchor)


def require_prices(features: pl.DataFrame) -> None:
    """Check that there is something to learn from.

    Raises:
        HousingError: no rows, or a price that is null, not finite or not positive.
    """
    if features.is_empty():
        raise HousingError("no train rows: check HOUSING_EVAL_START and that train months are materialized")
    price = features["price"].to_numpy()
    bad = int((~(np.isfinite(price) & (price > 0))).sum())
    if bad:
        raise HousingError(f"{bad} train rows have a price that is missing, infinite or not positive: clean them")


def target_anchor(features: pl.DataFrame, target: Target) -> Anchor | None:
    """The anchor of a target, fitted on training features; None if it has none."""
    return fit_anchor(features) if target == "log_anchor" else None


def training_labels(features: pl.DataFrame, target: Target, anchor: Anchor | None) -> np.ndarray:
    """What the trees fit, shape (n,)."""
    price = features["price"].to_numpy()
    if target == "price":
        return price
    return np.log(price) - (anchor.log_price(features) if anchor else 0.0)


def prices_from_trees(raw: np.ndarray, features: pl.DataFrame, target: Target, anchor: Anchor | None) -> np.ndarray:
    """What trees say, shape (n,), as prices in US dollars; the inverse of `training_labels`."""
    return _prices(raw, target, anchor.log_price(features) if anchor else 0.0)


def _prices(raw: np.ndarray, target: Target, logs: np.ndarray | float) -> np.ndarray:
    raw = raw.astype(np.float64)
    if target == "price":
        return np.maximum(raw, MIN_PRICE)
    return np.maximum(np.exp(raw + logs), MIN_PRICE)


def feature_importance(booster: "xgboost.Booster") -> pl.DataFrame:
    """`feature` and `share` (percent of the total gain of all splits), the largest first; all of `FEATURES`."""
    gain = booster.get_score(importance_type="total_gain")
    frame = pl.DataFrame({"feature": FEATURES, "gain": [gain.get(f, 0.0) for f in FEATURES]})
    share = (100 * pl.col("gain") / pl.col("gain").sum()).alias("share")
    return frame.select("feature", share).sort("share", descending=True)
