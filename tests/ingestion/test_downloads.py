"""Files of the web, from a real server on this machine."""

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from housing_assets.core.errors import SourceError
from housing_assets.ingestion import downloads
from housing_assets.ingestion.downloads import Download, fetch, make_session
from housing_assets.ingestion.publishers import PUBLISHERS, publisher_of

BODY = b"RegionName,2024-01-31\n" + b"02139,900000\n" * 300_000


@dataclass
class Site:
    """What the server has, and what it was asked.

    Attributes:
        cut: bytes after which each of the next answers is cut off.
        statuses: of the next answers, instead of the file.
    """

    address: str = ""
    body: bytes = BODY
    etag: str = '"v1"'
    kind: str = "text/csv"
    with_length: bool = True
    retry_after: str = ""
    cut: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            site.asked.append(dict(self.headers))
            if site.statuses:
                self.send_response(site.statuses.pop(0))
                if site.retry_after:
                    self.send_header("Retry-After", site.retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if site.etag and self.headers.get("If-None-Match") == site.etag:
                self.send_response(304)
                self.end_headers()
                return
            start = 0
            if (asked := self.headers.get("Range")) and self.headers.get("If-Range") == site.etag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(site.body) - 1}/{len(site.body)}")
            if site.with_length:
                self.send_header("Content-Length", str(len(site.body) - start))
            if site.etag:
                self.send_header("ETag", site.etag)
                self.send_header("Last-Modified", "Fri, 15 Mar 2024 09:00:00 GMT")
            self.send_header("Content-Type", site.kind)
            self.end_headers()
            self.wfile.write(site.body[start:][: site.cut.pop(0) if site.cut else None])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}/zhvi.csv?token=secret"
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


def get(site: Site, cache: Path, **told) -> Download:
    return fetch(site.address, cache, session=make_session(tries=2, backoff_seconds=0), **told)


def test_a_file_is_fetched_once_while_it_stays_the_same(site: Site, tmp_path):
    seen: list[tuple[str, int, int | None]] = []
    first = get(site, tmp_path, progress=lambda *told: seen.append(told))
    assert first.path.read_bytes() == BODY
    assert (first.name, first.size, first.etag, first.unchanged) == ("zhvi.csv", len(BODY), '"v1"', False)
    assert str(first.published_at) == "2024-03-15 09:00:00+00:00"
    assert seen[-1] == ("zhvi.csv", len(BODY), len(BODY))

    again = get(site, tmp_path)
    assert again.unchanged
    assert (again.path, again.sha256) == (first.path, first.sha256)
    assert site.asked[-1]["If-None-Match"] == '"v1"'

    site.body, site.etag = BODY + b"1\n", '"v2"'
    newer = get(site, tmp_path)
    assert newer.path.read_bytes() == site.body
    assert not first.path.exists()

    newer.path.write_bytes(b"damaged")
    assert get(site, tmp_path).path.read_bytes() == site.body


def test_a_server_that_names_no_version_is_asked_once_in_a_run_and_again_later(site: Site, tmp_path, monkeypatch):
    site.etag = ""
    first = get(site, tmp_path)
    assert get(site, tmp_path) == replace(first, unchanged=True)
    assert len(site.asked) == 1, "a run looks at its sources more than once"
    monkeypatch.setattr(downloads, "_FRESH", timedelta(0))
    site.body = BODY + b"1\n"
    assert get(site, tmp_path).path.read_bytes() == site.body


def test_a_download_that_is_cut_off_goes_on_where_it_was(site: Site, tmp_path):
    site.cut = [2_000_000, 500_000]
    assert get(site, tmp_path).path.read_bytes() == BODY
    assert [asked.get("Range") for asked in site.asked] == [None, "bytes=2000000-", "bytes=2500000-"]


