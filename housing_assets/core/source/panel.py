"""Reading the raw panel: one pass over a source, then any month of it.

What belongs here: what the rest of the platform asks of a source. Which files a URI names is in
`files`; what a valid row is, and the messages about invalid ones, in `values`.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.ipc

from housing_assets.core.errors import MissingMonthError, SourceError
from housing_assets.core.months import describe_months, month_end, month_of
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.core.source.files import SourceFile, fingerprint, fingerprint_of, list_files, local_paths
from housing_assets.core.source.notes import Notes
from housing_assets.core.source.rows import read_frames
from housing_assets.core.source.values import PREDICT_RULES, panel_rules

__all__ = ["Panel", "SourceFile", "fingerprint", "open_panel", "read_rows"]

SPOOL_BYTES = 512 << 20
"""Rows held in memory; what comes after goes to temporary files."""


@contextmanager
def open_panel(
    uri: str,
    months: Collection[str] | None = None,
    *,
    today: date | None = None,
    progress: Callable[[str], None] | None = None,
    spool_bytes: int = SPOOL_BYTES,
) -> Iterator["Panel"]:
    """Read a source once and offer its months; temporary files go on leaving.

    Args:
        uri: a file, a folder, `s3://bucket/key` or `s3://bucket/prefix/`: see `files.list_files`.
        months: the months to keep; None keeps all.
        today: rows of a month after this day's are refused; None is the current day.
        progress: receives in words what is being read.
        spool_bytes: rows to hold in memory before temporary files are used.

    Raises:
        SourceError: the source cannot be reached or read, or breaks the column contract.
        MissingMonthError: the source lacks one of `months`.
    """
    files, notes = list_files(uri)
    rules = panel_rules(today or date.today())
    with tempfile.TemporaryDirectory(prefix="housing-panel-") as folder:
        panel = Panel(uri, files, notes, _Spool(Path(folder), spool_bytes))
        with local_paths(uri, files, progress) as paths:
            for file, path in zip(files, paths, strict=True):
                if progress:
                    progress(f"reading {file.name} ({file.size / 1e6:.1f} MB)")
                for frame in read_frames(path, file.name, rules, panel._notes):
                    panel._add(file.name, frame, months)
        panel._require(months or ())
        panel._check_agreement()
        yield panel


class Panel:
    """The rows of a source by month. Made by `open_panel`, and usable while that is open.

    Attributes:
        files: the files it was read from.
        months: every month the source has, sorted, whichever were asked for.
        rows: number of rows of the months that were asked for.
        notes: what a person should know though it is no error.
    """

    def __init__(self, uri: str, files: list[SourceFile], notes: Notes, spool: "_Spool") -> None:
        self.files = tuple(files)
        self.rows = 0
        self._uri = uri
        self._notes = notes
        self._spool = spool
        self._all_months: set[str] = set()
        self._file_rows: dict[str, Counter[str]] = {}

    @property
    def months(self) -> tuple[str, ...]:
        """Every month the source has."""
        return tuple(sorted(self._all_months))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know though it is no error."""
        return tuple(map(str, self._notes))

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the source's contents, equal to `fingerprint(uri)`.

        Raises:
            SourceError: a file went away since it was read.
        """
        return fingerprint_of(self._uri, list(self.files))

    def month(self, month: str) -> pl.DataFrame:
        """The rows of one month in source order, with exactly the columns of `RAW_SCHEMA`.

        Raises:
            MissingMonthError: the source lacks the month, or it was not asked for on opening.
        """
        if month not in self._file_rows:
            self._require([month])
            raise MissingMonthError(f"{self._uri}: {month} was not asked for when the source was opened")
        return self._spool.month(month)

    def _add(self, file: str, frame: pl.DataFrame, months: Collection[str] | None) -> None:
        """Keep the rows of the wanted months, sorted by month, in source order within each."""
        self._all_months.update(month_of(day) for day in frame["date"].unique())
        if months is not None:
            frame = frame.filter(pl.col("date").is_in([month_end(m) for m in months]))
        if frame.is_empty():
            return
        frame = frame.sort("date", maintain_order=True)
        runs: dict[str, tuple[int, int]] = {}
        start = 0
        for length, day in frame["date"].rle().struct.unnest().iter_rows():
            runs[month_of(day)] = (start, length)
            self._file_rows.setdefault(month_of(day), Counter())[file] += length
            start += length
        self.rows += frame.height
        self._spool.add(frame, runs)

    def _require(self, months: Collection[str]) -> None:
        missing = sorted(set(months) - self._all_months)
        if missing:
            raise MissingMonthError(
                f"{self._uri}: no rows for {describe_months(missing)}: "
                f"the source has {describe_months(list(self.months))}"
            )

    def _check_agreement(self) -> None:
        """Refuse two files that say different things about the same zips of a month."""
        for month, counts in sorted(self._file_rows.items()):
            if len(counts) == 1:
                continue
            names = [name for name, count in counts.items() for _ in range(count)]
            frame = self._spool.month(month).with_columns(pl.Series("_file", names))
            rows = frame.group_by(COLUMN_NAMES).agg(pl.col("_file").unique())
            per_zip = frame.group_by("zipcode").agg(pl.col("_file").unique().alias("_all"))
            # A row that a file with the same zip lacks: agreeing files hold the same set of rows for it.
            lacking = (
                rows.join(per_zip, on="zipcode")
                .with_columns(pl.col("_all").list.set_difference("_file").alias("_other"))
                .filter(pl.col("_other").list.len() > 0)
                .sort("zipcode")
            )
            if lacking.height:
                row = lacking.row(0, named=True)
                first, second = sorted([min(row["_file"]), min(row["_other"])])
                raise SourceError(
                    f"{self._uri}: {first} and {second} disagree about {month} (for example ZIP "
                    f"{row['zipcode']}): keep that month in one of them"
                )


@dataclass
class _Spool:
    """Frames sorted by month: in memory up to a limit, then one Arrow file each, mapped when needed."""

    folder: Path
    limit: int
    used: int = 0
    parts: list[tuple[pl.DataFrame | Path, dict[str, tuple[int, int]]]] = field(default_factory=list)

    def add(self, frame: pl.DataFrame, runs: dict[str, tuple[int, int]]) -> None:
        """Keep a frame; `runs` says where each month starts and how many rows it has."""
        self.used += int(frame.estimated_size())
        part: pl.DataFrame | Path = frame
        if self.used > self.limit:
            part = self.folder / f"{len(self.parts)}.arrow"
            try:
                frame.write_ipc(part, compression="uncompressed", compat_level=pl.CompatLevel.oldest())
            except (OSError, pl.exceptions.ComputeError) as error:
                raise SourceError(
                    f"cannot write to the temporary folder {self.folder}: {error}: "
                    "free some space, or set TMPDIR to a larger disk"
                ) from error
        self.parts.append((part, runs))

    def month(self, month: str) -> pl.DataFrame:
        """The rows of a month, copied out so that they do not keep the rest in memory."""
        pieces = [_rows(part, *runs[month]) for part, runs in self.parts if month in runs]
        return pl.concat(pieces, rechunk=True)


def _rows(part: pl.DataFrame | Path, start: int, length: int) -> pl.DataFrame:
    if isinstance(part, pl.DataFrame):
        return part.slice(start, length)
    with pa.memory_map(str(part)) as mapped:
        return cast(pl.DataFrame, pl.from_arrow(pa.ipc.open_file(mapped).read_all().slice(start, length)))


def read_rows(path: str | Path) -> pl.DataFrame:
    """Rows to predict from one file, local or on S3, in file order: one row out for each row in.

    Only `date` and `zipcode` must be there; every other column of the contract may be absent, which makes
    it null. Dates may lie in the future and are moved to the end of their month.

    Raises:
        SourceError: the file cannot be reached or read, is a folder, or holds an invalid value.
    """
    uri = str(path)
    files, notes = list_files(uri)
    if len(files) != 1:
        raise SourceError(f"{uri}: holds {len(files)} data files: name one of them")
    with local_paths(uri, files) as paths:
        return pl.concat(read_frames(paths[0], files[0].name, PREDICT_RULES, notes), rechunk=True)
