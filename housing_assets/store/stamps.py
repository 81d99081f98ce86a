"""The stamp of a file: what tells one content from another."""

import hashlib

SHA256 = "sha256"
"""Under which an object's metadata has the sha256 of its content."""


class Stamp(str):
    """The sha256 of a content, the same wherever it is written and however it came there.

    Attributes:
        etag: what earlier versions of the platform took for it: S3's ETag, of a file the same of an upload in one part.
    """

    etag: str

    def __new__(cls, sha256: str, etag: str = "") -> "Stamp":
        """The stamp of a sha256 in hexadecimal."""
        stamp = super().__new__(cls, sha256)
        stamp.etag = etag
        return stamp


def content_stamp(data: bytes) -> Stamp:
    """The stamp of a content."""
    etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    return Stamp(hashlib.sha256(data).hexdigest(), etag)
