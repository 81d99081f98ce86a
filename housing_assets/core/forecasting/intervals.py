"""Intervals of forecasts, from the errors that were known at their origin.

A forecast errs by a part that it shares with all places, a turn of the market, and by a part of its place's own. The
width of an interval is `hypot(common, own * noise)`: the first is measured on a long record, since turns are rare, the
second on a short one and in proportion to how noisy the place is. Both are scaled by a conformal quantile of past
errors over past widths (normalized scores: Lei et al. 2018, "Distribution-Free Predictive Inference for Regression"),
where the newest errors have half of the weight and all others together the other half.

Errors grow with the horizon at least in proportion. What a shorter horizon has shown already widens a longer one whose
outcomes are still to come.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from housing_assets.core.features.history import HistoryAtOrigin
from housing_assets.core.forecasting.schema import LEAST_OUTCOMES
from housing_assets.core.intervals.conformal import COVERAGE, conformal_quantile
from housing_assets.core.months import add_months, month_index

_NOISE_PRIOR = 6
_LEAST_NOISE = 1e-5
_COMMON_HALF_LIFE, _OWN_HALF_LIFE, _SHOCK_HALF_LIFE = 120.0, 12.0, 3.0
_RECENT_HALF_LIFE, _RECENT_SHARE = 3.0, 0.5
_SHOCK_HORIZON, _SHOCK_SHARE = 3, 0.3
_TOO_FEW = 1.5
"""Factor on the largest known score where the outcomes are too few for a 90% quantile."""
_SUMMARY = 200
"""Quantiles by which the scores of an origin are kept: the errors of one month are many, and alike."""


def noise(at: HistoryAtOrigin) -> np.ndarray:
    """Mean absolute monthly log growth of each zip beside the nation in the 24 months up to an origin, shape (zips,).

    It is drawn towards the mean of all zips as if 6 months more had that.
    """
    levels = at.recent_growth
    own = np.abs(levels["own"] + levels["metro"][at.history.metro])
    known = np.isfinite(own)
    count, total = known.sum(axis=1), np.where(known, own, 0.0).sum(axis=1)
    usual = max(float(total.sum() / max(count.sum(), 1)), _LEAST_NOISE)
    return (total + _NOISE_PRIOR * usual) / (count + _NOISE_PRIOR)


@dataclass(frozen=True)
class OriginErrors:
    """Errors of the forecasts of one origin and horizon whose outcome is known.

    Attributes:
        common: their median: log growth that followed less the one forecast.
        own_to_noise: their mean distance from that, whichever way, for one of the mean noise.
        outcomes: how many they are.
        largest: the largest error, whichever way.
        scores: errors over their scale, or evenly spaced quantiles of many; None until a scale is known.
    """

    common: float
    own_to_noise: float
    outcomes: int
    largest: float
    scores: np.ndarray | None = None


@dataclass(frozen=True)
class Scale:
    """What errors of an origin are divided by: `hypot(common, own * noise)`, before the conformal quantile."""

    common: float
    own: float

    def of(self, noise: np.ndarray) -> np.ndarray:
        """What errors of zips of some noise are divided by, of its shape."""
        return np.hypot(self.common, self.own * noise)


@dataclass(frozen=True)
class _Unscored:
    """Errors of zips that wait for a scale: their distances from the common one, and the zips' noise, shape (n,)."""

    own: np.ndarray
    noise: np.ndarray


@dataclass(frozen=True)
class _Width:
    """The parts of a width, the outcomes it rests on, and the shock that they have shown."""

    common: float = 0.0
    own: float = 0.0
    outcomes: int = 0
    shock: float = 1.0


