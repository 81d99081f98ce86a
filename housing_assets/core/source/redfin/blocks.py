"""One block of rows of a Redfin file: what it is made of, and how it comes from a file."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from housing_assets.core.errors import SourceError
from housing_assets.core.months import month_end, month_of
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.core.source.content import Content, not_parquet_error
from housing_assets.core.source.delimited import RawBlock, read_blocks
from housing_assets.core.source.diagnosis import unreadable_error
from housing_assets.core.source.parsing import FAST_NULLS, NULLS, Spelling, parse_day
from housing_assets.core.source.spelling import spelling_of
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
ZIP_LEVELS = ("zip code", "zip", "zipcode", "zip_code")
"""What files call the level of ZIP codes, in lower case."""
_MONTH_ONLY = re.compile(r"[0-9A-Za-z]+[-/ ]+[0-9A-Za-z]+")
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


def lower(raw: pl.Series) -> pl.Series:
    """Text in lower case without spaces around it; empty where there is none."""
    return map_distinct(raw, lambda text: text.strip().lower()).fill_null("")


def levels_of(levels: pl.Series) -> Counter[str]:
    """Rows of each level of region; every spelling of the level of ZIP codes counts as `zip code`."""
    counts: Counter[str] = Counter()
    for level, rows in levels.value_counts().iter_rows():
        counts["zip code" if level in ZIP_LEVELS else level] += rows
    return counts


def spelling_of_rows(content: Content, columns: Mapping[int, str], market: Collection[str]) -> Spelling:
    """How a file writes the ends of periods and the columns of numbers.

    Raises:
        SourceError: both readings of a value are possible, and no value of the file tells.
    """
    days = {i: name for i, name in columns.items() if name == "period_end"}
    return spelling_of(content, days, {i: name for i, name in columns.items() if name in market})


def period_lengths(rows: pl.DataFrame, spelling: Spelling) -> Counter[int]:
    """Rows by the length of their period in days.

    Args:
        rows: with `period_end`. `period_duration` holds the length; where it is missing or is no number, the first day
            `period_begin` tells. Rows of which neither is known are not counted.
        spelling: of the file.
    """
    lengths: Counter[int] = Counter()
    untold = rows
    if "period_duration" in rows.columns:
        days = read_numbers(rows["period_duration"], spelling, Counter())
        lengths.update({int(d): n for d, n in days.drop_nulls().value_counts().iter_rows()})
        untold = rows.filter(days.is_null())
    if "period_begin" in rows.columns:
        lengths.update(_days_between(untold["period_begin"], untold["period_end"], spelling))
    return lengths


def _days_between(begin: pl.Series, end: pl.Series, spelling: Spelling) -> Counter[int]:
    """Rows by the length of their period in days, its first and last day included."""
    texts = pl.DataFrame([_as_text(begin).alias("begin"), _as_text(end).alias("end")]).drop_nulls()
    counts: Counter[int] = Counter()
    for first, last, rows in texts.group_by("begin", "end").len().iter_rows():
        first_day, last_day = _day(first.strip(), spelling), _day(last.strip(), spelling, last=True)
        if first_day and last_day:
            counts[(last_day - first_day).days + 1] += rows
    return counts


def _as_text(days: pl.Series) -> pl.Series:
    return (days.dt.date() if days.dtype == pl.Datetime else days).cast(pl.String)


def _day(text: str, spelling: Spelling, last: bool = False) -> date | None:
    """A day; of a month without a day, its first or last one."""
    day = parse_day(text, spelling.day_first)
    if not day or not _MONTH_ONLY.fullmatch(text):
        return day.value if day else None
    return month_end(month_of(day.value)) if last else day.value.replace(day=1)


def refuse_repeated(content: Content, names: Iterable[str], wanted: Collection[str]) -> None:
    """Refuse a column that comes twice: without this the first one would silently win.

    Args:
        content: of the file.
        names: of the file's columns, in the spelling of `wanted`.
        wanted: columns that are read.

    Raises:
        SourceError: one of `wanted` occurs more than once.
    """
    for column, count in Counter(names).items():
        if count > 1 and column in wanted:
            raise SourceError(f"{content.name}: column {column!r} occurs more than once: keep one of them")


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
