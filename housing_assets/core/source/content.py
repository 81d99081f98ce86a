"""What a file looks like from outside: its header and first rows, whatever it is packed in and separated by.

What belongs here: everything that is the same for each layout. What does not: the names of any layout.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from housing_assets.core.errors import SourceError
from housing_assets.core.source.containers import (
    PARQUET,
    damage_errors,
    magic_of,
    not_utf8_error,
    open_bytes,
    open_text,
)
from housing_assets.core.text import first_line

HEAD_BYTES = 1 << 18
_HEAD_ROWS = 50
_DELIMITERS = ",\t;|"
_SEP = re.compile(r"sep=(.)", re.IGNORECASE)
_HIVE = re.compile(r"([^=/]+)=([^=/]+)")


@dataclass(frozen=True)
class Content:
    """One file, as far as its head tells.

    Attributes:
        path: on this machine.
        name: what messages call it.
        header: names of its columns, without spaces around them.
        rows: its first rows as text; none for Parquet.
        delimiter: between values of a row.
        preamble: lines before the header: comments, blank lines, `sep=`.
        schema: of a Parquet file; None for text.
        folder_values: columns given by hive folders (`year=2020/`) of its path.
    """

    path: Path
    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    delimiter: str = ","
    preamble: int = 0
    schema: pa.Schema | None = None
    folder_values: Mapping[str, str] = field(default_factory=dict)

    def positions(self) -> dict[str, int]:
        """Position of each column by its plain name: lower case, one space for spaces and underscores."""
        places: dict[str, int] = {}
        for i, name in enumerate(self.header):
            places.setdefault(plain_name(name), i)
        return places

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """The text as UTF-8 bytes, from the header on."""
        with open_bytes(self.path, self.name) as stream:
            for _ in range(self.preamble):
                stream.readline()
            yield stream

    @contextmanager
    def open_text(self) -> Iterator[io.TextIOWrapper]:
        """The text, from the header on."""
        with open_text(self.path, self.name) as stream:
            for _ in range(self.preamble):
                stream.readline()
            yield stream


def plain_name(name: str) -> str:
    """A column's name for comparison: case, spaces and underscores do not count."""
    return " ".join(name.casefold().replace("_", " ").split())


def look(path: Path, name: str) -> Content:
    """Look into the head of a file.

    Args:
        path: the file, on this machine.
        name: what messages call it; its folders may give columns (`year=2020/part.csv`).

    Raises:
        SourceError: it is empty, damaged, no table (a web page, JSON, binary), or has no rows.
    """
    values = {m[1]: m[2] for part in name.split("/")[:-1] if (m := _HIVE.fullmatch(part))}
    with damage_errors(name):
        if path.stat().st_size == 0:
            raise SourceError(f"{name}: the file is empty: export it again")
        if magic_of(path).startswith(PARQUET):
            return _look_at_parquet(path, name, values)
        if name.lower().endswith(".parquet"):
            raise not_parquet_error(name, "its first bytes are not PAR1")
        with open_bytes(path, name) as stream:
            head = stream.read(HEAD_BYTES)
            whole = len(head) < HEAD_BYTES or not stream.read(1)
    text = _text_of(head, whole, name)
    lines = text.splitlines(keepends=True)
    preamble, delimiter = _preamble(lines)
    body = "".join(lines[preamble:])
    delimiter = delimiter or likely_delimiter(body)
    try:
        filled = (row for row in csv.reader(io.StringIO(body, newline=""), delimiter=delimiter) if row)
        rows = list(itertools.islice(filled, _HEAD_ROWS + 1))
    except csv.Error as error:
        raise SourceError(f"{name}: its first lines cannot be read ({error}): export it again") from error
    if not whole and rows and len(rows) <= _HEAD_ROWS:
        rows.pop()  # it may be cut
    if not rows:
        raise SourceError(f"{name}: its first lines cannot be read (they are too long): export it again")
    if len(rows) == 1 and whole:
        raise SourceError(f"{name}: has a header but no rows: export it again")
    header = tuple(column.strip() for column in rows[0])
    return Content(path, name, header, tuple(map(tuple, rows[1:])), delimiter, preamble, folder_values=values)


def _look_at_parquet(path: Path, name: str, values: dict[str, str]) -> Content:
    try:
        with pa_parquet.ParquetFile(path) as file:
            if file.metadata.num_rows == 0:
                raise SourceError(f"{name}: has columns but no rows: export it again")
            schema = file.schema_arrow
    except pa.ArrowException as error:
        raise not_parquet_error(name, error) from error
    return Content(path, name, tuple(n.strip() for n in schema.names), schema=schema, folder_values=values)


def not_parquet_error(name: str, error: Exception | str) -> SourceError:
    """The error of a Parquet file that is damaged or cut off."""
    return SourceError(f"{name}: not a whole Parquet file ({first_line(error)}): export it again")


def _text_of(head: bytes, whole: bool, name: str) -> str:
    if not head.strip():
        raise SourceError(f"{name}: the file is empty: export it again")
    if b"\0" in head:
        raise SourceError(f"{name}: holds binary content, not CSV text in UTF-8: export it again as CSV")
    cut = head if whole else head[: max(head.rfind(b"\n") + 1, 1)]
    try:
        text = cut.decode()
    except UnicodeDecodeError as error:
        raise not_utf8_error(name) from error
    start = text.lstrip()[:1]
    shown = first_line(text)[:80]
    if start == "<":
        raise SourceError(
            f"{name}: is a web page or XML, not a table (it begins {shown!r}): the address may have answered with an "
            "error or a login page. Download the file itself"
        )
    if start in ("{", "["):
        raise SourceError(f"{name}: is JSON, not a table (it begins {shown!r}): export it as CSV or Parquet")
    return text


def _preamble(lines: list[str]) -> tuple[int, str | None]:
    """Number of lines before the header, and the delimiter that a `sep=` line names."""
    delimiter = None
    for count, line in enumerate(lines):
        stripped = line.strip("\r\n")
        if match := _SEP.fullmatch(stripped.strip('"')):
            delimiter = match[1]
        elif stripped.strip() and not stripped.lstrip().startswith("#"):
            return count, delimiter
    return 0, delimiter


def likely_delimiter(body: str) -> str:
    """The mark that cuts the first line into the most values."""
    line = body.split("\n", 1)[0]

    def width(mark: str) -> int:
        try:
            return len(next(csv.reader([line], delimiter=mark), []))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=width)
