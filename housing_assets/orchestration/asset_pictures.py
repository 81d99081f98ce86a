"""Pictures of the months of a run, for the metadata of its monthly assets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from housing_assets.core.features.history import History
from housing_assets.core.months import add_months
from housing_assets.core.panel.areas import chained_mean, weighted_mean, with_people
from housing_assets.orchestration import plots

_REASONS = 6
"""Most reasons that a picture tells apart; the others are one."""
_MONTHS_SHOWN = 60
"""Of known prices beside a forecast."""


def null_shares(rows: pl.DataFrame) -> dict[str, float]:
    """Percent of the values of a month's raw rows that are null: of `price`, and of all other columns together."""
    nulls = rows.null_count().row(0, named=True)
    price = nulls.pop("price", 0)
    cells = max(1, rows.height)
    return {"price": 100 * price / cells, "other columns": 100 * sum(nulls.values()) / (cells * max(1, len(nulls)))}


def raw_picture(months: Mapping[str, tuple[int, Mapping[str, float]]]) -> bytes:
    """Rows and nulls by month.

    Args:
        months: rows and `null_shares` of each month, in order.
    """
    names = next(iter(months.values()))[1]
    shares = {name: [of[name] for _, of in months.values()] for name in names}
    return plots.rows_and_shares(list(months), [rows for rows, _ in months.values()], shares, "Raw rows and nulls")


def quarantine_picture(months: Mapping[str, Mapping[str, int]]) -> bytes:
    """Quarantined rows by month and reason.

    Args:
        months: rows by reason of each month, in order.
    """
    totals: dict[str, int] = {}
    for reasons in months.values():
        for reason, count in reasons.items():
            totals[reason] = totals.get(reason, 0) + count
    ranked = sorted(totals, key=lambda reason: (-totals[reason], reason))
    parts = {name: [float(of.get(name, 0)) for of in months.values()] for name in ranked[:_REASONS]}
    if len(ranked) > _REASONS:
        parts["other"] = [float(sum(of.get(name, 0) for name in ranked[_REASONS:])) for of in months.values()]
    return plots.stacked_by_month(list(months), parts, "Quarantined rows by reason", "rows")


def reasons_of(quarantined: pl.DataFrame) -> dict[str, int]:
    """Quarantined rows of a month by reason, without the value that each reason names after its colon."""
    reason = pl.col("reason").str.extract(r"^([^:]+)").alias("why")
    return dict(quarantined.group_by(reason).len().rows()) if quarantined.height else {}


def error_picture(by_month: Sequence[Mapping[str, Any]]) -> bytes:
    """Mean error of predictions by month, and the width of their intervals.

    Args:
        by_month: `month`, and where prices are known `mape` and `interval width, % of the price`.
    """
    names = {"mean error": "mape", "width of the interval": "interval width, % of the price"}
    series = {label: [row.get(name) for row in by_month] for label, name in names.items()}
    return plots.lines_by_month([row["month"] for row in by_month], series, "Error of predictions", "% of the price")


def nation_picture(forecasts: pl.DataFrame, history: History) -> bytes:
    """The forecast of the nation from one origin: means of all zips, weighted by the people who live in each.

    Args:
        forecasts: of the origin, as `monthly_forecasts` has them.
        history: of known prices, with the origin in it.
    """
    origin = forecasts["origin"][0]
    names = ("predicted_price", "predicted_low", "predicted_high")
    means = [weighted_mean(pl.col(name)).alias(name) for name in names]
    path = with_people(forecasts).group_by("date").agg(*means).sort("date")
    rows = [(f"{day:%Y-%m}", *values) for day, *values in path.iter_rows()]
    end = history.column(origin) + 1
    prices = np.exp(history.log_price[:, max(0, end - _MONTHS_SHOWN) : end])
    people = with_people(pl.DataFrame({"zipcode": history.zips}))["people"].to_numpy()
    mean = chained_mean(prices, people)
    months = [add_months(origin, back) for back in range(1 - mean.size, 1)]
    known = {month: float(value) for month, value in zip(months, mean, strict=True) if np.isfinite(value)}
    return plots.fan(known, rows, f"Forecast of the nation from {origin}: mean of the zips, weighted by people")
