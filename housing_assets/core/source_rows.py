"""One raw file as a stream of frames that have the types of the column contract.

What belongs here: how CSV and Parquet are read, what a valid value is, and how a message finds the line of
an invalid one. What does not: which files there are (`source_files`) and what happens to rows (`source`).

A CSV is read fast, by pyarrow, which cannot say where a bad value stands. Only when that fails is the file
read again with the csv module, which can.
"""

import csv
import difflib
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from housing_assets.core.ahead import map_ahead
from housing_assets.core.errors import SourceError
from housing_assets.core.months import month_end, month_of
from housing_assets.core.schema import BY_NAME, COLUMN_NAMES, COLUMNS, REQUIRED
from housing_assets.core.text import first_line

BLOCK_BYTES = 16 << 20
_PARSE_BYTES = 2 << 20
_LONGEST_ROW_BYTES = 64 << 20
_PARQUET_ROWS = 32_768
_DIAGNOSIS_ROWS = 8_192
_LISTED = 5
_NEAR = 0.75
_NULLS = ("", "nan", "NaN", "Nan", "NAN", "null", "NULL", "na", "NA")
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_ZIP = re.compile(r"([0-9]{1,5})(\.0+)?")
_FIRST_YEAR, _LAST_YEAR = 1900, 2100


@dataclass(frozen=True)
class Rules:
    """What is asked of a file beyond the contract's types.

    Attributes:
        required: columns the file must have.
        filled: columns that must not be empty where the file has them.
        latest: last month a row may speak of; None allows the future.
    """

    required: tuple[str, ...]
    filled: frozenset[str]
    latest: str | None = None


def panel_rules(today: date) -> Rules:
    """What is asked of the panel. An empty price is left to cleaning, which counts it."""
    return Rules(REQUIRED, frozenset({"date", "zipcode", "city_full"}), month_of(today))


PREDICT_RULES = Rules(("date", "zipcode"), frozenset({"date", "zipcode"}))
"""What is asked of rows to predict: a place and a month."""


@dataclass(frozen=True)
class Problem:
    """One invalid value, or one row that is no row (then `column` is empty)."""

    row: int
    column: str
    text: str


def read_frames(path: Path, name: str, rules: Rules, notes: list[str]) -> Iterator[pl.DataFrame]:
    """Frames of one file in row order, with the columns, order and types of `RAW_SCHEMA`.

    Dates are moved to the end of their month. Extra columns are added to `notes`.

    Args:
        path: the file, on this machine.
        name: what messages call it.
        rules: what is asked of it.
        notes: receives what a person should know though it is no error.

    Raises:
        SourceError: the file is unreadable, empty, or breaks the contract; it names the first bad values.
    """
    reader = _read_parquet if path.name.lower().endswith(".parquet") else _read_csv
    try:
        yield from reader(path, name, rules, notes)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{name}: cannot be read, or is damaged: {error}: copy or export it again") from error


# ---------------------------------------------------------------- columns


def _check_columns(names: list[str], name: str, rules: Rules, notes: list[str]) -> None:
    """Refuse missing, repeated and misspelled columns; note the extra ones."""
    repeated = sorted({n for n in names if names.count(n) > 1 and n in BY_NAME})
    if repeated:
        raise SourceError(f"{name}: column {repeated[0]!r} occurs more than once: keep one of them")
    extra = [n for n in dict.fromkeys(names) if n not in BY_NAME]
    for column in rules.required:
        if column not in names:
            near = _nearest(column, extra, cutoff=0.6)
            hint = f"did you mean {near!r}? Rename it" if near else f"the file has {', '.join(names[:50])}"
            raise SourceError(f"{name}: column {column!r} is missing; {hint}")
    absent = [n for n in COLUMN_NAMES if n not in names]
    for column in extra:
        near = _nearest(column, absent, cutoff=_NEAR)
        if near:
            raise SourceError(f"{name}: column {column!r} is unknown; did you mean {near!r}? Rename it, or remove it")
    if extra:
        notes.append(f"{name}: ignored columns that are not in the contract: {', '.join(map(repr, extra))}")


def _nearest(name: str, among: list[str], cutoff: float) -> str | None:
    """The most similar of some names, whatever their case, spaces and underscores."""

    def plain(text: str) -> str:
        return text.strip().casefold().replace("_", " ")

    known = {plain(n): n for n in among}
    near = difflib.get_close_matches(plain(name), known, n=1, cutoff=cutoff)
    return known[near[0]] if near else None


# ---------------------------------------------------------------- values


