"""Which of two readings a whole file means: its values are asked until one of them tells."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

import polars as pl
import pyarrow as pa

from housing_assets.core.errors import SourceError
from housing_assets.core.source.content import Content
from housing_assets.core.source.delimited import RawBlock, read_blocks
from housing_assets.core.source.parsing import SLASH_DAY, Spelling, parse_day

_DECIMAL_COMMA = re.compile(r"[^0-9]*([0-9]{1,3}(\.[0-9]{3})+,[0-9]*|[0-9]*,([0-9]{1,2}|[0-9]{4,})|0,[0-9]+)[^0-9]*")
_DECIMAL_POINT = re.compile(r"[^0-9]*([0-9]{1,3}(,[0-9]{3})+\.[0-9]*|[0-9]*\.([0-9]{1,2}|[0-9]{4,})|0\.[0-9]+)[^0-9]*")
_ONE_MARK = re.compile(r"[^0-9]*[0-9]{1,3}[.,][0-9]{3}[^0-9]*")


def spelling_of(content: Content, days: Mapping[int, str], numbers: Mapping[int, str]) -> Spelling:
    """How a text file writes days and numbers; it is read once more only where its first rows leave that open.

    Args:
        content: of the file.
        days: names of its columns of days, by position.
        numbers: names of its columns of numbers, by position.

    Raises:
        SourceError: both readings of a value are possible, and no value of the file tells.
    """
    if content.schema is not None:
        return Spelling()
    head = [[row[i].strip() for i in days if i < len(row)] for row in content.rows]
    slashed = any(SLASH_DAY.fullmatch(value) for row in head for value in row)
    day_first = _day_first(content.name, _values(content, days)) if slashed else None
    if content.delimiter != ";":
        return Spelling(day_first)
    return Spelling(day_first, _decimal_comma(content.name, _values(content, numbers)))


def _values(content: Content, columns: Mapping[int, str]) -> Iterator[str]:
    """Distinct values of the columns, those of the first rows first."""
    for i, row in itertools.product(columns, content.rows):
        if i < len(row):
            yield row[i].strip()

    def distinct(block: RawBlock) -> list[str]:
        frame = block.frame
        return pl.concat([frame[name].drop_nulls().unique() for name in frame.columns]).unique().to_list()

    try:
        for values in read_blocks(content, columns, (), distinct):
            yield from (value.strip() for value in values)
    except (pa.ArrowException, csv.Error):
        return  # reading the rows says what is wrong, and in which line


def _day_first(name: str, values: Iterable[str]) -> bool | None:
    example = ""
    for value in values:
        match = SLASH_DAY.fullmatch(value)
        if match and int(match[1]) > 12:
            return True
        if match and int(match[3]) > 12:
            return False
        if match and match[1] != match[3]:
            example = example or value
    if not example:
        return None
    month_first, day_first = parse_day(example, False), parse_day(example, True)
    readings = " or ".join(str(day.value) for day in (month_first, day_first) if day)
    raise SourceError(
        f"{name}: the date {example!r} can be {readings}, and no date of the file tells which: "
        "write dates as YYYY-MM-DD"
    )


def _decimal_comma(name: str, values: Iterable[str]) -> bool:
    example = ""
    for value in values:
        if _DECIMAL_COMMA.fullmatch(value):
            return True
        if _DECIMAL_POINT.fullmatch(value):
            return False
        if not example and _ONE_MARK.fullmatch(value):
            example = value
    if not example:
        return False
    whole, part = re.split(r"[.,]", example, maxsplit=1)
    raise SourceError(
        f"{name}: the number {example!r} of a file separated by semicolons can be {whole}{part} or {whole}.{part}, and "
        "no number of the file tells which: write numbers without thousands separators and with a decimal point"
    )
