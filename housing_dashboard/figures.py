"""Figures of predicted rows: pure functions of frames like `monthly_predictions`, with `month` and `naive_price`."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from housing_assets.core.evaluation import price_metrics
from housing_assets.core.months import add_months

ALL = "all"
"""The filter that filters nothing."""


@dataclass(frozen=True)
class Headline:
    """How predictions did, and how carrying last month's price forward did on the same rows.

    Attributes:
        rows: predicted.
        known: of them with an actual price.
        model: figures of `price_metrics` over the known rows; empty if there are none.
        naive: the same of `naive_price`, over known rows that have one.
        coverage: percent of the known rows whose actual price lies in the interval.
    """

    rows: int
    known: int
    model: dict[str, float]
    naive: dict[str, float]
    coverage: float | None


def headline(rows: pl.DataFrame) -> Headline:
    """The headline figures of predicted rows."""
    if rows.is_empty():
        return Headline(0, 0, {}, {}, None)
    known = rows.filter(pl.col("actual_price").is_not_null())
    carried = known.filter(pl.col("naive_price").is_not_null())
    inside = known.select(pl.col("actual_price").is_between("predicted_low", "predicted_high").mean()).item()
    return Headline(
        rows.height,
        known.height,
        _metrics(known, "predicted_price"),
        _metrics(carried, "naive_price"),
        None if inside is None else 100 * float(inside),
    )


def _metrics(rows: pl.DataFrame, said: str) -> dict[str, float]:
    return price_metrics(rows["actual_price"].to_numpy(), rows[said].to_numpy()) if rows.height else {}


def with_errors(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `error` (US dollars, predicted less actual), `percent` (of the actual price) and `inside`."""
    error = pl.col("predicted_price") - pl.col("actual_price")
    return rows.with_columns(
        error.alias("error"),
        (100 * error / pl.col("actual_price")).alias("percent"),
        pl.col("actual_price").is_between("predicted_low", "predicted_high").alias("inside"),
    )


def choose(rows: pl.DataFrame, year: str = ALL, month: str = ALL, region: str = ALL) -> pl.DataFrame:
    """Rows of a year, a month and a metro."""
    chosen = []
    if month != ALL:
        chosen.append(pl.col("month") == month)
    elif year != ALL:
        chosen.append(pl.col("month").str.starts_with(year))
    if region != ALL:
        chosen.append(pl.col("city_full") == region)
    return rows.filter(*chosen) if chosen else rows


def span_before(year: str, month: str) -> tuple[str, str, str]:
    """Year, month and name of what a choice is compared to: the month before, or the year before.

    All months have nothing before them, which an empty name tells.
    """
    if month != ALL:
        before = add_months(month, -1)
        return ALL, before, before
    if year != ALL:
        before = str(int(year) - 1)
        return before, ALL, before
    return ALL, ALL, ""


def by_month(rows: pl.DataFrame) -> pl.DataFrame:
    """Means by month in US dollars, with the errors: `month`, `rows`, `actual`, `predicted`, `low`, `high`, `mape`,
    `naive_mape`, `coverage` (percent)."""
    share = (pl.col("predicted_price") / pl.col("actual_price") - 1).abs()
    naive = (pl.col("naive_price") / pl.col("actual_price") - 1).abs()
    inside = pl.col("actual_price").is_between("predicted_low", "predicted_high")
    return (
        rows.group_by("month")
        .agg(
            pl.len().alias("rows"),
            pl.col("actual_price").mean().alias("actual"),
            pl.col("predicted_price").mean().alias("predicted"),
            pl.col("predicted_low").mean().alias("low"),
            pl.col("predicted_high").mean().alias("high"),
            (100 * share.mean()).alias("mape"),
            (100 * naive.mean()).alias("naive_mape"),
            (100 * inside.mean()).alias("coverage"),
        )
        .sort("month")
    )


def by_metro(rows: pl.DataFrame) -> pl.DataFrame:
    """The same by metro: `city_full`, `rows`, `zips`, `actual`, `predicted`, `mape`, `bias` (percent), `coverage`."""
    error = pl.col("predicted_price") / pl.col("actual_price") - 1
    inside = pl.col("actual_price").is_between("predicted_low", "predicted_high")
    return (
        rows.group_by("city_full")
        .agg(
            pl.len().alias("rows"),
            pl.col("zipcode").n_unique().alias("zips"),
            pl.col("actual_price").median().alias("actual"),
            pl.col("predicted_price").median().alias("predicted"),
            (100 * error.abs().mean()).alias("mape"),
            (100 * error.mean()).alias("bias"),
            (100 * inside.mean()).alias("coverage"),
        )
        .sort("city_full", nulls_last=True)
    )


def year_change(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Percent by which the median predicted price of a metro's zips changed: `city_full`, `change`.

    Args:
        now, before: predicted rows of a month, and actual rows (`zipcode`, `price`) of the same month a year earlier.
    """
    both = now.join(before.select("zipcode", pl.col("price").alias("before")), on="zipcode")
    change = (100 * (pl.col("predicted_price") / pl.col("before") - 1)).median().alias("change")
    return both.group_by("city_full").agg(change)


def error_grid(rows: pl.DataFrame) -> pl.DataFrame:
    """Mean absolute percent error: a row for each metro, a column for each month."""
    share = (100 * (pl.col("predicted_price") / pl.col("actual_price") - 1).abs()).mean().alias("mape")
    long = rows.group_by("city_full", "month").agg(share).sort("month", "city_full")
    return long.pivot("month", index="city_full", values="mape").sort("city_full", nulls_last=True)


def calibration(rows: pl.DataFrame) -> pl.DataFrame:
    """How often prices fell below, inside and above the interval, percent by month."""
    known = rows.filter(pl.col("actual_price").is_not_null())
    return (
        known.group_by("month")
        .agg(
            (100 * (pl.col("actual_price") < pl.col("predicted_low")).mean()).alias("below"),
            (100 * pl.col("actual_price").is_between("predicted_low", "predicted_high").mean()).alias("inside"),
            (100 * (pl.col("actual_price") > pl.col("predicted_high")).mean()).alias("above"),
        )
        .sort("month")
    )


def thin(rows: pl.DataFrame, most: int, seed: int = 0) -> pl.DataFrame:
    """At most so many rows, chosen at random but the same each time."""
    return rows if rows.height <= most else rows.sample(most, seed=seed)


def median_or_none(values: pl.Series) -> float | None:
    """The median of what is known; None if nothing is."""
    found = values.drop_nulls().to_numpy()
    return float(np.median(found)) if found.size else None