def test_a_later_run_goes_on_and_begins_again_when_the_file_is_another(site: Site, tmp_path):
    site.cut = [1_000_000] * 3
    with pytest.raises(SourceError, match=r"token=\*\*\*: was cut off each time, last after 3,000,000 bytes"):
        get(site, tmp_path)
    assert not list(tmp_path.rglob("zhvi.csv"))
    site.body, site.etag = BODY.replace(b"900000", b"910000"), '"v2"'
    assert get(site, tmp_path).path.read_bytes() == site.body
    assert site.asked[-1]["Range"] == "bytes=3000000-"


def test_gzip_without_a_length_has_to_have_its_end(site: Site, tmp_path):
    site.body, site.with_length = gzip.compress(b"a") + gzip.compress(BODY), False
    site.cut = [len(site.body) - 10]
    assert gzip.decompress(get(site, tmp_path).path.read_bytes()) == b"a" + BODY
    assert len(site.asked) == 2


def test_a_server_that_fails_is_asked_again_as_it_says(site: Site, tmp_path):
    site.statuses, site.retry_after = [503, 429], "0"
    assert get(site, tmp_path).size == len(BODY)
    assert len(site.asked) == 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, r"refused \(403 Forbidden\).*download it with a browser"),
        (404, r"no such file \(404 Not Found\).*HOUSING_SOURCE_URI"),
        (429, r"asked too often \(429 Too Many Requests\).*in 1 seconds"),
        (500, r"its server fails \(500 Internal Server Error\)"),
        (418, r"answered 418"),
    ],
)
def test_a_refusal_says_what_came_and_leaves_the_last_file(site: Site, tmp_path, status, words):
    kept = get(site, tmp_path)
    site.statuses, site.retry_after = [status] * 3, "1" if status == 429 else ""
    with pytest.raises(SourceError, match=words) as refused:
        get(site, tmp_path)
    assert "secret" not in str(refused.value)
    assert kept.path.read_bytes() == BODY


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/csv"])
def test_a_page_instead_of_data_is_refused(site: Site, tmp_path, kind):
    site.body, site.kind = b"<!DOCTYPE html><html><head><title>Please\n sign in</title></head></html>", kind
    with pytest.raises(SourceError, match="gave a page.*'Please sign in'.*instead of data"):
        get(site, tmp_path)


def test_an_empty_file_and_a_server_that_is_not_there_are_named(site: Site, tmp_path):
    site.body = b""
    with pytest.raises(SourceError, match="the file is empty"):
        get(site, tmp_path)
    session = make_session(tries=0, backoff_seconds=0)
    for address in ("http://127.0.0.1:9/a.csv", "http://no-such-host.invalid/a.csv"):
        with pytest.raises(SourceError, match="cannot be reached"):
            fetch(address, tmp_path, session=session)


def test_the_cache_is_bounded(site: Site, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "CACHE_BYTES", len(BODY) + 100_000)
    first = get(site, tmp_path)
    site.address = site.address.replace("zhvi", "other")
    assert get(site, tmp_path).path.exists()
    assert not first.path.exists()


def test_two_at_once_fetch_it_once(site: Site, tmp_path):
    got: list[Download] = []
    threads = [threading.Thread(target=lambda: got.append(get(site, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {d.sha256 for d in got} == {got[0].sha256}
    assert sorted(d.unchanged for d in got) == [False, True, True]


def test_a_word_stands_for_a_publishers_address():
    for publisher in PUBLISHERS:
        assert publisher_of(publisher.word, {}) == publisher
        assert publisher_of(publisher.address, {}) == publisher
    mirror = publisher_of("Zillow", {"HOUSING_ZILLOW_URL": "http://localhost/zhvi.csv"})
    assert mirror
    assert (mirror.address, mirror.word) == ("http://localhost/zhvi.csv", "zillow")
    assert publisher_of("https://example.org/x.csv", {}) is None
    with pytest.raises(SourceError, match="HOUSING_REDFIN_URL='redfin' is no address"):
        publisher_of("redfin", {"HOUSING_REDFIN_URL": "redfin"})
