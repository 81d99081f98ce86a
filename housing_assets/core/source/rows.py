"""One raw file as a stream of frames that have the types of the column contract."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.source.csv import read_csv
from housing_assets.core.source.parquet import read_parquet
from housing_assets.core.source.values import Rules


def read_frames(path: Path, name: str, rules: Rules, notes: list[str]) -> Iterator[pl.DataFrame]:
    """Frames of one file in row order, with the columns, order and types of `RAW_SCHEMA`.

    Dates are moved to the end of their month. Extra columns are added to `notes`.

    Args:
        path: the file, on this machine.
        name: what messages call it.
        rules: what is asked of it.
        notes: receives what a person should know though it is no error.

    Raises:
        SourceError: the file is unreadable, empty, or breaks the contract; it names the first bad values.
    """
    reader = read_parquet if path.name.lower().endswith(".parquet") else read_csv
    try:
        yield from reader(path, name, rules, notes)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{name}: cannot be read, or is damaged: {error}: copy or export it again") from error
