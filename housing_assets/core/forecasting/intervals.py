"""Intervals of forecasts, from the errors that were known at their origin.

A forecast errs by a part that it shares with all places, a turn of the market, and by a part of its place's own. The
width of an interval is `hypot(common, own * noise)`: the first is measured on a long record, since turns are rare, the
second on a short one and in proportion to how noisy the place is. Both are scaled by a conformal quantile of past
errors over past widths (normalized scores: Lei et al. 2018, "Distribution-Free Predictive Inference for Regression"),
where the newest errors have half of the weight and all others together the other half.

Errors grow with the horizon at least in proportion. What a shorter horizon has shown already widens a longer one whose
outcomes are still to come.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from housing_assets.core.features.history import HistoryAtOrigin
from housing_assets.core.forecasting.schema import INTERVAL_SCHEMA, LEAST_OUTCOMES
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
class _OriginErrors:
    """Errors of the forecasts of one origin and horizon whose outcome is in the history.

    Attributes:
        common: their median: log growth that followed less the one forecast.
        own: their distances from that, shape (n,).
        noise: of these zips, shape (n,).
    """

    common: float
    own: np.ndarray
    noise: np.ndarray

    @cached_property
    def own_to_noise(self) -> float:
        """The mean of `own`, whichever way, for one of the mean noise."""
        return float(np.abs(self.own).mean() / self.noise.mean())

    @cached_property
    def largest(self) -> float:
        """The largest error, whichever way."""
        return float(np.abs(self.common + self.own).max())


@dataclass(frozen=True)
class ForecastErrors:
    """Errors of forecasts by horizon and origin, as they are added by a backtest.

    Attributes:
        by_horizon: by horizon and origin.
        noise: mean `noise` of the zips that are forecast, by origin.
    """

    by_horizon: dict[int, dict[str, _OriginErrors]] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)

    def add(
        self, at: HistoryAtOrigin, horizon: int, forecast: np.ndarray, outcome: np.ndarray, of_zip: np.ndarray
    ) -> None:
        """Keep the errors of a forecast.

        Args:
            at: the history at its origin.
            horizon: months ahead.
            forecast, outcome: log growth, shape (zips,), NaN where there is none.
            of_zip: `noise` of the zips at the origin.
        """
        if at.origin not in self.noise and at.known.any():
            self.noise[at.origin] = float(of_zip[at.known].mean())
        error = outcome - forecast
        has_outcome = np.isfinite(error)
        of_horizon = self.by_horizon.setdefault(horizon, {})
        if has_outcome.any():
            common = float(np.median(error[has_outcome]))
            own = (error[has_outcome] - common).astype(np.float32)
            of_horizon[at.origin] = _OriginErrors(common, own, of_zip[has_outcome].astype(np.float32))


@dataclass(frozen=True)
class _Scale:
    """What errors of an origin are divided by: `hypot(common, own * noise)`, before the conformal quantile."""

    common: float
    own: float

    def of(self, noise: np.ndarray) -> np.ndarray:
        return np.hypot(self.common, self.own * noise)


def forecast_intervals(errors: ForecastErrors) -> pl.DataFrame:
    """The 90% intervals of each origin and horizon, from outcomes that were known at the origin.

    Returns:
        `INTERVAL_SCHEMA` by origin and horizon. An origin before any outcome was known is not in it. A horizon without
        an outcome of its own has the width of the longest shorter one, in proportion.
    """
    rows, shocks = [], dict.fromkeys(errors.noise, 1.0)
    widest: dict[str, tuple[float, float]] = {}
    for horizon in sorted(errors.by_horizon):
        widths = _widths(horizon, errors.by_horizon[horizon], errors.noise, shocks)
        if horizon <= _SHOCK_HORIZON:
            for origin, (_, _, _, shock) in widths.items():
                shocks[origin] = max(shocks[origin], shock)
        for origin in errors.noise:
            common, own, outcomes, _ = widths.get(origin, (0.0, 0.0, 0, 1.0))
            before = widest.get(origin, (0.0, 0.0))
            widest[origin] = max(before[0], common / horizon), max(before[1], own / horizon)
            common, own = (horizon * part for part in widest[origin])
            if common > 0 or own > 0:
                width = float(np.hypot(common, own * errors.noise[origin]))
                rows.append((origin, horizon, width, outcomes, common, own))
    return pl.DataFrame(rows, schema=INTERVAL_SCHEMA, orient="row").sort("origin", "horizon")


def _widths(
    horizon: int, known: Mapping[str, _OriginErrors], usual_noise: Mapping[str, float], shocks: Mapping[str, float]
) -> dict[str, tuple[float, float, int, float]]:
    """By origin: the common and the own part of the width, the outcomes it rests on, and the shock it has shown."""
    widths, scales = {}, dict[str, _Scale]()
    scores: dict[str, np.ndarray] = {}
    for origin in sorted(usual_noise):
        past = [p for p in sorted(known) if add_months(p, horizon) <= origin]
        outcomes = sum(known[p].own.size for p in past)
        if outcomes < LEAST_OUTCOMES:
            continue
        ages = np.array([month_index(origin) - month_index(p) - horizon for p in past], np.float64)
        common = np.array([abs(known[p].common) for p in past])
        own = np.array([known[p].own_to_noise for p in past])
        usual = float(np.average(common, weights=0.5 ** (ages / _COMMON_HALF_LIFE)))
        recent = float(np.average(common, weights=0.5 ** (ages / _SHOCK_HALF_LIFE)))
        widened = usual * (1 + _SHOCK_SHARE * (shocks[origin] - 1))
        scale = _Scale(widened, float(np.average(own, weights=0.5 ** (ages / _OWN_HALF_LIFE))))
        scales[origin] = scale
        for p in past:
            if p not in scores:
                # The first origins had no scale yet: the first that is known stands for theirs.
                scores[p] = _summary(known[p], scales.get(p, scale))
        factor = _quantile([scores[p] for p in past], ages)
        # After a turn both the scale and the scores of the turn are large: the largest error known is wide enough.
        pooled = factor * float(scale.of(np.array(usual_noise[origin])))
        factor *= min(1.0, max(known[p].largest for p in past) / max(pooled, 1e-12))
        shock = recent / usual if usual > 0 else 1.0
        widths[origin] = (factor * scale.common, factor * scale.own, outcomes, max(1.0, shock))
    return widths


def _summary(errors: _OriginErrors, scale: _Scale) -> np.ndarray:
    """Scores of an origin: errors over their scale, or evenly spaced quantiles of many."""
    divisor = np.maximum(scale.of(errors.noise), 1e-12)
    score = np.abs(errors.common + errors.own) / divisor
    if score.size <= _SUMMARY:
        return score.astype(np.float64)
    return np.quantile(score, (np.arange(_SUMMARY) + 0.5) / _SUMMARY)


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
