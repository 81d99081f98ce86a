"""Arrow IPC streams in and out, for callers with many rows.

What a stream declares costs nothing to write: a billion rows of nulls, or a gigabyte of zeros, compressed. So the
messages' own headers are looked at before anything is made of them. Their layout is Arrow's `Message.fbs`.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from flatbuffers import encode, packer
from flatbuffers.number_types import Int64Flags, UOffsetTFlags
from flatbuffers.table import Table

from housing_assets.core.schema import BY_NAME
from housing_serving.predictor import Predictions
from housing_serving.rows import (
    KEYS,
    MOST_ERRORS,
    NUMBERS,
    PRICE,
    BadRowsError,
    FieldError,
    Rows,
    is_cents,
    is_zip,
    lowest,
    no_rows,
    range_message,
    require_few,
    unknown_column,
)

if TYPE_CHECKING:
    import pyarrow as pa

MOST_TEXT = 200
"""Longest text in characters: dictionaries and views can repeat a text without sending it again."""
_MESSAGE_HEADER = 8
_BATCH_ROWS, _BATCH_COMPRESSION, _DICTIONARY_BATCH = 4, 10, 6


def decode_arrow(body: bytes, most: int) -> Rows:
    """An Arrow IPC stream to rows.

    Args:
        body: columns by the names of the contract, of any type that holds them without loss.
        most: rows that are allowed.

    Raises:
        BadRowsError: it is no such stream, or no 1 to `most` rows, or some field of some row is wrong.
    """
    import pyarrow as pa

    try:
        rows = sum(_declared(body))
        require_few(rows, most)
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
        names = table.column_names
    except (pa.ArrowException, OSError, EOFError, struct.error, IndexError, OverflowError, UnicodeError) as error:
        raise _unreadable(f"the body is no Arrow stream: {str(error).splitlines()[0][:200]}") from None
    if wrong := _wrong_columns(names):
        raise BadRowsError(422, wrong[:MOST_ERRORS])
    if not table.num_rows:
        raise no_rows()
    found: list[FieldError] = []
    dates = _dates(table["date"], found)
    zipcodes = _texts(table, "zipcode", found)
    cities = _texts(table, "city_full", found) if "city_full" in names else [None] * table.num_rows
    numbers = np.full((table.num_rows, len(NUMBERS)), np.nan)
    for name in set(names) & set(NUMBERS):
        numbers[:, NUMBERS.index(name)] = _numbers(table[name], name, found)
    for name in KEYS:
        nulls = np.flatnonzero(table[name].is_null().to_numpy())
        found += [FieldError(int(i), name, "is null: it is required") for i in nulls[:MOST_ERRORS]]
    for i, zipcode in enumerate(zipcodes):
        if zipcode is not None and not is_zip(zipcode):
            told = f"{zipcode!r:.40} is no zip code: write 5 digits as a string, such as '02139'"
            found.append(FieldError(i, "zipcode", told))
    for i, j in np.argwhere(_out_of_range(numbers))[:MOST_ERRORS].tolist():
        found.append(FieldError(i, NUMBERS[j], range_message(BY_NAME[NUMBERS[j]], float(numbers[i, j]))))
    if found:
        raise BadRowsError(422, sorted(found, key=lambda e: e.row)[:MOST_ERRORS])
    return Rows(dates, [z or "" for z in zipcodes], [c or None for c in cities], numbers)


_LOW = np.array([lowest(BY_NAME[name]) for name in NUMBERS])
_HIGH = np.array([BY_NAME[name].high for name in NUMBERS])


def _out_of_range(numbers: np.ndarray) -> np.ndarray:
    """Which of `Rows.numbers` are no value of their column, bool of the same shape. A NaN is none of them."""
    wrong = (numbers < _LOW) | (numbers > _HIGH)
    wrong[:, PRICE] |= [is_cents(price) for price in numbers[:, PRICE].tolist()]
    return wrong


def encode_arrow(found: Predictions, actuals: Sequence[float] | None, version: str) -> bytes:
    """Predictions as an Arrow IPC stream, one row each: the columns of `monthly_predictions` that a model gives, and
    `warning`, null where there is none. The schema's metadata names the `model_version`."""
    import pyarrow as pa

    warnings: list[str | None] = [None] * len(found.price)
    for warned in found.warnings:
        before = warnings[warned.row]
        warnings[warned.row] = f"{before}; {warned.message}" if before else warned.message
    columns: dict[str, Any] = {
        "predicted_price": found.price,
        "predicted_low": found.low,
        "predicted_high": found.high,
        "warning": pa.array(warnings, pa.string()),
    }
    if actuals is not None:
        columns["actual_price"] = actuals
    table = pa.table(columns).replace_schema_metadata({"model_version": version})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def _unreadable(told: str) -> BadRowsError:
    return BadRowsError(400, [FieldError(-1, "", told)])


