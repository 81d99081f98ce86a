"""Metros and the nation as places: means of their zips, weighted by the people who live in each.

Functions take frames with a row for each zip and give expressions or frames. A zip that the Census does not know, or
where it counts nobody, weighs as one person.
"""

import polars as pl

from housing_assets.core.panel.places import zip_table

PEOPLE = "people"
"""Column of the weight of a zip: the people who live there."""


def with_people(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `people` by their `zipcode`, in the same order."""
    counts = zip_table().select("zipcode", pl.col("population").cast(pl.Float64).alias(PEOPLE))
    joined = rows.join(counts, on="zipcode", how="left", maintain_order="left")
    return joined.with_columns(pl.col(PEOPLE).fill_null(1).clip(1))


def weighted_mean(value: pl.Expr) -> pl.Expr:
    """The mean of a value weighted by `people`, over the rows that have it; null if none has."""
    weight = pl.when(value.is_not_null()).then(pl.col(PEOPLE))
    return (value * weight).sum() / pl.when(weight.sum() > 0).then(weight.sum())


def change_of_mean(now: pl.Expr, before: pl.Expr) -> pl.Expr:
    """Percent by which the weighted mean of a price changed, over the zips that have both; null if none has.

    Zips that entered or left in between change nothing.
    """
    both = now.is_not_null() & before.is_not_null()
    later, earlier = (pl.when(both).then(price * pl.col(PEOPLE)).sum() for price in (now, before))
    return 100 * (later / pl.when(earlier > 0).then(earlier) - 1)
