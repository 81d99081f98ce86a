"""Redfin's two layouts: the market tracker, and what its download button gives.

Source: Redfin Data Center, https://www.redfin.com/news/data-center/. The tracker has a row for each region, period,
property type and adjustment; header and values are quoted and in upper case in files of recent years. Its zip file has
rolling periods of 90 days. Shares are fractions in some releases and percent in others.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from housing_assets.core.errors import SourceError
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.core.source.content import Content, not_parquet_error
from housing_assets.core.source.delimited import read_blocks
from housing_assets.core.source.diagnosis import unreadable_error
from housing_assets.core.source.formats import LABELS_SCHEMA, Reading
from housing_assets.core.source.parsing import NULLS, Spelling
from housing_assets.core.source.spelling import spelling_of
from housing_assets.core.source.values import (
    LISTED,
    Problem,
    complaint_about,
    nearest_name,
    read_days,
    read_numbers,
    read_zips,
    refusal_of,
)

_TRACKER_MARKET = (
    "median_sale_price",
    "median_list_price",
    "median_ppsf",
    "median_list_ppsf",
    "homes_sold",
    "pending_sales",
    "new_listings",
    "inventory",
    "median_dom",
    "avg_sale_to_list",
    "sold_above_list",
    "off_market_in_two_weeks",
)
_TRACKER_LABELS = {"state_code": "state", "parent_metro_region": "city_full", "city": "place"}
_TRACKER_KEYS = ("period_begin", "period_end", "period_duration", "region_type", "region", "property_type")
_ADJUSTED = "is_seasonally_adjusted"

_DOWNLOAD_MARKET = {
    "median sale price": "median_sale_price",
    "median list price": "median_list_price",
    "median ppsf": "median_ppsf",
    "homes sold": "homes_sold",
    "pending sales": "pending_sales",
    "new listings": "new_listings",
    "inventory": "inventory",
    "days on market": "median_dom",
    "average sale to list": "avg_sale_to_list",
}

_PERCENT_ABOVE = {"avg_sale_to_list": 10.0, "sold_above_list": 1.0, "off_market_in_two_weeks": 1.0}
"""Values above these are percent. The first is a ratio near 1, the others are shares."""

_RATIO_MOSTLY, _SHARE_MOSTLY, _RARELY = 0.9, 0.5, 0.1
"""A block is percent if at least that part of its positive values is above the limit (all ratios are, shares of less
than one percent are not), and fractions if at most the last part is."""

_MONTHLY_DAYS, _ROLLING_DAYS = (28, 31), (89, 92)
_PARQUET_ROWS = 131_072
_SHOWN_LEVELS = 5


class _Block(NamedTuple):
    """Rows of one block that count.

    Attributes:
        frame: `date`, `zipcode`, market columns and labels.
        problems: its invalid values; rows count from 0.
        rows: number of rows of the block, whether they count or not.
        levels: rows of each level of region.
        dropped: rows that do not count, by reason.
        durations: rows that count by the length of their period in days.
        assumed: what was assumed to read the values.
    """

    frame: pl.DataFrame
    problems: list[Problem]
    rows: int
    levels: Counter[str]
    dropped: Counter[str]
    durations: Counter[int]
    assumed: Counter[str]


class RedfinTracker:
    """The market tracker."""

    kind = "redfin"
    title = "Redfin's market tracker (one row for each region, period and property type)"
    telling_columns = ("period_end", "region_type", "region", "property_type", "median_sale_price")

    def recognizes(self, content: Content) -> bool:
        """True if periods, regions and property types are named, and at least one market column."""
        names = set(_underscored(content))
        return {"period_end", "region_type", "region", "property_type"} <= names and bool(names & set(_TRACKER_MARKET))

    def columns(self, content: Content) -> tuple[str, ...]:
        """Market columns of the contract that the file has."""
        names = set(_underscored(content))
        return tuple(n for n in COLUMN_NAMES if n in names and n in _TRACKER_MARKET)

    def read(self, content: Content, reading: Reading) -> Iterator[pl.DataFrame]:
        """Rows of ZIP codes, all residential property, not seasonally adjusted, by the month of their period's end."""
        places = _underscored(content)
        _refuse_renamed(content, places)
        market = self.columns(content)
        wanted = (*_TRACKER_KEYS, _ADJUSTED, *_TRACKER_LABELS, *market)
        columns = {places[n]: n for n in wanted if n in places}
        spelling = spelling_of(
            content,
            {i: n for i, n in columns.items() if n == "period_end"},
            {i: n for i, n in columns.items() if n in market},
        )

        def tidy(block: pl.DataFrame) -> _Block:
            return _tracker_block(block, market, spelling, reading.latest)

        numbers = () if spelling.decimal_comma else market
        if content.schema is None:
            blocks = _read(content, columns, numbers, tidy)
        else:
            blocks = map(tidy, _parquet_blocks(content, columns))
        yield from _Account(content.name, reading).frames(blocks, market)


