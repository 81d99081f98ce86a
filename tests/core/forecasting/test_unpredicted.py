"""Zips that begin late, end or have gaps: forecast while their history suffices, listed with the reason when not."""

import numpy as np
import polars as pl
import pytest

from housing_assets.core.features.history import History, history_table
from housing_assets.core.forecasting.unpredicted import reasons, unpredicted
from housing_assets.core.months import month_range
from housing_assets.core.panel.cleaning import standardize
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame

MONTHS = month_range("2019-01", "2021-12")
ORIGIN = MONTHS[-1]


def history(keep: pl.Expr) -> tuple[str, History]:
    """A history of three zips, the first with the months alone that an expression of `at`, the month's place, keeps."""
    rows = standardize(sample_frame(SampleSpec(3, MONTHS[0], ORIGIN, 7, False))).with_columns(
        at=(pl.col("date").dt.year() - 2019) * 12 + pl.col("date").dt.month() - 1
    )
    zipcode = rows["zipcode"].min()
    kept = rows.filter((pl.col("zipcode") != zipcode) | keep).drop("at")
    return str(zipcode), History.from_table(history_table([kept]))


AT = pl.col("at")


@pytest.mark.parametrize(
    "keep", [AT >= 23, AT <= 29, (AT % 2 == 1) | (AT > 26), ~AT.is_between(10, 15)],
    ids=["begins a year ago", "ended half a year ago", "every other month", "a gap of half a year"],
)  # fmt: skip
def test_a_zip_whose_history_suffices_is_predicted(keep):
    zipcode, made = history(keep)
    assert made.known(ORIGIN)[made.zip_index[zipcode]]
    assert unpredicted(made, ORIGIN).is_empty()


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (AT >= 24, "begins late: the first price is of 2021-01, less than 12 months before 2021-12"),
        (AT <= 28, "ended: the last price is of 2021-05, more than 6 months before 2021-12"),
        ((AT < 12) | (AT >= 34), "gaps: too few of its prices are near 2021-12 and 2020-12"),
    ],
    ids=["begins late", "ended", "gaps"],
)
def test_a_zip_whose_history_does_not_suffice_is_listed_with_the_reason(keep, reason):
    zipcode, made = history(keep)
    listed = unpredicted(made, ORIGIN)
    assert listed.select("zipcode", "reason").rows() == [(zipcode, reason)]
    assert reasons(listed) == {reason.split(":")[0]: 1}
    assert np.count_nonzero(made.known(ORIGIN)) == 2
