"""One raw row in JSON, generated from the column contract: the struct that decodes it, and its JSON Schema.

A new column of the contract is decoded, checked and documented without a change here.
"""

import re
from datetime import date
from operator import attrgetter
from typing import Annotated, Any, Optional

import msgspec

from housing_assets.core.panel.schema import BY_NAME, COLUMNS, ZIP_PATTERN, Column
from housing_serving.rows import KEYS, NUMBERS, is_cents, is_zip, lowest

NOT_CONVERTED = (msgspec.ValidationError, OverflowError)
"""What `msgspec.convert` raises for a value of another type, and for an integer beyond what a float holds."""
ABSENT = float("-inf")
"""A number whose field is absent: no JSON can hold it, so that it differs from a null and from every value."""
_TEXTS: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.kind == "text" and c.name not in KEYS)
_DEFAULTS: dict[str, Any] = {"text": msgspec.UNSET, "number": ABSENT}


def _attribute(name: str) -> str:
    """The struct's attribute of a column: `Median Age` is `median_age_`, so that no two columns meet."""
    return re.sub(r"\W", "_", name).lower() + ("_" if name != name.lower() else "")


def field_type(column: Column) -> Any:
    """The type that msgspec decodes a column as, with its range."""
    if column.kind == "number":
        return Optional[Annotated[float, msgspec.Meta(ge=lowest(column), le=column.high)]]  # noqa: UP045
    # The pattern of zip codes is matched afterwards, which is faster.
    return date if column.kind == "date" else str if column.name == "zipcode" else str | None | msgspec.UnsetType


RawRow = msgspec.defstruct(
    "RawRow",
    [
        *((name, field_type(BY_NAME[name])) for name in KEYS),
        *((_attribute(n), field_type(BY_NAME[n]), _DEFAULTS[BY_NAME[n].kind]) for n in (*_TEXTS, *NUMBERS)),
    ],
    rename={_attribute(c.name): c.name for c in COLUMNS},
    forbid_unknown_fields=True,
    frozen=True,
    gc=False,
)
"""A row as it is sent. A field that is absent is `ABSENT` or `msgspec.UNSET`."""

numbers_of = attrgetter(*map(_attribute, NUMBERS))
"""The values of `NUMBERS` of a `RawRow`."""
texts_of = attrgetter(*map(_attribute, _TEXTS))
"""The values of its optional text columns."""


def is_raw_row(value: Any) -> bool:
    """True if decoded JSON is a row without an error."""
    try:
        row: Any = msgspec.convert(value, RawRow)
    except NOT_CONVERTED:
        return False
    return bool(is_zip(row.zipcode)) and not is_cents(row.price)


def _documented(column: Column) -> Any:
    description = column.description + (f" ({column.unit})" if column.kind == "number" else "")
    if column.kind == "date":
        return Annotated[date, msgspec.Meta(description=description)]
    if column.name == "zipcode":
        return Annotated[str, msgspec.Meta(pattern=ZIP_PATTERN, description=description)]
    if column.kind == "text":
        return Optional[Annotated[str, msgspec.Meta(description=description)]]  # noqa: UP045
    return Optional[Annotated[float, msgspec.Meta(ge=lowest(column), le=column.high, description=description)]]  # noqa: UP045


def _row_schema() -> dict[str, Any]:
    columns = sorted(COLUMNS, key=lambda c: c.name not in KEYS)
    documented = msgspec.defstruct(
        "RawRow",
        [
            (_attribute(c.name), _documented(c)) if c.name in KEYS else (_attribute(c.name), _documented(c), None)
            for c in columns
        ],
        rename={_attribute(c.name): c.name for c in columns},
        forbid_unknown_fields=True,
    )
    schema: dict[str, Any] = msgspec.json.schema_components([documented])[1]["RawRow"]
    number, null = schema["properties"]["price"]["anyOf"]
    gap = {"type": "number", "const": 0, "description": "a gap"}
    schema["properties"]["price"]["anyOf"] = [number | {"minimum": BY_NAME["price"].low}, gap, null]
    return schema


ROW_SCHEMA = _row_schema()
"""JSON Schema of one raw row."""
