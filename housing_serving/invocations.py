"""MLflow's scoring protocol, so that MLflow and SageMaker clients work unchanged: bodies turned into rows.

https://mlflow.org/docs/latest/deployment: `dataframe_split`, `dataframe_records`, and CSV. A small body is parsed once,
a large one in slices, as in `json_rows.decode_rows`.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from housing_assets.core.panel.schema import BY_NAME
from housing_serving.json_errors import no_json
from housing_serving.json_rows import decode_parts, decode_rows, parse, rows_of_records
from housing_serving.rows import (
    MOST_ERRORS,
    MOST_ROW_BYTES,
    BadRowsError,
    FieldError,
    Rows,
    join_rows,
    no_rows,
    require_few,
)
from housing_serving.slices import SLICE_BYTES, NotJsonError, kind_of_json, members

_REMEDY = "send dataframe_split, dataframe_records, or CSV"
_SLICE_ROWS = 200


def rows_from_json(body: bytes, most: int) -> Rows:
    """The rows in a body of `dataframe_split` or `dataframe_records`.

    Args:
        body: JSON.
        most: rows that are allowed.

    Raises:
        BadRowsError: it is neither, or a row is wrong.
    """
    return _rows_of_small(body, most) if len(body) <= SLICE_BYTES else _rows_of_large(body, most)


def _rows_of_small(body: bytes, most: int) -> Rows:
    document = parse(body)
    if not isinstance(document, dict):
        raise _no_frame()
    if "dataframe_records" in document:
        return rows_of_records(document["dataframe_records"], most)
    split = document.get("dataframe_split")
    if not isinstance(split, dict):
        raise _no_frame()
    columns, data = _column_names(split.get("columns")), split.get("data")
    if not isinstance(data, list):
        raise _no_split()
    if not data:
        raise no_rows()
    require_few(len(data), most)
    return _rows_of_split(columns, data, most)


def _rows_of_large(body: bytes, most: int) -> Rows:
    document = _members(body) if kind_of_json(body) == "{" else {}
    if "dataframe_records" in document:
        return decode_rows(document["dataframe_records"], most)
    split = document.get("dataframe_split", b"")
    if kind_of_json(split) != "{":
        raise _no_frame()
    split = _members(split)
    names = split.get("columns", b"")
    if len(names) > MOST_ROW_BYTES:
        remedy = f"has {len(names):,} bytes of `columns`, the most are {MOST_ROW_BYTES:,}: send those of the panel"
        raise BadRowsError(422, [FieldError(-1, "dataframe_split", remedy)])
    columns = _column_names(parse(names) if names else None)
    if kind_of_json(split.get("data", b"")) != "[":
        raise _no_split()
    return decode_parts(split["data"], most, lambda text: _rows_of_split(columns, parse(text), most))


def _members(body: bytes) -> dict[str, bytes]:
    try:
        return members(body)
    except NotJsonError as error:
        raise no_json(error) from None


def _no_frame() -> BadRowsError:
    return BadRowsError(422, [FieldError(-1, "", f"the body has no rows: {_REMEDY}")])


def _no_split() -> BadRowsError:
    return BadRowsError(422, [FieldError(-1, "dataframe_split", "needs `columns` and `data`, both lists")])


def _column_names(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _no_split()
    _require_once(value)
    return value


def _require_once(names: Sequence[str]) -> None:
    """Refuse columns that are there twice, since nothing says which of the two values was meant.

    Raises:
        BadRowsError: some are.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        errors = [FieldError(-1, name[:100], "is there twice: send it once") for name in repeated[:MOST_ERRORS]]
        raise BadRowsError(422, errors)


def _rows_of_split(columns: Sequence[str], data: Sequence[Any], most: int) -> Rows:
    """Rows of lists of values."""
    wrong = [i for i, values in enumerate(data) if not isinstance(values, list) or len(values) != len(columns)]
    if wrong:
        remedy = f"needs {len(columns)} values, one for each of `columns`"
        raise BadRowsError(422, [FieldError(i, "dataframe_split", remedy) for i in wrong[:10]])
    return rows_of_records([dict(zip(columns, values, strict=True)) for values in data], most)


def rows_from_csv(body: bytes, most: int) -> Rows:
    """The rows in a CSV body with a header; an empty field is null.

    Args:
        body: CSV in UTF-8.
        most: rows that are allowed.

    Raises:
        BadRowsError: it is no CSV, a number column holds text, or a row is wrong.
    """
    try:
        lines = (line for line in csv.reader(_lines(body), strict=True) if line)
        header = next(lines, None)
        if header is None:
            raise BadRowsError(422, [FieldError(-1, "", "the body is empty: send a header and rows")])
        _require_once(header)
        data = list(islice(lines, most))
        require_few(len(data) + sum(1 for _ in lines), most)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRowsError(400, [FieldError(-1, "", f"the body is no CSV: {error}")]) from None
    if not data:
        raise no_rows()
    wrong = [i for i, line in enumerate(data) if len(line) != len(header)]
    if wrong:
        raise BadRowsError(422, [FieldError(i, "", f"needs {len(header)} fields, as the header") for i in wrong[:10]])
    parts: list[Rows] = []
    errors: list[FieldError] = []
    for begin in range(0, len(data), _SLICE_ROWS):
        try:
            parts.append(_rows_of_lines(header, data[begin : begin + _SLICE_ROWS], most))
        except BadRowsError as error:
            errors += [FieldError(begin + e.row, e.field, e.message) for e in error.errors]
            if len(errors) >= MOST_ERRORS:
                break
    if errors:
        raise BadRowsError(422, errors[:MOST_ERRORS])
    return join_rows(parts)


def _lines(body: bytes) -> Iterator[str]:
    """Lines of text, decoded piece by piece.

    Raises:
        BadRowsError: one is longer than a row can be.
    """
    text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
    while line := text.readline(MOST_ROW_BYTES + 1):
        if len(line) > MOST_ROW_BYTES:
            raise BadRowsError(422, [FieldError(-1, "", f"a line has more than {MOST_ROW_BYTES:,} characters")])
        yield line


def _rows_of_lines(header: Sequence[str], lines: Sequence[Sequence[str]], most: int) -> Rows:
    rows = [
        {name: _value(i, name, text) for name, text in zip(header, line, strict=True)} for i, line in enumerate(lines)
    ]
    return rows_of_records(rows, most)


def _value(row: int, name: str, text: str) -> Any:
    column = BY_NAME.get(name)
    if text == "":
        return None
    if column is None or column.kind != "number":
        return text
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not math.isfinite(number):
        raise BadRowsError(422, [FieldError(row, name, f"{text[:40]!r} is no number: write one, or leave it empty")])
    return number
