"""Zillow's wide layout: a row for each region, a column for each month.

Source: Zillow Research, https://www.zillow.com/research/data/ (ZHVI, ZIP code). `RegionName` is the ZIP code. `Metro`
is empty for zips that belong to no metro.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from housing_assets.core.errors import SourceError
from housing_assets.core.months import consecutive, describe_months, month_at, month_end, month_index, month_of
from housing_assets.core.source.content import Content, not_parquet_error
from housing_assets.core.source.delimited import RawBlock, read_blocks
from housing_assets.core.source.diagnosis import unreadable_error
from housing_assets.core.source.formats import LABELS_SCHEMA, Reading
from housing_assets.core.source.parsing import SLASH_DAY, Spelling, parse_day
from housing_assets.core.source.spelling import spelling_of
from housing_assets.core.source.values import (
    LISTED,
    Problem,
    complaint_about,
    read_numbers,
    read_zips,
    refusal_of,
    unread_numbers,
)

_LOWEST_HOME_VALUE = 10_000
"""A median value below this is of another index of Zillow, such as its rents, which have the same columns."""

_LABELS = {"metro": "city_full", "state": "state", "statename": "state", "countyname": "county", "city": "place"}
"""Columns of the file that give labels; of two that give the same one, the first that is there counts."""

_PARQUET_ROWS = 4_096


class _Block(NamedTuple):
    """One block of regions.

    Attributes:
        frame: of `date`, `zipcode` and `price`, without empty prices.
        labels: of its zips.
        problems: its invalid values; rows count from 0.
        regions: number of its rows.
        assumed: what was assumed to read the values.
        zipcodes: of its rows.
        newest: prices of the newest month.
    """

    frame: pl.DataFrame
    labels: pl.DataFrame
    problems: list[Problem]
    regions: int
    assumed: Counter[str]
    zipcodes: list[str]
    newest: list[float]


class ZillowReader:
    """Home values (ZHVI) of ZIP codes."""

    kind = "zillow"
    title = "Zillow's home values (one row for each region, one column for each month)"
    telling_columns = ("RegionID", "RegionName", "RegionType")

    def recognizes(self, content: Content) -> bool:
        """True if regions are named and at least one column is a month."""
        names = content.positions()
        return {"regionname", "regiontype"} <= set(names) and any(_looks_like_day(name) for name in content.header)

    def columns(self, content: Content) -> tuple[str, ...]:  # noqa: ARG002
        """The price alone; labels come beside the frames."""
        return ("price",)

    def months(self, content: Content) -> tuple[str, ...]:
        """The months of the file's columns, in order."""
        return tuple(sorted(month_of(day) for day in _month_columns(content).values()))

    def read(self, content: Content, reading: Reading) -> Iterator[pl.DataFrame]:
        """Prices of zips, without the months in which a zip has none."""
        if "basedate" in content.positions():
            raise SourceError(
                f"{content.name}: holds Zillow's own forecasts (it has a column BaseDate), not home values: "
                "download ZHVI"
            )
        days = _month_columns(content)
        self._check_months(content, days, reading)
        rows, zips = 0, Counter[str]()
        newest: list[float] = []
        for block in _blocks(content, days):
            if block.problems:
                raise refusal_of(
                    content.name, "row", [Problem(rows + p.row + 1, p.column, p.text) for p in block.problems]
                )
            rows += block.regions
            zips.update(block.zipcodes)
            newest += block.newest
            for words, count in block.assumed.items():
                reading.notes.add(f"{content.name}: {words}", count)
            reading.labels.append(block.labels)
            yield block.frame
        repeated = sorted(zipcode for zipcode, count in zips.items() if count > 1)
        if repeated:
            raise SourceError(f"{content.name}: ZIP code {repeated[0]} has more than one row: keep one of them")
        if newest and cast(float, pl.Series(newest).median()) < _LOWEST_HOME_VALUE:
            raise SourceError(
                f"{content.name}: the median value of the newest month is {pl.Series(newest).median():,.0f}, too low "
                "for homes in US dollars: it may be another index of Zillow, such as rents. Download ZHVI of ZIP codes"
            )

    def _check_months(self, content: Content, days: dict[int, date], reading: Reading) -> None:
        months = [month_of(day) for day in days.values()]
        repeated = [m for m, count in Counter(months).items() if count > 1]
        if repeated:
            raise SourceError(f"{content.name}: {repeated[0]} has more than one column: keep one of them")
        if max(months) > reading.latest:
            raise SourceError(
                f"{content.name}: the column of {max(months)} lies in the future (this month is {reading.latest}): "
                "remove it"
            )
        slashed = sum(SLASH_DAY.fullmatch(content.header[i]) is not None for i in days)
        reading.notes.add(f"{content.name}: month columns read with days and months between slashes", slashed)
        first, last = month_index(min(months)), month_index(max(months))
        absent = [month_at(i) for i in range(first, last + 1) if month_at(i) not in months]
        for run in consecutive(absent):
            reading.notes.add(f"{content.name}: has no column for {describe_months(run)}")


def _looks_like_day(name: str) -> bool:
    return parse_day(name) is not None or SLASH_DAY.fullmatch(name) is not None


