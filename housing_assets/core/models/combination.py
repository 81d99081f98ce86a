"""Several forecasters combined: each counts by how small its errors were that were known at the origin.

No forecaster is picked: which one was best in one market is seldom best in the next. The weights are exponential in the
discounted loss of each (Vovk 1990, "Aggregating Strategies"; Cesa-Bianchi and Lugosi 2006, "Prediction, Learning, and
Games", chapter 2), and shrunk towards equal ones as the horizon grows, since outcomes of long horizons overlap and so
say less (Timmermann 2006, "Forecast Combinations", on why equal weights are hard to beat).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from housing_assets.core.baselines.forecaster import Forecaster, require_modelled
from housing_assets.core.baselines.growth import NAIVE_FORECASTERS, reference_growth
from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import (
    HISTORY_FEATURES,
    LEAST_MONTHS,
    LONGEST_HORIZON,
    ORIGIN_FEATURES,
    History,
    HistoryAtOrigin,
    require_horizon,
)
from housing_assets.core.features.series import mean_of_known
from housing_assets.core.models.autoregression import (
    SPANS,
    Autoregression,
    autoregressions_file,
    autoregressions_from_file,
    fit_autoregression,
)
from housing_assets.core.models.growth import GrowthModel, ridge_and_trees_from_files, shrinkage_weight
from housing_assets.core.models.ridge import RidgeGrowth, calm_weights, fit_ridge, ridges_file, ridges_from_file
from housing_assets.core.months import add_months, month_index, month_range

COMBINED_NAIVE: tuple[str, ...] = ("flat", "momentum_12", "damped_momentum", "metro_growth")
"""Naive forecasters that are combined. The growth of 3 months alone is left out: it was best in no market."""
LEAST_TRAIN_MONTHS = 24
"""Origins of a horizon that its ridge needs: fewer do not cover the season twice."""
LEAST_FORECAST_MONTHS = LEAST_MONTHS + LEAST_TRAIN_MONTHS + 1
"""Months before a fit that a forecast one month ahead needs: a year of history, the origins, an outcome."""

_DISCOUNT = 0.97
"""Share of its weight that a known error keeps from month to month: half after 23 months."""
_RATE = 3.0
"""How fast a forecaster loses weight with its errors: with 10% more loss than the best over 33 months it has 0.18 of
the best one's weight one month ahead, and 0.61 twelve months ahead."""
_LEAST_LOSS = 1e-9
_ROWS_AN_ORIGIN = 250
_VOLATILITY = ORIGIN_FEATURES.index("own_volatility_12")


@dataclass(frozen=True)
class GrowthFit:
    """The forecasters that were fitted on what was known before one month.

    Attributes:
        fitted: by name: the ridge and the autoregressions, or the model of an earlier bundle.
    """

    fitted: Mapping[str, Forecaster]

    @cached_property
    def members(self) -> Mapping[str, Forecaster]:
        """All forecasters that are combined, by name."""
        return {**self.fitted, **{name: NAIVE_FORECASTERS[name] for name in COMBINED_NAIVE}}

    @property
    def is_of_earlier_bundle(self) -> bool:
        """True for the model of an earlier bundle, which is read and no longer written."""
        return "ridge" not in self.fitted

    @property
    def horizons(self) -> tuple[int, ...]:
        """Months ahead for which every fitted forecaster was fitted, in order."""
        return tuple(h for h in range(1, LONGEST_HORIZON + 1) if all(h in f.horizons for f in self.fitted.values()))

    def growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        """Log growth by every member, shape (members, zips); NaN for a member that gives none."""
        rows = []
        for forecaster in self.members.values():
            growth = np.full(len(at.history.zips), np.nan)
            if horizon in forecaster.horizons:
                growth = forecaster.log_growth(at, horizon)
            # One zip without a finite forecast leaves the member out: half a forecaster would be another one.
            rows.append(growth if np.isfinite(growth[at.known]).all() else np.full(len(growth), np.nan))
        return np.array(rows)


