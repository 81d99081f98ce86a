"""The layout of the panel itself: one row for a ZIP code and month, columns named as in the contract.

A CSV is read fast, by pyarrow, which cannot say where a bad value stands. Only when that fails is the file read again
with the csv module, which can.
"""

import csv
from collections.abc import Iterator
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from housing_assets.core.errors import SourceError
from housing_assets.core.panel.schema import BY_NAME, COLUMN_NAMES
from housing_assets.core.source.content import Content, not_parquet_error, plain_name
from housing_assets.core.source.delimited import RawBlock, read_blocks
from housing_assets.core.source.diagnosis import diagnose_csv
from housing_assets.core.source.formats import Reading
from housing_assets.core.source.notes import Notes
from housing_assets.core.source.spelling import spelling_of
from housing_assets.core.source.values import (
    LISTED,
    NormalizedRows,
    Problem,
    Rules,
    check_columns,
    normalize_rows,
    refusal_of,
)
from housing_assets.core.text import first_line

PARQUET_ROWS = 32_768

_KEYS = ("date", "zipcode")
_BY_PLAIN_NAME = {plain_name(name): name for name in COLUMN_NAMES}


class HousetsReader:
    """Rows of (zip, month) with any columns of the contract."""

    kind = "housets"
    title = "the panel's own layout (one row for each ZIP code and month)"
    telling_columns = ("date", "zipcode", "price")

    def recognizes(self, content: Content) -> bool:
        """True if there are a date, a ZIP code and at least one more column of the contract."""
        names = {*contract_names(content), *content.folder_values}
        return set(_KEYS) <= set(names) and any(n in BY_NAME and n not in _KEYS for n in names)

    def columns(self, content: Content) -> tuple[str, ...]:
        """Columns of the contract that the file has."""
        names = {*contract_names(content), *content.folder_values}
        return tuple(n for n in COLUMN_NAMES if n in names and n not in _KEYS)

    def read(self, content: Content, reading: Reading) -> Iterator[pl.DataFrame]:
        """The file's rows in order, with the columns that it has."""
        wanted = [*_KEYS, *self.columns(content)]
        for frame in read_panel_rows(content, Rules(_KEYS, frozenset(_KEYS), reading.latest), reading.notes):
            yield frame.select(wanted)


def contract_names(content: Content) -> list[str]:
    """The columns of a file: as the contract spells them, whatever their case and spaces, or as they are."""
    exact = set(content.header) & set(BY_NAME)
    names = []
    for name in content.header:
        canonical = _BY_PLAIN_NAME.get(plain_name(name), name)
        names.append(name if canonical in exact else canonical)
    return names


def read_panel_rows(content: Content, rules: Rules, notes: Notes) -> Iterator[pl.DataFrame]:
    """The rows of a file in order, with the columns, order and types of `RAW_SCHEMA`.

    Dates are moved to the end of their month.

    Args:
        content: of the file.
        rules: what is asked of it.
        notes: receives what was assumed.

    Raises:
        SourceError: the file breaks the contract or is damaged; it names the first bad values.
    """
    names = contract_names(content)
    constants = {n: v for n, v in content.folder_values.items() if n in BY_NAME and n not in names}
    check_columns([*names, *constants], content.name, rules, notes)
    respelled = sum(a != b for a, b in zip(names, content.header, strict=True))
    notes.add(f"{content.name}: columns recognized whatever their case and spaces", respelled)
    for column in constants:
        notes.add(f"{content.name}: column {column!r} is taken from the names of folders")
    read = _read_csv if content.schema is None else _read_parquet
    literals = [pl.lit(value).alias(column) for column, value in constants.items()]
    yield from read(content, names, literals, rules, notes)


def _read_csv(
    content: Content, names: list[str], literals: list[pl.Expr], rules: Rules, notes: Notes
) -> Iterator[pl.DataFrame]:
    columns = {i: n for i, n in enumerate(names) if n in BY_NAME}
    numbers = {i: n for i, n in columns.items() if BY_NAME[n].kind == "number"}
    spelling = spelling_of(content, {i: n for i, n in columns.items() if BY_NAME[n].kind == "date"}, numbers)

    def normalized(block: RawBlock) -> NormalizedRows:
        return normalize_rows(block.frame.with_columns(literals), rules, spelling)

    typed = () if spelling.decimal_comma else tuple(numbers.values())
    try:
        for rows in read_blocks(content, columns, typed, normalized):
            if rows.problems:
                raise diagnose_csv(content, columns, literals, rules, spelling, rows.problems[0].text)
            rows.add_notes(content.name, notes)
            yield rows.frame
    except (pa.ArrowException, csv.Error) as error:
        raise diagnose_csv(content, columns, literals, rules, spelling, first_line(error)) from error


def _read_parquet(
    content: Content, names: list[str], literals: list[pl.Expr], rules: Rules, notes: Notes
) -> Iterator[pl.DataFrame]:
    problems: list[Problem] = []
    before = 0
    schema = cast(pa.Schema, content.schema)
    renamed = {written: n for written, n in zip(schema.names, names, strict=True) if n in BY_NAME}
    for written, column in renamed.items():
        kind = schema.field(written).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise SourceError(f"{content.name}: column {column!r} holds {kind}: write plain values")
    try:
        with pa_parquet.ParquetFile(content.path) as file:
            for batch in file.iter_batches(PARQUET_ROWS, columns=list(renamed)):
                block = cast(pl.DataFrame, pl.from_arrow(batch)).rename(renamed).with_columns(literals)
                rows = normalize_rows(block, rules)
                problems += [Problem(before + p.row + 1, p.column, p.text) for p in rows.problems]
                before += batch.num_rows
                if len(problems) >= LISTED:
                    break
                if not problems:
                    rows.add_notes(content.name, notes)
                    yield rows.frame
    except (pa.ArrowException, OSError) as error:
        raise not_parquet_error(content.name, error) from error
    if problems:
        raise refusal_of(content.name, "row", problems)