class RedfinDownload:
    """A table saved by the download button of the Data Center: UTF-16, tabs, numbers written for people."""

    kind = "redfin"
    title = "a table from Redfin's download button (one row for each region and month)"
    telling_columns = ("Region", "Month of Period End", "Median Sale Price")

    def recognizes(self, content: Content) -> bool:
        """True if regions and the month of each period's end are named."""
        return {"region", "month of period end"} <= set(content.positions())

    def columns(self, content: Content) -> tuple[str, ...]:
        """Market columns of the contract that the file has."""
        given = {_DOWNLOAD_MARKET.get(name) for name in content.positions()}
        return tuple(n for n in COLUMN_NAMES if n in given)

    def read(self, content: Content, reading: Reading) -> Iterator[pl.DataFrame]:
        """Rows of ZIP codes. Prices written as `$159K` are rounded to thousands."""
        places = content.positions()
        columns = {places["region"]: "region", places["month of period end"]: "period_end"}
        columns |= {places[written]: name for written, name in _DOWNLOAD_MARKET.items() if written in places}
        market = self.columns(content)
        if not market:
            raise SourceError(
                f"{content.name}: has none of the columns {', '.join(_DOWNLOAD_MARKET)}: choose them at the download"
            )

        def tidy(block: pl.DataFrame) -> _Block:
            return _download_block(block, market, reading.latest)

        if content.schema is None:
            blocks = _read(content, columns, (), tidy)
        else:
            blocks = map(tidy, _parquet_blocks(content, columns))
        yield from _Account(content.name, reading).frames(blocks, market)


# ---------------------------------------------------------------- what all blocks of a file have in common


@dataclass
class _Account:
    """What is known of a file after the blocks so far.

    Attributes:
        name: of the file.
        reading: receives notes and labels.
        percent: columns whose unit is decided: True for percent.
    """

    name: str
    reading: Reading
    rows: int = 0
    kept: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    durations: Counter[int] = field(default_factory=Counter)
    percent: dict[str, bool] = field(default_factory=dict)

    def frames(self, blocks: Iterator[_Block], market: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        """The frames of the blocks, percent as fractions; notes are added at the end.

        Raises:
            SourceError: a value is invalid, no row counts, or blocks are of different units or periods.
        """
        for block in blocks:
            if block.problems:
                rows = [Problem(self.rows + p.row + 1, p.column, p.text) for p in block.problems]
                raise refusal_of(self.name, "row", rows)
            self.rows += block.rows
            self.levels.update(block.levels)
            self.dropped.update(block.dropped)
            self.durations.update(block.durations)
            self._check_periods()
            for words, count in block.assumed.items():
                self.reading.notes.add(f"{self.name}: {words}", count)
            if block.frame.is_empty():
                continue
            self.kept += block.frame.height
            self.reading.labels.append(_labels(block.frame))
            yield self._as_fractions(block.frame).select("date", "zipcode", *market)
        self._finish()

    def _check_periods(self) -> None:
        rolling = [d for d in self.durations if _within(d, _ROLLING_DAYS)]
        monthly = [d for d in self.durations if _within(d, _MONTHLY_DAYS)]
        other = sorted(set(self.durations) - {*rolling, *monthly})
        if other:
            raise SourceError(
                f"{self.name}: has periods of {other[0]} days, where months or rolling 90 days are asked for: download "
                "the monthly tracker"
            )
        if rolling and monthly:
            raise SourceError(
                f"{self.name}: has both months ({sum(self.durations[d] for d in monthly):,} rows) and rolling 90 days "
                f"({sum(self.durations[d] for d in rolling):,} rows): keep the rows of one of them"
            )

    def _as_fractions(self, frame: pl.DataFrame) -> pl.DataFrame:
        for column in (n for n in _PERCENT_ABOVE if n in frame.columns):
            unit = _is_percent(frame[column], _PERCENT_ABOVE[column], self.name, column)
            if unit is None:
                continue
            if self.percent.setdefault(column, unit) != unit:
                raise SourceError(
                    f"{self.name}: column {column!r} is in fractions in some rows and in percent in others (near row "
                    f"{self.rows:,}): download it again, or split it"
                )
        # A block too small to tell follows the ratio of prices, which tells wherever it is given.
        ratio = self.percent.get("avg_sale_to_list", False)
        scaled = [n for n in _PERCENT_ABOVE if n in frame.columns and self.percent.get(n, ratio)]
        for column in scaled:
            self.reading.notes.add(
                f"{self.name}: column {column!r}: percent read as fractions", int(frame[column].count())
            )
        return frame.with_columns(pl.col(scaled) / 100) if scaled else frame

    def _finish(self) -> None:
        if not self.kept:
            levels = [level for level in self.levels if level != "zip code"]
            if levels and "zip code" not in self.levels:
                raise SourceError(
                    f"{self.name}: its rows are of level {', '.join(map(repr, sorted(levels)[:_SHOWN_LEVELS]))}, where "
                    "'zip code' is asked for: download the file of ZIP codes"
                )
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items()) or "no rows"
            raise SourceError(
                f"{self.name}: no row is of a ZIP code, of All Residential, and not seasonally adjusted ({reasons}): "
                "download the whole tracker of ZIP codes"
            )
        for reason, count in self.dropped.items():
            self.reading.notes.add(f"{self.name}: left out rows that are {reason}", count)
        for days, count in self.durations.items():
            if _within(days, _ROLLING_DAYS):
                self.reading.notes.add(
                    f"{self.name}: rolling periods of {days} days belong to the month of period_end",
                    count,
                )


