"""What must hold of one month of an asset, as pure functions: each returns the problems in words.

An empty list is a sound month. A problem names the column, the count and an example.
"""

import polars as pl

from housing_assets.core.cleaning import CLEAN_SCHEMA
from housing_assets.core.features import FEATURES, KEYS
from housing_assets.core.model import PREDICTION_SCHEMA
from housing_assets.core.months import Split, month_end
from housing_assets.core.schema import BY_NAME, NUMBERS, RAW_SCHEMA, ZIP_PATTERN

RAW_SPLITS_SCHEMA: dict[str, pl.DataType] = {**RAW_SCHEMA, "split": pl.String()}
"""Columns of `raw_splits`: the source's, and the part of the time split."""

_MIN_PRICED = 0.5
"""Least share of a past month's rows with a price; the real panel has all of them."""


def raw_month_problems(frame: pl.DataFrame, month: str) -> list[str]:
    """Problems of a month of `raw_splits`: columns, types, rows, keys, dates."""
    return _schema_problems(frame, RAW_SPLITS_SCHEMA) or [
        *_emptiness(frame),
        *_count(frame, pl.col("date").ne_missing(month_end(month)), "date", f"not in {month}"),
        *_count(frame, ~pl.col("zipcode").str.contains(ZIP_PATTERN), "zipcode", "not 5 digits"),
        *_count(frame, pl.col("zipcode").is_null(), "zipcode", "missing"),
        *_mostly_null(frame, "price"),
    ]


def clean_month_problems(frame: pl.DataFrame, month: str) -> list[str]:
    """Problems of a month of `cleaned`: also one row a zip, and every value in its valid range."""
    problems = _schema_problems(frame, CLEAN_SCHEMA)
    if problems:
        return problems
    problems += _emptiness(frame)
    problems += _count(frame, pl.col("date").ne_missing(month_end(month)), "date", f"not in {month}")
    problems += _count(frame, pl.col("zipcode").is_null(), "zipcode", "missing")
    problems += _count(frame, pl.col("zipcode").is_duplicated(), "zipcode", "more than once in the month")
    problems += _mostly_null(frame, "price")
    for name in NUMBERS:
        column, value = BY_NAME[name], pl.col(name)
        outside = (value < column.low) | (value > column.high) | value.is_nan()
        problems += _count(frame, outside, name, f"outside {column.low:g} to {column.high:g}")
    return problems


def prediction_month_problems(frame: pl.DataFrame, month: str) -> list[str]:
    """Problems of a month of `monthly_predictions`: finite, positive, inside its interval, one a zip."""
    price, low, high = (pl.col(f"predicted_{part}") for part in ("price", "low", "high"))
    return _schema_problems(frame, PREDICTION_SCHEMA) or [
        *_emptiness(frame),
        *_count(frame, pl.col("date").ne_missing(month_end(month)), "date", f"not in {month}"),
        *_count(frame, pl.col("zipcode").is_null(), "zipcode", "missing"),
        *_count(frame, pl.col("zipcode").is_duplicated(), "zipcode", "more than once in the month"),
        *_count(frame, ~_true(price.is_finite() & (price > 0)), "predicted_price", "no price"),
        *_count(frame, ~_true((low <= price) & (price <= high)), "predicted_low", "the interval lacks the price"),
    ]


def training_feature_problems(frame: pl.DataFrame, holdout_start: str) -> list[str]:
    """Problems of `training_features`: its columns and types, no holdout row, no constant gap as target."""
    expected = {k: CLEAN_SCHEMA[k] for k in KEYS} | {f: pl.Float32() for f in FEATURES}
    return _schema_problems(frame, expected) or [
        *_emptiness(frame),
        *_count(frame, pl.col("split") == Split.HOLDOUT, "split", "in the holdout"),
        *_count(frame, pl.col("date") >= pl.lit(f"{holdout_start}-01").str.to_date(), "date", "in the holdout"),
        *_count(frame, ~_true(pl.col("price").is_finite() & (pl.col("price") > 0)), "price", "no price"),
    ]


def encoder_problems(table: pl.DataFrame) -> list[str]:
    """Problems of the encoder table: finite encodings, each value once, a value for what was never seen."""
    seen = table.filter(pl.col("value").is_not_null())
    problems = _emptiness(seen)
    problems += _count(table, ~_true(pl.col("encoding").is_finite()), "encoding", "not finite")
    problems += _count(seen, pl.struct("encoder", "value").is_duplicated(), "value", "more than once")
    lacking = set(table["encoder"]) - set(table.filter(pl.col("value").is_null())["encoder"])
    return problems + [f"{name}: no encoding for what was never seen" for name in sorted(lacking)]


def _schema_problems(frame: pl.DataFrame, expected: dict[str, pl.DataType]) -> list[str]:
    actual = dict(frame.schema)
    lacking = [f"{name}: missing" for name in expected if name not in actual]
    further = [f"{name}: not in the contract" for name in actual if name not in expected]
    wrong = [
        f"{name}: is {actual[name]}, should be {kind}"
        for name, kind in expected.items()
        if name in actual and actual[name] != kind
    ]
    return lacking + further + wrong


def _emptiness(frame: pl.DataFrame) -> list[str]:
    return [] if frame.height else ["no rows"]


def _mostly_null(frame: pl.DataFrame, column: str) -> list[str]:
    share = 1 - frame[column].null_count() / max(frame.height, 1)
    return [] if share >= _MIN_PRICED or frame.is_empty() else [f"{column}: only {share:.0%} of rows have one"]


def _true(condition: pl.Expr) -> pl.Expr:
    """A condition that a missing value does not meet; polars would pass over such a row."""
    return condition.fill_null(False)


def _count(frame: pl.DataFrame, broken: pl.Expr, column: str, what: str) -> list[str]:
    rows = frame.filter(broken)
    return [f"{column}: {rows.height} rows {what}, for example {rows[column][0]}"] if rows.height else []
