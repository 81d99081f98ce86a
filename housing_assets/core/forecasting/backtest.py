"""Forecasts as they would have been made at past origins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History, HistoryAtOrigin
from housing_assets.core.forecasting.intervals import ForecastErrors, noise
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.forecasting.schema import HORIZONS, MODEL, PREDICTORS
from housing_assets.core.models.combination import combine
from housing_assets.core.models.refitted import WEIGHT_SCHEMA, WalkedForecast, walk
from housing_assets.core.months import add_months

_DECILES = 10


@dataclass(frozen=True)
class Backtest:
    """A walk through all origins, each forecast with what was known then.

    Attributes:
        parts: by horizon and graded origin, what `of` puts together, as float32 with NaN for null: in a panel of the
            nation they are 26 million rows, and a log growth of 0.01 is kept to 1e-9.
        weights: `WEIGHT_SCHEMA`: what each forecaster counted in the model's forecast.
        errors: of the model at every origin, graded or not.
    """

    parts: Mapping[int, Mapping[str, pl.DataFrame]] = field(repr=False)
    weights: pl.DataFrame = field(repr=False)
    errors: ForecastErrors = field(repr=False)

    @property
    def horizons(self) -> tuple[int, ...]:
        """Months ahead that were forecast, in order."""
        return tuple(self.parts)

    def of(self, horizon: int) -> pl.DataFrame:
        """A row for each graded origin and zip with history, in the order of origins.

        Returns:
            `origin`, `month` (forecast), `horizon`, `zip` (index in the history), `last_known_price` (US dollars),
            `price_decile` ("01" to "10": of the zip's price among all zips that are forecast from the origin), `noise`
            (see `housing_assets.core.forecasting.intervals.noise`), `growth` (log growth that followed, null where it
            is not known) and log growth by each of `PREDICTORS`, null where that does not model the horizon. The last
            three are float32.
        """
        parts = self.parts[horizon]
        rows = pl.concat(parts.values())
        origins = pl.Series("origin", list(parts))
        months = pl.Series("month", [add_months(origin, horizon) for origin in parts])
        deciles = pl.Series("price_decile", [f"{decile:02}" for decile in range(_DECILES + 1)])
        at = pl.Series(np.repeat(np.arange(len(parts)), [part.height for part in parts.values()]))
        return rows.select(
            origins.gather(at),
            months.gather(at),
            pl.lit(horizon).alias("horizon"),
            "zip",
            "last_known_price",
            deciles.gather(rows["price_decile"]),
            pl.col("noise", "growth", *PREDICTORS).fill_nan(None),
        )

    @property
    def rows(self) -> pl.DataFrame:
        """The rows of every horizon."""
        return pl.concat(self.of(horizon) for horizon in self.horizons)


def backtest(
    history: History, model: ForecastModel, graded_from: str = "", horizons: Iterable[int] = HORIZONS
) -> Backtest:
    """Forecast every origin from the first fit on, and keep the outcome.

    Args:
        history: of all zips.
        model: an origin is forecast by the newest of its fits before it, with the weights that were known there.
        graded_from: first origin of the rows; empty: that of the first fit.
        horizons: months ahead.

    Raises:
        HousingError: no origin is left.
    """
    horizons = tuple(horizons)
    first = min(model.fits)
    if first > history.last_month:
        raise HousingError(
            f"forecasts cannot be graded: the history ends with {history.last_month}, before the first origin "
            f"{first}: ingest further months"
        )
    if max(graded_from, first) > history.last_month:
        raise HousingError(
            f"forecasts cannot be graded: the history ends with {history.last_month}, before {graded_from}: ingest "
            "further months"
        )
    parts: dict[int, dict[str, pl.DataFrame]] = {horizon: {} for horizon in horizons}
    weighted, errors = [], ForecastErrors()
    origin, of_origin = "", _empty_origin()
    for step in walk(history, model.fits, horizons, history.last_month):
        at, horizon = step.at, step.horizon
        if at.origin != origin:  # the same for every horizon
            origin, of_origin = at.origin, _of_origin(at)
        combined = combine(step.growth, step.weights)
        errors.add(at, horizon, combined, step.outcome, of_origin.noise)
        weighted += step.weight_rows
        if at.origin >= graded_from:
            parts[horizon][at.origin] = _outcome_rows(step, combined, of_origin)
    return Backtest(parts, pl.DataFrame(weighted, schema=WEIGHT_SCHEMA, orient="row"), errors)


@dataclass(frozen=True)
class _OfOrigin:
    """What the rows of an origin have in common.

    Attributes:
        noise: of all zips, shape (zips,).
        shared: `zip`, `last_known_price`, `price_decile` and `noise` of the zips with history.
    """

    noise: np.ndarray
    shared: pl.DataFrame


def _empty_origin() -> _OfOrigin:
    return _OfOrigin(np.empty(0), pl.DataFrame())


def _of_origin(at: HistoryAtOrigin) -> _OfOrigin:
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
    return _OfOrigin(of_zip, pl.DataFrame(columns))


def _outcome_rows(step: WalkedForecast, combined: np.ndarray, of_origin: _OfOrigin) -> pl.DataFrame:
    """The rows of one origin and horizon.

    Args:
        step: the forecast.
        combined: log growth by the model, shape (zips,).
        of_origin: of the same origin.
    """
    zips = of_origin.shared["zip"].to_numpy()
    missing = np.full(len(step.outcome), np.nan)
    growth = {MODEL: combined, **dict(zip(step.members, step.growth, strict=True))}
    growth |= {n: f.log_growth(step.at, step.horizon) for n, f in NAIVE_FORECASTERS.items() if n not in growth}
    columns = {"growth": step.outcome, **{name: growth.get(name, missing) for name in PREDICTORS}}
    return of_origin.shared.with_columns(
        pl.Series(name, values[zips].astype(np.float32)) for name, values in columns.items()
    )
