"""The forecasts of one origin, as they are published."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from housing_assets.core.baselines.forecaster import Forecaster
from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History, history_needed
from housing_assets.core.forecasting.intervals import log_widths, noise
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.forecasting.schema import FORECAST_SCHEMA, HORIZONS, MODEL
from housing_assets.core.models.combination import Combination
from housing_assets.core.months import add_months, month_end


def forecast(
    history: History,
    origin: str,
    model: ForecastModel,
    published: Mapping[int, str],
    widths: pl.DataFrame,
    weights: pl.DataFrame,
    vintage: str = "",
) -> pl.DataFrame:
    """The published forecasts of every zip with a history: `FORECAST_SCHEMA`, by zip and horizon.

    Args:
        history: of all zips. Months after the origin are not used.
        origin: the last month whose values are used.
        model: its newest fit before the origin forecasts.
        published: predictor by horizon.
        widths: `INTERVAL_SCHEMA` with that origin. A horizon without a width has no interval (null).
        weights: `WEIGHT_SCHEMA` with that origin; without it, equal weights.
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
    width_of = log_widths(widths.filter(pl.col("origin") == origin), noise(at)[zips])
    missing = np.full(zips.size, np.nan)
    last = np.exp(at.log_price[zips])
    metros = pl.Series(history.metros).gather(history.metro[zips])
    combined = combination_at(model, origin, weights)
    forecasters: dict[str, Forecaster] = {MODEL: combined, **NAIVE_FORECASTERS}
    frames = []
    for horizon, predictor in published.items():
        growth = forecasters[predictor].log_growth(at, horizon)[zips]
        price, width = last * np.exp(growth), width_of.get(horizon, missing)
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
                    "mostly": combined.mostly(horizon) if predictor == MODEL else predictor,
                    "fitted_before": model.fitted_before(origin),
                },
                schema=FORECAST_SCHEMA,
            )
        )
    return pl.concat(frames).sort("zipcode", "horizon")


def combination_at(model: ForecastModel, origin: str, weights: pl.DataFrame) -> Combination:
    """What the model's forecasters are combined to at an origin.

    Args:
        model: its newest fit before the origin forecasts.
        origin: the last month whose values are used.
        weights: `WEIGHT_SCHEMA`. An origin that is not in it has equal weights, or the growth model of an earlier
            bundle alone.
    """
    fit = model.at(origin)
    of_origin = weights.filter(pl.col("origin") == origin)
    by_horizon = {
        int(horizon): dict(part.select("predictor", "weight").iter_rows())  # type: ignore[call-overload]
        for (horizon,), part in of_origin.group_by("horizon", maintain_order=True)
    }
    alone = list(fit.fitted) if len(fit.fitted) == 1 else list(fit.members)
    equal = {name: 1 / len(alone) for name in alone}
    return Combination(fit, {horizon: by_horizon.get(horizon, equal) for horizon in HORIZONS})
