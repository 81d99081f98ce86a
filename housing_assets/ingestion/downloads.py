"""Files of the web, kept in a cache folder: whole or not at all, and not fetched again while they are the same.

A download goes on where it was cut off (Range, If-Range), asks only for what changed (ETag, Last-Modified), waits as
the server says (Retry-After), and counts once it is complete and no error page.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from isal import isal_zlib

from housing_assets.core.errors import SourceError
from housing_assets.core.text import first_line
from housing_assets.ingestion.publishers import PUBLISHERS

if TYPE_CHECKING:
    import requests

CACHE = Path("data/downloads")
"""Where downloads are kept, unless a caller says otherwise."""
CACHE_BYTES = 8 << 30
"""Most that the cache holds: both publishers' files of all zips (1.5 GB), and room for others."""

_TRIES = 5
"""Times that a server that fails, or cuts a file off, is asked again."""
_BACKOFF_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 300
"""Longest that a Retry-After is waited for: with a longer one the run ends, and a later one goes on."""
_FRESH = timedelta(minutes=15)
"""Age up to which a file counts as current whose server tells nothing that a later request could ask by: a run looks at
its sources more than once."""
_CONNECT_SECONDS, _READ_SECONDS = 10, 60
_BLOCK = 1 << 20
_RETRIED = (429, 500, 502, 503, 504)
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_PAGE = re.compile(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|error|script)", re.IGNORECASE)
_TITLE = re.compile(rb"<(title|message|h1)[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there, and all bytes; None if the server does not say how many."""


@dataclass(frozen=True)
class Download:
    """A whole file of the web, on this machine.

    Attributes:
        path: where it is.
        name: as its address has it.
        size: in bytes.
        sha256: of its bytes.
        etag, last_modified: as the server said; empty if it said nothing.
        fetched_at: ISO time at which it was last seen to be the publisher's current file.
        unchanged: True if the server said that what the cache had is current, so that nothing was fetched.
    """

    path: Path
    name: str
    size: int
    sha256: str
    etag: str
    last_modified: str
    fetched_at: str
    unchanged: bool

    @property
    def published_at(self) -> datetime | None:
        """When the publisher wrote it, by its Last-Modified; None if the server did not say."""
        try:
            return parsedate_to_datetime(self.last_modified).astimezone(UTC)
        except ValueError:
            return None


def is_web(address: str) -> bool:
    """True for an address of the web, `http://` or `https://`."""
    return urlsplit(address).scheme.lower() in ("http", "https")


def fetch(
    address: str,
    cache: Path = CACHE,
    progress: Progress | None = None,
    session: "requests.Session | None" = None,
) -> Download:
    """The current file at an address, from the cache where it did not change.

    A second process that wants the same file waits for the first one. A file that was cut off stays aside, and the
    next call goes on with it.

    Args:
        address: `http(s)://…`.
        cache: folder of downloads; made if it is missing.
        progress: told every MiB.
        session: as `make_session` makes it; None makes one.

    Raises:
        SourceError: the address cannot be reached, is refused, gone or an error page, was cut off each time, or there
            is no room for it. The message hides the secrets of the address.
    """
    folder = cache / hashlib.sha256(address.encode()).hexdigest()[:16]
    with _explained(address), _locked(folder):
        known = _known(folder)
        if known and _is_fresh(known):
            fetched = replace(known, unchanged=True)
        else:
            fetched = _fetched(session or make_session(), address, folder, known, progress)
        (folder / "used").touch()
    _trim(cache, folder)
    return fetched


def remote_stamp(address: str) -> str:
    """What a server says of its current file (ETag, Last-Modified) without the file; empty if it says neither.

    Raises:
        SourceError: as of `fetch`, for what can be told without the file.
    """
    session = make_session(tries=1)
    with _explained(address):
        response = session.head(address, allow_redirects=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
        if not response.ok:  # some servers know no HEAD
            response = session.get(address, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
        with response:
            _check_status(address, response)
            return stamp_of(response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))


def stamp_of(etag: str, last_modified: str) -> str:
    """One text of the two; empty if both are."""
    return f"{etag} {last_modified}".strip()


def make_session(tries: int = _TRIES, backoff_seconds: float = _BACKOFF_SECONDS) -> "requests.Session":
    """A session that asks again with growing pauses, and waits as long as Retry-After says.

    Args:
        tries: times that a request is made again.
        backoff_seconds: first pause; each further one is twice as long.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    retry = Retry(
        total=tries,
        backoff_factor=backoff_seconds,
        backoff_max=60,
        status_forcelist=_RETRIED,
        allowed_methods=("GET",),
        raise_on_status=False,
        retry_after_max=_LONGEST_WAIT_SECONDS,
    )
    session = requests.Session()
    session.headers.update({"User-Agent": f"housing-platform/{version('housing-platform')}", "Accept": "*/*"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


# ---------------------------------------------------------------- one file


class _CutOffError(Exception):
    """The connection ended before the file did."""


def _fetched(
    session: "requests.Session", address: str, folder: Path, known: Download | None, progress: Progress | None
) -> Download:
    """The file, with as many further requests as it takes to complete one that is cut off."""
    from urllib3 import Retry

    adapter: Any = session.get_adapter(address)
    pauses: Retry = adapter.max_retries
    while True:
        try:
            return _request(session, address, folder, known, progress)
        except _CutOffError as error:
            if not pauses.total:
                size = _size(folder / "partial")
                raise SourceError(
                    f"{address}: was cut off each time, last after {size:,} bytes ({error}). "
                    "Try again: it goes on from there"
                ) from error
            pauses = pauses.increment(method="GET", url=address, error=None, response=None)
            pauses.sleep()


def _request(
    session: "requests.Session", address: str, folder: Path, known: Download | None, progress: Progress | None
) -> Download:
    import requests

    partial, begun = folder / "partial", _read_json(folder / "partial.json")
    have = _size(partial) if begun.get("validator") else 0
    # As it is on the wire: a length of the compressed body says nothing of the file.
    headers = {"Accept-Encoding": "identity"}
    if known:
        headers |= {"If-None-Match": known.etag} if known.etag else {}
        headers |= {"If-Modified-Since": known.last_modified} if known.last_modified else {}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": str(begun["validator"])}
    try:
        response = session.get(address, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
    except requests.exceptions.ChunkedEncodingError as error:
        raise _CutOffError(first_line(error)) from error
    with response:
        if response.status_code == requests.codes.not_modified and known:
            _forget_partial(folder)
            return _remember(folder, known, unchanged=True)
        if response.status_code == requests.codes.requested_range_not_satisfiable and have:
            _forget_partial(folder)
            raise _CutOffError("the server has no such range")
        _check_status(address, response)
        resumed = response.status_code == requests.codes.partial_content
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            _forget_partial(folder)
            raise _CutOffError("the server gave another range than it was asked for")
        return _received(address, folder, response, have if resumed else 0, progress)


def _received(
    address: str, folder: Path, response: "requests.Response", have: int, progress: Progress | None
) -> Download:
    """The file of an answer, taken in after the bytes that are there, checked and kept."""
    name, partial = _name(address), folder / "partial"
    etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
    _write_json(folder / "partial.json", {"validator": etag if etag and not etag.startswith("W/") else modified})
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdigit() else None
    size = have
    with partial.open("ab" if have else "wb") as file:
        for block in _blocks(response):
            if not size:
                _refuse_page(address, block, response.headers.get("Content-Type", ""))
            file.write(block)
            size += len(block)
            if progress:
                progress(name, size, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and size < total:
        raise _CutOffError(f"{size:,} of {total:,} bytes came")
    if not size:
        _forget_partial(folder)
        raise SourceError(f"{address}: the file is empty. Wait for the publisher to mend it, or check the address")
    _check_end(address, folder, length_known=total is not None)
    with partial.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    kept = folder / sha256[:12] / name
    kept.parent.mkdir(exist_ok=True)
    partial.replace(kept)
    download = Download(kept, name, size, sha256, etag, modified, "", False)
    return _remember(folder, download, unchanged=False)


def _blocks(response: "requests.Response") -> Iterator[bytes]:
    """The body as it came over the wire.

    Raises:
        _CutOffError: the connection broke.
    """
    from urllib3.exceptions import HTTPError

    try:
        yield from response.raw.stream(_BLOCK, decode_content=False)
    except (HTTPError, ConnectionError) as error:
        raise _CutOffError(first_line(error)) from error


def _check_end(address: str, folder: Path, length_known: bool) -> None:
    """Refuse an archive without its end. A gzip file has to be unpacked for that, so only if nothing told its length.

    Raises:
        _CutOffError: it ends before its end.
    """
    partial = folder / "partial"
    with partial.open("rb") as file:
        magic = file.read(4)
        if magic == _ZIP and not zipfile.is_zipfile(file):
            _forget_partial(folder)
            raise _CutOffError("the zip archive has no end")
        if not magic.startswith(_GZIP) or length_known:
            return
        file.seek(0)
        unpack, ended = isal_zlib.decompressobj(wbits=31), False
        try:
            while block := file.read(_BLOCK):
                while block:
                    unpack.decompress(block)
                    block, ended = unpack.unused_data, unpack.eof
                    if ended:
                        unpack = isal_zlib.decompressobj(wbits=31)
        except cast(type[Exception], isal_zlib.error) as error:  # its stub takes the class for an instance
            _forget_partial(folder)
            raise SourceError(f"{address}: is damaged gzip ({error}). Try again, or ask its publisher") from error
        if not ended:
            _forget_partial(folder)
            raise _CutOffError("the gzip file has no end")


# ---------------------------------------------------------------- what is wrong with an answer


def _check_status(address: str, response: "requests.Response") -> None:
    code = response.status_code
    if code in (200, 206):
        return
    came = f"{code} {response.reason}".strip()
    publisher = next((p for p in PUBLISHERS if p.address == address), None)
    elsewhere = f"Look on {publisher.page} and set {publisher.variable}" if publisher else "Check HOUSING_SOURCE_URI"
    by_hand = "download it with a browser and name the file in HOUSING_SOURCE_URI"
    if code in (401, 403):
        told = f"refused ({came}): it needs a login or turns programs away. {elsewhere}, or {by_hand}"
    elif code in (404, 410):
        told = f"there is no such file ({came}): it may have moved. {elsewhere}"
    elif code == 429:
        wait = response.headers.get("Retry-After", "")
        when = f"in {wait} seconds" if wait.isdigit() else f"after {wait}" if wait else "in an hour"
        told = f"asked too often ({came}). Try again {when}"
    elif code >= 500:
        told = f"its server fails ({came}), also when asked again. Try later, or {by_hand}"
    else:
        told = f"answered {came}, no file. {elsewhere}"
    raise SourceError(f"{address}: {told}")


def _refuse_page(address: str, head: bytes, content_type: str) -> None:
    if not (_PAGE.match(head) or content_type.split(";", maxsplit=1)[0].strip().lower() == "text/html"):
        return
    title = _TITLE.search(head[:65_536])
    words = " ".join(title[2].decode(errors="replace").split())[:100] if title else ""
    shown = f" ({words!r})" if words else ""
    raise SourceError(
        f"{address}: gave a page{shown} instead of data: an error, a login, or a notice that the file has moved. "
        "Open the address in a browser, and name the file itself in HOUSING_SOURCE_URI"
    )


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Turn what requests and the disk raise into a SourceError that says what to do."""
    import requests

    try:
        yield
    except requests.exceptions.SSLError as error:
        raise SourceError(
            f"{address}: its certificate is not trusted ({first_line(error)}). "
            "Check the clock, or set REQUESTS_CA_BUNDLE"
        ) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as e:
        raise SourceError(f"{address}: is no address of the web: write https://host/path") from e
    except requests.exceptions.TooManyRedirects as error:
        raise SourceError(
            f"{address}: leads in a circle. Open it in a browser and use the address it ends at"
        ) from error
    except requests.exceptions.Timeout as error:
        raise SourceError(f"{address}: gave no answer in time. Check the network, or try again later") from error
    except requests.exceptions.RequestException as error:
        raise SourceError(
            f"{address}: cannot be reached ({first_line(error)}). Check the address, the network and HTTPS_PROXY"
        ) from error
    except OSError as error:
        raise SourceError(
            f"{address}: cannot be kept ({error.strerror or error}). Make room, or check the rights of {CACHE.parent}"
        ) from error


# ---------------------------------------------------------------- the cache


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the system lets go when it ends, however that is."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _known(folder: Path) -> Download | None:
    """What the cache has of an address; None if that is nothing or damaged."""
    told = _read_json(folder / "file.json")
    try:
        download = Download(**{**told, "path": folder / str(told["path"]), "unchanged": False})
        with download.path.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == download.sha256
    except (KeyError, TypeError, OSError):
        return None
    return download if whole else None


def _is_fresh(download: Download) -> bool:
    has_validator = bool(stamp_of(download.etag, download.last_modified))
    return not has_validator and datetime.now(UTC) - datetime.fromisoformat(download.fetched_at) < _FRESH


def _remember(folder: Path, download: Download, unchanged: bool) -> Download:
    """Make a download the one of its address; others that were are removed."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = {**asdict(download), "path": str(download.path.relative_to(folder)), "fetched_at": now}
    _write_json(folder / "file.json", told)
    for other in folder.iterdir():
        if other.is_dir() and other != download.path.parent:
            shutil.rmtree(other, ignore_errors=True)
    return Download(**{**asdict(download), "fetched_at": now, "unchanged": unchanged})


def _trim(cache: Path, current: Path) -> None:
    """Remove the files that were used longest ago, while all of them are more than the cache may hold."""
    folders = {f: sum(_size(p) for p in f.rglob("*")) for f in cache.iterdir() if f.is_dir()}
    total = sum(folders.values())
    for folder in sorted(folders, key=_used):
        if total <= CACHE_BYTES:
            return
        if folder != current:
            shutil.rmtree(folder, ignore_errors=True)
            total -= folders[folder]


def _used(folder: Path) -> float:
    try:
        return (folder / "used").stat().st_mtime
    except OSError:
        return 0.0


def _forget_partial(folder: Path) -> None:
    (folder / "partial").unlink(missing_ok=True)
    (folder / "partial.json").unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _name(address: str) -> str:
    return Path(unquote(urlsplit(address).path)).name or "download"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _write_json(path: Path, told: dict[str, Any]) -> None:
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(told))
    aside.replace(path)
