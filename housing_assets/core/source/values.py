"""What a valid value is, and how a message names an invalid one."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.months import month_end, month_of
from housing_assets.core.panel.schema import BY_NAME, COLUMN_NAMES, COLUMNS, REQUIRED

LISTED = 5

_NEAR = 0.75

NULLS = ("", "nan", "NaN", "Nan", "NAN", "null", "NULL", "na", "NA")

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


# ---------------------------------------------------------------- columns


def check_columns(names: list[str], name: str, rules: Rules, notes: list[str]) -> None:
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


def normalize_rows(frame: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, list[Problem]]:
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
        for i in (values.is_null() & ~missing).arg_true().head(LISTED):
            problems.append(Problem(i, name, _complaint(name, raw[i], rules)))
        if name in rules.filled:
            for i in missing.arg_true().head(LISTED):
                problems.append(Problem(i, name, "is empty: fill it in, or remove the row"))
    return pl.DataFrame(clean), sorted(problems, key=lambda p: (p.row, COLUMN_NAMES.index(p.column)))


def _is_missing(raw: pl.Series, kind: str) -> pl.Series:
    """Where a raw value says that there is none; a blank is no number, as pyarrow has it."""
    if raw.dtype.is_float():
        return raw.is_null() | raw.is_nan().fill_null(False)
    if raw.dtype == pl.String:
        text = raw if kind == "number" else raw.str.strip_chars()
        return text.is_null() | text.is_in(NULLS).fill_null(False)
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
    return None if text in NULLS else text


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


def refusal_of(name: str, unit: str, problems: list[Problem]) -> SourceError:
    """The error that lists the first bad values of a file."""
    first = "\n".join(
        f"  {unit} {p.row}, column {p.column!r}: {p.text}" if p.column else f"  {unit} {p.row}: {p.text}"
        for p in problems[:LISTED]
    )
    more = f" (the first {LISTED} bad values)" if len(problems) >= LISTED else ""
    return SourceError(f"{name} breaks the column contract{more}:\n{first}")
