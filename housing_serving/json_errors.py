"""What is wrong with JSON that should be rows, in words.

msgspec decodes and checks in one go and stops at the first error, with a message for programmers. So rows that it
refuses are looked at again here, one by one, for messages that name every row and field.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from housing_assets.core.panel.schema import BY_NAME, Column
from housing_serving.raw_row import field_type, is_raw_row
from housing_serving.rows import (
    KEYS,
    MOST_ERRORS,
    BadRowsError,
    FieldError,
    is_cents,
    is_zip,
    range_message,
    require_few,
    unknown_column,
)


def no_json(why: object) -> BadRowsError:
    """A body that cannot be parsed."""
    return BadRowsError(400, [FieldError(-1, "", f"the body is no JSON: {why}")])


def no_list(kind: str) -> BadRowsError:
    """A body that is something else than a list of rows."""
    return BadRowsError(422, [FieldError(-1, "", f"the body is {kind}: send a list of rows")])


def bad_rows(rows: Any, most: int) -> BadRowsError:
    """Every error of decoded JSON that was refused, at most `MOST_ERRORS`.

    Args:
        rows: what was sent.
        most: rows that are allowed.

    Raises:
        BadRowsError: there are more rows than that.
    """
    if not isinstance(rows, list):
        return no_list(kind_of(rows))
    require_few(len(rows), most)
    errors: list[FieldError] = []
    for i, row in enumerate(rows):
        # Whole rows first: to look at one field costs as much as to look at a row.
        if not is_raw_row(row):
            errors += _row_errors(i, row)
        if len(errors) >= MOST_ERRORS:
            break
    return BadRowsError(422, errors[:MOST_ERRORS] or [FieldError(-1, "", "the rows cannot be read")])


def kind_of(value: Any) -> str:
    """What decoded JSON is, with its article."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "a number")


def _row_errors(i: int, row: Any) -> list[FieldError]:
    if not isinstance(row, Mapping):
        return [FieldError(i, "", f"is {kind_of(row)}: send an object of column names and values")]
    errors = [FieldError(i, name, "is missing: it is required") for name in KEYS if name not in row]
    for name, value in row.items():
        if len(errors) >= MOST_ERRORS:
            break
        if name not in BY_NAME:
            errors.append(unknown_column(i, name))
        elif message := _value_error(BY_NAME[name], value):
            errors.append(FieldError(i, name, message))
    return errors


def _value_error(column: Column, value: Any) -> str | None:
    if value is None:
        return "is null: it is required" if column.name in KEYS else None
    if column.name == "zipcode":
        good = isinstance(value, str) and is_zip(value)
        return None if good else f"{value!r:.40} is no zip code: write 5 digits as a string, such as '02139'"
    try:
        msgspec.convert(value, field_type(column), strict=True)
    except msgspec.ValidationError as error:
        if column.kind == "date":
            return f"{value!r:.40} is no date: write YYYY-MM-DD"
        if column.kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
            return range_message(column, value)
        return f"is {kind_of(value)}: {str(error).partition(' - ')[0]}"
    except OverflowError:
        return range_message(column, value)
    return range_message(column, value) if column.name == "price" and is_cents(value) else None
