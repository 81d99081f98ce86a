"""MLflow's scoring protocol, so that MLflow and SageMaker clients work unchanged: bodies turned into rows.

https://mlflow.org/docs/latest/deployment: `dataframe_split`, `dataframe_records`, and CSV. All is done in slices, as in
`decode_rows`.
"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from housing_assets.core.panel.schema import BY_NAME
from housing_serving.rows import (
    MOST_ERRORS,
    MOST_ROW_BYTES,
    BadRowsError,
    FieldError,
    Rows,
    decode_parts,
    decode_rows,
    join_rows,
    no_json,
    no_rows,
    parse,
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
    if len(body) <= SLICE_BYTES:
        parse(body)
    given = _members(body) if kind_of_json(body) == "{" else {}
    if "dataframe_records" in given:
        return decode_rows(given["dataframe_records"], most)
    split = given.get("dataframe_split", b"")
    if kind_of_json(split) != "{":
        raise BadRowsError(422, [FieldError(-1, "", f"the body has no rows: {_REMEDY}")])
    return _rows_from_split(_members(split), most)


def _members(body: bytes) -> dict[str, bytes]:
    try:
        return members(body)
    except NotJsonError as error:
        raise no_json(error) from None


def _rows_from_split(split: dict[str, bytes], most: int) -> Rows:
    told = split.get("columns", b"")
    if len(told) > MOST_ROW_BYTES:
        remedy = f"has {len(told):,} bytes of `columns`, the most are {MOST_ROW_BYTES:,}: send those of the panel"
        raise BadRowsError(422, [FieldError(-1, "dataframe_split", remedy)])
    columns: Any = parse(told) if told else None
    is_named = isinstance(columns, list) and all(isinstance(c, str) for c in columns)
    if not is_named or kind_of_json(split.get("data", b"")) != "[":
        raise BadRowsError(422, [FieldError(-1, "dataframe_split", "needs `columns` and `data`, both lists")])

    def decode(_begin: int, text: bytes) -> Rows:
        data = parse(text)
        wrong = [i for i, row in enumerate(data) if not isinstance(row, list) or len(row) != len(columns)]
        if wrong:
            remedy = f"needs {len(columns)} values, one for each of `columns`"
            raise BadRowsError(422, [FieldError(i, "dataframe_split", remedy) for i in wrong[:10]])
        return decode_rows(msgspec.json.encode([dict(zip(columns, row, strict=True)) for row in data]), most)

    return decode_parts(split["data"], most, decode)


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
        data = list(islice(lines, most))
        require_few(len(data) + sum(1 for _ in lines), most)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRowsError(400, [FieldError(-1, "", f"the body is no CSV: {error}")]) from None
    if not data:
        raise no_rows()
    wrong = [i for i, line in enumerate(data) if len(line) != len(header)]
    if wrong:
        raise BadRowsError(422, [FieldError(i, "", f"needs {len(header)} fields, as the header") for i in wrong[:10]])
    found: list[Rows] = []
    errors: list[FieldError] = []
    for begin in range(0, len(data), _SLICE_ROWS):
        try:
            found.append(_rows_of_lines(header, data[begin : begin + _SLICE_ROWS], most))
        except BadRowsError as error:
            errors += [FieldError(begin + e.row, e.field, e.message) for e in error.errors]
            if len(errors) >= MOST_ERRORS:
                break
    if errors:
        raise BadRowsError(422, errors[:MOST_ERRORS])
    return join_rows(found)


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
    return decode_rows(msgspec.json.encode(rows), most)


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
