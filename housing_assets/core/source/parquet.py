"""Reading a Parquet file, row group by row group."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from housing_assets.core.errors import SourceError
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.core.source.values import LISTED, Problem, Rules, check_columns, normalize_rows, refusal_of
from housing_assets.core.text import first_line

_PARQUET_ROWS = 32_768


# ---------------------------------------------------------------- Parquet


def read_parquet(path: Path, name: str, rules: Rules, notes: list[str]) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file, batch by batch, in the types of the column contract.

    Raises:
        SourceError: the file breaks the contract, is empty, or is damaged.
    """
    if path.stat().st_size == 0:
        raise SourceError(f"{name}: the file is empty: export it again")
    problems: list[Problem] = []
    before = 0
    try:
        with pa_parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            check_columns(schema.names, name, rules, notes)
            wanted = [n for n in COLUMN_NAMES if n in schema.names]
            for column in wanted:
                kind = schema.field(column).type
                if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
                    raise SourceError(f"{name}: column {column!r} holds {kind}: write plain values")
            if file.metadata.num_rows == 0:
                raise SourceError(f"{name}: has columns but no rows: export it again")
            for batch in file.iter_batches(_PARQUET_ROWS, columns=wanted):
                frame, bad = normalize_rows(cast(pl.DataFrame, pl.from_arrow(batch)), rules)
                problems += [Problem(before + p.row + 1, p.column, p.text) for p in bad]
                before += batch.num_rows
                if len(problems) >= LISTED:
                    break
                if not problems:
                    yield frame
    except pa.ArrowException as error:
        raise SourceError(f"{name}: not a whole Parquet file ({first_line(error)}): export it again") from error
    if problems:
        raise refusal_of(name, "row", problems)
