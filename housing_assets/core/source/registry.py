"""Every layout that is read, and which of them a file is."""

import csv
from dataclasses import replace

from housing_assets.core.errors import SourceError
from housing_assets.core.source.content import Content, likely_delimiter, plain_name
from housing_assets.core.source.formats import Reader
from housing_assets.core.source.housets import HousetsReader
from housing_assets.core.source.redfin.data_center import RedfinDataCenter
from housing_assets.core.source.redfin.download import RedfinDownload
from housing_assets.core.source.redfin.tracker import RedfinTracker
from housing_assets.core.source.values import nearest_name
from housing_assets.core.source.zillow import ZillowReader

READERS: tuple[Reader, ...] = (
    ZillowReader(),
    RedfinTracker(),
    RedfinDataCenter(),
    RedfinDownload(),
    HousetsReader(),
)

_SHOWN = 20


def recognize(content: Content) -> Reader:
    """The reader of a file.

    Raises:
        SourceError: no reader recognizes it; the error shows its columns, the nearest layout, and what that has more.
    """
    reader = next((r for r in READERS if r.recognizes(content)), None)
    if reader is None:
        raise unrecognized_error(content)
    return reader


def unrecognized_error(content: Content) -> SourceError:
    """The error of a file that is of no known layout."""
    if row := _row_of_header(content):
        return SourceError(
            f"{content.name}: has its header in row {row}, below other lines: remove the {row - 1} lines above it"
        )
    columns = {*map(plain_name, content.header)}

    def extra(reader: Reader) -> list[str]:
        telling = {*map(plain_name, reader.telling_columns)}
        return [name for name in content.header if plain_name(name) not in telling]

    def missing(reader: Reader) -> list[str]:
        return [name for name in reader.telling_columns if plain_name(name) not in columns]

    def likeness(reader: Reader) -> float:
        similar = sum(nearest_name(name, extra(reader), 0.75) is not None for name in missing(reader))
        return (len(reader.telling_columns) - len(missing(reader)) + 0.5 * similar) / len(reader.telling_columns)

    nearest = max(READERS, key=likeness)
    shown = ", ".join(repr(name) for name in content.header[:_SHOWN])
    more = f" and {len(content.header) - _SHOWN} more" if len(content.header) > _SHOWN else ""
    seen = f"{content.name}: is of no known layout: its columns are {shown}{more}."
    if not likeness(nearest):
        titles = "; ".join(reader.title for reader in READERS)
        return SourceError(f"{seen} Known are: {titles}")
    hints = []
    for name in missing(nearest):
        near = nearest_name(name, extra(nearest), 0.6)
        hints.append(f"{name!r} (did you mean {near!r}?)" if near else repr(name))
    lacking = f"lacks {', '.join(hints)}: rename or add these columns" if hints else "has rows of another kind"
    return SourceError(f"{seen} The nearest layout is {nearest.title}, of which it {lacking}")


def _row_of_header(content: Content) -> int:
    """The row, counted from 1, that a reader recognizes as a header; 0 if none of the first ones is."""
    for number, row in enumerate(content.rows[:_SHOWN], start=2):
        line = content.delimiter.join(row)
        mark = likely_delimiter(line)
        header = tuple(cell.strip() for cell in next(csv.reader([line], delimiter=mark), []))
        if any(reader.recognizes(replace(content, header=header, delimiter=mark)) for reader in READERS):
            return content.preamble + number
    return 0
