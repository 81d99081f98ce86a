"""What was made from a history that is no more is known to be stale."""

import polars as pl
import pytest

from housing_assets.core.errors import StoreError
from housing_assets.core.features.history import HISTORY_SCHEMA
from housing_assets.core.months import month_end, month_range
from housing_assets.store.gates import sound_months
from housing_assets.store.histories import (
    ASSET,
    KEY,
    history_inputs,
    made_from_history,
    open_sound_history,
    read_history,
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
        clean(store, month, 100.0 + i)
    publish_history(store)
    predicted(store)
    return store


def clean(store: Store, month: str, price: float, state: State = State.GREEN) -> None:
    store.months("cleaned").write(month, pl.DataFrame({"zipcode": ["00001"], "price": [price]}))
    stamp = data_stamps(store, "cleaned")[month]
    write_verdicts(store, [Verdict("cleaned", month, state, stamp, 1)])


def publish_history(store: Store) -> None:
    """The history as its asset makes it, of the months that are sound, with what its checks say."""
    rows = [dict.fromkeys(HISTORY_SCHEMA) | {"date": month_end("2021-01"), "zipcode": "00001", "price": 5.0}]
    told = history_inputs(MONTHS[0], sound_months(store, "cleaned"))
    store.write_table(ASSET, pl.DataFrame(rows, schema=HISTORY_SCHEMA), told)
    write_verdicts(store, [Verdict(ASSET, "", State.GREEN, data_stamps(store, ASSET)[""], 1)])


def predicted(store: Store) -> None:
    _, made_from = open_sound_history(store)
    for month in MONTHS[3:]:
        store.months("monthly_predictions").write(month, pl.DataFrame({"zipcode": ["00001"]}), made_from(month))
    checked(store)


def checked(store: Store) -> None:
    rests_on = made_from_history("monthly_predictions")(store)
    months = store.months("monthly_predictions").available()
    found = [Verdict("monthly_predictions", m, State.GREEN, "s", 1, rests_on=rests_on(m)) for m in months]
    write_verdicts(store, found)


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
    clean(store, "2021-02", 1.0)
    publish_history(store)
    assert len(stale_months(store, "monthly_predictions")) == 3
    predicted(store)
    assert stale_months(store, "monthly_predictions") == []


def test_an_asset_that_rests_on_no_history_is_never_stale(store):
    write_verdicts(store, [Verdict("raw_splits", "2021-01", State.GREEN, "s", 1)])
    store.months("cleaned").write("2021-01", pl.DataFrame({"zipcode": ["00001"], "price": [1.0]}))
    assert stale_months(store, "raw_splits") == []


def test_the_history_is_read_back_and_absent_before_it_is_made(store):
    store.blobs.delete(KEY)
    with pytest.raises(StoreError, match="price_history.parquet does not exist: materialize price_history first"):
        read_history(store)
    publish_history(store)
    history = read_history(store)
    assert history.zips == ("00001",)


def test_what_was_made_without_a_red_month_is_fresh_when_it_is_made(store):
    clean(store, "2021-02", 7.0, State.RED)
    assert stale_months(store, "monthly_predictions") == ["2021-04", "2021-05", "2021-06"]
    publish_history(store)
    predicted(store)
    assert stale_months(store, "monthly_predictions") == []
    clean(store, "2021-02", 7.0)
    assert len(stale_months(store, "monthly_predictions")) == 3


def test_months_before_the_panel_make_nothing_stale(store):
    clean(store, "2020-12", 7.0)
    assert stale_months(store, "monthly_predictions") == []


def test_a_new_history_vouches_for_no_prediction_that_was_made_before_it(store):
    """Killed between the history and the predictions: a check of the old ones does not make them fresh."""
    clean(store, "2021-02", 1.0)
    publish_history(store)
    checked(store)
    assert stale_months(store, "monthly_predictions") == ["2021-04", "2021-05", "2021-06"]


def test_a_month_that_does_not_tell_what_it_was_made_from_is_stale(store):
    store.months("monthly_predictions").write("2021-05", pl.DataFrame({"zipcode": ["00001"]}))
    checked(store)
    assert stale_months(store, "monthly_predictions") == ["2021-05"]
