"""Forecasts as they would have been made at past origins, by the months in which their outcomes came.

A walk begins before the first fit and goes on month by month. What it has learned up to a month is small, and all that
the months after it need: of a month that is added, so many origins are forecast again as there are horizons.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History, HistoryAtOrigin
from housing_assets.core.forecasting.intervals import ForecastErrors, noise
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.forecasting.schema import HORIZONS, INTERVAL_SCHEMA, MODEL, PREDICTORS
from housing_assets.core.models.combination import combine
from housing_assets.core.models.refitted import WEIGHT_SCHEMA, Losses
from housing_assets.core.months import add_months, month_range
from housing_assets.core.prefetch import prefetch_map

_DECILES = 10
_THREADS = 2
"""Forecasts made at a time: arithmetic on arrays, which leaves Python to the other thread."""


@dataclass(frozen=True)
class _Origin:
    """An origin whose forecasts are still to have outcomes.

    Attributes:
        at: the history there.
        noise: of all zips, shape (zips,).
        shared: `zip`, `last_known_price`, `price_decile` and `noise` of the zips with history.
    """

    at: HistoryAtOrigin
    noise: np.ndarray
    shared: pl.DataFrame


@dataclass(frozen=True)
class _Outcome:
    """A forecast whose month has come.

    Attributes:
        origin: it was made from.
        horizon: months ahead.
        growth: log growth by each member, shape (members, zips).
        combined: by the model, shape (zips,).
        outcome: that followed, shape (zips,), NaN where it is not known.
        rows: what `Backtest.advance` yields of it; None where it is not graded.
    """

    origin: _Origin
    horizon: int
    growth: np.ndarray
    combined: np.ndarray
    outcome: np.ndarray
    rows: pl.DataFrame | None


@dataclass
class Backtest:
    """What a walk has learned up to a month, each forecast with what was known at its origin.

    Attributes:
        members: names of the forecasters that are combined.
        horizons: months ahead, in order.
        losses: of the members, by which they are weighted.
        errors: of the model, by which intervals are as wide as they are.
        through: the last month walked; empty before the first one.
        weights: by origin, what each member counts at each horizon, shape (horizons, members).
        widths: by origin, rows of `INTERVAL_SCHEMA`.
    """

    members: tuple[str, ...]
    horizons: tuple[int, ...]
    losses: Losses
    errors: ForecastErrors
    through: str = ""
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    widths: dict[str, list[tuple[str, int, float, int, float, float]]] = field(default_factory=dict)

    @classmethod
    def begin(cls, model: ForecastModel, horizons: Sequence[int] = HORIZONS) -> "Backtest":
        """A walk of a model that has not begun."""
        members, horizons = tuple(next(iter(model.fits.values())).members), tuple(horizons)
        return cls(members, horizons, Losses(members), ForecastErrors(horizons))

    def advance(self, history: History, model: ForecastModel, graded_from: str = "") -> Iterator[pl.DataFrame]:
        """Walk on to the end of a history.

        Args:
            history: of all zips; the months walked so far are as they were then.
            model: an origin is forecast by the newest of its fits before it, with the weights that were known there.
                Its fits before the months walked so far are those that these were walked with.
            graded_from: first month whose forecasts are given; empty: all of them.

        Yields:
            Month by month, a row for each horizon and each zip with history at its origin: `origin`, `month` (the
            outcome's), `horizon`, `zip` (index in the history), `last_known_price` (US dollars), `price_decile` ("01"
            to "10": of the zip's price among all zips that are forecast from the origin), `noise` (see
            `housing_assets.core.forecasting.intervals.noise`), `growth` (log growth that followed, null where it is not
            known) and log growth by each of `PREDICTORS`, null where that does not model the horizon. The last three
            are float32: a log growth of 0.01 is kept to 1e-9.

        Raises:
            HousingError: the history ends before the first fit.
        """
        first = min(model.fits)
        if first > history.last_month:
            raise HousingError(
                f"forecasts cannot be graded: the history ends with {history.last_month}, before the first origin "
                f"{first}: ingest further months"
            )
        walked = self.through
        again = max(first, add_months(walked, 1 - max(self.horizons))) if walked else first
        window: deque[_Origin] = deque(maxlen=max(self.horizons))
        with ThreadPoolExecutor(_THREADS) as threads:
            for at in prefetch_map(history.prepared_at, month_range(again, history.last_month), "origin"):
                origin = _origin(at)
                if at.origin > walked:
                    outcomes = threads.map(
                        lambda pair: self._outcome(history, model, *pair), self._due(window, at.origin, graded_from)
                    )
                    rows = [made for outcome in outcomes if (made := self._learn(outcome)) is not None]
                    if rows:
                        yield pl.concat(rows)
                    self._begin_origin(origin)
                    self.through = at.origin
                window.append(origin)

    def _due(self, window: Sequence[_Origin], month: str, graded_from: str) -> list[tuple[_Origin, int, bool]]:
        """The forecasts whose month has come: origin, horizon, and whether rows are asked for."""
        by_month = {origin.at.origin: origin for origin in window}
        due = ((by_month.get(add_months(month, -horizon)), horizon) for horizon in self.horizons)
        return [(origin, horizon, month >= graded_from) for origin, horizon in due if origin]

    def _outcome(
        self, history: History, model: ForecastModel, origin: _Origin, horizon: int, is_graded: bool
    ) -> _Outcome:
        at = origin.at
        growth = model.at(at.origin).growth(at, horizon)
        combined = combine(growth, self.weights[at.origin][self.horizons.index(horizon)])
        outcome = history.outcome(at.origin, horizon)
        rows = self._rows(origin, horizon, growth, combined, outcome) if is_graded else None
        return _Outcome(origin, horizon, growth, combined, outcome, rows)

    def _learn(self, made: _Outcome) -> pl.DataFrame | None:
        """Keep the errors of a forecast; its rows, if they are asked for."""
        at = made.origin.at
        self.losses.add(at, made.horizon, made.growth, made.outcome)
        self.errors.add_outcome(at.origin, made.horizon, made.outcome - made.combined, made.origin.noise)
        return made.rows

    def _begin_origin(self, origin: _Origin) -> None:
        """Weights and widths of an origin, from the outcomes that were known there."""
        month = origin.at.origin
        self.weights[month] = np.array([self.losses.weights(month, horizon) for horizon in self.horizons])
        self.widths[month] = self.errors.add_origin(origin.at, origin.noise)

    def _rows(
        self, origin: _Origin, horizon: int, members: np.ndarray, combined: np.ndarray, outcome: np.ndarray
    ) -> pl.DataFrame:
        at = origin.at
        zips = origin.shared["zip"].to_numpy()
        missing = np.full(len(outcome), np.nan)
        growth = {MODEL: combined, **dict(zip(self.members, members, strict=True))}
        growth |= {n: f.log_growth(at, horizon) for n, f in NAIVE_FORECASTERS.items() if n not in growth}
        columns = {"growth": outcome, **{name: growth.get(name, missing) for name in PREDICTORS}}
        deciles = pl.Series("price_decile", [f"{decile:02}" for decile in range(_DECILES + 1)])
        return origin.shared.select(
            pl.lit(at.origin).alias("origin"),
            pl.lit(add_months(at.origin, horizon)).alias("month"),
            pl.lit(horizon).alias("horizon"),
            "zip",
            "last_known_price",
            deciles.gather(origin.shared["price_decile"]),
            "noise",
            *(pl.Series(name, values[zips].astype(np.float32)).fill_nan(None) for name, values in columns.items()),
        )

    @property
    def weight_table(self) -> pl.DataFrame:
        """`WEIGHT_SCHEMA`: what each forecaster counted in the model's forecast, origin by origin."""
        rows = [
            (origin, horizon, name, float(weight))
            for origin, table in self.weights.items()
            for horizon, of_horizon in zip(self.horizons, table, strict=True)
            for name, weight in zip(self.members, of_horizon, strict=True)
        ]
        return pl.DataFrame(rows, schema=WEIGHT_SCHEMA, orient="row")

    def intervals(self, since: str = "") -> pl.DataFrame:
        """`INTERVAL_SCHEMA`, by origin and horizon, of the origins since a month."""
        rows = [row for origin, of_origin in self.widths.items() if origin >= since for row in of_origin]
        return pl.DataFrame(rows, schema=INTERVAL_SCHEMA, orient="row").sort("origin", "horizon")


def _origin(at: HistoryAtOrigin) -> _Origin:
    of_zip = noise(at)
    zips = np.flatnonzero(at.known)
    prices = at.log_price[zips]
    rank = np.empty(zips.size, np.int64)
    rank[np.argsort(prices, kind="stable")] = np.arange(zips.size)  # equal prices by the zip
    columns = {
        "zip": zips.astype(np.uint32),
        "last_known_price": np.exp(prices),
        "price_decile": (1 + rank * _DECILES // max(zips.size, 1)).astype(np.int8),
        "noise": of_zip[zips].astype(np.float32),
    }
    return _Origin(at, of_zip, pl.DataFrame(columns))
