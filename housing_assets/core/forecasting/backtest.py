"""Forecasts as they would have been made at past origins."""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History, HistoryAtOrigin
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.forecasting.record import RecordedForecasts
from housing_assets.core.forecasting.schema import HORIZONS, MODEL, PREDICTORS
from housing_assets.core.months import add_months, month_range


def backtest(history: History, model: ForecastModel, horizons: Iterable[int] = HORIZONS) -> pl.DataFrame:
    """Forecasts of every origin by every predictor, with the outcome.

    Args:
        history: of all zips.
        model: an origin is forecast by the newest of its fits that lies before it. Forecasts that it has on record are
            not made again, if they were made from the same history.
        horizons: months ahead.

    Returns:
        A row for each origin, horizon and zip with history: `origin`, `month` (forecast), `horizon`, `zip` (index in
        the history), `last_known_price` (US dollars), `growth` (log growth that followed, null where it is not known)
        and log growth by each of `PREDICTORS`. The model's is null where it does not model the horizon.

    Raises:
        HousingError: no origin is left.
    """
    horizons = tuple(horizons)
    record = model.record if model.record is not None and model.record.agrees_with(history) else None
    frames = []
    for origin in month_range(min(model.fits), history.last_month):
        at = history.at(origin)
        for horizon in horizons:
            growth = {name: forecaster.log_growth(at, horizon) for name, forecaster in NAIVE_FORECASTERS.items()}
            growth[MODEL] = _model_growth(model, record, at, horizon)
            frames.append(_outcome_rows(at, horizon, growth))
    if not frames:
        raise HousingError(
            f"forecasts cannot be graded: the history ends with {history.last_month}, before the first origin "
            f"{min(model.fits)}: ingest further months"
        )
    return pl.concat(frames)


def _model_growth(
    model: ForecastModel, record: RecordedForecasts | None, at: HistoryAtOrigin, horizon: int
) -> np.ndarray:
    """Log growth by the model, shape (zips,): as recorded, or else forecast now; NaN where it is not modelled."""
    fit = model.at(at.origin)
    if horizon not in fit.horizons:
        return np.full(len(at.history.zips), np.nan)
    recorded = record.log_growth(at, horizon) if record is not None else None
    return fit.log_growth(at, horizon) if recorded is None else recorded


def _outcome_rows(at: HistoryAtOrigin, horizon: int, growth: Mapping[str, np.ndarray]) -> pl.DataFrame:
    """The rows of one origin and horizon, of log growth by predictor of shape (zips,)."""
    zips = np.flatnonzero(at.known)
    columns = {
        "zip": zips,
        "last_known_price": np.exp(at.log_price[zips]),
        "growth": at.history.outcome(at.origin, horizon)[zips],
        **{name: growth[name][zips] for name in PREDICTORS},
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
