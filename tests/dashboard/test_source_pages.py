"""Sources and revisions on Data health: what was published, what was assumed, and every state without."""

import shutil
from datetime import UTC, datetime

import polars as pl
import pytest
from dashboard_fixtures import open_page, texts

from housing_assets.core.months import month_end, month_range
from housing_assets.store.layout import Store
from housing_assets.store.vintages import Origin, PublishedFile, Vintage, publish

ATTRIBUTION = "Data provided by Zillow Group"


def publish_prices(store: Store, day: int, factor: float = 1.0, **origin) -> Vintage:
    """Keep three months of two zips as a vintage that was published and read on a day of November 2026."""
    rows = [
        {"date": month_end(month), "zipcode": zipcode, "price": 300_000.0 * factor}
        for month in month_range("2026-08", "2026-10")
        for zipcode in ("96701", "96706")
    ]
    facts = {
        "publisher": "Zillow Research",
        "address": "https://files.example.com/zip.csv",
        "files": [PublishedFile("zip.csv", 1_000)],
        "fetched_at": datetime(2026, 11, day, 12, tzinfo=UTC),
        "notes": [("a zip code had lost its leading zero", 7)],
        "attribution": ATTRIBUTION,
    }
    made_at = datetime(2026, 11, day, 12, tzinfo=UTC)
    return publish(store, "zillow", [pl.DataFrame(rows)], lambda: Origin(**{**facts, **origin}), now=made_at)


@pytest.fixture
def store(changeable) -> Store:
    """A store of the test's own, made by a version that kept no vintages."""
    shutil.rmtree(changeable / "vintages")
    (changeable / "revisions.parquet").unlink()
    return Store.open(str(changeable))


def table_with(shown, column: str) -> pl.DataFrame:
    return pl.from_pandas(next(d.value for d in shown.dataframe if column in d.value.columns))


@pytest.mark.usefixtures("store")
def test_without_a_vintage_the_page_says_what_makes_one():
    shown = open_page("health")
    assert not shown.exception
    assert not shown.error
    assert "No vintage is kept yet" in texts(shown)
    assert "Revisions" not in texts(shown)


def test_a_source_is_listed_with_its_newest_vintage_and_attribution(store):
    publish_prices(store, 10)
    publish_prices(store, 20, factor=1.01)
    shown = open_page("health")
    assert not shown.exception
    assert not shown.error
    row = table_with(shown, "publisher").row(0, named=True)
    assert str(row.pop("known since")).startswith("2026-11-20")
    assert row == {
        "source": "zillow",
        "publisher": "Zillow Research",
        "months": "2026-08 to 2026-10",
        "rows": 6,
        "zips": 2,
        "vintages": 2,
        "address": "https://files.example.com/zip.csv",
    }
    assert ATTRIBUTION in texts(shown)


def test_what_readers_assumed_is_shown_with_counts(store):
    publish_prices(store, 10, rolling=True)
    shown = open_page("health")
    assert table_with(shown, "note").rows() == [("zillow", "a zip code had lost its leading zero", 7)]
    assert "the 90 days up to its end" in texts(shown)


def test_a_damaged_manifest_hides_its_vintage_and_nothing_else(store):
    kept = publish_prices(store, 10)
    damaged = publish_prices(store, 20, factor=1.01)
    store.blobs.write(f"{damaged.key}/vintage.json", b"{")
    shown = open_page("health")
    assert not shown.exception
    assert table_with(shown, "publisher")["months"].to_list() == [f"{kept.first_month} to {kept.last_month}"]
    assert table_with(shown, "publisher")["vintages"].to_list() == [1]


def test_revisions_are_charted_by_month(store):
    table = pl.DataFrame(
        {"month": ["2026-08", "2026-09"], "median": [0.0, 0.02], "p95": [0.4, 0.5], "most": [2.5, 12.25]}
    )
    store.write_table("revisions", table)
    shown = open_page("health")
    assert not shown.exception
    assert not shown.error
    assert "The largest is 12.2%, in 2026-09." in texts(shown).replace("12.3%", "12.2%")
    assert table_with(shown, "p95").rows() == table.rows()


def test_damaged_revisions_take_only_their_own_part_down(store):
    store.blobs.write("revisions.parquet", b"no parquet")
    shown = open_page("health")
    assert not shown.exception
    assert [e.value for e in shown.error if "This part cannot be shown" in e.value]
    assert "Quarantined rows" in texts(shown)
