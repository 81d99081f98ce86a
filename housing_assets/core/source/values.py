"""What a valid value is, and how a message names an invalid one."""

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.months import month_end, month_of
from housing_assets.core.panel.schema import BY_NAME, COLUMN_NAMES, COLUMNS, REQUIRED
from housing_assets.core.source.content import plain_name
from housing_assets.core.source.notes import Notes
from housing_assets.core.source.parsing import (
    NULLS,
    SLASH_DAY,
    WORD_NULLS,
    Spelling,
    parse_amount,
    parse_day,
    parse_zip,
)

LISTED = 5

_NEAR = 0.75

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"

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


def source_rules(today: date) -> Rules:
    """What is asked of one source of several: a place and a month; the others give what it lacks."""
    return Rules(("date", "zipcode"), frozenset({"date", "zipcode"}), month_of(today))


PREDICT_RULES = Rules(("date", "zipcode"), frozenset({"date", "zipcode"}))
"""What is asked of rows to predict: a place and a month."""


@dataclass(frozen=True)
class Problem:
    """One invalid value, or one row that is no row (then `column` is empty)."""

    row: int
    column: str
    text: str


@dataclass
class NormalizedRows:
    """Rows in the contract's types.

    Attributes:
        frame: with the columns of `RAW_SCHEMA`; null where a value is invalid.
        problems: the first invalid values, in row order; rows count from 0.
        assumed: what had to be assumed to read the values, by column and words, with the number of values.
    """

    frame: pl.DataFrame
    problems: list[Problem]
    assumed: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add_notes(self, name: str, notes: Notes) -> None:
        """Add what was assumed to the notes of a run."""
        for (column, words), count in self.assumed.items():
            notes.add(f"{name}: column {column!r}: {words}", count)


# ---------------------------------------------------------------- columns


def check_columns(names: Collection[str], name: str, rules: Rules, notes: Notes) -> None:
    """Refuse missing, repeated and misspelled columns; note the extra ones.

    Args:
        names: of the file's columns, those of the contract already as the contract spells them.
        name: of the file.
        rules: what is asked of it.
        notes: receives the extra columns.
    """
    counts = Counter(names)
    repeated = sorted(n for n, count in counts.items() if count > 1 and n in BY_NAME)
    if repeated:
        raise SourceError(f"{name}: column {repeated[0]!r} occurs more than once: keep one of them")
    extra = [n for n in counts if n not in BY_NAME]
    for column in rules.required:
        if column not in counts:
            near = nearest_name(column, extra, cutoff=0.6)
            hint = f"did you mean {near!r}? Rename it" if near else f"the file has {', '.join(list(names)[:50])}"
            raise SourceError(f"{name}: column {column!r} is missing; {hint}")
    absent = [n for n in COLUMN_NAMES if n not in counts]
    for column in extra:
        near = nearest_name(column, absent, cutoff=_NEAR)
        if near:
            raise SourceError(f"{name}: column {column!r} is unknown; did you mean {near!r}? Rename it, or remove it")
    if extra:
        notes.add(f"{name}: ignored columns that are not in the contract: {', '.join(map(repr, extra))}")


def nearest_name(name: str, among: Iterable[str], cutoff: float) -> str | None:
    """The most similar of some names, whatever their case, spaces and underscores."""
    by_plain_name = {plain_name(n): n for n in among}
    near = difflib.get_close_matches(plain_name(name), by_plain_name, n=1, cutoff=cutoff)
    return by_plain_name[near[0]] if near else None


# ---------------------------------------------------------------- values


def normalize_rows(frame: pl.DataFrame, rules: Rules, spelling: Spelling = Spelling()) -> NormalizedRows:  # noqa: B008
    """Bring raw columns to the contract's types."""
    clean: list[pl.Series] = []
    problems: list[Problem] = []
    assumed: Counter[tuple[str, str]] = Counter()
    for column in COLUMNS:
        name = column.name
        if name not in frame.columns:
            clean.append(pl.Series(name, [None], dtype=column.dtype).new_from_index(0, frame.height))
            continue
        raw = frame[name]
        words: Counter[str] = Counter()
        if column.kind == "number":
            values = read_numbers(raw, spelling, words)
        elif column.kind == "date":
            values = read_days(raw, spelling, words, rules.latest)
        elif name == "zipcode":
            values = read_zips(raw, words)
        else:
            values = _read_texts(raw, words)
        clean.append(values.alias(name))
        assumed.update({(name, text): count for text, count in words.items()})
        if values.null_count() == 0 or (values.null_count() == raw.null_count() and name not in rules.filled):
            continue
        missing = _is_missing(raw, column.kind)
        for i in (values.is_null() & ~missing).arg_true().head(LISTED):
            problems.append(Problem(i, name, complaint_about(name, raw[i], rules.latest)))
        if name in rules.filled:
            for i in missing.arg_true().head(LISTED):
                problems.append(Problem(i, name, "is empty: fill it in, or remove the row"))
    ordered = sorted(problems, key=lambda p: (p.row, COLUMN_NAMES.index(p.column)))
    return NormalizedRows(pl.DataFrame(clean), ordered, assumed)


def _is_missing(raw: pl.Series, kind: str) -> pl.Series:
    """Where a raw value says that there is none; a blank is no number, as pyarrow has it."""
    if raw.dtype.is_float():
        return raw.is_null() | raw.is_nan().fill_null(False)
    if raw.dtype == pl.String:
        text = raw if kind == "number" else raw.str.strip_chars()
        return text.is_null() | text.is_in(NULLS).fill_null(False)
    return raw.is_null()


