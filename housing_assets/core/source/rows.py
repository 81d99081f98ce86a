"""One raw file as a stream of frames that have the types of the column contract."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.source.content import look
from housing_assets.core.source.housets import HousetsReader, read_panel_rows
from housing_assets.core.source.notes import Notes
from housing_assets.core.source.registry import READERS
from housing_assets.core.source.values import Rules


def read_frames(path: Path, name: str, rules: Rules, notes: Notes) -> Iterator[pl.DataFrame]:
    """Frames of one file in row order, with the columns, order and types of `RAW_SCHEMA`.

    Args:
        path: the file, on this machine.
        name: what messages call it.
        rules: what is asked of it.
        notes: receives what a person should know though it is no error.

    Raises:
        SourceError: the file is unreadable, empty, of another layout, or breaks the contract; it names the first bad
            values.
    """
    content = look(path, name)
    other = next((r for r in READERS if r.kind != HousetsReader.kind and r.recognizes(content)), None)
    if other:
        raise SourceError(f"{name}: is {other.title}, where {HousetsReader.title} is asked for")
    yield from read_panel_rows(content, rules, notes)
