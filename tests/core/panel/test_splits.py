"""Rows and their part of the time split."""

from datetime import date

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.months import TimeSplit, month_of
from housing_assets.core.panel.splits import with_split

DAYS = st.dates(date(2000, 1, 1), date(2040, 12, 31))


@given(st.lists(DAYS, min_size=1, max_size=20), st.lists(DAYS.map(month_of), min_size=2, max_size=2, unique=True))
def test_a_row_belongs_where_its_month_does_whatever_it_said_before(days, cut_offs):
    split = TimeSplit(*sorted(cut_offs))
    rows = pl.DataFrame({"date": days, "split": "train", "price": 1.0})
    labelled = with_split(rows, split)
    assert labelled["split"].to_list() == [str(split.of(month_of(day))) for day in days]
    assert labelled.columns == rows.columns
    assert labelled.drop("split").equals(rows.drop("split"))
