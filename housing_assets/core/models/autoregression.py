"""Autoregressions of growth: of the nation, of each metro beside the nation, of each zip beside its metro.

Each of the three levels is forecast from its own last months by coefficients of its own, month after month, and the
forecasts are added up. What a market does and what a place does beside its market so fade at their own speeds. The
coefficients of a level are pooled over its metros or zips (Robertson and Tallman 1999, "Vector Autoregressions:
Forecasting and Reality", for shrinking what few observations say). A calm place tells more of how growth carries on
than a noisy one, so each place counts by the inverse of its own variance.

On half of the real metro indices from 2000 to 2024, refitted each quarter, these were the best single forecasters: 0.59
to 0.62 times the error of the best naive forecaster of each market one month ahead, and 0.90 to 0.96 twelve months
ahead, where ridge and trees had 1.02.
"""

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from housing_assets.core.baselines.forecaster import require_modelled
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import HISTORY_FEATURES, LONGEST_HORIZON, History, HistoryAtOrigin

LAGS = 7
"""Months of growth that the next month's is forecast from. With 4 and 13 the errors were a little larger."""
SPANS: Mapping[str, int | None] = {"autoregression_48": 48, "autoregression_120": 120, "autoregression": None}
"""Months that each autoregression is fitted on, by name; None: all. A short span follows changes in how an index is
made, which decide one month ahead. A long one has seen more markets, which decide a year ahead."""
_NATION_PRIOR_MONTHS = 36
"""Months that the pooled coefficients count beside the nation's own, which are of one series alone."""
_LEAST_VARIANCE = 1 / 25
"""Share of the median variance that a calmer place is taken to have, so that a constant one does not decide."""
_STABILIZER = 1e-5
"""Share of the mean diagonal added to it, so that equal series can be solved for."""
_SAMPLED_ZIPS = 4_000
"""Most zips whose growth the coefficients are learned from: more say no more of 7 numbers."""
_LEVELS = ("own", "metro", "nation")
_FEATURES = {level: f"{level}_growth_6" for level in _LEVELS}
"""The feature by which each level's part is explained."""


