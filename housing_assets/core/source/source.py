"""One source, of whichever publisher: what it is, and its rows.

What belongs here: the way from an address to a recognized stream of rows. What does not: joining sources (each gives
the columns that it has), keeping them, or getting them over HTTP.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.months import month_of
from housing_assets.core.panel.schema import COLUMN_NAMES, RAW_SCHEMA
from housing_assets.core.source.content import Content, look
from housing_assets.core.source.files import list_files, local_paths
from housing_assets.core.source.formats import LABELS_SCHEMA, Reader, Reading
from housing_assets.core.source.notes import Note
from housing_assets.core.source.registry import recognize


@dataclass
class RecognizedSource:
    """One source whose layout is known. Made by `open_source`, and usable while that is open.

    Attributes:
        kind: whose data it is: `housets`, `zillow` or `redfin`.
        title: the layout in words.
        columns: the columns of the contract that it gives, without `date` and `zipcode`.
        files: names of its files.
        file: name of the one that the last frame of `frames` came from.
    """

    kind: str
    title: str
    columns: tuple[str, ...]
    files: tuple[str, ...]
    _parts: list[tuple[Reader, Content]]
    _reading: Reading
    _progress: Callable[[str], None] | None = None
    _months: set[str] = field(default_factory=set)
    file: str = ""

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows in blocks: `date` (month end), `zipcode` (5 characters), then `columns`, in the contract's types.

        The source is read once, while this is iterated. A column that a file of several lacks is null. Neither blocks
        nor rows are in any order of months or zips.

        Raises:
            SourceError: a file breaks its layout, is damaged or cut off, is of a level that is not ZIP codes, or has no
                row that counts. Frames that came before the error are then not to be used.
        """
        wanted = ["date", "zipcode", *self.columns]
        self._months.clear()
        for reader, content in self._parts:
            if self._progress:
                self._progress(f"reading {content.name} ({reader.title})")
            self.file, rows = content.name, 0
            for frame in reader.read(content, self._reading):
                rows += frame.height
                self._months.update(month_of(day) for day in frame["date"].unique())
                yield _with_columns(frame, wanted)
            if not rows:
                raise SourceError(f"{content.name}: no row has a value for a ZIP code and month: download it again")

    @property
    def months(self) -> tuple[str, ...]:
        """The months that rows came for, in order: all of them once `frames` is exhausted."""
        return tuple(sorted(self._months))

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was assumed or left out, with counts: all of it once `frames` is exhausted."""
        return tuple(self._reading.notes)

    @property
    def labels(self) -> pl.DataFrame:
        """One row for each zip with what the source says about it (`LABELS_SCHEMA`), once `frames` is exhausted.

        Empty for `housets`, whose frames hold `city` and `city_full` themselves.
        """
        empty = pl.DataFrame(schema=LABELS_SCHEMA)
        frames = [empty, *self._reading.labels]
        return pl.concat(frames).unique("zipcode", keep="last", maintain_order=True)


@contextmanager
def open_source(
    *uris: str | Path, today: date | None = None, progress: Callable[[str], None] | None = None
) -> Iterator[RecognizedSource]:
    """Recognize a source by its content and offer its rows as a stream.

    The heads of all files are looked into at once; rows are read when `RecognizedSource.frames` is iterated. Memory
    holds a few blocks, never a file.

    Examples:
        >>> with open_source("Zip_zhvi.csv") as source:  # doctest: +SKIP
        ...     for frame in source.frames():
        ...         write(frame)
        ...     print(source.kind, source.months, source.notes, source.labels)

    Args:
        uris: of one source: each a file of any name, a folder with those below it, `s3://bucket/key` or
            `s3://bucket/prefix/`. Files may be packed by gzip, zip (one data file inside) or zstandard.
        today: rows of a month after this day's are refused; None is the current day.
        progress: receives in words what is being read.

    Raises:
        SourceError: the source cannot be reached; a file is no table, empty, damaged, or of no known layout; or files
            are of more than one kind.
    """
    reading = Reading.until(today or date.today())
    parts: list[tuple[Reader, Content]] = []
    with _all_local(list(map(str, uris)), reading, progress) as files:
        for name, path in files:
            content = look(path, name)
            reading.notes.add(
                f"{name}: lines before the header passed over (comments, blank ones, sep=)", content.preamble
            )
            parts.append((recognize(content), content))
        by_kind = {reader.kind: content.name for reader, content in parts}
        if len(by_kind) > 1:
            shown = ", ".join(f"{name} ({kind})" for kind, name in sorted(by_kind.items()))
            raise SourceError(
                f"{', '.join(map(str, uris))}: holds files of more than one kind: {shown}: put each kind in a "
                "folder of its own, and name each as a source"
            )
        given = set(itertools.chain.from_iterable(reader.columns(content) for reader, content in parts))
        reader = parts[0][0]
        columns = tuple(n for n in COLUMN_NAMES if n in given)
        yield RecognizedSource(
            reader.kind, reader.title, columns, tuple(c.name for _, c in parts), parts, reading, progress
        )


@contextmanager
def _all_local(
    uris: list[str], reading: Reading, progress: Callable[[str], None] | None
) -> Iterator[list[tuple[str, Path]]]:
    with ExitStack() as stack:
        files: list[tuple[str, Path]] = []
        for uri in uris:
            listed, notes = list_files(uri)
            for note in notes:
                reading.notes.add(note.text, note.count)
            paths = stack.enter_context(local_paths(uri, listed, progress))
            files += [(file.name, path) for file, path in zip(listed, paths, strict=True)]
        yield files


def _with_columns(frame: pl.DataFrame, wanted: list[str]) -> pl.DataFrame:
    missing = [pl.lit(None, RAW_SCHEMA[n]).alias(n) for n in wanted if n not in frame.columns]
    return frame.with_columns(missing).select(wanted) if missing else frame.select(wanted)
