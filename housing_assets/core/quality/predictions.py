"""Measurements of monthly predictions and their calibrations."""

import math
from collections.abc import Mapping

import polars as pl

from housing_assets.core.catalogue import INTERVAL_CALIBRATION, MONTHLY_PREDICTIONS
from housing_assets.core.intervals.conformal import CALIBRATION_SCHEMA
from housing_assets.core.models.price import PREDICTED_SCHEMA, PREDICTION_SCHEMA, VINTAGE_COLUMNS
from housing_assets.core.quality.measurement import (
    FRAME_MEASURES,
    KEY_MEASURES,
    Measurement,
    MeasurementRecorder,
    share_of,
    true_not_null,
)

MEASURES: Mapping[str, frozenset[str]] = {
    INTERVAL_CALIBRATION: FRAME_MEASURES | {"not_finite", "inverted", "not_past"},
    MONTHLY_PREDICTIONS: FRAME_MEASURES
    | KEY_MEASURES
    | {"repeated_keys", "zips_unmatched", "not_a_price", "inverted", "far_share", "far"},
}
"""Measures taken of each asset."""

FAR = 3.0
"""Factor between a prediction and what the zip cost in the months before."""


# ---------------------------------------------------------------- predicted months


def measure_prediction_month(
    frame: pl.DataFrame, month: str, zips: pl.Series, before: pl.DataFrame | None
) -> list[Measurement]:
    """Measure a month of `monthly_predictions`.

    Args:
        frame: the month; one of an earlier version may lack `VINTAGE_COLUMNS`.
        month: `YYYY-MM`.
        zips: zip codes of `cleaned` of the month.
        before: `zipcode` and `price` of `cleaned` of up to 3 months before; None if there are none.
    """
    sheet = MeasurementRecorder(month, frame)
    is_earlier = VINTAGE_COLUMNS.keys().isdisjoint(frame.columns)
    if not sheet.schema(PREDICTED_SCHEMA if is_earlier else PREDICTION_SCHEMA):
        return sheet.found
    sheet.keys_and_dates()
    sheet.repeated()
    predicted = set(frame["zipcode"])
    unmatched = sorted(str(z) for z in predicted ^ set(zips))
    message = f"{len(unmatched)} zips are in the month or in the predictions, not in both"
    sheet.add(
        "zips_unmatched", len(unmatched), message + (f", for example {unmatched[0]}" if unmatched else ""), "zipcode"
    )
    price, low, high = (pl.col(f"predicted_{part}") for part in ("price", "low", "high"))
    sheet.count("not_a_price", ~true_not_null(price.is_finite() & (price > 0)), "predicted_price", "are no price")
    sheet.count(
        "inverted", ~true_not_null((low <= price) & (price <= high)), "predicted_price", "lie outside their interval"
    )
    if before is not None and before.height:
        usual = before.group_by("zipcode").agg(pl.col("price").median().alias("usual")).drop_nulls()
        both = frame.join(usual, on="zipcode")
        ratio = (price / pl.col("usual")).log().abs()
        far = both.filter(ratio > math.log(FAR))
        message = f"{far.height} of {both.height} zips are beyond {FAR:g} times what they cost in the months before"
        if far.height:
            first = far.row(0, named=True)
            message += f", for example {first['zipcode']}: {first['predicted_price']:,.0f} after {first['usual']:,.0f}"
        sheet.add("far_share", share_of(far.height, both.height), message, "predicted_price")
        sheet.add("far", far.height, message, "predicted_price")
    return sheet.found


def measure_calibration_month(frame: pl.DataFrame, month: str) -> list[Measurement]:
    """Measure a month of `interval_calibration`."""
    sheet = MeasurementRecorder(month, frame)
    if not sheet.schema(CALIBRATION_SCHEMA):
        return sheet.found
    low, high = pl.col("log_low"), pl.col("log_high")
    for name in ("log_low", "log_high"):
        sheet.count("not_finite", ~true_not_null(pl.col(name).is_finite()), name, "are not finite")
    sheet.count("inverted", ~true_not_null((low <= 0) & (high >= 0)), "log_low", "do not contain the prediction")
    sheet.count("not_past", ~true_not_null(pl.col("last_month") < month), "last_month", f"rest on {month} or later")
    return sheet.found
