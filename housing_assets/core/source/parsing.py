"""One value as people write it: days, numbers and ZIP codes, each with what had to be assumed to read it.

What can be read in two ways is not read here: `Spelling` says how the file writes it, once a whole file was asked
(`spelling`).
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from housing_assets.core.months import month_end

FAST_NULLS = ("", "nan", "NaN", "Nan", "NAN")
"""What stands for no value and needs no word: pandas and numpy write it."""

WORD_NULLS = ("null", "NULL", "na", "NA", "N/A", "n/a", "-")
"""What people write for no value."""

NULLS = (*FAST_NULLS, *WORD_NULLS)

SLASH_DAY = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})( 0?0:00(:00)?)?")
_MONTH_ONLY = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})")
_MONTH_FIRST_YEAR = re.compile(r"([0-9]{1,2})/([0-9]{4})")
_MONTH_NAMES = ("%B %Y", "%b %Y", "%b-%Y", "%B %d, %Y", "%b %d, %Y", "%Y/%m/%d")
_ZIP = re.compile(r"(?P<quote>'?)(?P<words>zip code: *)?(?P<zip>[0-9]{1,5})(\.0+)?(?P<plus>-[0-9]{4})?", re.IGNORECASE)
_AMOUNT = re.compile(
    r"(?P<sign>[+-]?) *(?P<dollar>(US)?\$)? *(?P<body>[0-9][0-9.,]*|[.,][0-9]+)(?P<scale>[KkMm]?) *(?P<percent>%?)"
)
_GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")
_PLAIN = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)")
_SCALES = {"": 1.0, "k": 1e3, "m": 1e6}
_LAST_SHORT_YEAR = 68
"""A year of two digits after this one is of the last century, as POSIX has it."""


@dataclass(frozen=True)
class Spelling:
    """How a file writes what can be read in two ways.

    Attributes:
        day_first: True for 31/1/2020, False for 1/31/2020, None where neither was seen.
        decimal_comma: True for 1.234,5.
    """

    day_first: bool | None = None
    decimal_comma: bool = False


class Day(NamedTuple):
    """A day and what was assumed to read it (empty: nothing)."""

    value: date
    assumed: str


class Amount(NamedTuple):
    """A number and what was assumed to read it (empty: nothing)."""

    value: float
    assumed: str


class ZipCode(NamedTuple):
    """A ZIP code of five digits and what was assumed to read it (empty: nothing)."""

    value: str
    assumed: str


@lru_cache(maxsize=10_000)
def parse_day(text: str, day_first: bool | None = None) -> Day | None:
    """A day, or None where the text is none; a month without a day is its last day.

    Args:
        text: without spaces around it.
        day_first: see `Spelling`; where it is None, `03/04/2020` is no day, `1/31/2020` is.
    """
    try:
        return Day(datetime.fromisoformat(text).date(), "")
    except ValueError:
        pass
    try:
        if match := SLASH_DAY.fullmatch(text):
            return _slash_day(int(match[1]), int(match[3]), _full_year(match[4]), day_first)
        if match := _MONTH_ONLY.fullmatch(text):
            return Day(month_end(f"{match[1]}-{int(match[2]):02d}"), "months read without a day")
        if match := _MONTH_FIRST_YEAR.fullmatch(text):
            return Day(month_end(f"{match[2]}-{int(match[1]):02d}"), "months read without a day")
    except ValueError:
        return None
    for pattern in _MONTH_NAMES:
        try:
            day = datetime.strptime(text, pattern).date()
        except ValueError:
            continue
        return Day(day, "dates read with the month's name" if "b" in pattern.lower() else "")
    return None


def _full_year(text: str) -> int:
    year = int(text)
    if len(text) == 4:
        return year
    return year + (2000 if year <= _LAST_SHORT_YEAR else 1900)


def _slash_day(first: int, second: int, year: int, day_first: bool | None) -> Day | None:
    if day_first is None:
        if first <= 12 and second <= 12 and first != second:
            return None
        day_first = first > 12
    day, month = (first, second) if day_first else (second, first)
    order = "day/month/year" if day_first else "month/day/year"
    return Day(date(year, month, day), f"dates read as {order}")


def parse_amount(text: str, decimal_comma: bool = False) -> Amount | None:
    """A number written for people (`$450,000`, `$159K`, `95.6%`), or None; percent is given as a fraction."""
    match = _AMOUNT.fullmatch(text)
    if not match:
        return None
    body = match["body"]
    if decimal_comma:
        body = body.translate(str.maketrans(",.", ".,"))
    grouped = _GROUPED.fullmatch(body)
    if not grouped and not _PLAIN.fullmatch(body):
        return None
    value = float(body.replace(",", "")) * _SCALES[match["scale"].lower()]
    marks = [
        ("dollar signs", match["dollar"]),
        ("thousands separators", grouped),
        ("decimal commas", decimal_comma and "." in body),
        ("K and M", match["scale"]),
        ("percent signs", match["percent"]),
    ]
    read = [words for words, present in marks if present]
    if match["percent"]:
        value /= 100
    return Amount(-value if match["sign"] == "-" else value, f"numbers read with {', '.join(read)}" if read else "")


@lru_cache(maxsize=50_000)
def parse_zip(text: str) -> ZipCode | None:
    """A ZIP code of five digits, or None. Leading zeros that were lost come back without a word."""
    match = _ZIP.fullmatch(text)
    if not match:
        return None
    marks = [("a leading apostrophe", match["quote"]), ("four more digits", match["plus"])]
    read = [words for words, present in marks if present]
    return ZipCode(match["zip"].zfill(5), f"ZIP codes read without {' and '.join(read)}" if read else "")
