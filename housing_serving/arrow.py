"""Arrow IPC streams to rows, and predictions to Arrow IPC streams, for clients with many rows.

A stream can declare much at no cost: a billion rows of nulls, or a gigabyte of compressed zeros. So the headers of its
messages are read before anything is allocated for them. Their layout is Arrow's `Message.fbs`.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
from flatbuffers import encode, packer
from flatbuffers.number_types import Int64Flags, UOffsetTFlags
from flatbuffers.table import Table

from housing_assets.core.panel.schema import BY_NAME
from housing_assets.core.text import first_line
from housing_serving.predictor import Predictions
from housing_serving.rows import (
    KEYS,
    MOST_ERRORS,
    NUMBERS,
    PRICE,
    BadRowsError,
    FieldError,
    Rows,
    are_cents,
    is_zip,
    lowest,
    no_rows,
    range_message,
    require_few,
    unknown_column,
)

MOST_TEXT = 200
"""Longest text in characters: dictionaries and views can repeat a text without sending it again."""
MOST_COLUMNS = 1_000
"""Most columns of a stream, so that no time goes into names that are no columns."""
_MESSAGE_HEADER = 8
_BATCH_ROWS, _BATCH_COMPRESSION, _DICTIONARY_BATCH = 4, 10, 6


@cache
def _pyarrow() -> ModuleType:
    """pyarrow, loaded by the first stream. It takes memory of the C library, which `memory` keeps together, rather than
    an allocator of its own, which would keep freed memory for each thread."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    return pa


def decode_arrow(body: bytes, most: int) -> Rows:
    """An Arrow IPC stream to rows.

    Args:
        body: columns by the names of the contract, of any type that holds them without loss.
        most: rows that are allowed.

    Raises:
        BadRowsError: it is no such stream, or no 1 to `most` rows, or some field of some row is wrong.
    """
    pa = _pyarrow()

    try:
        rows = sum(_declared(body))
        require_few(rows, most)
        stream = pa.ipc.open_stream(body)
        if (columns := len(stream.schema)) > MOST_COLUMNS:
            message = f"{columns} columns are more than {MOST_COLUMNS}: send those of the panel"
            raise BadRowsError(422, [FieldError(-1, "", message)])
        table = stream.read_all()
        table.validate(full=True)
        if wrong := _wrong_columns(table.column_names):
            raise BadRowsError(422, wrong[:MOST_ERRORS])
    except (pa.ArrowException, OSError, EOFError, struct.error, IndexError, OverflowError, UnicodeError) as error:
        raise _unreadable(str(error)) from None
    try:
        frame = pl.DataFrame(_joined(table))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, ValueError) as error:
        raise _unreadable(str(error)) from None
    if frame.is_empty():
        raise no_rows()
    errors: list[FieldError] = []
    dates = _dates(frame["date"], errors)
    zipcodes = _texts(frame["zipcode"], errors)
    cities = _texts(frame["city_full"], errors) if "city_full" in frame.columns else [None] * frame.height
    numbers = _numbers(frame, errors)
    for name in KEYS:
        if frame[name].null_count():
            nulls = frame[name].is_null().arg_true().head(MOST_ERRORS)
            errors += [FieldError(i, name, "is null: it is required") for i in nulls]
    wrong_zips = {zipcode for zipcode in set(zipcodes) if zipcode is not None and not is_zip(zipcode)}
    for i, zipcode in enumerate(zipcodes if wrong_zips else ()):
        if zipcode in wrong_zips:
            message = f"{zipcode!r:.40} is no zip code: write 5 digits as a string, such as '02139'"
            errors.append(FieldError(i, "zipcode", message))
    wrong_numbers = _out_of_range(numbers)
    # To look for where costs thirty times as much as to see that there is none.
    for i, j in np.argwhere(wrong_numbers)[:MOST_ERRORS].tolist() if wrong_numbers.any() else ():
        errors.append(FieldError(i, NUMBERS[j], range_message(BY_NAME[NUMBERS[j]], float(numbers[i, j]))))
    if errors:
        raise BadRowsError(422, sorted(errors, key=lambda e: e.row)[:MOST_ERRORS])
    return Rows([d for d in dates if d], [z for z in zipcodes if z], [c or None for c in cities], numbers)


