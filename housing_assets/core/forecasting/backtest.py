"""Forecasts as they would have been made at past origins."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import naive_growth
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.forecasting.schema import HORIZONS, MODEL, PREDICTORS
from housing_assets.core.models.growth import outcome
from housing_assets.core.months import add_months, month_range


def backtest(history: History, model: ForecastModel, horizons: Iterable[int] = HORIZONS) -> pl.DataFrame:
    """Forecasts of every origin by every predictor, with what came.

    Args:
        history: of all zips.
        model: an origin is forecast by the newest of its fits that lies before it.
        horizons: months ahead.

    Returns:
        A row for each origin, horizon and zip with history: `origin`, `month` (forecast), `horizon`, `zip` (place in
        the history), `last_known_price`, `actual` (null: not known) and log growth by each of `PREDICTORS`; the
        model's is null where it does not model the horizon.

    Raises:
        HousingError: no origin is left.
    """
    frames = []
    for origin in month_range(min(model.fits), history.last_month):
        known = np.flatnonzero(history.known(origin))
        fit = model.at(origin)
        for horizon in horizons:
            growth = naive_growth(history, origin, horizon)
            growth[MODEL] = (
                fit.log_growth(history, origin, horizon)
                if horizon in fit.horizons
                else np.full(len(history.zips), np.nan)
            )
            came = outcome(history, origin, horizon)[known]
            last = np.exp(history.log_price[known, history.column(origin)])
            frames.append(
                pl.DataFrame(
                    {
                        "zip": known,
                        "last_known_price": last,
                        "growth": came,
                        **{name: growth[name][known] for name in PREDICTORS},
                    }
                )
                .with_columns(
                    pl.lit(origin).alias("origin"),
                    pl.lit(add_months(origin, horizon)).alias("month"),
                    pl.lit(horizon).alias("horizon"),
                )
                .fill_nan(None)
            )
    if not frames:
        raise HousingError(
            f"forecasts cannot be graded: the history ends with {history.last_month}, before the first origin "
            f"{min(model.fits)}: ingest further months"
        )
    return pl.concat(frames)