@dataclass(frozen=True)
class Combination:
    """Forecasters combined: a `housing_assets.core.baselines.forecaster.Forecaster`.

    Attributes:
        fit: the forecasters.
        weights: by horizon, of each member by its name; they add up to 1.
        name, label, words: see the protocol.
    """

    fit: GrowthFit
    weights: Mapping[int, Mapping[str, float]]
    name: str = field(default="forecast_model", init=False)
    label: str = field(default="the model", init=False)
    words: str = field(default="several forecasters, each by how well it did lately", init=False)

    @property
    def horizons(self) -> tuple[int, ...]:
        """Months ahead that it forecasts, in order."""
        return tuple(self.weights)

    def log_growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        """See the protocol."""
        weights = self._weights(horizon)
        return combine(self.fit.growth(at, horizon), np.array([weights.get(n, 0.0) for n in self.fit.members]))

    def contributions(self, at: HistoryAtOrigin, horizon: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See the protocol."""
        base, parts = np.zeros(len(rows)), np.zeros((len(rows), len(HISTORY_FEATURES)))
        for name, weight in self._weights(horizon).items():
            if weight > 0:
                of_member = self.fit.members[name].contributions(at, horizon, rows)
                base, parts = base + weight * of_member[0], parts + weight * of_member[1]
        return base, parts

    def mostly(self, horizon: int) -> str:
        """The name of the member that counts most."""
        weights = self._weights(horizon)
        return max(weights, key=lambda name: weights[name])

    def _weights(self, horizon: int) -> Mapping[str, float]:
        require_modelled(horizon, self.horizons)
        return self.weights[horizon]


def combine(growth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted sum of growth of shape (members, zips), shape (zips,). A member of weight 0 may be NaN.

    Weights of members that are NaN for every zip are shared out over the others in proportion.
    """
    given = np.isfinite(growth).any(axis=1) & (weights > 0)
    if not given.any():
        return np.full(growth.shape[1], np.nan)
    share = weights[given] / weights[given].sum()
    return share @ growth[given]


def learn_weights(losses: np.ndarray, ages: np.ndarray, horizon: int) -> np.ndarray:
    """Weights of members from the losses that were known at an origin, shape (members,); they add up to 1.

    Args:
        losses: mean absolute log errors, shape (outcomes, members). NaN where a member gave no forecast.
        ages: months since each outcome was known, shape (outcomes,).
        horizon: months ahead. So many outcomes in a row overlap.

    Returns:
        Equal weights where no outcome is known. A member that never gave a forecast has weight 0. Where it gave none
        for some outcomes, it counts there as the mean of those that did.
    """
    members = losses.shape[1]
    usable = np.isfinite(losses).any(axis=0)
    if not usable.any():
        usable = np.ones(members, bool)
    equal = usable / usable.sum()
    if not len(losses):
        return equal
    of_others = mean_of_known(losses, 1)[:, None]
    filled = np.where(np.isfinite(losses), losses, np.nan_to_num(of_others))
    discount = _DISCOUNT ** ages.astype(np.float64)
    total = discount.sum()
    mean = np.maximum(discount @ filled / total, _LEAST_LOSS)
    excess = mean / mean[usable].min() - 1
    learned = np.where(usable, np.exp(-_RATE * np.minimum(excess, 100) * np.sqrt(total / horizon)), 0.0)
    learned = learned / learned.sum()
    share = shrinkage_weight(horizon)
    return share * learned + (1 - share) * equal


@dataclass(frozen=True)
class Examples:
    """What ridges learn from: made once of a history, for all fits of a walk.

    Attributes:
        history: later months than a fit may see are in it, and are not shown to the fit.
        seed: of the sample of zips, in a panel of more than are needed.
    """

    history: History
    seed: int = 42
    _origins: dict[str, "_OriginExamples"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def at(self, origin: str) -> "_OriginExamples":
        """The examples of an origin."""
        if origin not in self._origins:
            zips = _sampled_zips(self.history, origin, self.seed)
            features = self.history.at(origin).origin_features[zips]
            self._origins[origin] = _OriginExamples(self.history, origin, zips, features)
        return self._origins[origin]


@dataclass(frozen=True)
class _OriginExamples:
    """The zips of one origin that a ridge learns from, and their `ORIGIN_FEATURES`."""

    history: History
    origin: str
    zips: np.ndarray
    features: np.ndarray
    _by_horizon: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of(self, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, growth beyond the reference, and volatility of the zips with an outcome."""
        if horizon not in self._by_horizon:
            at = self.history.at(self.origin)
            beyond = (self.history.outcome(self.origin, horizon) - reference_growth(at, horizon))[self.zips]
            season = at.season_features(horizon)[self.zips]
            self._by_horizon[horizon] = season, beyond, np.isfinite(beyond)
        season, beyond, has_outcome = self._by_horizon[horizon]
        features = np.hstack([self.features, season])[has_outcome]
        return features, beyond[has_outcome], features[:, _VOLATILITY].astype(np.float64)


def _sampled_zips(history: History, origin: str, seed: int) -> np.ndarray:
    """Indices of the zips to learn from at an origin: all, or a random choice that no later month changes."""
    zips = np.flatnonzero(history.known(origin))
    if len(zips) <= _ROWS_AN_ORIGIN:
        return zips
    draws = np.random.default_rng([seed, month_index(origin)])
    return np.sort(draws.choice(zips, _ROWS_AN_ORIGIN, replace=False))


def fit_growth(history: History, horizons: Sequence[int], before: str, examples: Examples | None = None) -> GrowthFit:
    """Fit the forecasters on what was known before a month.

    Args:
        history: may go on after `before`. Later months are not used, and change nothing.
        horizons: months ahead to model. The ridge leaves out those with too few origins.
        before: every target lies in a month before this one.
        examples: of the history, shared by several fits; None: made here.

    Raises:
        HousingError: too few months or zips for even the shortest horizon, or a horizon above `LONGEST_HORIZON`.
    """
    for horizon in horizons:
        require_horizon(horizon)
    ridge = _fit_ridges(history, horizons, before, examples or Examples(history))
    autoregressions = {name: fit_autoregression(history, before, name) for name in SPANS}
    return GrowthFit({ridge.name: ridge, **autoregressions})


def _fit_ridges(history: History, horizons: Sequence[int], before: str, examples: Examples) -> RidgeGrowth:
    last = add_months(before, -1)
    origins = [m for m in month_range(history.first_month, last) if m <= history.last_month and history.known(m).any()]
    usable = {h: [m for m in origins if add_months(m, h) <= last] for h in sorted(horizons)}
    modelled = [h for h, months in usable.items() if len(months) >= LEAST_TRAIN_MONTHS]
    if not modelled:
        shortest = len(usable[min(horizons)])
        raise HousingError(
            f"history: {shortest} months before {before} have a year of history and an outcome; a growth model "
            f"needs {LEAST_TRAIN_MONTHS}, {LEAST_TRAIN_MONTHS - shortest} more: give it a panel that begins earlier"
        )
    seen = np.isfinite(history.log_price[:, : history.column(min(last, history.last_month)) + 1]).any(axis=1)
    metros = len(np.unique(history.metro[seen]))
    ridges = {}
    for horizon in modelled:
        parts = [examples.at(origin).of(horizon) for origin in usable[horizon]]
        features, growth, volatility = (np.concatenate(column) for column in zip(*parts, strict=True))
        if growth.size:
            weights = calm_weights(volatility)
            ridges[horizon] = fit_ridge(features, growth, horizon, int(seen.sum()), metros, weights)
    return RidgeGrowth(ridges)


_RIDGES, _AUTOREGRESSIONS = "growth_ridges{}.parquet", "growth_autoregressions{}.parquet"
_WEIGHTS = "growth_weights.json"


def fit_files(fit: GrowthFit, mark: str = "") -> dict[str, bytes]:
    """The files of a fit, by name: readable tables of its coefficients.

    Args:
        fit: made by `fit_growth`.
        mark: in the names, where a bundle has several fits.
    """
    ridge = fit.fitted["ridge"]
    assert isinstance(ridge, RidgeGrowth)
    autoregressions = {name: f for name, f in fit.fitted.items() if isinstance(f, Autoregression)}
    return {
        _RIDGES.format(mark): ridges_file(ridge.ridges),
        _AUTOREGRESSIONS.format(mark): autoregressions_file(autoregressions),
    }


def fit_from_files(files: Mapping[str, bytes], mark: str = "") -> GrowthFit | None:
    """Read a fit back, also one of an earlier bundle; None where there is none.

    Raises:
        BundleError: a file is missing, or was made with other features than this code makes.
    """
    former = ridge_and_trees_from_files(files, mark)
    if former is not None:
        return GrowthFit({former.name: former})
    if _RIDGES.format(mark) not in files:
        return None
    try:
        ridge = RidgeGrowth(ridges_from_file(files[_RIDGES.format(mark)]))
        autoregressions = autoregressions_from_file(files[_AUTOREGRESSIONS.format(mark)])
    except KeyError as error:
        raise BundleError(f"the growth model lacks {error}: publish it again") from error
    return GrowthFit({ridge.name: ridge, **autoregressions})


def combination_from_files(files: Mapping[str, bytes]) -> Combination | GrowthModel | None:
    """Read the one fit of an earlier bundle back, or the growth model of a still earlier one; None where there is none.

    Raises:
        BundleError: see `fit_from_files`.
    """
    fit = fit_from_files(files)
    if fit is None:
        return None
    former = next(iter(fit.fitted.values()))
    if isinstance(former, GrowthModel):
        return former
    try:
        weights = json.loads(files[_WEIGHTS])
    except KeyError as error:
        raise BundleError(f"the growth model lacks {error}: publish it again") from error
    return Combination(fit, {int(horizon): of_member for horizon, of_member in weights.items()})
