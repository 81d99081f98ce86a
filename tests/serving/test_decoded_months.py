"""Months that are decoded once, as long as their contents stay the same and memory allows it."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from serving_fixtures import CountedBlobs

from housing_assets.store.months import Months
from housing_serving.decoded_months import DecodedMonths

MONTHS = ["2022-01", "2022-02", "2022-03"]


@pytest.fixture
def months(tmp_path: Path) -> Months:
    months = Months(CountedBlobs(tmp_path), "monthly_predictions")
    for i, month in enumerate(MONTHS):
        months.write(month, frame(i))
    return months


def frame(value: float) -> pl.DataFrame:
    return pl.DataFrame({"predicted_price": [float(value)] * 1_000})


def reads(months: Months) -> Counter:
    assert isinstance(months.blobs, CountedBlobs)
    return Counter(key.rpartition("/")[2] for call, key in months.blobs.calls if call == "read")


def test_a_month_is_decoded_once_until_its_stamp_changes(months):
    decoded = DecodedMonths(months)
    stamps = months.stamps()
    for _ in range(3):
        for i, month in enumerate(MONTHS):
            assert decoded.read(month, stamps[month]).equals(frame(i))
    assert reads(months) == {f"{month}.parquet": 1 for month in MONTHS}
    months.write(MONTHS[0], frame(9))
    assert decoded.read(MONTHS[0], months.stamps()[MONTHS[0]]).equals(frame(9))
    assert reads(months)[f"{MONTHS[0]}.parquet"] == 2


def test_the_month_least_recently_used_is_given_up_first(months):
    decoded = DecodedMonths(months, most_bytes=2 * int(frame(0).estimated_size()))
    for month in (MONTHS[0], MONTHS[1], MONTHS[0], MONTHS[2], MONTHS[0], MONTHS[1]):
        decoded.read(month, "stamp")
    assert reads(months) == {"2022-01.parquet": 1, "2022-02.parquet": 2, "2022-03.parquet": 1}


def test_a_month_that_is_too_large_to_hold_is_read_for_each_call(months):
    decoded = DecodedMonths(months, most_bytes=10)
    for _ in range(2):
        assert decoded.read(MONTHS[2], "stamp").equals(frame(2))
    assert reads(months) == {"2022-03.parquet": 2}
