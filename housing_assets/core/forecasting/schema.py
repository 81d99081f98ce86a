"""Names, horizons and table schemas of forecasts."""

import polars as pl

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS, NAIVE_GROWTH
from housing_assets.core.features.history import LONGEST_HORIZON
from housing_assets.core.models.autoregression import SPANS

HORIZONS: tuple[int, ...] = tuple(range(1, LONGEST_HORIZON + 1))
"""Months ahead that are forecast."""

MODEL = "forecast_model"
"""The model's name among the predictors."""

FITTED: tuple[str, ...] = ("ridge", *SPANS)
"""The names of the fitted forecasters that the model combines with naive ones."""

PREDICTORS: tuple[str, ...] = (MODEL, *FITTED, *NAIVE_GROWTH)
"""The names of all forecasters that are graded."""

PUBLISHED = "published"
"""The name under which grades hold the errors of what is published, whichever forecaster it is."""

PREDICTOR_LABELS: dict[str, str] = {
    MODEL: "the model",
    "ridge": "ridge regression",
    **{name: f"autoregression, {span} months" if span else "autoregression" for name, span in SPANS.items()},
    PUBLISHED: "what is published",
    **{name: forecaster.label for name, forecaster in NAIVE_FORECASTERS.items()},
}
"""A few words for a legend or a table, by name of a predictor."""

FORECAST_SCHEMA: dict[str, pl.DataType] = {
    "origin": pl.String(),
    "date": pl.Date(),
    "horizon": pl.Int64(),
    "zipcode": pl.String(),
    "city_full": pl.String(),
    "predicted_price": pl.Float64(),
    "predicted_low": pl.Float64(),
    "predicted_high": pl.Float64(),
    "predictor": pl.String(),
    "last_known_price": pl.Float64(),
    "model_version": pl.String(),
    "vintage": pl.String(),
    "mostly": pl.String(),
    "fitted_before": pl.String(),
}
"""Columns of `monthly_forecasts`. Prices in US dollars. Files of earlier versions lack `LATER_COLUMNS`."""

LATER_COLUMNS = ("vintage", "mostly", "fitted_before")
"""Columns that files of earlier versions lack."""

FORECAST_DESCRIPTIONS: dict[str, str] = {
    "origin": "Last month whose values were used",
    "date": "Last day of the month forecast",
    "horizon": "Months from the origin to the month forecast",
    "predicted_price": "Forecast (US dollars)",
    "predicted_low": "Low end of the 90% interval (US dollars)",
    "predicted_high": "High end of the 90% interval (US dollars)",
    "predictor": "Whose forecast it is: the model's, or in earlier versions that of a naive baseline",
    "last_known_price": "Price at the origin (US dollars)",
    "model_version": "Version of the forecast model",
    "vintage": "Source and time of the vintages that the raw rows of the origin rest on, null where not known",
    "mostly": "The forecaster that counts most in it, null in files of earlier versions",
    "fitted_before": "The forecasters were fitted on months before this one, null in files of earlier versions",
}

INTERVAL_SCHEMA: dict[str, pl.DataType] = {
    "origin": pl.String(),
    "horizon": pl.Int64(),
    "log_width": pl.Float64(),
    "outcomes": pl.Int64(),
    "log_common": pl.Float64(),
    "log_own": pl.Float64(),
}
"""Columns of `forecast_intervals`: half the width of a 90% interval in log price of a zip of usual noise, the outcomes
that it rests on, and its parts, see `housing_assets.core.forecasting.intervals`. Earlier versions lack the parts."""

LEAST_OUTCOMES = 30
"""Forecasts with a known outcome that a 90% interval needs at least."""
