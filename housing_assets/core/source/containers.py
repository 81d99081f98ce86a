"""Opening a file as UTF-8 bytes: archives are taken off by their first bytes, never by the file's name."""

import codecs
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pyarrow as pa
from isal import igzip, isal_zlib

from housing_assets.core.errors import SourceError
from housing_assets.core.text import first_line

GZIP, ZSTANDARD, ZIP, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PAR1"
_EMPTY_ZIP = b"PK\x05\x06"
_UNSUPPORTED = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip", b"Rar!": "RAR"}
_DOCUMENTS = {b"\xd0\xcf\x11\xe0": "an Excel workbook", b"%PDF": "a PDF document"}
_WORKBOOKS = {"xl/workbook.xml": "an Excel workbook", "content.xml": "an OpenDocument spreadsheet"}
"""Members by which a zip is a spreadsheet's file."""
_DAMAGED: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    zlib.error,
    cast(type[Exception], isal_zlib.error),  # its stub takes the class for an instance
    zipfile.BadZipFile,
    pa.ArrowException,
    NotImplementedError,
)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextmanager
def damage_errors(name: str) -> Iterator[None]:
    """Turn what a damaged or cut-off file raises into a SourceError that names it."""
    try:
        yield
    except _DAMAGED as error:
        reason = "a password is asked for" if "encrypted" in str(error) else first_line(error)
        raise SourceError(
            f"{name}: cannot be read, or is damaged or cut off: {reason}: copy, download or export it again"
        ) from error


def magic_of(path: Path) -> bytes:
    """The first bytes of a file, enough to tell archives from text."""
    with path.open("rb") as stream:
        return stream.read(8)


def open_bytes(path: Path, name: str) -> io.BufferedReader:
    """The content of a file, out of its gzip, zip or zstandard archive, as UTF-8 without a byte order mark.

    Content that is not text comes as it is. What is damaged raises while it is read: see `damage_errors`.

    Raises:
        SourceError: the archive is of a kind that is not read, or a zip holds no single file.
    """
    stream = _unpacked(path, name)
    head = stream.peek(4)[:4]
    if head[:2] in _UTF16:
        return io.BufferedReader(_AsUtf8(stream), 1 << 20)
    if head.startswith(codecs.BOM_UTF8):
        stream.read(3)
    return stream


def open_text(path: Path, name: str) -> io.TextIOWrapper:
    """`open_bytes` as text."""
    return io.TextIOWrapper(open_bytes(path, name), encoding="utf-8", newline="")


def not_utf8_error(name: str) -> SourceError:
    """The error of a file whose text is neither UTF-8 nor UTF-16."""
    return SourceError(f"{name}: the text is not UTF-8: save it again with that encoding")


def _unpacked(path: Path, name: str) -> io.BufferedReader:
    magic = magic_of(path)
    if magic.startswith(GZIP):
        return io.BufferedReader(cast(io.RawIOBase, igzip.open(path)), 1 << 20)
    if magic.startswith(ZSTANDARD):
        # The file itself is closed with the stream that decompresses it.
        compressed = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return io.BufferedReader(cast(io.RawIOBase, _Arrow(compressed)), 1 << 20)
    if magic.startswith((ZIP, _EMPTY_ZIP)):
        archive = zipfile.ZipFile(path)
        return io.BufferedReader(cast(io.RawIOBase, archive.open(_member(archive, name))), 1 << 20)
    for mark, kind in _UNSUPPORTED.items():
        if magic.startswith(mark):
            raise SourceError(f"{name}: is packed by {kind}: unpack it, or pack it by gzip, zip or zstandard")
    for mark, kind in _DOCUMENTS.items():
        if magic.startswith(mark):
            raise _document_error(name, kind)
    return path.open("rb")


def _document_error(name: str, kind: str) -> SourceError:
    return SourceError(
        f"{name}: is {kind}, not a text table: open it, save the sheet as CSV (UTF-8), and name that file"
    )


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """The one data file of a zip; what operating systems and people put beside it does not count."""
    for member, kind in _WORKBOOKS.items():
        if member in archive.namelist():
            raise _document_error(name, kind)
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith(("__MACOSX/", "."))]
    data = [m for m in members if not Path(m.filename).name.casefold().startswith(("readme", "license", "."))]
    if len(data) != 1:
        shown = ", ".join(m.filename for m in data[:5]) or "nothing"
        raise SourceError(f"{name}: this zip holds {len(data)} data files ({shown}): unpack it, and name one file")
    return data[0]


class _Arrow(io.RawIOBase):
    """A stream of pyarrow as a raw stream of Python."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _AsUtf8(io.RawIOBase):
    """UTF-16 text as UTF-8 bytes."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._rest:
            data = self._stream.read(len(buffer))
            self._rest = self._decoder.decode(data, final=not data).encode()
            if not data:
                break
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()
