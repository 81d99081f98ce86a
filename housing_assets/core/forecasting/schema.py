"""Names, horizons and table schemas of forecasts."""

import polars as pl

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS, NAIVE_GROWTH
from housing_assets.core.features.history import LEAST_MONTHS, LONGEST_HORIZON
from housing_assets.core.models.growth import LEAST_TRAIN_MONTHS, GrowthModel

HORIZONS: tuple[int, ...] = tuple(range(1, LONGEST_HORIZON + 1))
"""Months ahead that are forecast."""

MODEL = GrowthModel.name
"""The model's name among the predictors."""

PREDICTORS: tuple[str, ...] = (MODEL, *NAIVE_GROWTH)
"""The names of all forecasters that are graded."""

PUBLISHED = "published"
"""The name under which grades hold the errors of what is published, whichever forecaster it is."""

PREDICTOR_LABELS: dict[str, str] = {
    MODEL: GrowthModel.label,
    PUBLISHED: "what is published",
    **{name: forecaster.label for name, forecaster in NAIVE_FORECASTERS.items()},
}
"""A few words for a legend or a table, by name of a predictor."""

FALLBACK_PREDICTOR = "damped_momentum"
"""The baseline that is published where nothing could be graded: the steadiest one on real indices."""

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
}
"""Columns of `monthly_forecasts`. Prices in US dollars. Files of earlier versions lack `vintage`."""

FORECAST_DESCRIPTIONS: dict[str, str] = {
    "origin": "Last month whose values were used",
    "date": "Last day of the month forecast",
    "horizon": "Months from the origin to the month forecast",
    "predicted_price": "Forecast (US dollars)",
    "predicted_low": "Low end of the 90% interval (US dollars)",
    "predicted_high": "High end of the 90% interval (US dollars)",
    "predictor": "Whose forecast it is: the model's, or that of the naive baseline that was better on eval",
    "last_known_price": "Price at the origin (US dollars)",
    "model_version": "Version of the forecast model",
    "vintage": "Source and time of the vintages that the raw rows of the origin rest on, null where not known",
}

INTERVAL_SCHEMA: dict[str, pl.DataType] = {
    "origin": pl.String(),
    "horizon": pl.Int64(),
    "log_width": pl.Float64(),
    "outcomes": pl.Int64(),
}
"""Columns of `forecast_intervals`: half the width of a 90% interval in log price, and the outcomes it rests on."""

LEAST_FORECAST_MONTHS = LEAST_MONTHS + LEAST_TRAIN_MONTHS + 1
"""Months before eval that a forecast one month ahead needs: a year of history, the origins, an outcome."""

LEAST_OUTCOMES = 30
"""Forecasts with a known outcome that a 90% interval needs at least."""
