"""Metros and the nation as places: means of their zips, weighted by the people who live in each.

Functions take frames with a row for each zip and give expressions or frames. A zip that the Census does not know, or
where it counts nobody, weighs as one person.
"""

import numpy as np
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


KNOWN_SHARE = 0.9
"""Share of the people of an area whose zips must have an outcome for the area to have one."""


def matched_outcome(predicted: pl.Expr, actual: pl.Expr) -> pl.Expr:
    """The outcome of an area's mean prediction: that mean times the ratio of actual to predicted price over the zips
    that have both. So zips whose outcome is not known yet do not move its error. Null where zips of less than
    `KNOWN_SHARE` of the people have one."""
    both = predicted.is_not_null() & actual.is_not_null()
    people = pl.col(PEOPLE)
    known = pl.when(both).then(people).sum() >= KNOWN_SHARE * people.sum()
    sums = [pl.when(both).then(price * people).sum() for price in (actual, predicted)]
    return pl.when(known).then(weighted_mean(predicted) * sums[0] / sums[1])


def chained_mean(prices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A weighted mean price by month that zips which come or go do not change.

    Its level is that of the newest month in which zips of `KNOWN_SHARE` of the most people have a price. The other
    months follow from the growth of the zips that have a price in both of two neighbouring months.

    Args:
        prices: US dollars, shape (zips, months), with at least one price; NaN where not known.
        weights: of each zip, positive, shape (zips,).

    Returns:
        Shape (months,); NaN where no chain leads.
    """
    known = ~np.isnan(prices)
    filled = np.where(known, prices, 0.0)
    people = weights @ known
    level = np.flatnonzero(people >= KNOWN_SHARE * people.max())[-1]
    both = known[:, :-1] & known[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        growth = (weights @ (filled[:, 1:] * both)) / (weights @ (filled[:, :-1] * both))
    mean = np.full(prices.shape[1], np.nan)
    mean[level] = (weights @ filled[:, level]) / people[level]
    mean[level + 1 :] = mean[level] * np.cumprod(growth[level:])
    mean[:level] = mean[level] / np.cumprod(growth[:level][::-1])[::-1]
    return mean
