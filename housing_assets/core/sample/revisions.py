"""How a sample's later vintages revise the months that earlier ones had."""

import numpy as np
import polars as pl

from housing_assets.core.months import add_months, month_index, month_range
from housing_assets.core.sample.draws import Draws, Floats
from housing_assets.core.sample.spec import SampleSpec

REVISION_SD = 0.0055
"""Standard deviation of one revision of a price long ago, in log: a median of about 0.3%."""
_RECENT_TIMES, _RECENT_MONTHS = 2.0, 4.0
"""A price of the last month is revised by so many times more, which falls by e every so many months."""
_KNOT_MONTHS = 12
"""A revision is smooth: it is drawn once a year and goes straight in between."""
_LATE_SALES = 0.04
"""Share by which the counts of the last months grow when late sales come in."""
_COUNTED_MONTHS = 3

_PRICES = ("price", "median_sale_price", "median_list_price")
_COUNTS = ("homes_sold", "pending_sales")


def revise(spec: SampleSpec, block: int, frame: pl.DataFrame, vintage: int) -> pl.DataFrame:
    """Rows of one block as a vintage has them.

    Args:
        spec: with the last month of that vintage.
        block: its number.
        frame: clean rows, by zip and then date.
        vintage: 1 leaves them as they are.
    """
    if vintage == 1:
        return frame
    months = len(month_range(spec.start, spec.end))
    width = frame.height // months
    revised, counted = np.zeros((months, width)), np.ones(months)
    for number in range(2, vintage + 1):
        before = add_months(spec.end, number - vintage - 1)
        age = month_index(before) - month_index(spec.start) - np.arange(months)
        is_published = age >= 0
        weight = np.where(is_published, 1 + _RECENT_TIMES * np.exp(-np.maximum(age, 0) / _RECENT_MONTHS), 0)
        revised += weight[:, None] * _smooth(spec, block, number, months, width)
        counted *= np.where(is_published & (age < _COUNTED_MONTHS), 1 + _LATE_SALES, 1)
    factor = pl.Series(np.exp(revised).T.ravel())
    counts = pl.Series(np.tile(counted, width))
    return frame.with_columns(
        *(pl.col(name) * factor for name in _PRICES), *((pl.col(name) * counts).round() for name in _COUNTS)
    )


def _smooth(spec: SampleSpec, block: int, number: int, months: int, width: int) -> Floats:
    """One revision in log, (months, width). A later end leaves the earlier months as they are."""
    first = month_index(spec.start)
    at = (first + np.arange(months)) / _KNOT_MONTHS
    knots = Draws(spec.seed, 3, number, block).normal(int(at[-1]) - int(at[0]) + 2, width, sd=REVISION_SD)
    place = at - int(at[0])
    below = place.astype(int)
    part = (place - below)[:, None]
    return knots[below] * (1 - part) + knots[below + 1] * part
