"""Reading a CSV file, block by block."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from housing_assets.core.errors import SourceError
from housing_assets.core.panel.schema import BY_NAME, COLUMN_NAMES
from housing_assets.core.prefetch import prefetch_map
from housing_assets.core.source.diagnosis import diagnose_csv
from housing_assets.core.source.opening import not_utf8_error, open_bytes, open_text
from housing_assets.core.source.values import NULLS, Problem, Rules, check_columns, normalize_rows
from housing_assets.core.text import first_line

BLOCK_BYTES = 16 << 20

_PARSE_BYTES = 2 << 20

_LONGEST_ROW_BYTES = 64 << 20


# ---------------------------------------------------------------- CSV


def read_csv(path: Path, name: str, rules: Rules, notes: list[str]) -> Iterator[pl.DataFrame]:
    """The rows of a CSV file, block by block, in the types of the column contract.

    Raises:
        SourceError: the file breaks the contract, is not UTF-8, or is damaged.
    """
    header = _csv_header(path, name)
    check_columns(header, name, rules, notes)
    wanted = [n for n in COLUMN_NAMES if n in header]
    convert = pa_csv.ConvertOptions(
        column_types={n: pa.float64() if BY_NAME[n].kind == "number" else pa.string() for n in wanted},
        include_columns=wanted,
        null_values=NULLS,
        strings_can_be_null=True,
    )

    def parsed(numbered: tuple[int, bytes]) -> tuple[pl.DataFrame, list[Problem]]:
        number, block = numbered
        table = pa_csv.read_csv(
            pa.BufferReader(block),
            read_options=pa_csv.ReadOptions(column_names=header if number else None, block_size=_PARSE_BYTES),
            parse_options=pa_csv.ParseOptions(newlines_in_values=b'"' in block),
            convert_options=convert,
        )
        return normalize_rows(cast(pl.DataFrame, pl.from_arrow(table)), rules)

    try:
        with open_bytes(path) as stream:
            for frame, bad in prefetch_map(parsed, enumerate(_blocks(stream)), "parse"):
                if bad:
                    raise diagnose_csv(path, name, header, rules, bad[0].text)
                yield frame
    except (pa.ArrowException, csv.Error) as error:
        raise diagnose_csv(path, name, header, rules, first_line(error)) from error


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Pieces that end where a row ends, each parsed on all cores.

    pyarrow's own streaming reader converts on one core and takes about twice as long.

    Raises:
        csv.Error: quotes do not pair.
    """
    rest = b""
    while data := stream.read(BLOCK_BYTES):
        rest += data
        cut = _row_end(rest)
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > _LONGEST_ROW_BYTES:
            raise csv.Error(f"no row ends within {_LONGEST_ROW_BYTES >> 20} MB: mend its quotes and line ends")
    if rest.count(b'"') % 2:  # pyarrow would take all that follows for one value
        raise csv.Error("a double quote is never closed")
    if rest.strip():
        yield rest


def _row_end(data: bytes) -> int:
    """Length of the whole rows in `data`: up to the last newline that is not inside quotes; 0 if none."""
    cut = data.rfind(b"\n") + 1
    quotes = data.count(b'"', 0, cut)
    while cut and quotes % 2:
        before = data.rfind(b"\n", 0, cut - 1) + 1
        quotes -= data.count(b'"', before, cut)
        cut = before
    return cut


def _csv_header(path: Path, name: str) -> list[str]:
    """Column names of a CSV, after checks that it is one."""
    with open_bytes(path) as stream:
        head = stream.read(1 << 16)
    if not head.strip():
        raise SourceError(f"{name}: the file is empty: export it again")
    if head.startswith(b"PAR1"):
        raise SourceError(f"{name}: is a Parquet file: rename it to end in .parquet")
    if b"\0" in head:
        raise SourceError(f"{name}: holds binary content, not CSV text in UTF-8: export it again as CSV")
    with open_text(path) as lines:
        try:
            filled = (row for row in csv.reader(lines) if row)
            header, first = next(filled, []), next(filled, None)
        except UnicodeDecodeError as error:
            raise not_utf8_error(name) from error
        except csv.Error as error:
            raise SourceError(f"{name}: its first lines cannot be read ({error}): export it again") from error
    if len(header) == 1:
        for mark, spelled in ((";", "';'"), ("\t", "a tab"), ("|", "'|'")):
            if mark in header[0]:
                raise SourceError(f"{name}: its columns are separated by {spelled}: export it with commas")
    if first is None:
        raise SourceError(f"{name}: has a header but no rows: export it again")
    return header
