"""The stamp of a file: what tells one content from another."""

import hashlib
from collections.abc import Callable

SHA256 = "sha256"
"""Under which an object's metadata has the sha256 of its content."""


class Stamp(str):
    """The sha256 of a content, the same wherever it is written and however it came there."""

    _etag: Callable[[], str]

    def __new__(cls, sha256: str, etag: Callable[[], str] = str) -> "Stamp":
        """The stamp of a sha256 in hexadecimal.

        Args:
            sha256: of the content.
            etag: makes the ETag, when it is asked for.
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


def content_stamp(data: bytes) -> Stamp:
    """The stamp of a content."""
    return Stamp(hashlib.sha256(data).hexdigest(), lambda: etag_of(data))


def etag_of(data: bytes) -> str:
    """S3's ETag of a content that was uploaded in one part."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
