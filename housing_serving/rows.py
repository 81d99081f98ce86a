"""Raw rows over HTTP: JSON into typed structs that are generated from the column contract, and those into arrays.

msgspec decodes and checks in one go, and stops at the first error. So a body that is refused is looked at again, row
by row, for a message that names every row and field.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, NoReturn, Optional

import msgspec
import numpy as np

from housing_assets.core.schema import BY_NAME, COLUMNS, NUMERIC_FEATURES, ZIP_PATTERN, Column, Zero

MOST_ERRORS = 50
"""Errors that one answer names."""

KEYS = ("date", "zipcode")
"""Columns that every row must have."""
NUMBERS: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.kind == "number")
"""Columns of `Rows.numbers`."""
TEXTS: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.kind == "text" and c.name not in KEYS)
FEATURE_NUMBERS = np.array([NUMBERS.index(name) for name in NUMERIC_FEATURES])
"""Where `NUMERIC_FEATURES` are in `Rows.numbers`."""

PRICE = NUMBERS.index("price")
"""Where the price is in `Rows.numbers`."""
_ABSENT = float("-inf")
_CITY = len(KEYS) + TEXTS.index("city_full")
_FIRST_NUMBER = len(KEYS) + len(TEXTS)


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

    @property
    def actuals(self) -> list[float] | None:
        """The prices of all rows, US dollars; None if any row has none."""
        prices = self.numbers[:, PRICE].tolist()
        return prices if all(p > 0 for p in prices) else None


def lowest(column: Column) -> float:
    """The least value over HTTP: a 0 may stand for a gap, so that it is in every such range."""
    low = column.low or 0.0
    return low if column.zero is Zero.VALUE else min(low, 0.0)


def is_cents(price: float | None) -> bool:
    """Is a price below the least of the contract, and no 0, which stands for a gap?"""
    return price is not None and 0 < price < (BY_NAME["price"].low or 0.0)


def range_message(column: Column, value: float) -> str:
    """Why a number is no value of its column."""
    zero = "0 for a gap, or " if column.low and lowest(column) == 0 else ""
    return f"{value:g} is outside {zero}{column.low:g} to {column.high:g}"


def attribute(name: str) -> str:
    """The struct's attribute of a column: `Median Age` is `median_age_`, so that no two columns meet."""
    return re.sub(r"\W", "_", name).lower() + ("_" if name != name.lower() else "")


def _type(column: Column) -> Any:
    if column.kind == "number":
        return Optional[Annotated[float, msgspec.Meta(ge=lowest(column), le=column.high)]]  # noqa: UP045
    # The pattern of zip codes is matched afterwards, which is faster.
    return date if column.kind == "date" else str if column.name == "zipcode" else str | None | msgspec.UnsetType


# Values that no JSON can hold tell a field that is absent from one that is null.
_DEFAULTS: dict[str, Any] = {"text": msgspec.UNSET, "number": _ABSENT}

RawRow = msgspec.defstruct(
    "RawRow",
    [
        *((name, _type(BY_NAME[name])) for name in KEYS),
        *((attribute(n), _type(BY_NAME[n]), _DEFAULTS[BY_NAME[n].kind]) for n in (*TEXTS, *NUMBERS)),
    ],
    rename={attribute(c.name): c.name for c in COLUMNS},
    forbid_unknown_fields=True,
    frozen=True,
    gc=False,
)
_DECODER: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[RawRow])  # pyright: ignore[reportAssignmentType]
_FIELDS = len(COLUMNS)
_NAMES = tuple(BY_NAME)
is_zip = re.compile(ZIP_PATTERN.rstrip("$")).fullmatch
"""Whether a text is a zip code: a match, or None."""


def decode_rows(body: bytes, most: int) -> Rows:
    """JSON to rows.

    Args:
        body: a JSON array of objects.
        most: rows that are allowed.

    Raises:
        BadRowsError: it is no JSON, no list of 1 to `most` rows, or some field of some row is wrong.
    """
    try:
        structs = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _explain(parse(body), most)
    if not structs:
        raise no_rows()
    require_few(len(structs), most)
    told = [msgspec.structs.astuple(s) for s in structs]
    numbers = np.array([t[_FIRST_NUMBER:] for t in told], dtype=np.float64)
    absent = numbers == _ABSENT
    given = len(told) * _FIELDS - int(np.count_nonzero(absent))
    given -= sum(t.count(msgspec.UNSET) for t in (t[:_FIRST_NUMBER] for t in told))
    # As many colons as fields: none can be there twice. More may stand in a text, which takes a slower look.
    if body.count(b":") != given:
        require_unique_keys(body)
    numbers[absent] = np.nan
    zipcodes = [t[1] for t in told]
    if not all(map(is_zip, zipcodes)) or any(map(is_cents, numbers[:, PRICE].tolist())):
        _explain(parse(body), most)
    cities = [t[_CITY] or None for t in told]
    return Rows([t[0] for t in told], zipcodes, cities, numbers)


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


