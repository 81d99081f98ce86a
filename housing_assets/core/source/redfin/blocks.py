"""One block of rows of a Redfin file: what it is made of, and how it comes from a file."""

import csv
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from housing_assets.core.errors import SourceError
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.core.source.content import Content, not_parquet_error
from housing_assets.core.source.delimited import RawBlock, read_blocks
from housing_assets.core.source.diagnosis import unreadable_error
from housing_assets.core.source.parsing import FAST_NULLS, NULLS, Spelling
from housing_assets.core.source.values import (
    LISTED,
    Problem,
    complaint_about,
    map_distinct,
    nearest_name,
    read_days,
    read_numbers,
    read_zips,
    unread_numbers,
)

ALL_RESIDENTIAL = "all residential"
"""The property type whose rows count, in lower case."""

_PARQUET_ROWS = 131_072
_NEAR = 0.75


@dataclass(frozen=True)
class Block:
    """Rows of one block that count.

    Attributes:
        frame: `date`, `zipcode`, market columns and labels.
        problems: its invalid values; rows count from 0.
        assumed: what was assumed to read the values.
        rows: number of rows of the block, whether they count or not.
        levels: rows of each level of region.
        dropped: rows that do not count, by reason.
        durations: rows that count by the length of their period in days; empty where the file does not say.
    """

    frame: pl.DataFrame
    problems: list[Problem]
    assumed: Counter[str]
    rows: int
    levels: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    durations: Counter[int] = field(default_factory=Counter)


def blocks_of(
    content: Content,
    columns: dict[int, str],
    numbers: Collection[str],
    tidy: Callable[[RawBlock], Block],
    nulls: Collection[str] = FAST_NULLS,
    holding: str = "",
) -> Iterator[Block]:
    """The blocks of a file in order.

    Args:
        content: of the file.
        columns: names of the wanted columns, by position.
        numbers: those of them to hold as numbers.
        tidy: makes a block of raw rows; it is called from other threads.
        nulls: texts that stand for no value.
        holding: rows without this text, in whatever case, are not wanted, and may be missing in what `tidy` gets.

    Raises:
        SourceError: the file is damaged, or a row has another number of values.
    """
    if content.schema is not None:
        yield from map(tidy, _read_parquet(content, columns))
        return
    try:
        yield from read_blocks(content, columns, numbers, tidy, nulls, holding)
    except (pa.ArrowException, csv.Error) as error:
        raise unreadable_error(content, error) from error


def _read_parquet(content: Content, columns: dict[int, str]) -> Iterator[RawBlock]:
    try:
        with pa_parquet.ParquetFile(content.path) as file:
            renamed = {file.schema_arrow.names[i]: name for i, name in columns.items()}
            for batch in file.iter_batches(_PARQUET_ROWS, columns=list(renamed)):
                yield RawBlock(cast(pl.DataFrame, pl.from_arrow(batch)).rename(renamed), batch.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise not_parquet_error(content.name, error) from error


def in_contract_order(names: Collection[str | None]) -> tuple[str, ...]:
    """Those that are columns of the contract, in its order."""
    return tuple(name for name in COLUMN_NAMES if name in names)


def block_of(
    rows: pl.DataFrame,
    market: Collection[str],
    labels: Mapping[str, str],
    spelling: Spelling,
    latest: str,
    written: Mapping[str, str] = MappingProxyType({}),
) -> Block:
    """The typed values of the rows that count.

    Args:
        rows: with `row` (from 0, in the raw block), `period_end`, `region`, and the columns of `market` and `labels`.
        market: columns of numbers.
        labels: names of labels, by column; those that the rows lack are passed over.
        spelling: of the file.
        latest: last month that a row may speak of.
        written: what the file calls a column, for messages; others are called as here.
    """
    assumed: Counter[str] = Counter()
    dates = read_days(rows["period_end"], spelling, assumed, latest).alias("date")
    zipcodes = read_zips(rows["region"], Counter()).alias("zipcode")
    series = [dates, zipcodes]
    problems = _problems(rows, "period_end", dates.is_null(), "date", latest)
    problems += _problems(rows, "region", zipcodes.is_null(), "zipcode", latest)
    for column in market:
        values = read_numbers(rows[column], spelling, assumed).alias(column)
        problems += _problems(rows, column, unread_numbers(rows[column], values), column, latest)
        series.append(values)
    series += [_label(rows[n]).alias(name) for n, name in labels.items() if n in rows.columns]
    ordered = sorted((replace(p, column=written.get(p.column, p.column)) for p in problems), key=lambda p: p.row)
    return Block(pl.DataFrame(series), ordered, assumed, rows.height)


def _problems(rows: pl.DataFrame, column: str, bad: pl.Series, kind: str, latest: str) -> list[Problem]:
    """The first bad values of a column."""
    raw = rows[column]
    return [
        Problem(rows["row"][i], column, complaint_about(kind, "" if raw[i] is None else raw[i], latest))
        for i in bad.arg_true().head(LISTED)
    ]


def _label(raw: pl.Series) -> pl.Series:
    return map_distinct(raw, _plain_label)


def _plain_label(text: str) -> str | None:
    """A label; Redfin's metros end in `metro area`, which is no part of the name."""
    label = text.strip().removesuffix(" metro area")
    return None if label in NULLS else label


def levels_of(levels: pl.Series) -> Counter[str]:
    """Rows of each level of region; every spelling of the level of ZIP codes counts as `zip code`."""
    counts: Counter[str] = Counter()
    for level, rows in levels.value_counts().iter_rows():
        counts["zip code" if "zip" in level else level] += rows
    return counts


def days_given(raw: pl.Series, spelling: Spelling) -> Counter[int]:
    """Rows by the length of their period in days, as the file says it."""
    days = read_numbers(raw, spelling, Counter()).drop_nulls()
    return Counter({int(d): n for d, n in days.value_counts().iter_rows()})


def days_between(begin: pl.Series, end: pl.Series) -> Counter[int]:
    """Rows by the length of their period in days, its first and last day included."""
    periods = pl.DataFrame([begin.alias("begin"), end.alias("end")]).group_by("begin", "end").len()
    days = periods.with_columns(
        pl.col("begin", "end").cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    ).drop_nulls()
    counts: Counter[int] = Counter()
    for first, last, rows in days.iter_rows():
        counts[(last - first).days + 1] += rows
    return counts


def refuse_renamed(content: Content, wanted: Collection[str], names: Collection[str], others: Collection[str]) -> None:
    """Refuse a column that the publisher seems to have renamed: without this it would be silently empty.

    Args:
        content: of the file.
        wanted: columns to look for.
        names: of the file's columns, in the spelling of `wanted`.
        others: further columns that the layout is known to have.

    Raises:
        SourceError: one of `wanted` is missing, and the file has an unknown column of nearly that name.
    """
    extra = [name for name in names if name not in (*wanted, *others)]
    for column in wanted:
        near = None if column in names else nearest_name(column, extra, _NEAR)
        if near:
            raise SourceError(
                f"{content.name}: column {column!r} is missing, and {near!r} is unknown; did you mean {column!r}? If "
                "the publisher renamed it, rename it back in the file, or remove it"
            )
