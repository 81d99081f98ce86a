"""Zeros that stand for gaps: the same ones in frames and in arrays."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from housing_assets.core.panel.gaps import GapRule, null_gaps
from housing_assets.core.panel.schema import NUMBERS

ROWS = st.lists(
    st.lists(st.sampled_from([0.0, 1.0, None]), min_size=len(NUMBERS), max_size=len(NUMBERS)), min_size=1, max_size=4
)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_frames_and_arrays_have_the_same_gaps(rows):
    frame = pl.DataFrame(rows, schema=dict.fromkeys(NUMBERS, pl.Float64), orient="row")
    numbers = np.array(rows, dtype=np.float64)
    GapRule(NUMBERS).apply(numbers)
    np.testing.assert_array_equal(numbers, frame.with_columns(null_gaps()).to_numpy())


def test_a_zero_is_a_gap_by_the_rule_of_its_column():
    row = dict.fromkeys(NUMBERS, 1.0) | {"median_list_price": 0.0, "pending_sales": 0.0, "Unemployed Population": 0.0}
    numbers = np.array([list(row.values()), [*(row | {"Total Population": 0.0}).values()]])
    GapRule(NUMBERS).apply(numbers)
    with_census, without = ({name for name, value in zip(NUMBERS, r, strict=True) if np.isnan(value)} for r in numbers)
    assert with_census == {"median_list_price"}
    assert without == {"median_list_price", "Unemployed Population", "Total Population"}
