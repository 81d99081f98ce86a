"""MLflow's scoring protocol, so that MLflow and SageMaker clients work unchanged: bodies turned into rows.

https://mlflow.org/docs/latest/deployment: `dataframe_split`, `dataframe_records`, and CSV.
"""

import csv
import io
import math
from typing import Any

import msgspec

from housing_assets.core.schema import BY_NAME
from housing_serving.rows import BadRowsError, FieldError, parse

_REMEDY = "send dataframe_split, dataframe_records, or CSV"


def rows_from_json(body: bytes) -> bytes:
    """The JSON array of rows in a body of `dataframe_split` or `dataframe_records`.

    Raises:
        BadRowsError: it is neither.
    """
    asked = parse(body)
    given = asked if isinstance(asked, dict) else {}
    if "dataframe_records" in given:
        return msgspec.json.encode(given["dataframe_records"])
    split = given.get("dataframe_split")
    if not isinstance(split, dict):
        raise BadRowsError(422, [FieldError(-1, "", f"the body has no rows: {_REMEDY}")])
    columns, data = split.get("columns"), split.get("data")
    if not isinstance(columns, list) or not isinstance(data, list) or not all(isinstance(c, str) for c in columns):
        raise BadRowsError(422, [FieldError(-1, "dataframe_split", "needs `columns` and `data`, both lists")])
    wrong = [i for i, row in enumerate(data) if not isinstance(row, list) or len(row) != len(columns)]
    if wrong:
        told = f"needs {len(columns)} values, one for each of `columns`"
        raise BadRowsError(422, [FieldError(i, "dataframe_split", told) for i in wrong[:10]])
    return msgspec.json.encode([dict(zip(columns, row, strict=True)) for row in data])


def rows_from_csv(body: bytes) -> bytes:
    """The JSON array of rows in a CSV body with a header; an empty field is null.

    Raises:
        BadRowsError: it is no CSV, or a number column holds text.
    """
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header, *data = [line for line in lines if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRowsError(400, [FieldError(-1, "", f"the body is no CSV: {error}")]) from None
    except ValueError:
        raise BadRowsError(422, [FieldError(-1, "", "the body is empty: send a header and rows")]) from None
    wrong = [i for i, line in enumerate(data) if len(line) != len(header)]
    if wrong:
        raise BadRowsError(422, [FieldError(i, "", f"needs {len(header)} fields, as the header") for i in wrong[:10]])
    rows = [
        {name: _value(i, name, text) for name, text in zip(header, line, strict=True)} for i, line in enumerate(data)
    ]
    return msgspec.json.encode(rows)


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