def _joined(table: Any) -> Any:
    """A table with its batches joined, which polars takes in a fifth of the time that it needs for hundreds; as it is
    where pyarrow cannot join them, such as those of one more kind of column."""
    pa = _pyarrow()
    try:
        return table.combine_chunks()
    except pa.ArrowException:
        return table


_LOW = np.array([lowest(BY_NAME[name]) for name in NUMBERS])
_HIGH = np.array([BY_NAME[name].high for name in NUMBERS])


def _out_of_range(numbers: np.ndarray) -> np.ndarray:
    """True where `Rows.numbers` are outside the range of their column, bool of the same shape; False for NaN."""
    wrong = (numbers < _LOW) | (numbers > _HIGH)
    wrong[:, PRICE] |= are_cents(numbers[:, PRICE])
    return wrong


def encode_arrow(predictions: Predictions, actuals: Sequence[float] | None, version: str) -> bytes:
    """Predictions as an Arrow IPC stream, one row each.

    The columns are those of `monthly_predictions` that a model gives, and `warning`, null where there is none. The
    metadata of the schema has the `model_version`.
    """
    pa = _pyarrow()

    warnings: list[str | None] = [None] * len(predictions.price)
    for warned in predictions.warnings:
        earlier = warnings[warned.row]
        warnings[warned.row] = f"{earlier}; {warned.message}" if earlier else warned.message
    columns: dict[str, Any] = {
        "predicted_price": predictions.price,
        "predicted_low": predictions.low,
        "predicted_high": predictions.high,
        "from_history": predictions.from_history,
        "predictor": pl.Series(predictions.predictors, dtype=pl.String),
        "warning": pl.Series(warnings, dtype=pl.String),
    }
    if actuals is not None:
        columns["actual_price"] = actuals
    # By way of polars: pyarrow imports pandas, if it is installed, to convert Python values.
    table = pl.DataFrame(columns).to_arrow(compat_level=pl.CompatLevel.oldest())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema.with_metadata({"model_version": version})) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def _unreadable(message: str) -> BadRowsError:
    reason = first_line(message, "nothing is known of it")[:200]
    return BadRowsError(400, [FieldError(-1, "", f"the body is no Arrow stream: {reason}")])


def _declared(body: bytes) -> Iterator[int]:
    """Rows that each batch of a stream says it has.

    Raises:
        BadRowsError: a batch is compressed.
    """
    pa = _pyarrow()

    source = pa.BufferReader(body)
    while True:
        try:
            message = pa.ipc.read_message(source)
        except EOFError:
            return
        if message.type not in ("record batch", "dictionary"):
            continue
        header = message.metadata.to_pybytes()
        batch = _field(Table(header, encode.Get(packer.uoffset, header, 0)), _MESSAGE_HEADER)
        if message.type == "dictionary":
            batch = _field(batch, _DICTIONARY_BATCH)
        if batch.Offset(_BATCH_COMPRESSION):
            raise BadRowsError(422, [FieldError(-1, "", "the buffers are compressed: send them as they are")])
        at = batch.Offset(_BATCH_ROWS)
        yield batch.Get(Int64Flags, at + batch.Pos) if at else 0


def _field(table: Table, slot: int) -> Table:
    """The table that a field of a flatbuffer's table points to."""
    at = table.Offset(slot)
    if not at:
        raise IndexError("a message lacks a part")
    return Table(table.Bytes, at + table.Pos + table.Get(UOffsetTFlags, at + table.Pos))