@dataclass(frozen=True)
class Autoregression:
    """Growth by a fitted autoregression: a `housing_assets.core.baselines.forecaster.Forecaster`.

    Attributes:
        name: see `SPANS`.
        own, metro, nation: coefficients of the last `LAGS` months of growth, the newest first, shape (LAGS,).
        usual: mean monthly log growth of the nation, to which its growth returns.
    """

    name: str
    own: np.ndarray
    metro: np.ndarray
    nation: np.ndarray
    usual: float
    horizons: tuple[int, ...] = tuple(range(1, LONGEST_HORIZON + 1))

    @property
    def label(self) -> str:
        """See the protocol."""
        span = SPANS.get(self.name)
        return f"growth as it carried on in {span} months" if span else "growth as it always carried on"

    @property
    def words(self) -> str:
        """See the protocol."""
        span = SPANS.get(self.name)
        since = f"in the {span} months before" if span else "in all months before"
        return f"the growth of the nation, the metro and the zip carries on as it did {since}"

    @cached_property
    def _responses(self) -> Mapping[str, np.ndarray]:
        """By level, what each of the last months adds to the growth up to each horizon: (LAGS, LONGEST_HORIZON)."""
        return {level: _cumulative_response(getattr(self, level)) for level in _LEVELS}

    def log_growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        """See the protocol."""
        own, metro, nation = self._parts(at, horizon)
        return np.where(at.known, own + metro + nation + horizon * self.usual, np.nan)

    def contributions(self, at: HistoryAtOrigin, horizon: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See the protocol. Each level's part counts as that of its growth over 6 months."""
        parts = np.zeros((len(rows), len(HISTORY_FEATURES)))
        for feature, part in zip(_FEATURES.values(), self._parts(at, horizon), strict=True):
            parts[:, HISTORY_FEATURES.index(feature)] = part[rows]
        return np.full(len(rows), horizon * self.usual), parts

    def _parts(self, at: HistoryAtOrigin, horizon: int) -> list[np.ndarray]:
        """Log growth by level, each of shape (zips,). A month whose growth is not known counts as usual."""
        require_modelled(horizon, self.horizons)
        lags = {level: _last_first(values) for level, values in at.recent_growth.items()}
        lags["nation"] = lags["nation"] - self.usual
        parts = {level: np.nan_to_num(lags[level]) @ self._responses[level][:, horizon - 1] for level in _LEVELS}
        zips = len(at.history.zips)
        return [parts["own"], parts["metro"][at.history.metro], np.full(zips, parts["nation"][0])]


def fit_autoregression(history: History, before: str, name: str) -> Autoregression:
    """Fit on what was known before a month.

    Args:
        history: may go on after `before`. Later months are not used.
        before: every month that is read lies before this one.
        name: one of `SPANS`.

    Raises:
        HousingError: fewer than `LAGS` + 12 months are known.
    """
    end = history.column(before) - 1 if before <= history.last_month else history.log_price.shape[1] - 1
    if end < LAGS + 12:
        raise HousingError(
            f"history: {end + 1} months before {before}; an autoregression needs {LAGS + 13}: give it a panel that "
            "begins earlier"
        )
    span = SPANS[name]
    first = 0 if span is None else max(0, end - span - LAGS)
    levels = history.monthly_growth(first, end)
    whole = np.diff(history.levels.nation[: end + 1])
    usual = float(whole.mean())
    nation = levels["nation"] - usual
    zips = _sampled_zips(history, levels["own"])
    pooled = _fit_pooled(levels["own"][zips] + (levels["metro"] + nation)[history.metro[zips]])
    own, metro = _fit_pooled(levels["own"][zips]), _fit_pooled(levels["metro"])
    return Autoregression(name, own, metro, _fit_pooled(nation, pooled, _NATION_PRIOR_MONTHS), usual)


def _sampled_zips(history: History, own: np.ndarray) -> np.ndarray:
    """Indices of the zips to learn from: all with growth, or a choice of them that no later month changes."""
    zips = np.flatnonzero(np.isfinite(own).any(axis=1))
    if len(zips) <= _SAMPLED_ZIPS:
        return zips
    draw = [zlib.crc32(history.zips[i].encode()) for i in zips]
    return np.sort(zips[np.argsort(draw, kind="stable")[:_SAMPLED_ZIPS]])


def _fit_pooled(series: np.ndarray, prior: np.ndarray | None = None, prior_months: int = 0) -> np.ndarray:
    """Coefficients, shape (LAGS,), of series of shape (n, months), each row by the inverse of its mean square."""
    known = np.isfinite(series)
    square = np.where(known, series, 0.0) ** 2
    variance = square.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    if not (variance > 0).any():
        return np.zeros(LAGS) if prior is None else prior
    weight = 1 / np.maximum(variance, np.median(variance[variance > 0]) * _LEAST_VARIANCE)
    normal, moment, months = np.zeros((LAGS, LAGS)), np.zeros(LAGS), 0
    for month in range(LAGS, series.shape[1]):
        window = series[:, month - LAGS : month + 1]
        is_whole = np.isfinite(window).all(axis=1)
        rows, weights = window[is_whole], weight[is_whole, None]
        lags = rows[:, :-1][:, ::-1]
        normal += (lags * weights).T @ lags
        moment += (lags * weights).T @ rows[:, -1]
        months += int(is_whole.any())
    if prior is not None and months:
        strength = prior_months / months
        moment = moment + strength * normal @ prior
        normal = normal * (1 + strength)
    normal += _STABILIZER * max(np.trace(normal), 1e-12) / LAGS * np.eye(LAGS)
    return np.linalg.solve(normal, moment)


def _cumulative_response(coefficients: np.ndarray) -> np.ndarray:
    """What one of each of the last months' growth adds to the growth up to each horizon: (LAGS, LONGEST_HORIZON)."""
    state, total = np.eye(LAGS), np.zeros(LAGS)
    columns = []
    for _ in range(LONGEST_HORIZON):
        following = state @ coefficients
        state = np.hstack([following[:, None], state[:, :-1]])
        total = total + following
        columns.append(total)
    return np.column_stack(columns)


def _last_first(values: np.ndarray) -> np.ndarray:
    """The last `LAGS` months with the newest first, NaN where the panel had not begun: shape (n, LAGS)."""
    lags = values[:, ::-1][:, :LAGS]
    missing = LAGS - lags.shape[1]
    return np.pad(lags, ((0, 0), (0, missing)), constant_values=np.nan) if missing else lags


def autoregressions_file(models: Mapping[str, Autoregression]) -> bytes:
    """Autoregressions as a readable Parquet table: `name`, `level`, `lag`, `coefficient`, and `usual` growth."""
    rows = [
        (name, level, lag + 1, float(coefficient), model.usual)
        for name, model in models.items()
        for level in _LEVELS
        for lag, coefficient in enumerate(getattr(model, level))
    ]
    buffer = io.BytesIO()
    names = ["name", "level", "lag", "coefficient", "usual"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def autoregressions_from_file(data: bytes) -> dict[str, Autoregression]:
    """Read the file back. The caller has verified its hash."""
    table = pl.read_parquet(io.BytesIO(data))
    models = {}
    for (name,), part in table.group_by("name", maintain_order=True):
        levels = {level: part.filter(level=level).sort("lag")["coefficient"].to_numpy() for level in _LEVELS}
        models[str(name)] = Autoregression(
            str(name), levels["own"], levels["metro"], levels["nation"], float(part["usual"][0])
        )
    return models