def require_unique_keys(body: bytes) -> None:
    """Refuse JSON in which an object has a key twice: which of the two values was meant?

    Args:
        body: JSON that was decoded before, so that it is valid and of no great depth.

    Raises:
        BadRowsError: it does.
    """
    json.loads(body, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise BadRowsError(
                400, [FieldError(-1, name[:100], f"the key {name[:100]!r} is there twice: send it once")]
            )
        seen.add(name)


def parse(body: bytes) -> Any:
    """JSON whose objects have no key twice.

    Raises:
        BadRowsError: the body is none.
    """
    try:
        found = msgspec.json.decode(body)
        require_unique_keys(body)
        return found
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRowsError(400, [FieldError(-1, "", f"the body is no JSON: {error}")]) from None


def _explain(rows: Any, most: int) -> NoReturn:
    """Raise every error of what the decoder refused."""
    if not isinstance(rows, list):
        raise BadRowsError(422, [FieldError(-1, "", f"the body is {_kind(rows)}: send a list of rows")])
    require_few(len(rows), most)
    found: list[FieldError] = []
    for i, row in enumerate(rows):
        found += _row_errors(i, row)
        if len(found) >= MOST_ERRORS:
            break
    raise BadRowsError(422, found[:MOST_ERRORS] or [FieldError(-1, "", "the rows cannot be read")])


def unknown_column(row: int, name: str) -> FieldError:
    """A name that is no column, with the column it is nearest to."""
    near = difflib.get_close_matches(name[:100], _NAMES, 1, 0.6)
    return FieldError(row, name[:100], "is no column" + (f": did you mean {near[0]!r}?" if near else ""))


def _row_errors(i: int, row: Any) -> list[FieldError]:
    if not isinstance(row, Mapping):
        return [FieldError(i, "", f"is {_kind(row)}: send an object of column names and values")]
    found = [FieldError(i, name, "is missing: it is required") for name in KEYS if name not in row]
    for name, value in row.items():
        if name not in BY_NAME:
            found.append(unknown_column(i, name))
        elif told := _value_error(BY_NAME[name], value):
            found.append(FieldError(i, name, told))
    return found


def _value_error(column: Column, value: Any) -> str | None:
    if value is None:
        return "is null: it is required" if column.name in KEYS else None
    if column.name == "zipcode":
        good = isinstance(value, str) and is_zip(value)
        return None if good else f"{value!r:.40} is no zip code: write 5 digits as a string, such as '02139'"
    try:
        msgspec.convert(value, _type(column), strict=True)
    except msgspec.ValidationError as error:
        if column.kind == "date":
            return f"{value!r:.40} is no date: write YYYY-MM-DD"
        if column.kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
            return range_message(column, value)
        return f"is {_kind(value)}: {str(error).partition(' - ')[0]}"
    return range_message(column, value) if column.name == "price" and is_cents(value) else None


def _kind(value: Any) -> str:
    named = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return next((told for kind, told in named.items() if isinstance(value, kind)), "a number")


def _documented(column: Column) -> Any:
    described = column.description + (f" ({column.unit})" if column.kind == "number" else "")
    if column.kind == "date":
        return Annotated[date, msgspec.Meta(description=described)]
    if column.name == "zipcode":
        return Annotated[str, msgspec.Meta(pattern=ZIP_PATTERN, description=described)]
    if column.kind == "text":
        return Optional[Annotated[str, msgspec.Meta(description=described)]]  # noqa: UP045
    return Optional[Annotated[float, msgspec.Meta(ge=lowest(column), le=column.high, description=described)]]  # noqa: UP045


def _row_schema() -> dict[str, Any]:
    columns = sorted(COLUMNS, key=lambda c: c.name not in KEYS)
    made = msgspec.defstruct(
        "RawRow",
        [
            (attribute(c.name), _documented(c)) if c.name in KEYS else (attribute(c.name), _documented(c), None)
            for c in columns
        ],
        rename={attribute(c.name): c.name for c in columns},
        forbid_unknown_fields=True,
    )
    schema: dict[str, Any] = msgspec.json.schema_components([made])[1]["RawRow"]
    number, null = schema["properties"]["price"]["anyOf"]
    gap = {"type": "number", "const": 0, "description": "a gap"}
    schema["properties"]["price"]["anyOf"] = [number | {"minimum": BY_NAME["price"].low}, gap, null]
    return schema


ROW_SCHEMA = _row_schema()
"""JSON Schema of one raw row."""
