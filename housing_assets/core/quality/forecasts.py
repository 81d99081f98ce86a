"""Measurements of the price history, forecast models, their evaluation and forecasts."""

import math
from collections.abc import Iterable, Mapping

import polars as pl

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.catalogue import FORECAST_EVALUATION, FORECAST_MODEL, MONTHLY_FORECASTS, PRICE_HISTORY
from housing_assets.core.features.history import HISTORY_SCHEMA
from housing_assets.core.forecasting.schema import FORECAST_SCHEMA, HORIZONS, LATER_COLUMNS, PUBLISHED
from housing_assets.core.months import Split, add_months, describe_months, month_end, month_range
from housing_assets.core.quality.measurement import (
    FRAME_MEASURES,
    WHOLE_TABLE,
    Measurement,
    MeasurementRecorder,
    share_of,
    true_not_null,
)

MEASURES: Mapping[str, frozenset[str]] = {
    PRICE_HISTORY: FRAME_MEASURES | {"repeated_keys", "months_missing"},
    FORECAST_MODEL: frozenset({"bundle_problems", "months_after_train"}),
    FORECAST_EVALUATION: frozenset({"figures_missing", "regret"}),
    MONTHLY_FORECASTS: FRAME_MEASURES
    | {"other_dates", "repeated_keys", "horizons_missing", "not_a_price", "inverted", "intervals_missing", "far_share"},
}
"""Measures taken of each asset."""

_FAR_AHEAD = 2.0
"""Factor between a forecast and what the zip costs: no year of the real index comes near."""


# ---------------------------------------------------------------- history and forecasts


def measure_history(table: pl.DataFrame) -> list[Measurement]:
    """Measure `price_history`."""
    sheet = MeasurementRecorder("", table)
    if not sheet.schema(HISTORY_SCHEMA):
        return sheet.found
    twice = pl.col("zipcode").is_duplicated().over("date")
    sheet.count("repeated_keys", twice, "zipcode", "are of a zip and month that another row is of")
    table_months = table["date"].unique().dt.strftime("%Y-%m").unique().sort().to_list()
    missing = sorted(set(month_range(table_months[0], table_months[-1])) - set(table_months)) if table_months else []
    message = f"{len(missing)} months are missing: {describe_months(missing)}"
    sheet.add("months_missing", len(missing), message, "date")
    return sheet.found


def measure_forecast_model(fits: Iterable[str], last_month: str, problem: str | None) -> list[Measurement]:
    """Measure `forecast_model`.

    Args:
        fits: months before which its forecasters were fitted.
        last_month: of the history that they were fitted on.
        problem: what is wrong with its bundle; None: nothing.
    """
    late = [month for month in fits if month > add_months(last_month, 1)]
    message = f"{len(late)} fits are of months after {last_month}, the last one known: {describe_months(late)}"
    return [
        Measurement(
            "", WHOLE_TABLE, "bundle_problems", 0 if problem is None else 1, problem or "the bundle is as published"
        ),
        Measurement("", WHOLE_TABLE, "months_after_train", len(late), message),
    ]


def measure_forecast_evaluation(graded: pl.DataFrame) -> list[Measurement]:
    """Measure `forecast_evaluation`."""
    held = graded.filter((pl.col("split") == Split.EVAL) & (pl.col("by") == "overall"))
    errors = {(row["horizon"], row["predictor"]): row["mape"] for row in held.iter_rows(named=True)}
    needed = [(h, name) for h in HORIZONS for name in (*NAIVE_GROWTH, PUBLISHED)]
    lacking = [f"{name} {h} months ahead" for h, name in needed if not math.isfinite(errors.get((h, name), math.nan))]
    regrets = {
        horizon: error / min(e for (h, other), e in errors.items() if h == horizon and other in NAIVE_GROWTH)
        for (horizon, name), error in errors.items()
        if name == PUBLISHED
    }
    horizon, regret = max(regrets.items(), key=lambda pair: pair[1], default=(0, math.nan))
    message = f"{len(lacking)} errors on eval are missing: {', '.join(lacking[:3]) or 'none'}"
    most = f"{horizon} months ahead the error on eval is {regret:.2f} times that of the best naive forecaster there"
    return [
        Measurement("", "mape", "figures_missing", len(lacking), message),
        Measurement("", "mape", "regret", regret, most),
    ]


def measure_forecast_month(frame: pl.DataFrame, month: str) -> list[Measurement]:
    """Measure an origin month of `monthly_forecasts`; one of an earlier version may lack `LATER_COLUMNS`."""
    sheet = MeasurementRecorder(month, frame)
    if not sheet.schema(
        {n: kind for n, kind in FORECAST_SCHEMA.items() if n not in LATER_COLUMNS or n in frame.columns}
    ):
        return sheet.found
    ends = {h: month_end(add_months(month, h)) for h in HORIZONS}
    due = pl.col("horizon").replace_strict(list(ends), list(ends.values()), default=None, return_dtype=pl.Date)
    off = (pl.col("origin") != month) | pl.col("date").ne_missing(due)
    sheet.count("other_dates", off, "date", f"are not from {month} or not their horizon ahead")
    twice = pl.struct("zipcode", "horizon").is_duplicated()
    sheet.count("repeated_keys", twice, "zipcode", "are of a zip and horizon that another row is of")
    lacking = frame.group_by("zipcode").agg(pl.col("horizon").n_unique().alias("n")).filter(pl.col("n") < len(HORIZONS))
    message = f"{lacking.height} zips lack a horizon" + (
        f", for example {lacking['zipcode'][0]}" if lacking.height else ""
    )
    sheet.add("horizons_missing", lacking.height, message, "horizon")
    price, low, high = (pl.col(f"predicted_{part}") for part in ("price", "low", "high"))
    sheet.count("not_a_price", ~true_not_null(price.is_finite() & (price > 0)), "predicted_price", "are no price")
    outside = low.is_not_null() & ~true_not_null((low <= price) & (price <= high))
    sheet.count("inverted", outside, "predicted_price", "lie outside their interval")
    sheet.count("intervals_missing", low.is_null() | high.is_null(), "predicted_low", "have no interval")
    far = frame.filter((price / pl.col("last_known_price")).log().abs() > math.log(_FAR_AHEAD))["zipcode"].n_unique()
    zips = frame["zipcode"].n_unique()
    message = f"{far} of {zips} zips are forecast beyond {_FAR_AHEAD:g} times what they cost"
    sheet.add("far_share", share_of(far, zips), message, "predicted_price")
    return sheet.found
