"""Frames to Parquet bytes and back."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import polars as pl

from housing_assets.core.errors import DamagedError, StoreError
from housing_assets.core.text import first_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_MADE_FROM = "housing.made_from"


def encode_parquet(frame: pl.DataFrame, made_from: str = "") -> bytes:
    """A frame as Parquet with zstd: level 1, since higher ones cost more time than they save space here.

    Args:
        frame: to write.
        made_from: kept in the file itself, so that it is of this very table whatever is written after it; empty: no
            word of it.
    """
    buffer = io.BytesIO()
    metadata = {_MADE_FROM: made_from} if made_from else None
    frame.write_parquet(buffer, compression="zstd", compression_level=1, metadata=metadata)
    return buffer.getvalue()


def open_writer(file: Any, schema: "pa.Schema") -> "pq.ParquetWriter":
    """A writer of row groups one after the other, compressed as by `encode_parquet`.

    Parquet can keep a column of a row group as a dictionary. Fractions hardly repeat, and a zip comes once a month, so
    that theirs would be made in vain: training features are written in half the time without, and a vintage is a
    quarter smaller.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    repeating = [field.name for field in schema if field.name != "zipcode" and not pa.types.is_floating(field.type)]
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=repeating,  # type: ignore[arg-type]  # the stubs know no list of columns
    )


def made_from(data: bytes, name: str) -> str:
    """What a table was made from, as `encode_parquet` was told; empty if it was not.

    Raises:
        StoreError: the bytes are no Parquet.
    """
    try:
        return pl.read_parquet_metadata(io.BytesIO(data)).get(_MADE_FROM, "")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise StoreError(f"{name} is damaged or not the file it should be: materialize it again") from error


def made_from_file(file: BinaryIO, name: str) -> str:
    """What `made_from` tells, of an open file of which the end alone is read. Raises as it does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        told = pq.read_metadata(file).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{name} is damaged or not the file it should be: materialize it again") from error
    return told.get(_MADE_FROM.encode(), b"").decode()


def decode_parquet(data: bytes, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Parquet bytes as a frame.

    Raises:
        DamagedError: truncated, damaged, or without an asked column.
    """
    try:
        return pl.read_parquet(io.BytesIO(data), columns=list(columns) if columns is not None else None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = first_line(error)
        raise DamagedError(
            f"{name} is damaged or not the file it should be ({reason}): materialize it again"
        ) from error
