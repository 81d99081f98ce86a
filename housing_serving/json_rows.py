"""JSON to rows, by way of the structs of `raw_row`. A large body is decoded slice by slice."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np

from housing_assets.core.panel.schema import COLUMNS
from housing_serving.json_errors import bad_rows, kind_of, no_json, no_list
from housing_serving.raw_row import ABSENT, NOT_CONVERTED, RawRow, numbers_of, texts_of
from housing_serving.rows import (
    MOST_ERRORS,
    MOST_ROW_BYTES,
    PRICE,
    BadRowsError,
    FieldError,
    Rows,
    is_cents,
    is_zip,
    join_rows,
    no_rows,
    require_few,
)
from housing_serving.slices import SLICE_BYTES, NotJsonError, find_parts, give_way, guess_slices, kind_of_json

_DECODER: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[RawRow])  # pyright: ignore[reportAssignmentType]
decode_raw_rows = _DECODER.decode
"""A JSON array to `RawRow`s, of which zip codes, prices below a dollar and keys that repeat are not looked at yet."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `decode_raw_rows` raises."""
_SCALARS = {'"': "text", "t": "true or false", "f": "true or false", "n": "null"}
_SCALARS |= dict.fromkeys("-0123456789", "a number")


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
        parts: list[Rows] = []
        for text in guess_slices(body):
            parts.append(_decode_slice(text, most, explain=False))
            give_way()
            require_few(sum(map(len, parts)), most)
        return join_rows(parts)
    return decode_parts(body, most, lambda text: _decode_slice(text, most))


def decode_parts(body: bytes, most: int, decode: Callable[[bytes], Rows]) -> Rows:
    """The rows of a JSON list, whatever its elements are.

    Args:
        body: the list.
        most: rows that are allowed.
        decode: of some elements as a JSON list. It raises `BadRowsError`, whose rows count from the first of them.

    Raises:
        BadRowsError: it is no list of 1 to `most` elements, each of at most `MOST_ROW_BYTES`, or one is wrong.
    """
    begins = kind_of_json(body)
    if begins in _SCALARS:
        raise no_list(_SCALARS[begins])
    try:
        parts = find_parts(body, most + 1)
    except NotJsonError as error:
        raise no_json(error) from None
    if begins == "{":
        raise no_list(kind_of({}))
    if not parts.count:
        raise no_rows()
    require_few(parts.count, most)
    decoded: list[Rows] = []
    errors: list[FieldError] = []
    for begin, end, size in parts.slices(SLICE_BYTES):
        if len(errors) >= MOST_ERRORS:
            break
        if size > MOST_ROW_BYTES:
            errors.append(FieldError(begin, "", f"has {size:,} bytes, the most are {MOST_ROW_BYTES:,}: shorten it"))
            continue
        give_way()
        text = parts.text(begin, end)
        if not text.strip():
            raise no_json(f"row {begin} is empty")
        try:
            decoded.append(decode(b"[" + text + b"]"))
        except BadRowsError as error:
            if error.status == 400:
                raise
            errors += [FieldError(begin + e.row, e.field, e.message) for e in error.errors]
    if errors:
        raise BadRowsError(422, errors[:MOST_ERRORS])
    return join_rows(decoded)


def _decode_slice(body: bytes, most: int, explain: bool = True) -> Rows:
    """Rows of a body that is small.

    Args:
        body: a JSON array of objects.
        most: rows that are allowed.
        explain: name every error; if not, the error says only that there is one.
    """
    try:
        raw_rows = decode_raw_rows(body)
    except UNREADABLE as error:
        raise bad_rows(parse(body), most) if explain else no_json(error) from None
    numbers, absent = _numbers(raw_rows, most)
    if may_repeat_keys(body, count_fields(raw_rows, absent)):
        require_unique_keys(body)
    rows = _checked(raw_rows, numbers)
    if rows is None:
        raise bad_rows(parse(body), most) if explain else no_json("a value is wrong")
    return rows


def rows_of_records(records: Any, most: int) -> Rows:
    """Rows of JSON that is decoded already.

    Args:
        records: a list of objects.
        most: rows that are allowed.

    Raises:
        BadRowsError: it is no list of 1 to `most` rows, or some field of some row is wrong.
    """
    try:
        raw_rows = msgspec.convert(records, list[RawRow])
    except NOT_CONVERTED:
        raise bad_rows(records, most) from None
    rows = _checked(raw_rows, _numbers(raw_rows, most)[0])
    if rows is None:
        raise bad_rows(records, most)
    return rows


def _numbers(raw_rows: Sequence[Any], most: int) -> tuple[np.ndarray, int]:
    """`Rows.numbers` of 1 to `most` rows, and how many of them are NaN because their field is absent."""
    if not raw_rows:
        raise no_rows()
    require_few(len(raw_rows), most)
    numbers = np.array([numbers_of(row) for row in raw_rows], dtype=np.float64)
    is_absent = numbers == ABSENT
    numbers[is_absent] = np.nan
    return numbers, int(np.count_nonzero(is_absent))


def _checked(raw_rows: Sequence[Any], numbers: np.ndarray) -> Rows | None:
    """Rows, or None if some zip code or price is wrong."""
    zipcodes = [row.zipcode for row in raw_rows]
    # Few at a time, of which Python looks at each in less time than numpy needs to begin.
    if not all(map(is_zip, zipcodes)) or any(map(is_cents, numbers[:, PRICE].tolist())):
        return None
    return Rows([row.date for row in raw_rows], zipcodes, [row.city_full or None for row in raw_rows], numbers)


def count_fields(raw_rows: Sequence[Any], absent_numbers: int) -> int:
    """Fields that rows were sent with."""
    absent_texts = sum(texts_of(row).count(msgspec.UNSET) for row in raw_rows)
    return len(raw_rows) * len(COLUMNS) - absent_numbers - absent_texts


def parse(body: bytes) -> Any:
    """JSON whose objects have no key twice.

    Raises:
        BadRowsError: the body is none.
    """
    try:
        value = msgspec.json.decode(body)
        if may_repeat_keys(body, _count_keys(value)):
            require_unique_keys(body)
    except UNREADABLE as error:
        raise no_json(error) from None
    return value


def _count_keys(value: Any) -> int:
    """Keys of decoded JSON and of everything within it."""
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    return sum(map(_count_keys, value)) if isinstance(value, list) else 0


def may_repeat_keys(body: bytes, keys: int) -> bool:
    """False if no object of a body can have a key twice.

    msgspec keeps the last of two values without a word, and Python's own parser, which reports both, takes 22
    microseconds for a row of 40 columns, where msgspec takes 3. So only suspicious bodies are parsed again: each key
    is followed by a colon, and all other colons are within texts. A body with as many colons as distinct keys has each
    key once.

    Args:
        body: JSON that was decoded.
        keys: that were decoded, each once for each object that has it.
    """
    return body.count(b":") != keys


def require_unique_keys(body: bytes) -> None:
    """Refuse JSON in which an object has a key twice, since nothing says which of the two values was meant.

    Args:
        body: JSON that was decoded before, so that it is valid and of no great depth.

    Raises:
        BadRowsError: an object has a key twice.
    """
    json.loads(body, object_pairs_hook=_require_unique)


def _require_unique(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            message = f"the key {name[:100]!r} is there twice: send it once"
            raise BadRowsError(400, [FieldError(-1, name[:100], message)])
        names.add(name)