def _normalize(frame: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, list[Problem]]:
    """Bring raw columns to the contract's types; the problems count rows from 0 and come in row order."""
    clean: list[pl.Series] = []
    problems: list[Problem] = []
    for column in COLUMNS:
        name = column.name
        if name not in frame.columns:
            clean.append(pl.Series(name, [None], dtype=column.dtype).new_from_index(0, frame.height))
            continue
        raw = frame[name]
        if column.kind == "number":
            values = _numbers(raw)
        elif column.kind == "date":
            values = _dates(raw, rules)
        else:
            values = _translated(raw, _parse_zip if name == "zipcode" else _parse_text, pl.String())
        clean.append(values.alias(name))
        if values.null_count() == 0 or (values.null_count() == raw.null_count() and name not in rules.filled):
            continue
        missing = _is_missing(raw, column.kind)
        for i in (values.is_null() & ~missing).arg_true().head(_LISTED):
            problems.append(Problem(i, name, _complaint(name, raw[i], rules)))
        if name in rules.filled:
            for i in missing.arg_true().head(_LISTED):
                problems.append(Problem(i, name, "is empty: fill it in, or remove the row"))
    return pl.DataFrame(clean), sorted(problems, key=lambda p: (p.row, COLUMN_NAMES.index(p.column)))


def _is_missing(raw: pl.Series, kind: str) -> pl.Series:
    """Where a raw value says that there is none; a blank is no number, as pyarrow has it."""
    if raw.dtype.is_float():
        return raw.is_null() | raw.is_nan().fill_null(False)
    if raw.dtype == pl.String:
        text = raw if kind == "number" else raw.str.strip_chars()
        return text.is_null() | text.is_in(_NULLS).fill_null(False)
    return raw.is_null()


def _numbers(raw: pl.Series) -> pl.Series:
    """Numbers; null where there is none or the value is no finite number."""
    if raw.dtype.is_numeric() or raw.dtype in (pl.Boolean, pl.Null):
        values = raw.cast(pl.Float64)
    else:
        text = raw.cast(pl.String).str.strip_chars()
        digits = text.str.strip_prefix("+")
        values = digits.set(~text.str.contains(_NUMBER), None).cast(pl.Float64, strict=False)
    return values if values.is_finite().all() else values.set(~values.is_finite(), None)


def _dates(raw: pl.Series, rules: Rules) -> pl.Series:
    """Month ends; null where there is no date, or one the rules do not allow."""
    typed = raw.dtype in (pl.Date, pl.Datetime)
    days = raw.dt.date() if typed else _translated(raw, _parse_day, pl.Date())
    last = date(_LAST_YEAR, 12, 31) if rules.latest is None else month_end(rules.latest)
    in_range = days.is_between(date(_FIRST_YEAR, 1, 1), last)
    return (days if in_range.all() else days.set(~in_range, None)).dt.month_end()


def _translated(raw: pl.Series, parse: Callable[[str], Any], dtype: pl.DataType) -> pl.Series:
    """Each distinct text parsed once: a panel has few dates, zips and metros for its many rows."""
    text = raw.cast(pl.String)
    distinct = text.drop_nulls().unique()
    parsed = pl.Series([parse(value.strip()) for value in distinct], dtype=dtype)
    return text.replace_strict(distinct, parsed, default=None, return_dtype=dtype)


def _parse_day(text: str) -> date | None:
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        return None


def _parse_zip(text: str) -> str | None:
    match = _ZIP.fullmatch(text)
    return match[1].zfill(5) if match else None


def _parse_text(text: str) -> str | None:
    return None if text in _NULLS else text


def _complaint(column: str, value: object, rules: Rules) -> str:
    """What is wrong with a value, and what to write instead."""
    text = str(value)
    shown = repr(text if len(text) <= 40 else text[:40] + "...")
    if column == "zipcode":
        return f"{shown} is not a ZIP code: write at most 5 digits"
    if column != "date":
        return f"{shown} is not a number: write a finite number such as 1234.5, or leave it empty"
    day = _parse_day(text.strip())
    if day and rules.latest and month_of(day) > rules.latest:
        return f"{shown} lies in the future (this month is {rules.latest}): correct it, or remove the row"
    return f"{shown} is not a date of {_FIRST_YEAR} to {_LAST_YEAR}: write YYYY-MM-DD"


def _refusal(name: str, unit: str, problems: list[Problem]) -> SourceError:
    first = "\n".join(
        f"  {unit} {p.row}, column {p.column!r}: {p.text}" if p.column else f"  {unit} {p.row}: {p.text}"
        for p in problems[:_LISTED]
    )
    more = f" (the first {_LISTED} bad values)" if len(problems) >= _LISTED else ""
    return SourceError(f"{name} breaks the column contract{more}:\n{first}")


# ---------------------------------------------------------------- Parquet