def _wrong_columns(names: Sequence[str]) -> list[FieldError]:
    errors = [FieldError(-1, name, "is missing: it is required") for name in KEYS if name not in names]
    errors += [unknown_column(-1, name) for name in islice((n for n in names if n not in BY_NAME), MOST_ERRORS)]
    repeated = sorted({name for name in names if names.count(name) > 1 and name in BY_NAME})
    return errors + [FieldError(-1, name, "is there twice: send it once") for name in repeated]


_FIRST_DAY, _LAST_DAY = ((day - date(1970, 1, 1)).days for day in (date.min, date.max))
"""Days since 1970, as Arrow counts them."""


def _dates(column: pl.Series, errors: list[FieldError]) -> list[date | None]:
    remedy = "send days as date32, or as text YYYY-MM-DD"
    if column.dtype == pl.String:
        days = column.str.to_date("%Y-%m-%d", strict=False)
    elif column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        days = column.cast(pl.Date)
    else:
        errors.append(FieldError(-1, "date", f"is {column.dtype}: {remedy}"))
        return []
    # Python's dates, which the rows are made of, end with these years.
    if days.null_count() == column.null_count() and days.to_physical().is_between(_FIRST_DAY, _LAST_DAY).all():
        return _python_dates(days)
    outside = (column.is_not_null() & (days.is_null() | ~days.dt.year().is_between(1, 9999))).fill_null(True)
    errors += [FieldError(i, "date", f"is no date: {remedy}") for i in outside.arg_true().head(MOST_ERRORS)]
    return [] if outside.any() else _python_dates(days)


def _python_dates(days: pl.Series) -> list[date | None]:
    """The values of a column of dates. A Python date is made for each distinct day, of which many rows have few."""
    distinct = days.unique()
    made = dict(zip(distinct.to_physical().to_list(), distinct.to_list(), strict=True))
    return [made[number] for number in days.to_physical().to_list()]


def _texts(column: pl.Series, errors: list[FieldError]) -> list[str | None]:
    if column.dtype == pl.Null:
        return [None] * len(column)
    categories = isinstance(column.dtype, pl.Categorical | pl.Enum)
    if not categories and column.dtype != pl.String:
        errors.append(FieldError(-1, column.name, f"is {column.dtype}: send text"))
        return []
    # Of what is stored, rather than of each row: a dictionary or a view repeats a text at no cost to who sends it.
    stored = column.unique().cast(pl.String) if categories else column
    if int(stored.str.len_bytes().max() or 0) > MOST_TEXT:  # pyright: ignore[reportArgumentType]
        errors.append(FieldError(-1, column.name, f"has a text of more than {MOST_TEXT} bytes: shorten it"))
        return []
    return column.to_list()


def _numbers(frame: pl.DataFrame, errors: list[FieldError]) -> np.ndarray:
    """The columns `NUMBERS` as float64 of shape (n, len(NUMBERS)), NaN for null and for what is no number."""
    numbers = np.full((frame.height, len(NUMBERS)), np.nan, order="F")  # columns lie together, as in the frame
    kinds = {name: kind for name, kind in frame.schema.items() if name in NUMBERS and kind != pl.Null}
    wrong = [name for name, kind in kinds.items() if not kind.is_numeric()]
    errors += [FieldError(-1, name, f"is {kinds[name]}: send numbers") for name in wrong]
    names = [name for name in kinds if name not in wrong]
    if not names:
        return numbers
    # All columns in one go: each call of its own would cost as much.
    values = frame.select(pl.col(names).cast(pl.Float64))
    matrix = values.to_numpy()
    numbers[:, [NUMBERS.index(name) for name in names]] = matrix
    message = "is NaN, which is no number: send null for a missing value"
    for name, missing in zip(names, np.isnan(matrix).sum(axis=0).tolist(), strict=True):
        if missing > values[name].null_count():
            odd = values[name].is_nan().fill_null(False).arg_true().head(MOST_ERRORS)
            errors += [FieldError(i, name, message) for i in odd]
    return numbers
