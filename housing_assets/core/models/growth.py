"""Growth models: log growth of a zip's price from an origin month, by its history.

The plain average of a ridge regression and small trees on the same history, which over four windows of real indices
was steadier than either. The further ahead, the less a model adds to damped momentum, so that its say in the answer
shrinks with the horizon; a market's turn is not in its past.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import FEATURE_OF, naive_growth, reference_growth
from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import HISTORY_FEATURES, LONGEST_HORIZON, History, require_horizon
from housing_assets.core.models.ridge import Ridge, fit_ridge
from housing_assets.core.months import add_months, month_range

if TYPE_CHECKING:
    import xgboost

LEAST_TRAIN_MONTHS = 24
"""Origins of a horizon that its part of a model needs: fewer tell nothing of the season."""

TREE_FEATURES: tuple[str, ...] = (*(f for f in HISTORY_FEATURES if not f.startswith("nation_")), "horizon")
"""What the trees see. National growth is left to the ridge: trees take the regime they learned for the rule."""

_SEEN_BY_TREES = np.array([HISTORY_FEATURES.index(name) for name in TREE_FEATURES[:-1]])

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
    """Share of the model's say beside damped momentum: all of it one month ahead, half at twelve."""
    return (LONGEST_HORIZON - 1) / (LONGEST_HORIZON - 2 + horizon)


@dataclass(frozen=True)
class GrowthModel:
    """Ridges and trees that say how a zip's price grows from an origin.

    Attributes:
        ridges: by horizon in months; a horizon without one is not modelled.
        trees: over `TREE_FEATURES`: log growth a month.
    """

    ridges: Mapping[int, Ridge]
    trees: "xgboost.Booster"

    @property
    def horizons(self) -> tuple[int, ...]:
        """Months ahead that it models."""
        return tuple(self.ridges)

    def log_growth(self, history: History, origin: str, horizon: int) -> np.ndarray:
        """Log growth from the origin's price, shape (zips,); NaN where a zip's history is too short.

        Raises:
            HousingError: the horizon is not modelled, or the origin is outside the history.
        """
        if horizon not in self.ridges:
            known = ", ".join(str(h) for h in self.horizons) or "none"
            raise HousingError(f"horizon={horizon} is not modelled: choose one of {known}")
        features = history.features(origin, horizon)
        ridge = self.ridges[horizon].predict(features)
        trees = horizon * self.trees.inplace_predict(tree_matrix(features, horizon), validate_features=False)
        base = reference_growth(history, origin, horizon)
        said = base + shrinkage_weight(horizon) * ((ridge + trees) / 2 - base)
        return np.where(history.known(origin), said, np.nan)

    def contributions(
        self, history: History, origin: str, horizon: int, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `log_growth` of some zips is made of: the parts of the ridge, of the trees and of what they are added
        to, weighed as there. The trees' are TreeSHAP (Lundberg et al. 2020).

        Args:
            history, origin, horizon: as in `log_growth`.
            at: places of n zips in the history, integers of shape (n,).

        Returns:
            Log growth before anything is known of a zip, shape (n,), and what each of `HISTORY_FEATURES` adds to it,
            shape (n, len(HISTORY_FEATURES)).
        """
        import xgboost as xgb

        features = history.features(origin, horizon)[at]
        ridge, share = self.ridges[horizon], shrinkage_weight(horizon)
        matrix = xgb.DMatrix(tree_matrix(features, horizon), feature_names=list(TREE_FEATURES))
        trees = self.trees.predict(matrix, pred_contribs=True, strict_shape=True).reshape(len(at), -1)
        trees = horizon * trees.astype(np.float64)
        parts = share * ridge.parts(features) / 2
        parts[:, _SEEN_BY_TREES] += share * trees[:, : len(_SEEN_BY_TREES)] / 2
        naive = naive_growth(history, origin, horizon)
        for name in ("damped_momentum", "metro_growth"):
            parts[:, HISTORY_FEATURES.index(FEATURE_OF[name])] += (1 - share) * naive[name][at] / 2
        # The horizon is no property of a zip: what it adds is in the base.
        usual = ridge.intercept + trees[:, len(_SEEN_BY_TREES) :].sum(axis=1)
        return share * usual / 2, parts


def tree_matrix(features: np.ndarray, horizon: int) -> np.ndarray:
    """`TREE_FEATURES` of history features, float32."""
    seen = features[:, _SEEN_BY_TREES]
    return np.hstack([seen, np.full((len(features), 1), horizon, np.float32)])


def fit_growth(history: History, horizons: Sequence[int], before: str, seed: int = 42) -> GrowthModel:
    """Fit a growth model on what was known before a month.

    Args:
        history: may go on after `before`; what comes then is not looked at.
        horizons: months ahead to model; those with too few origins are left out.
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
    base = np.vstack([history.origin_features(origin)[at] for origin, at in rows])
    ridges, seen, labels = {}, [], []
    share = min(1.0, _MOST_TREE_ROWS / (len(base) * len(modelled)))
    draws = np.random.default_rng(seed)
    for horizon in modelled:
        season = np.vstack([history.season_features(origin, horizon)[at] for origin, at in rows])
        growth = np.concatenate([outcome(history, origin, horizon, last)[at] for origin, at in rows])
        known = np.isfinite(growth)
        features, growth = np.hstack([base, season])[known], growth[known]
        ridges[horizon] = fit_ridge(features, growth, horizon, len(history.zips), len(history.metros))
        taken = draws.random(len(growth)) < share
        seen.append(tree_matrix(features[taken], horizon))
        labels.append(growth[taken] / horizon)
    matrix = xgb.QuantileDMatrix(
        np.vstack(seen), label=np.concatenate(labels), feature_names=list(TREE_FEATURES), max_bin=128
    )
    return GrowthModel(ridges, xgb.train({**_TREE_PARAMS, "seed": seed}, matrix, num_boost_round=_TREES))


def _sample_rows(history: History, origins: Sequence[str], seed: int) -> list[tuple[str, np.ndarray]]:
    """Zips of each origin to learn from: all that are known, or an even share of them in a large panel."""
    draws = np.random.default_rng(seed)
    known = {origin: np.flatnonzero(history.known(origin)) for origin in origins}
    share = min(1.0, _MOST_ORIGIN_ROWS / sum(len(at) for at in known.values()))
    return [(origin, at if share == 1 else at[draws.random(len(at)) < share]) for origin, at in known.items()]


def outcome(history: History, origin: str, horizon: int, last: str | None = None) -> np.ndarray:
    """Log growth that came, shape (zips,); NaN where the panel has no price, or none by the month `last`."""
    month = add_months(origin, horizon)
    if month > min(last or history.last_month, history.last_month):
        return np.full(len(history.zips), np.nan)
    return np.where(history.priced[:, history.column(month)], history.growth(month, horizon), np.nan)


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
    """What the ridge and the trees of each horizon say of its mean features, and of one deviation more of each."""
    said: list[float] = []
    for horizon, ridge in model.ridges.items():
        rows = np.vstack([ridge.means, ridge.means + ridge.scales]).astype(np.float32)
        trees = model.trees.inplace_predict(tree_matrix(rows, horizon), validate_features=False)
        said += [*ridge.predict(rows).tolist(), *trees.astype(float).tolist()]
    return said
