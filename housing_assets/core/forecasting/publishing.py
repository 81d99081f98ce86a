"""The forecasts of one origin, as they are published."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import naive_growth
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History, history_needed
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.forecasting.schema import FORECAST_SCHEMA, MODEL
from housing_assets.core.months import add_months, month_end


def forecast(
    history: History, origin: str, model: ForecastModel, published: Mapping[int, str], widths: pl.DataFrame
) -> pl.DataFrame:
    """What is published from an origin, for every zip with a history: `FORECAST_SCHEMA`, by zip and horizon.

    Args:
        history: of all zips; what comes after the origin is not looked at.
        origin: the last month whose values are used.
        model: its newest fit forecasts.
        published: predictor by horizon.
        widths: `INTERVAL_SCHEMA` with that origin; a horizon without one has no interval (null).

    Raises:
        HousingError: the origin is outside the history, or no zip has enough of it there.
    """
    known = np.flatnonzero(history.known(origin))
    if not known.size:
        raise HousingError(
            f"no forecasts from {origin}: no zip has {history_needed(origin)}; "
            f"the history is {history.first_month} to {history.last_month}"
        )
    width_of = dict(widths.filter(pl.col("origin") == origin).select("horizon", "log_width").iter_rows())
    last = np.exp(history.log_price[known, history.column(origin)])
    metros = pl.Series(history.metros).gather(history.metro[known])
    frames = []
    for horizon, predictor in published.items():
        if predictor == MODEL:
            growth = model.newest.log_growth(history, origin, horizon)
        else:
            growth = naive_growth(history, origin, horizon)[predictor]
        price, width = last * np.exp(growth[known]), width_of.get(horizon, np.nan)
        frames.append(
            pl.DataFrame(
                {
                    "origin": origin,
                    "date": month_end(add_months(origin, horizon)),
                    "horizon": horizon,
                    "zipcode": pl.Series(history.zips).gather(known),
                    "city_full": metros.replace("", None),
                    "predicted_price": price,
                    "predicted_low": pl.Series(price * np.exp(-width)).fill_nan(None),
                    "predicted_high": pl.Series(price * np.exp(width)).fill_nan(None),
                    "predictor": predictor,
                    "last_known_price": last,
                    "model_version": model.version,
                },
                schema=FORECAST_SCHEMA,
            )
        )
    return pl.concat(frames).sort("zipcode", "horizon")