def _within(days: int, limits: tuple[int, int]) -> bool:
    return limits[0] <= days <= limits[1]


def _is_percent(values: pl.Series, limit: float, name: str, column: str) -> bool | None:
    """True if the positive values are percent, False if they are fractions, None if there are none."""
    positive = values.filter(values > 0)
    if positive.is_empty():
        return None
    above = cast(float, (positive > limit).mean())
    if above >= (_RATIO_MOSTLY if limit > 1 else _SHARE_MOSTLY):
        return True
    if above <= _RARELY:
        # A few small percentages cannot be told from fractions; a ratio of prices always can.
        return False if limit > 1 or positive.len() >= 20 else None
    raise SourceError(
        f"{name}: column {column!r} can be fractions or percent: {above:.0%} of its values are above {limit:g}: "
        "write all of them in one unit"
    )


def _labels(frame: pl.DataFrame) -> pl.DataFrame:
    given = frame.select("zipcode", *(n for n in LABELS_SCHEMA if n in frame.columns and n != "zipcode"))
    missing = [pl.lit(None, pl.String()).alias(n) for n in LABELS_SCHEMA if n not in given.columns]
    return given.unique("zipcode", keep="last").with_columns(missing).select(list(LABELS_SCHEMA))


# ---------------------------------------------------------------- one block


def _tracker_block(block: pl.DataFrame, market: tuple[str, ...], spelling: Spelling, latest: str) -> _Block:
    def text(column: str) -> pl.Expr:
        return pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase()

    is_zip = text("region_type").is_in(["zip code", "zip", "zipcode", "zip_code"])
    is_all = text("property_type") == "all residential"
    raw = text(_ADJUSTED).is_in(["f", "false", "0", "n", "no"]) if _ADJUSTED in block.columns else pl.lit(True)
    levels = Counter(dict(block.select(text("region_type").fill_null("")).to_series().value_counts().iter_rows()))
    levels = Counter({"zip code" if "zip" in level else level: n for level, n in levels.items()})
    counts = block.select(
        (~is_zip).fill_null(True).sum().alias("not of a ZIP code"),
        (is_zip & ~is_all).sum().alias("not of All Residential"),
        (is_zip & is_all & ~raw).sum().alias("seasonally adjusted"),
    ).row(0, named=True)
    rows = block.with_row_index("row").filter(is_zip & is_all & raw)
    assumed: Counter[str] = Counter()
    dates = read_days(rows["period_end"], spelling, assumed, latest).alias("date")
    series = [dates, read_zips(rows["region"], Counter()).alias("zipcode")]
    problems = _invalid(rows, rows["period_end"], dates, "period_end", "date", latest)
    problems += _invalid(rows, rows["region"], series[1], "region", "zipcode", latest)
    for column in market:
        values = read_numbers(rows[column], spelling, assumed).alias(column)
        if rows[column].dtype == pl.String:
            problems += _invalid(rows, rows[column], values, column, column, latest)
        series.append(values)
    series += [_label(rows[n], name) for n, name in _TRACKER_LABELS.items() if n in rows.columns]
    frame = pl.DataFrame(series)
    dropped = Counter({reason: n for reason, n in counts.items() if n})
    ordered = sorted(problems, key=lambda p: p.row)
    return _Block(frame, ordered, block.height, levels, dropped, _durations(rows, spelling), assumed)


def _label(raw: pl.Series, name: str) -> pl.Series:
    """A label; Redfin's metros end in `metro area`, which is no part of the name."""
    text = raw.cast(pl.String).str.strip_chars().str.replace(r" metro area$", "")
    return text.set(text.is_in([*NULLS]).fill_null(False), None).alias(name)


