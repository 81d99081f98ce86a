"""The addresses of HOUSING_SOURCE_URI: where each is read, and what tells that it changed."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from housing_assets.config.settings import Settings
from housing_assets.core.errors import SourceError
from housing_assets.core.source.files import list_files
from housing_assets.ingestion.downloads import fetch, is_web, remote_stamp, stamp_of
from housing_assets.ingestion.publishers import Publisher, publisher_of
from housing_assets.ingestion.source import source_uri
from housing_assets.store.vintages import PublishedFile


@dataclass(frozen=True)
class Address:
    """One source as the settings name it.

    Attributes:
        text: as it was given: also what identifies it.
        place: where it is read: a path, `s3://…` or `https://…`.
        publisher: whose it is, where that is known from the address.
    """

    text: str
    place: str
    publisher: Publisher | None = None


@dataclass(frozen=True)
class FetchedSource:
    """A source that can be opened.

    Attributes:
        address: that it is of.
        uri: path or `s3://…`, for `open_source`.
        stamp: the same while its files are.
        files: that it consists of.
        published_at: when the publisher wrote them; None where that is not known.
    """

    address: Address
    uri: str
    stamp: str
    files: tuple[PublishedFile, ...]
    published_at: datetime | None = None


def addresses_of(settings: Settings) -> list[Address]:
    """The sources in their order; the generated sample as one of them.

    Raises:
        SourceError: a publisher's variable is no address.
    """
    if settings.uses_sample:
        return [Address(settings.source_label, str(settings.sample_path))]
    urls = {"HOUSING_ZILLOW_URL": settings.zillow_url, "HOUSING_REDFIN_URL": settings.redfin_url}
    found = [(text, publisher_of(text, urls)) for text in settings.addresses]
    return [Address(text, publisher.address if publisher else text, publisher) for text, publisher in found]


def files_stamp(uri: str) -> str:
    """Digest of a source's listing: names, sizes, and modification times (S3: ETags). Cheap to ask for often.

    Raises:
        SourceError: the source cannot be found.
    """
    try:
        stamps = [
            f"{file.name}\0{file.size}\0{file.etag or Path(file.location).stat().st_mtime_ns}\n"
            for file in list_files(uri)[0]
        ]
    except FileNotFoundError as error:
        raise SourceError(f"{uri}: {error.filename} went away while it was looked at") from error
    return hashlib.sha256("".join(stamps).encode()).hexdigest()


def current_stamp(address: Address) -> str:
    """What `fetch_source` would say as the stamp, without fetching; empty if the server does not tell.

    Raises:
        SourceError: the source cannot be found.
    """
    return remote_stamp(address.place) if is_web(address.place) else files_stamp(address.place)


def fetch_source(address: Address, settings: Settings, progress: Callable[[str], None]) -> FetchedSource:
    """A source, downloaded if it is of the web.

    Raises:
        SourceError: it cannot be reached, or is no data.
    """
    if is_web(address.place):
        progress(f"asking {address.place}")
        got = fetch(address.place, progress=_shown(progress))
        progress(f"{got.name}: {'not changed' if got.unchanged else f'{got.size / 1e6:.1f} MB'}")
        file = PublishedFile(got.name, got.size, got.sha256, got.etag, got.last_modified)
        stamp = stamp_of(got.etag, got.last_modified) or got.sha256
        return FetchedSource(address, str(got.path), stamp, (file,), got.published_at)
    uri = source_uri(settings, progress) if settings.uses_sample else address.place
    stamp = files_stamp(uri)
    files = tuple(PublishedFile(f.name, f.size, etag=f.etag) for f in list_files(uri)[0])
    return FetchedSource(address, uri, stamp, files)


def _shown(progress: Callable[[str], None], every: int = 100 << 20) -> Callable[[str, int, int | None], None]:
    """Progress in words, once for so many bytes."""
    shown = 0

    def show(name: str, size: int, total: int | None) -> None:
        nonlocal shown
        if size >= shown + every:
            shown = size
            progress(f"{name}: {size / 1e6:,.0f} MB" + (f" of {total / 1e6:,.0f} MB" if total else ""))

    return show
