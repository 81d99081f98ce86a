"""Measurements of cleaned months."""

from collections.abc import Mapping

import polars as pl

from housing_assets.core.catalogue import CLEANED
from housing_assets.core.panel.cleaning import CLEAN_SCHEMA
from housing_assets.core.panel.schema import BY_NAME, NUMBERS
from housing_assets.core.quality.measurement import (
    FRAME_MEASURES,
    KEY_MEASURES,
    Measurement,
    MeasurementRecorder,
    as_percent,
    share_of,
)

MEASURES: Mapping[str, frozenset[str]] = {
    CLEANED: FRAME_MEASURES
    | KEY_MEASURES
    | {"repeated_keys", "impossible", "not_finite", "price_missing", "quarantined_share"},
}
"""Measures taken of each asset."""

# Made once: to build them for each month costs more than to evaluate them.
_OUTSIDE = {n: (pl.col(n) < BY_NAME[n].low) | (pl.col(n) > BY_NAME[n].high) for n in NUMBERS}

_ODD = {n: pl.col(n).is_nan() | pl.col(n).is_infinite() for n in NUMBERS}

_COUNTS = [
    *(e.sum().alias(f"{n}|outside") for n, e in _OUTSIDE.items()),
    *(e.sum().alias(f"{n}|odd") for n, e in _ODD.items()),
]

# ---------------------------------------------------------------- cleaned months


def measure_clean_month(frame: pl.DataFrame, month: str, quarantined: int = 0) -> list[Measurement]:
    """Measure a month of `cleaned`.

    Args:
        frame: the month.
        month: `YYYY-MM`.
        quarantined: rows that cleaning took out of it.
    """
    sheet = MeasurementRecorder(month, frame)
    if not sheet.schema(CLEAN_SCHEMA):
        return sheet.found
    sheet.keys_and_dates()
    sheet.repeated()
    counts = frame.select(_COUNTS).row(0, named=True)
    for name in NUMBERS:
        low, high = BY_NAME[name].low, BY_NAME[name].high
        for measure, conditions, key, what in (
            ("impossible", _OUTSIDE, "outside", f"outside {low:g} to {high:g}"),
            ("not_finite", _ODD, "odd", "are NaN or infinite"),
        ):
            if counts[f"{name}|{key}"]:
                sheet.count(measure, conditions[name], name, what)
            else:
                sheet.add(measure, 0, f"0 of {frame.height} rows {what}", name)
    missing = frame["price"].null_count()
    share = missing / frame.height if frame.height else None
    sheet.add("price_missing", share, as_percent(missing, frame.height, "have no price"), "price")
    of = frame.height + quarantined
    sheet.add("quarantined_share", share_of(quarantined, of), as_percent(quarantined, of, "are quarantined"))
    return sheet.found
