"""First published prices of the vintages that the store keeps."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from housing_assets.core.months import month_end
from housing_assets.core.vintages.first_prices import WANTED_SCHEMA
from housing_assets.store import first_prices
from housing_assets.store.first_prices import FirstPriceReader, raw_vintage
from housing_assets.store.layout import Store
from housing_assets.store.sources import SourceRecord, SourcesRecord, write_record
from housing_assets.store.vintages import Origin, Vintage, publish

JUNE = datetime(2024, 6, 20, 10, tzinfo=UTC)
APRIL, MAY = month_end("2024-04"), month_end("2024-05")
ZIPS = ("02139", "96813")
PRICES = {"date": pl.Date, "zipcode": pl.String, "price": pl.Float64}


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(str(tmp_path))


def keep(store: Store, rows: list[tuple[date, str, float | None]], days: int, source: str = "zillow") -> Vintage:
    """A vintage that many days after the first."""
    now = JUNE + timedelta(days=days)
    frame = pl.DataFrame(rows, schema=PRICES, orient="row")
    return publish(store, source, [frame], lambda: Origin("Zillow", "zhvi.csv", (), now), now=now)


def text(*vintages: Vintage) -> str:
    return ", ".join(f"{v.source} {v.time}" for v in vintages)


def wanted(*days: date) -> pl.DataFrame:
    return pl.DataFrame([(d, z) for d in days for z in ZIPS], schema=WANTED_SCHEMA, orient="row")


def first(store: Store, vintage: str, *days: date, **since: str) -> dict[tuple[date, str], float]:
    prices = FirstPriceReader(store, since).read(wanted(*days), vintage).prices
    return {(day, zipcode): price for day, zipcode, price in prices.iter_rows()}


def test_the_earliest_vintage_with_a_price_decides(store):
    keep(store, [(APRIL, "02139", 900_000), (APRIL, "96813", None)], 0)
    keep(store, [(APRIL, "02139", 910_000), (APRIL, "96813", 500_000), (MAY, "02139", 920_000)], 30)
    last = keep(store, [(d, z, 800_000) for d in (APRIL, MAY) for z in ZIPS], 60)
    assert first(store, text(last), APRIL, MAY) == {
        (APRIL, "02139"): 900_000,
        (APRIL, "96813"): 500_000,
        (MAY, "02139"): 920_000,
        (MAY, "96813"): 800_000,
    }


def test_no_vintage_later_than_that_of_the_raw_rows_counts(store):
    early = keep(store, [(APRIL, "02139", 900_000)], 0)
    keep(store, [(APRIL, "02139", 900_000), (APRIL, "96813", 500_000)], 30)
    assert first(store, text(early), APRIL) == {(APRIL, "02139"): 900_000}


def test_vintages_of_something_else_do_not_count(store):
    keep(store, [(APRIL, "02139", 1e6)], 0)
    other = keep(store, [(APRIL, "02139", 900_000)], 30)
    assert first(store, text(other), APRIL, zillow=other.time) == {(APRIL, "02139"): 900_000}


def test_vintages_from_before_a_source_was_replaced_do_not_count(store):
    replaced = keep(store, [(APRIL, "02139", 1e6)], 0)
    begin = keep(store, [(APRIL, "02139", 900_000)], 30)
    last = keep(store, [(APRIL, "02139", 910_000)], 60)
    reader = FirstPriceReader(store)
    assert reader.read(wanted(APRIL), text(last)).prices["first_price"].to_list() == [1e6]
    record = SourceRecord(time=last.time, since=begin.time)
    write_record(store, SourcesRecord("other.csv", {"zillow": record}))
    reader = FirstPriceReader(store)
    assert reader.read(wanted(APRIL), text(last)).prices["first_price"].to_list() == [900_000]
    assert reader.read(wanted(APRIL), text(replaced)).prices.is_empty()


def test_the_source_that_is_named_first_wins(store):
    zillow = keep(store, [(APRIL, "02139", 900_000)], 0)
    housets = keep(store, [(APRIL, "02139", 880_000), (APRIL, "96813", 480_000)], 0, "housets")
    assert first(store, text(zillow, housets), APRIL) == {(APRIL, "02139"): 900_000, (APRIL, "96813"): 480_000}
    assert first(store, text(housets, zillow), APRIL)[APRIL, "02139"] == 880_000


def test_prices_that_a_damaged_vintage_may_have_had_first_are_not_known(store, tmp_path):
    early = keep(store, [(APRIL, z, 900_000) for z in ZIPS], 0)
    last = keep(store, [(d, z, 910_000) for d in (APRIL, MAY) for z in ZIPS], 30)
    (tmp_path / early.key / "data.parquet").unlink()
    made = FirstPriceReader(store).read(wanted(APRIL, MAY), text(last))
    assert set(made.prices["date"]) == {MAY}
    assert early.time in made.damaged[0]


def test_no_more_is_read_than_is_wanted(store, monkeypatch):
    keep(store, [(d, z, 900_000) for d in (APRIL, MAY) for z in ZIPS], 0)
    last = keep(store, [(d, z, 910_000) for d in (APRIL, MAY) for z in ZIPS], 30)
    calls = []
    read = first_prices.read
    monkeypatch.setattr(first_prices, "read", lambda *args: calls.append(args[1:]) or read(*args))
    first(store, text(last), MAY)
    assert [(vintage.time < last.time, months) for vintage, months, _ in calls] == [(True, {"2024-05"})]


def test_a_store_without_vintages_has_no_first_prices(store):
    assert first(store, "", APRIL) == {}
    assert first(store, "zillow 2024-06-20T10-00-00Z", APRIL) == {}
    assert raw_vintage(store, "2024-04") == ""


def test_raw_rows_name_the_vintages_that_they_rest_on(store):
    months = store.months("raw_splits")
    months.write("2024-04", pl.DataFrame({"price": [1.0]}), "zillow 2024-06-20T10-00-00Z")
    months.write("2024-05", pl.DataFrame({"price": [1.0]}), "a digest")
    assert raw_vintage(store, "2024-04") == "zillow 2024-06-20T10-00-00Z"
    assert raw_vintage(store, "2024-05") == ""
