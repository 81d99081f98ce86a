"""What was made from a history that is no more is known to be stale."""

import polars as pl
import pytest

from housing_assets.core.history import HISTORY_SCHEMA
from housing_assets.core.months import month_end, month_range
from housing_assets.store.histories import (
    ASSET,
    history_digests,
    read_history,
    record_inputs,
    stale_months,
)
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import State, Verdict, data_stamps, write_verdicts

MONTHS = month_range("2021-01", "2021-06")


@pytest.fixture
def store(tmp_path) -> Store:
    """Six cleaned months, a history of them, and predictions of three that rest on it."""
    store = Store.open(str(tmp_path))
    for i, month in enumerate(MONTHS):
        store.months("cleaned").write(month, pl.DataFrame({"zipcode": ["00001"], "price": [100.0 + i]}))
    record_inputs(store, data_stamps(store, "cleaned"))
    predicted(store)
    return store


def predicted(store: Store) -> None:
    made_from = history_digests(store)
    months = MONTHS[3:]
    for month in months:
        store.months("monthly_predictions").write(month, pl.DataFrame({"zipcode": ["00001"]}))
    write_verdicts(
        store,
        [Verdict("monthly_predictions", m, State.GREEN, "s", 1, rests_on=made_from(m)) for m in months],
    )


def test_nothing_is_stale_that_was_made_from_the_months_that_are_there(store):
    assert stale_months(store, "monthly_predictions") == []


def test_a_restated_month_makes_every_later_one_stale_and_no_earlier_one(store):
    store.months("cleaned").write("2021-05", pl.DataFrame({"zipcode": ["00001"], "price": [1.0]}))
    assert stale_months(store, "monthly_predictions") == ["2021-05", "2021-06"]
    store.months("cleaned").write("2021-02", pl.DataFrame({"zipcode": ["00001"], "price": [1.0]}))
    assert stale_months(store, "monthly_predictions") == ["2021-04", "2021-05", "2021-06"]


def test_a_new_month_makes_none_stale(store):
    store.months("cleaned").write("2021-07", pl.DataFrame({"zipcode": ["00001"], "price": [1.0]}))
    assert stale_months(store, "monthly_predictions") == []


def test_they_are_fresh_once_they_were_made_from_the_new_history(store):
    store.months("cleaned").write("2021-02", pl.DataFrame({"zipcode": ["00001"], "price": [1.0]}))
    record_inputs(store, data_stamps(store, "cleaned"))
    assert len(stale_months(store, "monthly_predictions")) == 3
    predicted(store)
    assert stale_months(store, "monthly_predictions") == []


def test_an_asset_that_rests_on_no_history_is_never_stale(store):
    write_verdicts(store, [Verdict("raw_splits", "2021-01", State.GREEN, "s", 1)])
    store.months("cleaned").write("2021-01", pl.DataFrame({"zipcode": ["00001"], "price": [1.0]}))
    assert stale_months(store, "raw_splits") == []


def test_the_history_is_read_back_and_absent_before_it_is_made(store):
    assert read_history(store) is None
    row = dict.fromkeys(HISTORY_SCHEMA) | {"date": month_end("2021-01"), "zipcode": "00001", "price": 5.0}
    store.write_table(ASSET, pl.DataFrame([row], schema=HISTORY_SCHEMA))
    history = read_history(store)
    assert history is not None
    assert history.zips == ("00001",)
