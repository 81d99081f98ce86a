"""Sources become vintages, and vintages a panel."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from housing_assets.config.settings import Settings
from housing_assets.core.errors import MissingMonthError, SourceError, StoreError
from housing_assets.core.panel.schema import RAW_SCHEMA
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample
from housing_assets.core.source.panel import open_panel
from housing_assets.ingestion.panel import vintage_panel
from housing_assets.ingestion.sources import Publication, publish_sources
from housing_assets.store.layout import Store
from housing_assets.store.sources import read_record, read_revisions, write_record
from housing_assets.store.vintages import list_vintages

SPEC = SampleSpec(30, "2019-01", "2020-03", 7)
WINDOW = {"eval_start": "2019-08", "holdout_start": "2019-11", "panel_end": "2020-06"}


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(str(tmp_path / "store"))


def settings(*sources: Path | str, **values: str) -> Settings:
    return Settings(source_uri=" ".join(map(str, sources)), **{**WINDOW, **values})  # pyright: ignore[reportArgumentType]


def published(folder: Path, layout: str, vintage: int = 1, name: str = "") -> Path:
    path = folder / (name or f"{layout}.csv")
    write_sample(SPEC, path, layout=layout, vintage=vintage)
    return path


def publish(store: Store, *sources: Path | str, accept: str = "", **values: str) -> Publication:
    return publish_sources(settings(*sources, **values), store, accept=accept)


def test_the_panels_own_layout_is_given_back_row_by_row(store, tmp_path):
    path = published(tmp_path, "housets")
    (one,) = publish(store, path).sources
    assert (one.kind, one.is_new, one.refused) == ("housets", True, "")
    panel = vintage_panel(settings(path), store)
    assert (panel.months[0], panel.months[-1]) == ("2019-01", "2020-03")
    assert panel.month("2019-05").schema == RAW_SCHEMA
    with open_panel(str(path)) as raw:
        for month, rows in panel.iterate(panel.months):
            assert rows.equals(raw.month(month).sort("zipcode", maintain_order=True))


def test_files_that_did_not_change_are_not_read_again(store, tmp_path):
    path = published(tmp_path, "housets")
    publish(store, path)
    told: list[str] = []
    again = publish_sources(settings(path), store, told.append)
    assert not again.sources[0].is_new
    assert not told


def test_zillow_and_redfin_make_one_panel(store, tmp_path):
    zillow, redfin = published(tmp_path, "zillow"), published(tmp_path, "redfin")
    assert [s.kind for s in publish(store, zillow, redfin).sources] == ["zillow", "redfin"]
    panel = vintage_panel(settings(zillow, redfin), store)
    month = panel.month("2019-06")
    assert month.schema == RAW_SCHEMA
    assert month["price"].null_count() == 0
    assert month["median_list_price"].null_count() < month.height
    assert month["city_full"].null_count() < month.height
    assert panel.vintage.startswith("zillow 20")


def test_prices_alone_are_a_panel_too(store, tmp_path):
    zillow = published(tmp_path, "zillow")
    publish(store, zillow)
    month = vintage_panel(settings(zillow), store).month("2019-06")
    assert month["price"].null_count() == 0
    assert month["inventory"].null_count() == month.height


def test_a_revised_vintage_flows_through_and_its_revisions_are_kept(store, tmp_path):
    path = published(tmp_path, "zillow")
    publish(store, path)
    (one,) = publish(store, published(tmp_path, "zillow", 2)).sources
    assert (one.is_new, one.refused) == (True, "")
    assert len(list_vintages(store, "zillow")) == 2
    assert vintage_panel(settings(path), store).months[-1] == "2020-04"
    assert read_revisions(store, ["zillow"]).filter(pl.col("share_changed") > 0).height


def test_a_publication_that_was_killed_before_it_recorded_its_vintage_is_completed_by_the_next(store, tmp_path):
    first = publish(store, published(tmp_path, "zillow")).sources[0].vintage
    before = read_record(store)
    path = published(tmp_path, "zillow", 2)
    second = publish(store, path).sources[0].vintage
    whole = read_record(store)
    write_record(store, before)
    assert vintage_panel(settings(path), store).vintages == (first,), "a reader takes what is recorded"
    (one,) = publish(store, path).sources
    assert (one.is_new, one.vintage) == (True, second)
    assert read_record(store) == whole
    assert whole.sources["zillow"].compared == first.time


def test_the_next_file_under_another_name_is_a_revision_of_the_one_before(store, tmp_path):
    publish(store, published(tmp_path, "zillow"))
    (one,) = publish(store, published(tmp_path, "zillow", 2, "next.csv")).sources
    record = read_record(store).sources["zillow"]
    assert record.compared
    assert one.is_new


def broken(path: Path, change) -> None:
    frame = pl.read_csv(path, infer_schema=False)
    change(frame).write_csv(path)


def months_of(frame: pl.DataFrame) -> list[str]:
    return [c for c in frame.columns if c[:2] == "20"]


IMPOSSIBLE = {
    "prices times 1,000": (
        lambda f: f.with_columns(pl.col(months_of(f)).cast(pl.Float64) * 1_000),
        "price of zillow is 1,000 times what it was",
    ),
    "30% of zips gone": (lambda f: f.filter(pl.int_range(pl.len()) % 10 > 2), "It is incomplete: fetch it again"),
    "a month missing": (lambda f: f.drop(months_of(f)[4]), "lacks 2019-05: a publication adds months and loses none"),
    "an older file": (lambda f: f.drop(months_of(f)[-2:]), "it is an older file"),
}


@pytest.mark.parametrize(("change", "words"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_a_revision_is_refused_and_the_vintage_before_stays(store, tmp_path, change, words):
    path = published(tmp_path, "zillow")
    first = publish(store, path).sources[0].vintage
    broken(path, change)
    found = publish(store, path)
    assert words in found.problems[0]
    assert "--accept-restated WHY" in found.problems[0]
    assert found.sources[0].vintage == first
    assert vintage_panel(settings(path), store).vintages == (first,)
    assert words in publish(store, path).problems[0], "it is not read again, and said again"
    accepted = publish(store, path, accept="the publisher changed its unit")
    assert not accepted.problems
    assert "accepted (the publisher changed its unit)" in " ".join(accepted.sources[0].warnings)
    assert accepted.sources[0].vintage != first


def test_a_column_that_a_publisher_gave_another_name_is_no_revision(store, tmp_path):
    zillow, redfin = published(tmp_path, "zillow"), published(tmp_path, "redfin")
    publish(store, zillow, redfin)
    redfin.write_text(redfin.read_text().replace("MEDIAN_DOM", "DAYS_ON_MARKET"))
    found = publish(store, zillow, redfin)
    assert "the file of redfin lacks median_dom, which the newest vintage has" in found.problems[0]
    assert "median_dom" in vintage_panel(settings(zillow, redfin), store).vintages[1].columns
    assert not publish(store, zillow, redfin, accept="it is not published any more").problems
    assert "median_dom" not in vintage_panel(settings(zillow, redfin), store).vintages[1].columns


def test_a_panel_of_ones_own_may_leave_a_column_out_with_a_warning(store, tmp_path):
    path = published(tmp_path, "housets")
    publish(store, path)
    broken(path, lambda frame: frame.drop("median_dom"))
    (one,) = publish(store, path).sources
    assert (one.is_new, one.refused) == (True, "")
    assert "lacks median_dom" in one.warnings[0]


def test_another_panel_at_another_address_is_no_revision(store, tmp_path):
    publish(store, published(tmp_path, "zillow"))
    other = published(tmp_path, "zillow", name="other.csv")
    broken(other, lambda f: f.with_columns(pl.Series("RegionName", [f"{90_000 + n}" for n in range(f.height)])))
    found = publish(store, other)
    assert not found.problems
    assert vintage_panel(settings(other), store).month("2019-05")["zipcode"][0] == "90000"


def test_a_source_that_cannot_be_read_leaves_the_vintage_in_use(store, tmp_path):
    path = published(tmp_path, "zillow")
    first = publish(store, path).sources[0].vintage
    path.write_text("<html>moved</html>")
    found = publish(store, path)
    assert found.failures
    assert found.sources[0].vintage == first
    path.unlink()
    assert "no such file" in publish(store, path).failures[0]
    assert vintage_panel(settings(path), store).vintages == (first,)


def test_a_source_that_was_never_read_stops_the_run(store, tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        publish(store, tmp_path / "nothing.csv")
    with pytest.raises(StoreError, match="run sources_job"):
        vintage_panel(settings(tmp_path / "nothing.csv"), store)


def test_a_damaged_vintage_is_made_again_from_its_files_or_passed_over(store, tmp_path):
    path = published(tmp_path, "zillow")
    first = publish(store, path).sources[0].vintage
    second = publish(store, published(tmp_path, "zillow", 2)).sources[0].vintage
    assert first
    assert second
    data = tmp_path / "store" / second.key / "data.parquet"
    data.write_bytes(data.read_bytes()[:-100])
    panel = vintage_panel(settings(path), store)
    assert panel.vintages == (first,)
    assert "is damaged" in panel.passed_over[0]
    third = publish(store, path).sources[0].vintage
    assert third
    assert vintage_panel(settings(path), store).vintages == (third,)
    assert third.rows_sha256 == second.rows_sha256


def test_the_panel_as_it_was_known_on_a_day(store, tmp_path):
    path = published(tmp_path, "zillow")
    publish(store, path)
    with pytest.raises(StoreError, match="HOUSING_AS_OF=2001-02-03"):
        vintage_panel(settings(path, as_of="2001-02-03"), store)
    assert vintage_panel(settings(path, as_of="2999-01-01"), store).months


def test_two_addresses_of_one_layout_add_up_and_the_first_wins(store, tmp_path):
    first, second = published(tmp_path, "zillow", name="a.csv"), published(tmp_path, "zillow", 2, "b.csv")
    (one,) = publish(store, first, second).sources
    panel = vintage_panel(settings(first, second), store)
    assert panel.months[-1] == "2020-04"
    alone = Store.open(str(tmp_path / "alone"))
    publish(alone, first)
    assert panel.month("2019-06")["price"].equals(vintage_panel(settings(first), alone).month("2019-06")["price"])
    assert one.vintage
    assert any("the address named first wins" in text for text, _ in one.vintage.notes)


def test_files_of_one_folder_that_disagree_are_refused(store, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = published(folder, "housets", name="a.csv")
    shutil.copy(path, folder / "b.csv")
    assert not publish(store, folder).problems
    broken(folder / "b.csv", lambda f: f.with_columns(pl.lit("1").alias("price")))
    assert "a.csv and b.csv disagree about 2019-01" in publish(store, folder).failures[0]


def test_the_sample_begins_with_an_earlier_vintage(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sample = Settings(sample_zips=30, panel_start="2019-01", eval_start="2019-08", holdout_start="2019-11",
                      panel_end="2020-03")  # fmt: skip
    (one,) = publish_sources(sample, store).sources
    earlier, newest = list_vintages(store, "sample")
    assert (earlier.last_month, newest.last_month) == ("2020-02", "2020-03")
    assert one.vintage == newest
    assert not one.refused
    assert read_record(store).sources["sample"].compared == earlier.time
    assert vintage_panel(sample, store).months[-1] == "2020-03"


def test_a_month_that_the_panel_lacks_is_named(store, tmp_path):
    path = published(tmp_path, "zillow")
    publish(store, path)
    with pytest.raises(MissingMonthError, match="no rows for 2021-01: the source has 2019-01 to 2020-03"):
        vintage_panel(settings(path), store).month("2021-01")


def test_a_source_without_prices_says_so(store, tmp_path):
    path = published(tmp_path, "redfin", name="redfin.tsv")
    publish(store, path)
    with pytest.raises(SourceError, match="no source gives prices"):
        vintage_panel(settings(path), store)
