"""Publishers on loopback: their files become vintages, and what goes wrong leaves the vintage in use."""

import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from housing_assets.config.settings import Settings
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample
from housing_assets.ingestion.looks import look_at_sources
from housing_assets.ingestion.panel import vintage_panel
from housing_assets.ingestion.sources import publish_sources
from housing_assets.store.layout import Store

SPEC = SampleSpec(30, "2019-01", "2020-03", 7)


@pytest.fixture
def web(tmp_path, monkeypatch) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the folder that it publishes."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.chdir(tmp_path)
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def make_newer(file: Path) -> None:
    """Last-Modified counts in seconds."""
    later = file.stat().st_mtime + 10
    os.utime(file, (later, later))


def test_a_second_publication_becomes_a_second_vintage(web, tmp_path):
    url, folder = web
    for layout in ("zillow", "redfin"):
        write_sample(SPEC, folder / f"{layout}.csv", layout=layout)
    store = Store.open(str(tmp_path / "store"))
    settings = Settings(source_uri=f"zillow {url}/redfin.csv", zillow_url=f"{url}/zillow.csv")
    first = publish_sources(settings, store)
    assert [(s.kind, s.is_new) for s in first.sources] == [("zillow", True), ("redfin", True)]
    assert first.sources[0].vintage
    assert first.sources[0].vintage.attribution
    assert not look_at_sources(settings, store).changed
    write_sample(SPEC, folder / "zillow.csv", layout="zillow", vintage=2)
    make_newer(folder / "zillow.csv")
    assert look_at_sources(settings, store).changed
    assert [s.is_new for s in publish_sources(settings, store).sources] == [True, False]
    assert vintage_panel(settings, store).months[-1] == "2020-04"


@pytest.mark.parametrize(("page", "words"), [(b"<html><title>Moved</title>", "gave a page"), (None, "404")])
def test_what_is_no_file_leaves_the_vintage_in_use(web, tmp_path, page, words):
    url, folder = web
    file = folder / "zillow.csv"
    write_sample(SPEC, file, layout="zillow")
    store = Store.open(str(tmp_path / "store"))
    settings = Settings(source_uri=f"{url}/zillow.csv")
    before = publish_sources(settings, store).sources[0].vintage
    if page:
        file.write_bytes(page)
        make_newer(file)
    else:
        file.unlink()
    found = publish_sources(settings, store)
    assert words in found.failures[0]
    assert found.sources[0].vintage == before
    assert vintage_panel(settings, store).vintages == (before,)
