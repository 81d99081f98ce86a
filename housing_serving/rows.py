"""Raw rows over HTTP: JSON into typed structs that are generated from the column contract, and those into arrays.

msgspec decodes and checks in one go, and stops at the first error. So a slice that is refused is looked at again, row
by row, for a message that names every row and field.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Optional

import msgspec
import numpy as np

from housing_assets.core.panel.schema import BY_NAME, COLUMNS, NUMERIC_FEATURES, ZIP_PATTERN, Column, Zero
from housing_serving.slices import SLICE_BYTES, NotJsonError, find_parts, give_way, guess_slices, kind_of_json

MOST_ERRORS = 50
"""Errors that one answer names."""
MOST_ROW_BYTES = 100_000
"""Bytes of one row, where a body is so large that it is decoded in slices: fifty times those of a full row."""

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
_SCALARS = {'"': "text", "t": "true or false", "f": "true or false", "n": "null"}
_SCALARS |= dict.fromkeys("-0123456789", "a number")
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
    """JSON to rows. A large body is decoded in slices, so that no other thread waits long for Python's lock.

    Args:
        body: a JSON array of objects.
        most: rows that are allowed.

    Raises:
        BadRowsError: it is no JSON, no list of 1 to `most` rows, or some field of some row is wrong.
    """
    if len(body) <= SLICE_BYTES:
        return _decode_slice(body, most)
    with suppress(BadRowsError, NotJsonError):
        found: list[Rows] = []
        for part in guess_slices(body):
            found.append(_decode_slice(part, most, explain=False))
            give_way()
            require_few(sum(map(len, found)), most)
        return join_rows(found)
    return decode_parts(body, most, lambda _begin, text: _decode_slice(text, most))


def decode_parts(body: bytes, most: int, decode: Callable[[int, bytes], Rows]) -> Rows:
    """The rows of a JSON list, whatever its elements are.

    Args:
        body: the list.
        most: rows that are allowed.
        decode: of the first row's number and some elements as a JSON list; it raises `BadRowsError`, whose rows count
            from that first.

    Raises:
        BadRowsError: it is no list of 1 to `most` elements, each of at most `MOST_ROW_BYTES`, or one is wrong.
    """
    begins = kind_of_json(body)
    if begins in _SCALARS:
        raise _no_list(_SCALARS[begins])
    try:
        parts = find_parts(body, most + 1)
    except NotJsonError as error:
        raise no_json(error) from None
    if begins == "{":
        raise _no_list(_kind({}))
    if not parts.count:
        raise no_rows()
    require_few(parts.count, most)
    found: list[Rows] = []
    wrong: list[FieldError] = []
    for begin, end, size in parts.slices(SLICE_BYTES):
        if len(wrong) >= MOST_ERRORS:
            break
        if size > MOST_ROW_BYTES:
            wrong.append(FieldError(begin, "", f"has {size:,} bytes, the most are {MOST_ROW_BYTES:,}: shorten it"))
            continue
        give_way()
        text = parts.text(begin, end)
        if not text.strip():
            raise no_json(f"row {begin} is empty")
        try:
            found.append(decode(begin, b"[" + text + b"]"))
        except BadRowsError as error:
            if error.status == 400:
                raise
            wrong += [FieldError(begin + e.row, e.field, e.message) for e in error.errors]
    if wrong:
        raise BadRowsError(422, wrong[:MOST_ERRORS])
    return join_rows(found)


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Rows one after the other."""
    return Rows(
        [day for rows in parts for day in rows.dates],
        [zipcode for rows in parts for zipcode in rows.zipcodes],
        [city for rows in parts for city in rows.cities],
        np.concatenate([rows.numbers for rows in parts]),
    )


def _decode_slice(body: bytes, most: int, explain: bool = True) -> Rows:
    """Rows of a body that is small.

    Args:
        body: a JSON array of objects.
        most: rows that are allowed.
        explain: say all that is wrong? If not, the error says only that something is.
    """
    try:
        structs = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(body, most) if explain else no_json(error) from None
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
        raise _wrong(body, most) if explain else no_json("a value is wrong")
    cities = [t[_CITY] or None for t in told]
    return Rows([t[0] for t in told], zipcodes, cities, numbers)


def no_json(why: object) -> BadRowsError:
    """A body that cannot be parsed."""
    return BadRowsError(400, [FieldError(-1, "", f"the body is no JSON: {why}")])


def _no_list(kind: str) -> BadRowsError:
    return BadRowsError(422, [FieldError(-1, "", f"the body is {kind}: send a list of rows")])


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
        raise no_json(error) from None


def _wrong(body: bytes, most: int) -> BadRowsError:
    """Every error of a body that the decoder refused, at most `MOST_ERRORS`.

    Raises:
        BadRowsError: it is no JSON.
    """
    rows = parse(body)
    if not isinstance(rows, list):
        return _no_list(_kind(rows))
    require_few(len(rows), most)
    found: list[FieldError] = []
    for i, row in enumerate(rows):
        # Whole rows first: to look at one field costs as much as to look at a row.
        if not _is_row(row):
            found += _row_errors(i, row)
        if len(found) >= MOST_ERRORS:
            break
    return BadRowsError(422, found[:MOST_ERRORS] or [FieldError(-1, "", "the rows cannot be read")])


def _is_row(row: Any) -> bool:
    try:
        made: Any = msgspec.convert(row, RawRow)
    except msgspec.ValidationError:
        return False
    return bool(is_zip(made.zipcode)) and not is_cents(made.price)


def unknown_column(row: int, name: str) -> FieldError:
    """A name that is no column, with the column it is nearest to."""
    near = difflib.get_close_matches(name[:100], _NAMES, 1, 0.6)
    return FieldError(row, name[:100], "is no column" + (f": did you mean {near[0]!r}?" if near else ""))


def _row_errors(i: int, row: Any) -> list[FieldError]:
    if not isinstance(row, Mapping):
        return [FieldError(i, "", f"is {_kind(row)}: send an object of column names and values")]
    found = [FieldError(i, name, "is missing: it is required") for name in KEYS if name not in row]
    for name, value in row.items():
        if len(found) >= MOST_ERRORS:
            break
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
