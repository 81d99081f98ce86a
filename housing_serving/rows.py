"""Raw rows over HTTP: what they are once they are checked, and what is said of those that are wrong.

What belongs here: `Rows`, its errors, and the rules that every format shares. How each format becomes rows is in
`json_rows`, `arrow` and `invocations`. Every rule on a column derives from the column contract.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from housing_assets.core.panel.schema import BY_NAME, COLUMNS, NUMERIC_FEATURES, ZIP_PATTERN, Column, Zero

MOST_ERRORS = 50
"""Errors that one answer names."""
MOST_ROW_BYTES = 100_000
"""Bytes of one row, where a body is so large that it is decoded in slices: fifty times those of a full row."""

KEYS = ("date", "zipcode")
"""Columns that every row must have."""
NUMBERS: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.kind == "number")
"""Columns of `Rows.numbers`."""
_PLACES = {name: i for i, name in enumerate(NUMBERS)}
FEATURE_NUMBERS = np.array([NUMBERS.index(name) for name in NUMERIC_FEATURES])
"""Positions of `NUMERIC_FEATURES` in `Rows.numbers`."""
PRICE = NUMBERS.index("price")
"""Position of the price in `Rows.numbers`."""
_LEAST_PRICE = BY_NAME["price"].low or 0.0

is_zip = re.compile(ZIP_PATTERN.rstrip("$")).fullmatch
"""A match if a text is a zip code, else None."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of one row; row -1 is the body as a whole."""

    row: int
    field: str
    message: str


class BadRowsError(Exception):
    """Rows that cannot be predicted.

    Attributes:
        status: of the answer: 400 for a body that cannot be parsed, 422 for one that is no rows.
        errors: what is wrong, at most `MOST_ERRORS`.
    """

    def __init__(self, status: int, errors: Sequence[FieldError]) -> None:
        super().__init__(errors[0].message)
        self.status, self.errors = status, tuple(errors)


@dataclass(frozen=True)
class Rows:
    """n raw rows, checked.

    Attributes:
        dates, zipcodes, cities: n values each; a city (`city_full`) may be None.
        numbers: `NUMBERS` in the units of the contract, float64 of shape (n, len(NUMBERS)), missing NaN.
    """

    dates: Sequence[date]
    zipcodes: Sequence[str]
    cities: Sequence[str | None]
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.dates)

    def column(self, name: str) -> np.ndarray:
        """One of `NUMBERS`, shape (n,), missing NaN."""
        return self.numbers[:, _PLACES[name]]

    def where(self, chosen: np.ndarray) -> "Rows":
        """Some of the rows.

        Args:
            chosen: True for those; booleans, shape (n,).
        """
        places = np.flatnonzero(chosen).tolist()
        return Rows(
            [self.dates[i] for i in places],
            [self.zipcodes[i] for i in places],
            [self.cities[i] for i in places],
            self.numbers[chosen],
        )

    @property
    def actuals(self) -> list[float] | None:
        """The prices of all rows, US dollars; None if any row has none."""
        prices = self.numbers[:, PRICE].tolist()
        return prices if all(p > 0 for p in prices) else None


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Rows one after the other."""
    return Rows(
        [day for rows in parts for day in rows.dates],
        [zipcode for rows in parts for zipcode in rows.zipcodes],
        [city for rows in parts for city in rows.cities],
        np.concatenate([rows.numbers for rows in parts]),
    )


def lowest(column: Column) -> float:
    """The least value over HTTP: a 0 may stand for a gap, so that it is in every such range."""
    low = column.low or 0.0
    return low if column.zero is Zero.VALUE else min(low, 0.0)


def is_cents(price: float | None) -> bool:
    """True if a price is below the least of the contract and no 0, which stands for a gap."""
    return price is not None and 0 < price < _LEAST_PRICE


def are_cents(prices: np.ndarray) -> np.ndarray:
    """`is_cents` of each price, booleans of the same shape; False for NaN."""
    return (prices > 0) & (prices < _LEAST_PRICE)


def range_message(column: Column, value: float) -> str:
    """Why a number is no value of its column."""
    zero = "0 for a gap, or " if column.low and lowest(column) == 0 else ""
    try:
        written = f"{value:g}"
    except OverflowError:
        written = "an integer of more than 308 digits"
    return f"{written} is outside {zero}{column.low:g} to {column.high:g}"


def unknown_column(row: int, name: str) -> FieldError:
    """A name that is no column, with the column it is nearest to."""
    near = difflib.get_close_matches(name[:100], list(BY_NAME), 1, 0.6)
    return FieldError(row, name[:100], "is no column" + (f": did you mean {near[0]!r}?" if near else ""))


def no_rows() -> BadRowsError:
    """A body without rows."""
    return BadRowsError(422, [FieldError(-1, "", "no rows: send at least one")])


def require_few(rows: int, most: int) -> None:
    """Refuse more rows than are allowed.

    Raises:
        BadRowsError: there are more.
    """
    if rows > most:
        raise BadRowsError(422, [FieldError(-1, "", f"{rows} rows are more than {most}: send them in several calls")])
