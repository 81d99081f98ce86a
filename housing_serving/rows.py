"""Raw rows over HTTP: JSON into typed structs that are generated from the column contract.

msgspec decodes and checks in one go, and stops at the first error. So a body that it refuses is looked at again,
row by row, for a message that names every row and field.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, NoReturn, Optional

import msgspec

from housing_assets.core.schema import BY_NAME, COLUMNS, ZIP_PATTERN, Column, Zero

MOST_ERRORS = 50
"""Errors that one answer names."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of one row; row -1 is the body as a whole."""

    row: int
    field: str
    message: str


class BadRowsError(Exception):
    """Rows that cannot be predicted.

    Attributes:
        status: of the answer: 400 for no JSON, 422 for JSON that is no rows.
        errors: what is wrong, at most `MOST_ERRORS`.
    """

    def __init__(self, status: int, errors: Sequence[FieldError]) -> None:
        super().__init__(errors[0].message)
        self.status, self.errors = status, tuple(errors)


def _type(column: Column) -> Any:
    if column.name == "date":
        return date
    if column.name == "zipcode":
        return Annotated[str, msgspec.Meta(pattern=ZIP_PATTERN, description=column.description)]
    if column.kind == "text":
        return str | None
    # A 0 may stand for a gap, so that it is in every range.
    low = min(column.low or 0, 0) if column.zero is not Zero.VALUE else column.low
    described = f"{column.description} ({column.unit})"
    return Optional[Annotated[float, msgspec.Meta(ge=low, le=column.high, description=described)]]  # noqa: UP045


def attribute(name: str) -> str:
    """The struct's attribute of a column: `Median Age` is `median_age_`, so that no two columns meet."""
    return re.sub(r"\W", "_", name).lower() + ("_" if name != name.lower() else "")


_KEYS = ("date", "zipcode")
_OPTIONAL = [c for c in COLUMNS if c.name not in _KEYS]

RawRow = msgspec.defstruct(
    "RawRow",
    [
        *((attribute(name), _type(BY_NAME[name])) for name in _KEYS),
        *((attribute(c.name), _type(c), None) for c in _OPTIONAL),
    ],
    rename={attribute(c.name): c.name for c in COLUMNS},
    forbid_unknown_fields=True,
    frozen=True,
    gc=False,
    kw_only=True,
)
"""One raw row in the HouseTS layout: `date` and `zipcode` are required, others may be absent or null."""

_DECODER: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[RawRow])  # pyright: ignore[reportAssignmentType]
_NAMES = tuple(BY_NAME)


def decode_rows(body: bytes, most: int) -> list[Any]:
    """JSON to rows.

    Args:
        body: a JSON array of objects.
        most: rows that are allowed.

    Returns:
        `RawRow` structs in the order of the body.

    Raises:
        BadRowsError: it is no JSON, no list of 1 to `most` rows, or some field of some row is wrong.
    """
    try:
        rows = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _explain(_parse(body), most)
    if not rows:
        raise BadRowsError(422, [FieldError(-1, "", "no rows: send a list of at least one row")])
    _require_few(rows, most)
    low = BY_NAME["price"].low or 0
    odd = [i for i, row in enumerate(rows) if row.price and row.price < low]
    if odd:
        raise BadRowsError(
            422, [FieldError(i, "price", f"{rows[i].price:g} is below {low:g}") for i in odd[:MOST_ERRORS]]
        )
    return rows


def _require_few(rows: Sequence[Any], most: int) -> None:
    if len(rows) > most:
        told = f"{len(rows)} rows are more than {most}: send them in several calls"
        raise BadRowsError(422, [FieldError(-1, "", told)])


def _parse(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRowsError(400, [FieldError(-1, "", f"the body is no JSON: {error}")]) from None


def _explain(rows: Any, most: int) -> NoReturn:
    """Raise every error of what the decoder refused."""
    if not isinstance(rows, list):
        raise BadRowsError(422, [FieldError(-1, "", f"the body is {_kind(rows)}: send a list of rows")])
    _require_few(rows, most)
    found: list[FieldError] = []
    for i, row in enumerate(rows):
        found += _row_errors(i, row)
        if len(found) >= MOST_ERRORS:
            break
    raise BadRowsError(422, found[:MOST_ERRORS] or [FieldError(-1, "", "the rows cannot be read")])


def _row_errors(i: int, row: Any) -> list[FieldError]:
    if not isinstance(row, Mapping):
        return [FieldError(i, "", f"is {_kind(row)}: send an object of column names and values")]
    found = [FieldError(i, name, "is missing: it is required") for name in _KEYS if name not in row]
    for name, value in row.items():
        if name not in BY_NAME:
            near = difflib.get_close_matches(name, _NAMES, 1, 0.6)
            found.append(FieldError(i, name, "is no column" + (f": did you mean {near[0]!r}?" if near else "")))
        elif told := _value_error(BY_NAME[name], value):
            found.append(FieldError(i, name, told))
    return found


def _value_error(column: Column, value: Any) -> str | None:
    if value is None:
        return "is null: it is required" if column.name in _KEYS else None
    try:
        msgspec.convert(value, _type(column), strict=True)
    except msgspec.ValidationError as error:
        if column.name == "date":
            return f"{value!r} is no date: write YYYY-MM-DD"
        if column.name == "zipcode":
            return f"{value!r} is no zip code: write 5 digits as a string, such as '02139'"
        if column.kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
            return f"{value:g} is outside {column.low:g} to {column.high:g}"
        return f"is {_kind(value)}: {str(error).partition(' - ')[0]}"
    return None


def _kind(value: Any) -> str:
    named = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return next((told for kind, told in named.items() if isinstance(value, kind)), "a number")
