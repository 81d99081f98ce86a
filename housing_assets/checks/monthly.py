"""Blocking checks of the monthly assets: every month of the run, one after the other, in one table."""

from collections.abc import Callable

import dagster as dg
import polars as pl

from housing_assets.assets.common import table
from housing_assets.core.quality import (
    clean_month_problems,
    prediction_month_problems,
    raw_month_problems,
)
from housing_assets.store.layout import Store


def monthly_checks() -> list[dg.AssetChecksDefinition]:
    """One check for each monthly asset."""
    return [
        _month_check("raw_splits", raw_month_problems, "Columns, types, keys and dates of every month"),
        _month_check("cleaned", clean_month_problems, "Also one row a zip, and every value in its valid range"),
        _month_check(
            "monthly_predictions",
            prediction_month_problems,
            "One prediction a zip: finite, positive, inside its interval",
        ),
    ]


def _month_check(
    asset: str, problems_of: Callable[[pl.DataFrame, str], list[str]], description: str
) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name="months_are_sound", blocking=True, description=description)
    def check(context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[Store]) -> dg.AssetCheckResult:
        months = store.months(asset)
        asked = context.has_partition_key or context.has_partition_key_range
        rows = []
        for month, frame in months.iterate(context.partition_keys if asked else months.available()):
            problems = problems_of(frame, month)
            rows.append({"month": month, "rows": frame.height, "problems": "; ".join(problems)})
        bad = [row for row in rows if row["problems"]]
        told = "\n".join(f"{row['month']}: {row['problems']}" for row in bad)
        return dg.AssetCheckResult(
            passed=bool(rows) and not bad,
            description=told or (f"{len(rows)} months are sound" if rows else "no month is materialized"),
            metadata={"months checked": len(rows), "months": table(pl.DataFrame(rows))} if rows else {},
        )

    return check