def _declared(body: bytes) -> Iterator[int]:
    """Rows that each batch of a stream says it has.

    Raises:
        BadRowsError: a batch is compressed.
    """
    import pyarrow as pa

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
    found = [FieldError(-1, name, "is missing: it is required") for name in KEYS if name not in names]
    found += [unknown_column(-1, name) for name in names if name not in BY_NAME]
    twice = sorted({name for name in names if names.count(name) > 1 and name in BY_NAME}) if len(names) < 1_000 else []
    return found + [FieldError(-1, name, "is there twice: send it once") for name in twice]


def _dates(column: "pa.ChunkedArray", found: list[FieldError]) -> list[date]:
    import pyarrow as pa

    kind = column.type
    try:
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            return column.cast(pa.date32()).to_pylist()
        if _is_text(kind) and not any(_longest(chunk) > MOST_TEXT for chunk in column.chunks):
            return column.cast(pa.string()).cast(pa.date32()).to_pylist()
    except (pa.ArrowException, OverflowError) as error:
        found.append(FieldError(-1, "date", f"{str(error)[:100]}: send days as date32, or as text YYYY-MM-DD"))
        return []
    found.append(FieldError(-1, "date", f"is {kind}: send days as date32, or as text YYYY-MM-DD"))
    return []


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _texts(table: "pa.Table", name: str, found: list[FieldError]) -> list[str | None]:
    import pyarrow as pa

    column = table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind):
        return [None] * len(column)
    if not _is_text(kind):
        found.append(FieldError(-1, name, f"is {column.type}: send text"))
        return []
    if max((_longest(chunk) for chunk in column.chunks), default=0) > MOST_TEXT:
        found.append(FieldError(-1, name, f"has a text of more than {MOST_TEXT} bytes: shorten it"))
        return []
    return column.to_pylist()


def _longest(chunk: "pa.Array") -> int:
    """Bytes of the longest text, looked up in what is stored rather than in what it stands for."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
    if not len(values):
        return 0
    if not pa.types.is_string_view(values.type):
        return pc.call_function("max", [pc.call_function("binary_length", [values])]).as_py() or 0
    views = np.frombuffer(values.buffers()[1], np.int32).reshape(-1, 4)
    return int(views[values.offset : values.offset + len(values), 0].max())


def _numbers(column: "pa.ChunkedArray", name: str, found: list[FieldError]) -> np.ndarray | float:
    """A column as float64 with NaN for null; NaN if it cannot be one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_null(kind):
        return np.nan
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        found.append(FieldError(-1, name, f"is {kind}: send numbers"))
        return np.nan
    values = column.cast(pa.float64(), safe=False)
    if pa.types.is_floating(kind):
        told = "is NaN, which is no number: send null for a missing value"
        odd = np.flatnonzero(pc.call_function("is_nan", [values]).fill_null(False).to_numpy())
        found += [FieldError(int(i), name, told) for i in odd[:MOST_ERRORS]]
    return values.to_numpy()
