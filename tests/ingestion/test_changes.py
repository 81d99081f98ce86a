"""Which months of a panel have to be ingested again."""

from pathlib import Path

import polars as pl
import pytest

from housing_assets.config.settings import Settings
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample
from housing_assets.ingestion.changes import changed_months
from housing_assets.ingestion.panel import VintagePanel, vintage_panel
from housing_assets.ingestion.sources import publish_sources
from housing_assets.store.layout import Store
from housing_assets.store.monthly_sort import MonthlySort

SPEC = SampleSpec(30, "2019-01", "2019-12", 7)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture
def told(tmp_path) -> Settings:
    paths = [tmp_path / "zillow.csv", tmp_path / "redfin.tsv"]
    for path, layout in zip(paths, ("zillow", "redfin"), strict=True):
        write_sample(SPEC, path, layout=layout)
    source = " ".join(map(str, paths))
    return Settings(source_uri=source, eval_start="2019-07", holdout_start="2019-10", panel_end="2020-03")  # pyright: ignore[reportCallIssue]


def ingest(store: Store, told: Settings) -> None:
    """The vintages in use as `raw_splits` keeps them."""
    panel = vintage_panel(told, store)
    for month, rows in panel.iterate(panel.months):
        store.months("raw_splits").write(month, rows.with_columns(split=pl.lit("train")), panel.vintage)


def test_months_that_were_never_ingested_are_all_that_changed(store, told):
    publish_sources(told, store)
    assert changed_months(told, store) == list(vintage_panel(told, store).months)
    ingest(store, told)
    assert changed_months(told, store) == []


def test_months_of_the_vintages_in_use_are_not_joined_to_be_compared(store, told, monkeypatch):
    publish_sources(told, store)
    ingest(store, told)
    asked: list[list[str]] = []
    monkeypatch.setattr(VintagePanel, "iterate", lambda _, months: asked.append(list(months)) or iter(()))
    assert changed_months(told, store) == []
    assert asked == [[]]


@pytest.mark.parametrize("has_digests", [True, False], ids=["by digests", "row by row"])
def test_a_new_vintage_changes_the_months_whose_rows_differ(store, told, tmp_path, monkeypatch, has_digests):
    if not has_digests:
        monkeypatch.setattr(MonthlySort, "digests", property(lambda _: {}, lambda *_: None), raising=False)
    publish_sources(told, store)
    ingest(store, told)
    path = tmp_path / "zillow.csv"
    table = pl.read_csv(path, infer_schema_length=None, schema_overrides={"RegionName": pl.String})
    revised = table.with_columns(pl.col("2019-05-31") * 1.001, pl.col("2019-12-31").alias("2020-01-31"))
    revised.write_csv(path)
    publish_sources(told, store)
    assert changed_months(told, store) == ["2019-05", "2020-01"]


def test_another_metro_of_a_zip_changes_its_months(store, told, tmp_path):
    publish_sources(told, store)
    ingest(store, told)
    path = tmp_path / "zillow.csv"
    table = pl.read_csv(path, infer_schema_length=None, schema_overrides={"RegionName": pl.String})
    table.with_columns(pl.lit("Boise City, ID").alias("Metro"), pl.col("2019-12-31") + 1).write_csv(path)
    publish_sources(told, store)
    assert changed_months(told, store) == list(vintage_panel(told, store).months)


def test_a_damaged_month_is_ingested_again(store, told):
    publish_sources(told, store)
    ingest(store, told)
    Path(store.uri, "raw_splits/2019-03.parquet").write_bytes(b"PAR1 cut off")
    assert changed_months(told, store) == ["2019-03"]
