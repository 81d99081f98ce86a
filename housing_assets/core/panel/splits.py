"""Rows and the part of the time split that they belong to."""

import polars as pl

from housing_assets.core.months import Split, TimeSplit


def with_split(rows: pl.DataFrame, split: TimeSplit) -> pl.DataFrame:
    """Rows with the column `split` by their `date` alone, in place of what they had.

    A stored month says where it belonged when it was ingested. The split may have moved on since then.
    """
    month = pl.col("date").dt.strftime("%Y-%m")
    part = pl.when(month < split.eval_start).then(pl.lit(str(Split.TRAIN)))
    part = part.when(month < split.holdout_start).then(pl.lit(str(Split.EVAL))).otherwise(pl.lit(str(Split.HOLDOUT)))
    return rows.with_columns(part.alias("split"))
