"""Publishers on loopback: their files become vintages, and what goes wrong leaves the vintages in use."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import polars as pl
import pytest
from loopback import Publisher, publishing

from housing_assets.config.settings import Settings
from housing_assets.core.errors import StoreError
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.ingestion import downloads
from housing_assets.ingestion.looks import look_at_sources
from housing_assets.ingestion.panel import vintage_panel
from housing_assets.ingestion.sources import Publication, publish_sources
from housing_assets.store import blobs
from housing_assets.store.layout import Store
from housing_assets.store.sources import read_record
from housing_assets.store.vintages import list_vintages

SPEC = SampleSpec(30, "2019-01", "2020-03", 7)
SHARES = ("AVG_SALE_TO_LIST", "SOLD_ABOVE_LIST", "OFF_MARKET_IN_TWO_WEEKS")


@pytest.fixture
def publisher(tmp_path, monkeypatch) -> Iterator[Publisher]:
    """The first vintage of both layouts, from a server that is asked again once, at once."""
    monkeypatch.chdir(tmp_path)
    make = downloads.make_session
    monkeypatch.setattr(downloads, "make_session", lambda tries=1: make(tries, backoff_seconds=0))
    with publishing(tmp_path / "web") as publisher:
        publisher.publish(SPEC)
        yield publisher


@pytest.fixture
def settings(publisher) -> Settings:
    return Settings(
        source_uri="zillow redfin", zillow_url=f"{publisher.url}/zillow.csv", redfin_url=f"{publisher.url}/redfin.csv"
    )  # pyright: ignore[reportCallIssue]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(str(tmp_path / "store"))


def kinds(publication: Publication) -> list[tuple[str, bool]]:
    return [(source.kind, source.is_new) for source in publication.sources]


def edit(publisher: Publisher, layout: str, change: Callable[[str], str]) -> None:
    file = publisher.folder / f"{layout}.csv"
    file.write_text(change(file.read_text()))
    publisher.touch(file)


def header_of(text: str) -> str:
    return text[: text.index("\n") + 1]


def test_a_second_publication_becomes_a_second_vintage(publisher, settings, store):
    first = publish_sources(settings, store)
    assert kinds(first) == [("zillow", True), ("redfin", True)]
    assert first.sources[0].vintage
    assert first.sources[0].vintage.attribution
    assert not look_at_sources(settings, store).changed
    publisher.publish(SPEC, 2)
    assert look_at_sources(settings, store).changed
    assert kinds(publish_sources(settings, store)) == [("zillow", True), ("redfin", True)]
    assert vintage_panel(settings, store).months[-1] == "2020-04"


def status(code: int, times: int = 2) -> Callable[[Publisher], None]:
    return lambda publisher: publisher.statuses.extend([code] * times)


def cut_off(publisher: Publisher) -> None:
    publisher.touch(publisher.folder / "zillow.csv")
    publisher.cut_off = 2


def content(layout: str, change: Callable[[str], str]) -> Callable[[Publisher], None]:
    return lambda publisher: edit(publisher, layout, change)


FAULTS: dict[str, tuple[Callable[[Publisher], None], str, str]] = {
    "403": (status(403, 1), "zillow.csv", "refused (403 Forbidden)"),
    "404": (lambda p: (p.folder / "zillow.csv").unlink(), "zillow.csv", "there is no such file (404"),
    "429": (status(429), "zillow.csv", "asked too often (429 Too Many Requests). Try again in an hour"),
    "500": (status(500), "zillow.csv", "its server fails (500"),
    "a page": (content("zillow", lambda _: "<html><title>Moved</title>"), "zillow.csv", "gave a page ('Moved')"),
    "cut off": (cut_off, "zillow.csv", "Try again: it goes on from there"),
    "empty": (content("redfin", lambda _: ""), "redfin.csv", "the file is empty"),
    "zero rows": (content("zillow", header_of), "zillow.csv", "no rows"),
    "zero rows of redfin": (content("redfin", header_of), "redfin.csv", "no rows"),
    "a renamed column": (
        content("zillow", lambda text: text.replace("RegionName", "RegionNames", 1)),
        "zillow.csv",
        "lacks 'RegionName' (did you mean 'RegionNames'?)",
    ),
    "a renamed figure": (
        content("redfin", lambda text: text.replace("MEDIAN_DOM", "MEDIAN_DOMS", 1)),
        "redfin.csv",
        "did you mean 'median_dom'",
    ),
}


@pytest.mark.parametrize(("break_it", "name", "words"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_read_leaves_the_vintages_in_use(publisher, settings, store, break_it, name, words):
    before = tuple(source.vintage for source in publish_sources(settings, store).sources)
    break_it(publisher)
    publication = publish_sources(settings, store)
    (problem,) = publication.problems
    assert words in problem
    assert name in problem
    assert kinds(publication) == [("zillow", False), ("redfin", False)]
    assert vintage_panel(settings, store).vintages == before

    publisher.publish(SPEC, 2)
    mended = publish_sources(settings, store)
    assert not mended.problems
    assert kinds(mended) == [("zillow", True), ("redfin", True)]


def test_a_server_that_asks_to_wait_is_asked_again_after_that_time(publisher, settings, store):
    publisher.statuses, publisher.retry_after = [429], "1"
    begun = time.monotonic()
    publication = publish_sources(settings, store)
    assert time.monotonic() - begun >= 1
    assert not publication.problems
    assert publisher.answers == 3


def test_percent_where_fractions_were_and_back_is_no_revision(publisher, settings, store):
    publish_sources(settings, store)
    month = vintage_panel(settings, store).month("2019-05")
    file = publisher.folder / "redfin.csv"
    fractions = pl.read_csv(file, separator="\t", infer_schema=False)
    percent = pl.col(SHARES).cast(pl.Float64) * 100
    fractions.with_columns(percent).write_csv(file, separator="\t")
    publisher.touch(file)
    publication = publish_sources(settings, store)
    assert not publication.problems
    vintage = publication.sources[1].vintage
    assert vintage
    assert any("percent read as fractions" in text for text, _ in vintage.notes)
    shares = [name.lower() for name in SHARES]
    now = vintage_panel(settings, store).month("2019-05")
    for name in shares:
        assert now[name].to_list() == pytest.approx(month[name].to_list(), nan_ok=True)
    publisher.publish(SPEC)
    assert not publish_sources(settings, store).problems
    assert vintage_panel(settings, store).month("2019-05").equals(month)


def test_two_publications_at_once_leave_one_panel(publisher, settings, store):
    publish_sources(settings, store)
    publisher.publish(SPEC, 2)
    start = threading.Barrier(2)
    publications: list[Publication] = []

    def work() -> None:
        own = Store.open(store.uri)
        start.wait()
        publications.append(publish_sources(settings, own))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [publication.problems for publication in publications] == [(), ()]
    for kind in ("zillow", "redfin"):
        first, *later = list_vintages(store, kind)
        assert {vintage.rows_sha256 for vintage in later} != {first.rows_sha256}
        assert len({vintage.rows_sha256 for vintage in later}) == 1
        assert read_record(store).sources[kind].time in [vintage.time for vintage in later]
    assert vintage_panel(settings, store).months[-1] == "2020-04"
    assert kinds(publish_sources(settings, store)) == [("zillow", False), ("redfin", False)]


def test_a_full_disk_leaves_the_vintages_in_use(publisher, settings, store, monkeypatch):
    before = tuple(source.vintage for source in publish_sources(settings, store).sources)
    publisher.publish(SPEC, 2)

    def is_full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "os", SimpleNamespace(**vars(blobs.os) | {"fsync": is_full}))
        with pytest.raises(StoreError, match="No space left on device.*free space"):
            publish_sources(settings, store)
    assert vintage_panel(settings, store).vintages == before
    assert [len(list_vintages(store, kind)) for kind in ("zillow", "redfin")] == [1, 1]
    assert not publish_sources(settings, store).problems
    assert vintage_panel(settings, store).months[-1] == "2020-04"


def test_a_full_disk_under_the_downloads_leaves_the_vintages_in_use(publisher, settings, store, monkeypatch):
    before = tuple(source.vintage for source in publish_sources(settings, store).sources)
    publisher.publish(SPEC, 2)

    def is_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "os", SimpleNamespace(fsync=is_full))
        publication = publish_sources(settings, store)
    assert all("cannot be kept (No space left on device). Make room" in problem for problem in publication.problems)
    assert vintage_panel(settings, store).vintages == before
    assert not publish_sources(settings, store).problems
