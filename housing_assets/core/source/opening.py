"""Opening a file as bytes or as text, gzipped or not."""

import gzip
import io
from pathlib import Path
from typing import BinaryIO, cast

from housing_assets.core.errors import SourceError


def open_bytes(path: Path) -> BinaryIO:
    """A file as bytes, with its gzip taken off."""
    return cast(BinaryIO, gzip.open(path)) if path.name.lower().endswith(".gz") else path.open("rb")


def open_text(path: Path) -> io.TextIOWrapper:
    """A file as UTF-8 text, with its gzip taken off; a byte order mark is left out."""
    return io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="")


def not_utf8_error(name: str) -> SourceError:
    """The error of a file whose text is not UTF-8."""
    return SourceError(f"{name}: the text is not UTF-8: save it again with that encoding")
