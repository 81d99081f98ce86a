"""The stamp of a file: what tells one content from another."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

SHA256 = "sha256"
"""Under which an object's metadata has the sha256 of its content."""


class Stamp(str):
    """The sha256 of a content, the same wherever it is written and however it came there."""

    _etag: Callable[[], str]

    def __new__(cls, sha256: str, etag: Callable[[], str] = str) -> "Stamp":
        """The stamp of a sha256 in hexadecimal.

        Args:
            sha256: of the content.
            etag: makes the ETag, when it is asked for. It can be pickled, as the dashboard does with what it has read.
        """
        stamp = super().__new__(cls, sha256)
        stamp._etag = etag
        return stamp

    @property
    def etag(self) -> str:
        """What earlier versions of the platform took for it: S3's ETag, of a file the same of an upload in one part.

        Few ask for it, and a whole store's would take seconds.
        """
        return self._etag()


def file_stamp(path: Path) -> Stamp:
    """The stamp of a file's content.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return Stamp(hashlib.file_digest(file, "sha256").hexdigest(), partial(_etag_of_file, path))


def content_stamp(data: bytes) -> Stamp:
    """The stamp of a content."""
    return Stamp(hashlib.sha256(data).hexdigest(), partial(_etag_of, data))


def _etag_of(data: bytes) -> str:
    """S3's ETag of a content that was uploaded in one part."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _etag_of_file(path: Path) -> str:
    return _etag_of(path.read_bytes())