def _read_parquet(path: Path, name: str, rules: Rules, notes: list[str]) -> Iterator[pl.DataFrame]:
    if path.stat().st_size == 0:
        raise SourceError(f"{name}: the file is empty: export it again")
    problems: list[Problem] = []
    before = 0
    try:
        with pa_parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            _check_columns(schema.names, name, rules, notes)
            wanted = [n for n in COLUMN_NAMES if n in schema.names]
            for column in wanted:
                kind = schema.field(column).type
                if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
                    raise SourceError(f"{name}: column {column!r} holds {kind}: write plain values")
            if file.metadata.num_rows == 0:
                raise SourceError(f"{name}: has columns but no rows: export it again")
            for batch in file.iter_batches(_PARQUET_ROWS, columns=wanted):
                frame, bad = _normalize(cast(pl.DataFrame, pl.from_arrow(batch)), rules)
                problems += [Problem(before + p.row + 1, p.column, p.text) for p in bad]
                before += batch.num_rows
                if len(problems) >= _LISTED:
                    break
                if not problems:
                    yield frame
    except pa.ArrowException as error:
        raise SourceError(f"{name}: not a whole Parquet file ({first_line(error)}): export it again") from error
    if problems:
        raise _refusal(name, "row", problems)


# ---------------------------------------------------------------- CSV


def _read_csv(path: Path, name: str, rules: Rules, notes: list[str]) -> Iterator[pl.DataFrame]:
    header = _csv_header(path, name)
    _check_columns(header, name, rules, notes)
    wanted = [n for n in COLUMN_NAMES if n in header]
    convert = pa_csv.ConvertOptions(
        column_types={n: pa.float64() if BY_NAME[n].kind == "number" else pa.string() for n in wanted},
        include_columns=wanted,
        null_values=_NULLS,
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
        return _normalize(cast(pl.DataFrame, pl.from_arrow(table)), rules)

    try:
        with _open_bytes(path) as stream:
            for frame, bad in map_ahead(parsed, enumerate(_blocks(stream)), "parse"):
                if bad:
                    raise _diagnose_csv(path, name, header, rules, bad[0].text)
                yield frame
    except (pa.ArrowException, csv.Error) as error:
        raise _diagnose_csv(path, name, header, rules, first_line(error)) from error


def _open_bytes(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.name.lower().endswith(".gz") else path.open("rb")


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
    with _open_bytes(path) as stream:
        head = stream.read(1 << 16)
    if not head.strip():
        raise SourceError(f"{name}: the file is empty: export it again")
    if head.startswith(b"PAR1"):
        raise SourceError(f"{name}: is a Parquet file: rename it to end in .parquet")
    if b"\0" in head:
        raise SourceError(f"{name}: holds binary content, not CSV text in UTF-8: export it again as CSV")
    with _open_text(path) as lines:
        try:
            filled = (row for row in csv.reader(lines) if row)
            header, first = next(filled, []), next(filled, None)
        except UnicodeDecodeError as error:
            raise _not_utf8(name) from error
        except csv.Error as error:
            raise SourceError(f"{name}: its first lines cannot be read ({error}): export it again") from error
    if len(header) == 1:
        for mark, spelled in ((";", "';'"), ("\t", "a tab"), ("|", "'|'")):
            if mark in header[0]:
                raise SourceError(f"{name}: its columns are separated by {spelled}: export it with commas")
    if first is None:
        raise SourceError(f"{name}: has a header but no rows: export it again")
    return header


def _open_text(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", newline="")


def _not_utf8(name: str) -> SourceError:
    return SourceError(f"{name}: the text is not UTF-8: save it again with that encoding")


def _diagnose_csv(path: Path, name: str, header: list[str], rules: Rules, reason: str) -> SourceError:
    """Read a CSV that failed row by row, to tell the lines of its first bad values."""
    wanted = {n: i for i, n in enumerate(header) if n in BY_NAME}
    problems: list[Problem] = []
    lines: list[int] = []
    rows: list[list[str]] = []

    def check() -> None:
        data = {n: pl.Series(n, [row[i] for row in rows], dtype=pl.String()) for n, i in wanted.items()}
        found = _normalize(pl.DataFrame(data), rules)[1]
        problems.extend(Problem(lines[p.row], p.column, p.text) for p in found)
        lines.clear()
        rows.clear()

    start = 1
    try:
        with _open_text(path) as text:
            reader = csv.reader(text, strict=True)
            header_seen = False
            for row in reader:
                line, start = start, reader.line_num + 1
                if not row:
                    continue
                if not header_seen:
                    header_seen = True
                elif len(row) != len(header):
                    complaint = f"has {len(row)} fields, expected {len(header)}: mend its commas and quotes"
                    problems.append(Problem(line, "", complaint))
                else:
                    lines.append(line)
                    rows.append(row)
                if len(rows) == _DIAGNOSIS_ROWS:
                    check()
                if len(problems) >= _LISTED:
                    break
        check()
    except UnicodeDecodeError:
        return _not_utf8(name)
    except csv.Error as error:
        check()
        problems.append(Problem(start, "", f"{error}: mend its quotes"))
    if problems:
        return _refusal(name, "line", sorted(problems, key=lambda p: p.row))
    return SourceError(f"{name}: cannot be read as CSV ({reason}): export it again")