def _durations(rows: pl.DataFrame, spelling: Spelling) -> Counter[int]:
    """Rows by the length of their period in days, as the file says or as its begin and end do."""
    if "period_duration" in rows.columns:
        days = read_numbers(rows["period_duration"], spelling, Counter())
    elif "period_begin" in rows.columns:
        begin, end = (
            rows[n].cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
            for n in ("period_begin", "period_end")
        )
        days = (end - begin).dt.total_days() + 1
    else:
        return Counter()
    return Counter({int(d): n for d, n in days.drop_nulls().value_counts().iter_rows()})


def _download_block(block: pl.DataFrame, market: tuple[str, ...], latest: str) -> _Block:
    region = block["region"].cast(pl.String).fill_null("").str.strip_chars()
    zipcodes = read_zips(region, Counter())
    levels = Counter(_level_of(text) for text in region.filter(zipcodes.is_null()))
    if zipcodes.is_not_null().any():
        levels["zip code"] = int(zipcodes.is_not_null().sum())
    rows = block.with_row_index("row").with_columns(zipcodes.alias("zipcode")).filter(pl.col("zipcode").is_not_null())
    assumed: Counter[str] = Counter()
    dates = read_days(rows["period_end"], Spelling(), assumed, latest).alias("date")
    problems = _invalid(rows, rows["period_end"], dates, "Month of Period End", "date", latest)
    series = [dates, rows["zipcode"]]
    for column in market:
        values = read_numbers(rows[column], Spelling(), assumed).alias(column)
        problems += _invalid(rows, rows[column], values, column, column, latest)
        series.append(values)
    dropped = Counter({"not of a ZIP code": block.height - rows.height}) if rows.height < block.height else Counter()
    ordered = sorted(problems, key=lambda p: p.row)
    return _Block(pl.DataFrame(series), ordered, block.height, levels, dropped, Counter(), assumed)


def _level_of(region: str) -> str:
    """The level of a region of the download, by its name."""
    plain = region.casefold()
    if plain in ("national", "united states"):
        return "national"
    if plain.endswith("metro area"):
        return "metro"
    return "county" if plain.endswith((" county", " county, ")) or " county," in plain else "city or state"


def _invalid(
    rows: pl.DataFrame, raw: pl.Series, values: pl.Series, column: str, kind: str, latest: str
) -> list[Problem]:
    """The first values that were given and could not be read; a date or a ZIP code must be given."""
    empty = raw.is_null() if raw.dtype != pl.String else raw.is_null() | raw.str.strip_chars().is_in([*NULLS])
    must = kind in ("date", "zipcode")
    bad = (values.is_null() if must else values.is_null() & ~empty).arg_true().head(LISTED)
    return [Problem(rows["row"][i], column, complaint_about(kind, raw[i] or "", latest)) for i in bad]


# ---------------------------------------------------------------- columns and blocks


def _underscored(content: Content) -> dict[str, int]:
    """Position of each column by its name in lower case with underscores."""
    return {name.replace(" ", "_"): i for name, i in content.positions().items()}


def _refuse_renamed(content: Content, places: dict[str, int]) -> None:
    """Refuse a column that the publisher seems to have renamed: without this it would be silently empty."""
    derived = tuple(
        f"{n}{end}" for n in (*_TRACKER_MARKET, "months_of_supply", "price_drops") for end in ("_mom", "_yoy")
    )
    extra = [n for n in places if n not in (*_TRACKER_MARKET, *_TRACKER_KEYS, *_TRACKER_LABELS, *derived, *_OTHER)]
    for column in _TRACKER_MARKET:
        near = None if column in places else nearest_name(column, extra, 0.75)
        if near:
            raise SourceError(
                f"{content.name}: column {column!r} is missing, and {near!r} is unknown; did you mean {column!r}? If "
                "the publisher renamed it, rename it back in the file, or remove it"
            )


_OTHER = [
    "region_type_id",
    "table_id",
    "state",
    "property_type_id",
    "months_of_supply",
    "price_drops",
    "parent_metro_region_metro_code",
    "last_updated",
]


def _read(
    content: Content, columns: dict[int, str], numbers: tuple[str, ...], tidy: Callable[[pl.DataFrame], _Block]
) -> Iterator[_Block]:
    try:
        yield from read_blocks(content, columns, numbers, tidy)
    except (pa.ArrowException, csv.Error) as error:
        raise unreadable_error(content, error) from error


def _parquet_blocks(content: Content, columns: dict[int, str]) -> Iterator[pl.DataFrame]:
    try:
        with pa_parquet.ParquetFile(content.path) as file:
            renamed = {file.schema_arrow.names[i]: name for i, name in columns.items()}
            for batch in file.iter_batches(_PARQUET_ROWS, columns=list(renamed)):
                yield cast(pl.DataFrame, pl.from_arrow(batch)).rename(renamed)
    except (pa.ArrowException, OSError) as error:
        raise not_parquet_error(content.name, error) from error