def read_numbers(raw: pl.Series, spelling: Spelling, assumed: Counter[str]) -> pl.Series:
    """Numbers; null where there is none or the value is no finite number.

    Args:
        raw: numbers, or text.
        spelling: of the file.
        assumed: receives what was assumed, with the number of values.
    """
    if raw.dtype.is_numeric() or raw.dtype in (pl.Boolean, pl.Null):
        values = raw.cast(pl.Float64)
    else:
        text = raw.cast(pl.String).str.strip_chars()
        plain = text.str.contains(_NUMBER)
        if spelling.decimal_comma:
            plain = plain & ~text.str.contains(".", literal=True)
        values = text.str.strip_prefix("+").set(~plain, None).cast(pl.Float64, strict=False)
        odd = text.set(plain.fill_null(True), None)
        if odd.null_count() < odd.len():
            parsed = _mapped(odd, lambda value: parse_amount(value, spelling.decimal_comma), pl.Float64(), assumed)
            values = pl.select(pl.coalesce(values, parsed)).to_series()
    return values if values.is_finite().all() else values.set(~values.is_finite(), None)


def unread_numbers(raw: pl.Series, values: pl.Series) -> pl.Series:
    """Where a number was given, blanks apart, and `read_numbers` made none of it: infinite, or no number at all."""
    if values.null_count() == raw.null_count():
        return values.is_null() & raw.is_not_null()
    return values.is_null() & ~_is_missing(raw.str.strip_chars() if raw.dtype == pl.String else raw, "number")


def read_days(raw: pl.Series, spelling: Spelling, assumed: Counter[str], latest: str | None) -> pl.Series:
    """Month ends; null where there is no date, or one outside 1900 to 2100 or after the month `latest`."""
    if raw.dtype in (pl.Date, pl.Datetime):
        days = raw.dt.date()
    else:
        days = _mapped(raw, lambda value: parse_day(value, spelling.day_first), pl.Date(), assumed)
    last = date(_LAST_YEAR, 12, 31) if latest is None else month_end(latest)
    in_range = days.is_between(date(_FIRST_YEAR, 1, 1), last)
    return (days if in_range.all() else days.set(~in_range, None)).dt.month_end()


def read_zips(raw: pl.Series, assumed: Counter[str]) -> pl.Series:
    """ZIP codes of five characters; null where there is none or the value is none."""
    return _mapped(raw, parse_zip, pl.String(), assumed)


def _read_texts(raw: pl.Series, assumed: Counter[str]) -> pl.Series:
    def parse(text: str) -> tuple[str, str] | None:
        return None if text in NULLS else (text, "")

    return _mapped(raw, parse, pl.String(), assumed)


def map_distinct(raw: pl.Series, function: Callable[[str], str | None]) -> pl.Series:
    """What a function makes of each text; it is called once for each distinct one. Null stays null."""
    text = raw.cast(pl.String)
    distinct = text.drop_nulls().unique()
    made = pl.Series([function(value) for value in distinct], dtype=pl.String)
    return text if made.equals(distinct) else text.replace_strict(distinct, made, return_dtype=pl.String)


def _mapped(
    raw: pl.Series, parse: Callable[[str], tuple[Any, str] | None], dtype: pl.DataType, assumed: Counter[str]
) -> pl.Series:
    """Each distinct text parsed once: a panel has few dates, zips and metros for its many rows."""
    text = raw.cast(pl.String)
    distinct = text.drop_nulls().unique()
    parsed = [parse(value.strip()) for value in distinct]
    words = [
        "words for no value read as empty" if value.strip() in WORD_NULLS else result[1] if result else ""
        for value, result in zip(distinct, parsed, strict=True)
    ]
    if any(words):
        counts = dict(text.value_counts(name="rows").iter_rows())
        for value, word in zip(distinct, words, strict=True):
            if word:
                assumed[word] += counts[value]
    values = pl.Series([result[0] if result else None for result in parsed], dtype=dtype)
    return text.replace_strict(distinct, values, default=None, return_dtype=dtype)


def complaint_about(column: str, value: object, latest: str | None) -> str:
    """What is wrong with a value, and what to write instead."""
    text = str(value)
    shown = repr(text if len(text) <= 40 else text[:40] + "...")
    if column == "zipcode":
        return f"{shown} is not a ZIP code: write at most 5 digits"
    if column != "date":
        return f"{shown} is not a number: write a finite number such as 1234.5, or leave it empty"
    day = parse_day(text.strip())
    if day and latest and month_of(day.value) > latest:
        return f"{shown} lies in the future (this month is {latest}): correct it, or remove the row"
    month_first, day_first = parse_day(text.strip(), False), parse_day(text.strip(), True)
    if not day and month_first and day_first and SLASH_DAY.fullmatch(text.strip()):
        return f"{shown} can be {month_first.value} or {day_first.value}: write YYYY-MM-DD"
    return f"{shown} is not a date of {_FIRST_YEAR} to {_LAST_YEAR}: write YYYY-MM-DD"


def refusal_of(name: str, unit: str, problems: list[Problem]) -> SourceError:
    """The error that lists the first bad values of a file."""
    first = "\n".join(
        f"  {unit} {p.row}, column {p.column!r}: {p.text}" if p.column else f"  {unit} {p.row}: {p.text}"
        for p in problems[:LISTED]
    )
    more = f" (the first {LISTED} bad values)" if len(problems) >= LISTED else ""
    return SourceError(f"{name} breaks the column contract{more}:\n{first}")
