"""The forecasts of one origin, as they are published."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from housing_assets.core.baselines.forecaster import Forecaster
from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History, history_needed
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.forecasting.schema import FORECAST_SCHEMA, MODEL
from housing_assets.core.months import add_months, month_end


def forecast(
    history: History,
    origin: str,
    model: ForecastModel,
    published: Mapping[int, str],
    widths: pl.DataFrame,
    vintage: str = "",
) -> pl.DataFrame:
    """The published forecasts of every zip with a history: `FORECAST_SCHEMA`, by zip and horizon.

    Args:
        history: of all zips. Months after the origin are not used.
        origin: the last month whose values are used.
        model: its newest fit forecasts.
        published: predictor by horizon.
        widths: `INTERVAL_SCHEMA` with that origin. A horizon without a width has no interval (null).
        vintage: of the raw rows of the origin; empty: not known (null).

    Raises:
        HousingError: the origin is outside the history, or no zip has enough of it there.
    """
    at = history.at(origin)
    zips = np.flatnonzero(at.known)
    if not zips.size:
        raise HousingError(
            f"no forecasts from {origin}: no zip has {history_needed(origin)}; "
            f"the history is {history.first_month} to {history.last_month}"
        )
    width_of = dict(widths.filter(pl.col("origin") == origin).select("horizon", "log_width").iter_rows())
    last = np.exp(at.log_price[zips])
    metros = pl.Series(history.metros).gather(history.metro[zips])
    forecasters: dict[str, Forecaster] = {MODEL: model.newest, **NAIVE_FORECASTERS}
    frames = []
    for horizon, predictor in published.items():
        growth = forecasters[predictor].log_growth(at, horizon)[zips]
        price, width = last * np.exp(growth), width_of.get(horizon, np.nan)
        frames.append(
            pl.DataFrame(
                {
                    "origin": origin,
                    "date": month_end(add_months(origin, horizon)),
                    "horizon": horizon,
                    "zipcode": pl.Series(history.zips).gather(zips),
                    "city_full": metros.replace("", None),
                    "predicted_price": price,
                    "predicted_low": pl.Series(price * np.exp(-width)).fill_nan(None),
                    "predicted_high": pl.Series(price * np.exp(width)).fill_nan(None),
                    "predictor": predictor,
                    "last_known_price": last,
                    "model_version": model.version,
                    "vintage": vintage or None,
                },
                schema=FORECAST_SCHEMA,
            )
        )
    return pl.concat(frames).sort("zipcode", "horizon")
