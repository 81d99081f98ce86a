"""What is kept of the same inputs: made once, and again where it is of others or cannot be read."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from housing_assets.store.layout import Store
from housing_assets.store.remembered import remembered

KEY = "remembered/errors/tuned-1.parquet"
TABLE = pl.DataFrame({"city_full": [None, "Urban Honolulu, HI"], "mape": [1.5, 2.0]})


def kept(store: Store, *inputs: str, table: pl.DataFrame = TABLE) -> pl.DataFrame:
    return remembered(store, "errors/tuned-1", inputs, lambda: table)


def unmade() -> pl.DataFrame:
    raise AssertionError("it is kept, and not made again")


def test_a_table_is_made_once_of_the_same_inputs(store: Store):
    assert_frame_equal(kept(store, "tuned-1", "ab"), TABLE)
    assert_frame_equal(remembered(store, "errors/tuned-1", ["tuned-1", "ab"], unmade), TABLE)


def test_other_inputs_make_another(store: Store):
    kept(store, "tuned-1", "ab")
    other = TABLE.with_columns(pl.col("mape") + 1)
    for inputs in (("tuned-1", "ac"), ("tuned-1a", "b"), ("tuned-1",)):
        assert_frame_equal(kept(store, *inputs, table=other), other)


def test_what_cannot_be_read_is_made_again(store: Store):
    kept(store, "tuned-1")
    whole = store.blobs.read(KEY)
    for damaged in (b"", whole[:-20], b"PAR1" + whole[4:200] + b"PAR1"):
        store.blobs.write(KEY, damaged)
        assert_frame_equal(kept(store, "tuned-1"), TABLE)
        assert store.blobs.read(KEY) == whole


def test_a_failed_making_keeps_nothing(store: Store):
    with pytest.raises(AssertionError):
        remembered(store, "errors/tuned-1", ["tuned-1"], unmade)
    assert not store.blobs.keys("remembered/")