@dataclass
class ForecastErrors:
    """Errors of forecasts, and the widths that follow from those that were known at each origin.

    It is told of months in their order: first the outcomes of a month, then of the same month as an origin.

    Attributes:
        horizons: months ahead, in order.
        by_horizon: errors by horizon and origin.
        noise: mean `noise` of the zips that are forecast, by origin.
        scales: by horizon and origin; an origin before any outcome was known has none.
    """

    horizons: tuple[int, ...]
    by_horizon: dict[int, dict[str, OriginErrors]] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    scales: dict[int, dict[str, Scale]] = field(default_factory=dict)
    _unscored: dict[tuple[int, str], _Unscored] = field(default_factory=dict, repr=False)

    @property
    def is_scored(self) -> bool:
        """True if no error waits for a scale: what is known of all errors is then in the attributes."""
        return not self._unscored

    def add_outcome(self, origin: str, horizon: int, error: np.ndarray, of_zip: np.ndarray) -> None:
        """Keep the errors of a forecast whose month has come.

        Args:
            origin: of the forecast.
            horizon: months ahead.
            error: log growth that followed less the one forecast, shape (zips,), NaN where one is not known.
            of_zip: `noise` of the zips at the origin.
        """
        has_outcome = np.isfinite(error)
        if not has_outcome.any():
            return
        common = float(np.median(error[has_outcome]))
        own, noisy = ((values[has_outcome]).astype(np.float32) for values in (error - common, of_zip))
        self.by_horizon.setdefault(horizon, {})[origin] = OriginErrors(
            common,
            own_to_noise=float(np.abs(own).mean() / noisy.mean()),
            outcomes=own.size,
            largest=float(np.abs(common + own).max()),
        )
        self._unscored[horizon, origin] = _Unscored(own, noisy)
        if scale := self.scales.get(horizon, {}).get(origin):
            self._score(horizon, origin, scale)

    def add_origin(self, at: HistoryAtOrigin, of_zip: np.ndarray) -> list[tuple[str, int, float, int, float, float]]:
        """The 90% intervals of an origin, from outcomes that were known there.

        Args:
            at: the history at the origin.
            of_zip: `noise` of the zips there.

        Returns:
            Rows of `INTERVAL_SCHEMA` by horizon. An origin before any outcome was known has none. A horizon without an
            outcome of its own has the width of the longest shorter one, in proportion.
        """
        if not at.known.any():
            return []
        origin = at.origin
        self.noise[origin] = usual = float(of_zip[at.known].mean())
        rows, shock, widest = [], 1.0, (0.0, 0.0)
        for horizon in self.horizons:
            width = self._width(horizon, origin, shock)
            if horizon <= _SHOCK_HORIZON:
                shock = max(shock, width.shock)
            widest = max(widest[0], width.common / horizon), max(widest[1], width.own / horizon)
            common, own = (horizon * part for part in widest)
            if common > 0 or own > 0:
                rows.append((origin, horizon, float(np.hypot(common, own * usual)), width.outcomes, common, own))
        return rows

    def _width(self, horizon: int, origin: str, shock: float) -> _Width:
        """The width of a horizon by its own outcomes.

        Args:
            horizon: months ahead.
            origin: whose width it is.
            shock: that shorter horizons have shown at the origin.
        """
        known = self.by_horizon.get(horizon, {})
        past = [p for p in sorted(known) if add_months(p, horizon) <= origin]
        outcomes = sum(known[p].outcomes for p in past)
        if outcomes < LEAST_OUTCOMES:
            return _Width()
        ages = np.array([month_index(origin) - month_index(p) - horizon for p in past], np.float64)
        common = np.array([abs(known[p].common) for p in past])
        own = np.array([known[p].own_to_noise for p in past])
        usual = float(np.average(common, weights=0.5 ** (ages / _COMMON_HALF_LIFE)))
        recent = float(np.average(common, weights=0.5 ** (ages / _SHOCK_HALF_LIFE)))
        widened = usual * (1 + _SHOCK_SHARE * (shock - 1))
        scale = Scale(widened, float(np.average(own, weights=0.5 ** (ages / _OWN_HALF_LIFE))))
        self.scales.setdefault(horizon, {})[origin] = scale
        for p in past:  # the first origins had no scale yet: the first that is known stands for theirs
            if (horizon, p) in self._unscored:
                self._score(horizon, p, scale)
        scores = [scores for p in past if (scores := known[p].scores) is not None]
        factor = _quantile(scores, ages)
        # After a turn both the scale and the scores of the turn are large: the largest error known is wide enough.
        pooled = factor * float(scale.of(np.array(self.noise[origin])))
        factor *= min(1.0, max(known[p].largest for p in past) / max(pooled, 1e-12))
        return _Width(
            factor * scale.common, factor * scale.own, outcomes, max(1.0, recent / usual) if usual > 0 else 1.0
        )

    def _score(self, horizon: int, origin: str, scale: Scale) -> None:
        """Score the errors of an origin, which are not needed one by one after that."""
        waiting = self._unscored.pop((horizon, origin))
        errors = self.by_horizon[horizon][origin]
        score = np.abs(errors.common + waiting.own) / np.maximum(scale.of(waiting.noise), 1e-12)
        few = score.astype(np.float64)
        scores = few if score.size <= _SUMMARY else np.quantile(score, (np.arange(_SUMMARY) + 0.5) / _SUMMARY)
        self.by_horizon[horizon][origin] = replace(errors, scores=scores)


def _quantile(scores: list[np.ndarray], ages: np.ndarray) -> float:
    """The conformal quantile of scores, half of whose weight the newest have."""
    recent = 0.5 ** (ages / _RECENT_HALF_LIFE)
    sizes = np.array([s.size for s in scores], np.float64)
    weight = _RECENT_SHARE * recent / (recent @ sizes) + (1 - _RECENT_SHARE) / sizes.sum()
    weights = np.repeat(weight / weight.max(), [s.size for s in scores])
    values = np.concatenate(scores)
    factor = conformal_quantile(values, weights, COVERAGE)
    return factor if np.isfinite(factor) else _TOO_FEW * float(values.max())


def log_widths(intervals: pl.DataFrame, noise_of_zip: np.ndarray) -> dict[int, np.ndarray]:
    """Half widths of zips in log price by horizon, each of shape (zips,).

    Args:
        intervals: rows of one origin of `INTERVAL_SCHEMA`; of an earlier version without its two parts.
        noise_of_zip: see `noise`, shape (zips,).
    """
    if "log_common" not in intervals.columns:
        rows = intervals.select("horizon", "log_width").iter_rows()
        return {horizon: np.full(len(noise_of_zip), width) for horizon, width in rows}
    parts = intervals.select("horizon", "log_width", "log_common", "log_own").iter_rows()
    return {
        horizon: np.full(len(noise_of_zip), width) if common is None else np.hypot(common, own * noise_of_zip)
        for horizon, width, common, own in parts
    }
