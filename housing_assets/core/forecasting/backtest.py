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
from housing_assets.core.forecasting.schema import HORIZONS, MODEL, PREDICTORS, WEIGHT_SCHEMA
from housing_assets.core.models.combination import Losses, combine, walk
from housing_assets.core.months import add_months


@dataclass(frozen=True)
class Backtest:
    """A walk through all origins, each forecast with what was known then.

    Attributes:
        rows: a row for each graded origin, horizon and zip with history: `origin`, `month` (forecast), `horizon`, `zip`
            (index in the history), `last_known_price` (US dollars), `noise` (see
            `housing_assets.core.forecasting.intervals.noise`), `growth` (log growth that followed, null where it is not
            known) and log growth by each of `PREDICTORS`, null where that does not model the horizon.
        weights: `WEIGHT_SCHEMA`: what each forecaster counted in the model's forecast.
        errors: of the model at every origin, graded or not.
    """

    rows: pl.DataFrame
    weights: pl.DataFrame = field(repr=False)
    errors: ForecastErrors = field(repr=False)


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
    losses = Losses(tuple(model.fits[first].members))
    frames, weighted, errors = [], [], ForecastErrors()
    origin, of_zip = "", np.empty(0)
    for at, horizon, growth, weights in walk(history, model.fits, horizons, history.last_month, losses):
        if at.origin != origin:  # the same for every horizon
            origin, of_zip = at.origin, noise(at)
        combined = combine(growth, weights)
        errors.add(at, horizon, combined, of_zip)
        weighted += [(at.origin, horizon, n, float(w)) for n, w in zip(losses.members, weights, strict=True)]
        if at.origin >= graded_from:
            by_member = dict(zip(losses.members, growth, strict=True))
            frames.append(_outcome_rows(at, horizon, {MODEL: combined, **by_member}, of_zip))
    if not frames:
        raise HousingError(
            f"forecasts cannot be graded: the history ends with {history.last_month}, before {graded_from}: ingest "
            "further months"
        )
    return Backtest(pl.concat(frames), pl.DataFrame(weighted, schema=WEIGHT_SCHEMA, orient="row"), errors)


def _outcome_rows(
    at: HistoryAtOrigin, horizon: int, growth: Mapping[str, np.ndarray], of_zip: np.ndarray
) -> pl.DataFrame:
    """The rows of one origin and horizon, of log growth by predictor and of noise, each of shape (zips,)."""
    zips = np.flatnonzero(at.known)
    missing = np.full(len(at.history.zips), np.nan)
    of_naive = {n: f.log_growth(at, horizon) for n, f in NAIVE_FORECASTERS.items() if n not in growth}
    columns = {
        "zip": zips,
        "last_known_price": np.exp(at.log_price[zips]),
        "noise": of_zip[zips],
        "growth": at.history.outcome(at.origin, horizon)[zips],
        **{name: {**growth, **of_naive}.get(name, missing)[zips] for name in PREDICTORS},
    }
    return (
        pl.DataFrame(columns)
        .with_columns(
            pl.lit(at.origin).alias("origin"),
            pl.lit(add_months(at.origin, horizon)).alias("month"),
            pl.lit(horizon).alias("horizon"),
        )
        .fill_nan(None)
    )