def _month_columns(content: Content) -> dict[int, date]:
    """The month end of each month column, by position."""
    names = {i: name for i, name in enumerate(content.header) if _looks_like_day(name)}
    matches = [match for name in names.values() if (match := SLASH_DAY.fullmatch(name))]
    day_first: bool | None = None
    if matches:
        first, second = (max(int(m[g]) for m in matches) for g in (1, 3))
        if (first > 12 and second > 12) or (first <= 12 and second <= 12):
            raise SourceError(
                f"{content.name}: the column {matches[0][0]!r} can be month/day or day/month, and no column tells "
                "which: name months as YYYY-MM-DD"
            )
        day_first = first > 12
    days = {}
    for i, name in names.items():
        day = parse_day(name, day_first)
        if day is None:
            raise SourceError(f"{content.name}: the column {name!r} is no date: name months as YYYY-MM-DD")
        days[i] = month_end(month_of(day.value))
    return days


def _blocks(content: Content, days: dict[int, date]) -> Iterator[_Block]:
    names = content.positions()
    level = names["regiontype"]
    columns = {names["regionname"]: "zipcode", level: "level"}
    for written, label in _LABELS.items():
        if written in names and label not in columns.values():
            columns[names[written]] = label
    months = {i: day.isoformat() for i, day in days.items()}

    if content.schema is not None:
        yield from _parquet_blocks(content, columns | months, list(months.values()))
        return
    spelling = spelling_of(content, {}, months)

    def tidy(block: RawBlock) -> _Block:
        return _tidy(block.frame, content.name, spelling, list(months.values()))

    typed = () if spelling.decimal_comma else frozenset(months.values())
    try:
        yield from read_blocks(content, columns | months, typed, tidy)
    except (pa.ArrowException, csv.Error) as error:
        raise unreadable_error(content, error) from error


def _parquet_blocks(content: Content, columns: dict[int, str], months: list[str]) -> Iterator[_Block]:
    try:
        with pa_parquet.ParquetFile(content.path) as file:
            written = file.schema_arrow.names
            renamed = {written[i]: name for i, name in columns.items()}
            for batch in file.iter_batches(_PARQUET_ROWS, columns=list(renamed)):
                block = cast(pl.DataFrame, pl.from_arrow(batch)).rename(renamed)
                yield _tidy(block, content.name, Spelling(), months)
    except (pa.ArrowException, OSError) as error:
        raise not_parquet_error(content.name, error) from error


def _tidy(block: pl.DataFrame, name: str, spelling: Spelling, months: list[str]) -> _Block:
    """A wide block as rows of (zip, month)."""
    levels = block["level"].cast(pl.String).str.strip_chars().str.to_lowercase()
    other = levels.filter(levels != "zip")
    if other.len():
        raise SourceError(
            f"{name}: its regions are of level {', '.join(map(repr, other.unique().sort()[:LISTED]))}, where ZIP codes "
            "('zip') are asked for: download the file of ZIP codes"
        )
    assumed: Counter[str] = Counter()
    zipcodes = read_zips(block["zipcode"], assumed).alias("zipcode")
    problems = [
        Problem(i, "RegionName", complaint_about("zipcode", block["zipcode"][i], None))
        for i in zipcodes.is_null().arg_true().head(LISTED)
    ]
    prices, unread = _prices(block, months, spelling, assumed)
    wide = pl.DataFrame([zipcodes, *prices])
    long = (
        wide.unpivot(months, index="zipcode", variable_name="date", value_name="price")
        .with_columns(_dates_of(months, block.height))
        .filter(pl.col("price").is_finite())
        .select("date", "zipcode", "price")
    )
    labels = pl.DataFrame(
        [zipcodes, *(block[n].cast(pl.String) for n in LABELS_SCHEMA if n in block.columns and n != "zipcode")]
    )
    labels = labels.with_columns(pl.lit(None, pl.String()).alias(n) for n in LABELS_SCHEMA if n not in labels.columns)
    newest = wide[max(months)].drop_nulls().to_list()
    ordered = sorted([*problems, *unread], key=lambda p: p.row)
    return _Block(long, labels.select(list(LABELS_SCHEMA)), ordered, block.height, assumed, zipcodes.to_list(), newest)


def _prices(
    block: pl.DataFrame, months: list[str], spelling: Spelling, assumed: Counter[str]
) -> tuple[list[pl.Series], list[Problem]]:
    """The prices of each month as numbers, and the first values that are none."""
    numbers = block.select(months)
    if all(dtype == pl.Float64 for dtype in numbers.dtypes) and not _any_infinite(numbers):
        return numbers.get_columns(), []
    prices, problems = [], []
    for month in months:
        raw = block[month]
        values = read_numbers(raw, spelling, assumed).alias(month)
        prices.append(values)
        unread = unread_numbers(raw, values).arg_true().head(LISTED)
        problems += [Problem(i, month, complaint_about("price", raw[i], None)) for i in unread]
    return prices, problems


def _any_infinite(numbers: pl.DataFrame) -> bool:
    return numbers.select(pl.any_horizontal(pl.all().is_infinite().any())).item() is True


def _dates_of(months: list[str], height: int) -> pl.Series:
    """The dates of an unpivoted block: each month as often as the block has rows."""
    days = pl.Series("date", months).str.to_date("%Y-%m-%d")
    return days.gather(pl.select(pl.int_range(len(months) * height) // height).to_series())
