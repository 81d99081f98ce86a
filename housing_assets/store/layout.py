"""The store: every path under HOUSING_STORE_URI, and what is read and written there.

```
raw_splits/2012-03.parquet    cleaned/…    quarantined/…    interval_calibration/…    monthly_predictions/…
price_history.parquet         encoders.parquet              training_features.parquet
model_evaluation.parquet      model_comparison.parquet
monthly_forecasts/2022-01.parquet (by origin)               forecast_evaluation.parquet
forecast_skill.parquet        forecast_intervals.parquet    forecast_model.json
drift_report/2022-01.parquet  drift_report/2022-01.html     prediction_accuracy/…
baseline_model.json           tuned_model.json              (references to their bundles)
checks/<asset>/2012-03.json   checks/<asset>.json           (verdicts)                data_quality/index.html
panel.json                    (the source's first month, where HOUSING_PANEL_START does not say it)
models/<version>/…            models/<version>/decisions/<time>.json
models/champion.json          models/forecast_champion.json (pointers)
```
"""

import hashlib
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import polars as pl

from housing_assets.core.ahead import map_ahead
from housing_assets.core.errors import DamagedError, MissingMonthError, StoreError
from housing_assets.core.months import describe_months
from housing_assets.core.text import first_line
from housing_assets.store.blobs import Blobs, open_blobs

if TYPE_CHECKING:
    import pyarrow.parquet as pq

DEFAULT_URI = "data/store"
"""Where assets live if HOUSING_STORE_URI does not say."""
_WRITERS = 2
_MADE_FROM = "housing.made_from"
GROUP_ROWS = 65_536
"""Rows of a table that are read at a time: some 10 MB of the matrix; with fewer, reading takes longer than training."""
_MONTH_FILE = re.compile(r"[0-9]{4}-[0-9]{2}\.parquet")


@dataclass(frozen=True)
class Store:
    """One store. Cheap to make; safe to share between threads."""

    blobs: Blobs

    @classmethod
    def open(cls, uri: str) -> "Store":
        """The store at a folder or `s3://bucket/prefix`."""
        return cls(open_blobs(uri))

    @property
    def uri(self) -> str:
        """Where it is."""
        return self.blobs.uri

    def months(self, asset: str) -> "Months":
        """The monthly files of one asset."""
        return Months(self.blobs, asset)

    def read_table(self, asset: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The one file of an unpartitioned table asset.

        Raises:
            StoreError: it was never materialized, or is damaged.
        """
        key = f"{asset}.parquet"
        try:
            return decode_parquet(self.blobs.read(key), f"{self.uri}/{key}", columns)
        except FileNotFoundError as error:
            raise StoreError(f"{self.uri}/{key} does not exist: materialize {asset} first") from error

    def write_table(self, asset: str, frame: pl.DataFrame, made_from: str = "") -> int:
        """Write an unpartitioned table asset, with what it was made from; returns its size in bytes."""
        data = encode_parquet(frame, made_from)
        self.blobs.write(f"{asset}.parquet", data)
        return len(data)

    def table(self, asset: str) -> "TableFile":
        """The one file of an unpartitioned table asset, to be read in pieces."""
        return TableFile(self.blobs, asset)

    def write_pieces(self, asset: str, frames: Iterable[pl.DataFrame], group_rows: int = GROUP_ROWS) -> tuple[int, int]:
        """Write an unpartitioned table asset piece by piece, whole or not at all; returns its rows and bytes.

        Args:
            asset: its name.
            frames: at least one; all have the same columns. As many as make up a row group become one.
            group_rows: least rows of a row group, but for the last.
        """
        import pyarrow.parquet as pq

        rows, writer = 0, None
        with self.blobs.writing(f"{asset}.parquet") as file:
            with ExitStack() as closing:
                for frame in _gathered(frames, group_rows):
                    piece = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
                    writer = writer or closing.enter_context(
                        pq.ParquetWriter(file, piece.schema, compression="zstd", compression_level=1)
                    )
                    writer.write_table(piece, row_group_size=max(1, piece.num_rows))
                    rows += piece.num_rows
            if writer is None:
                raise StoreError(f"{asset} has no rows to write: materialize what it is made of first")
            return rows, file.tell()

    def read_json(self, key: str) -> dict:
        """A JSON object; FileNotFoundError if there is none.

        Raises:
            DamagedError: the file is no JSON object.
        """
        data = self.blobs.read(key)
        try:
            value = json.loads(data)
        except ValueError as error:
            raise DamagedError(f"{self.uri}/{key} is damaged ({error}): materialize it again") from error
        if not isinstance(value, dict):
            raise DamagedError(f"{self.uri}/{key} is no JSON object: materialize it again")
        return value

    def write_json(self, key: str, value: dict) -> None:
        """Write a JSON object, keys sorted."""
        self.blobs.write(key, encode_json(value))


@dataclass(frozen=True)
class Months:
    """The files `<asset>/YYYY-MM.parquet` of a monthly asset."""

    blobs: Blobs
    asset: str

    def key(self, month: str) -> str:
        """Where a month is, under the store."""
        return f"{self.asset}/{month}.parquet"

    def available(self) -> list[str]:
        """The months that are there, in order."""
        names = [k.removeprefix(f"{self.asset}/") for k in self.blobs.keys(f"{self.asset}/")]
        return [n.removesuffix(".parquet") for n in names if _MONTH_FILE.fullmatch(n)]

    def stamps(self) -> dict[str, str]:
        """The months that are there, in order, each with what tells one content of it from another: one listing."""
        begins = f"{self.asset}/"
        found = {key.removeprefix(begins): stamp for key, stamp in self.blobs.stamps(begins).items()}
        return {name.removesuffix(".parquet"): found[name] for name in sorted(found) if _MONTH_FILE.fullmatch(name)}

    def read(self, month: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """One month.

        Raises:
            MissingMonthError: it is not there.
            StoreError: its file is damaged.
        """
        try:
            data = self.blobs.read(self.key(month))
        except FileNotFoundError as error:
            raise MissingMonthError(
                f"{self.asset} has no {month} in {self.blobs.uri}; "
                f"it has {describe_months(self.available())}. Materialize {self.asset} for {month} first"
            ) from error
        return decode_parquet(data, f"{self.blobs.uri}/{self.key(month)}", columns)

    def iterate(
        self, months: Iterable[str], columns: Sequence[str] | None = None
    ) -> Iterator[tuple[str, pl.DataFrame]]:
        """Months one after the other, a few read ahead: memory holds those alone."""
        months = list(months)
        yield from zip(months, map_ahead(lambda month: self.read(month, columns), months, "read"), strict=True)

    def read_many(self, months: Iterable[str], columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Several months as one frame, in the order asked.

        Raises:
            MissingMonthError: any of them is not there; the message names all that lack.
        """
        months = list(months)
        self.require(months)
        return pl.concat([frame for _, frame in self.iterate(months, columns)])

    def require(self, months: Iterable[str]) -> None:
        """Raise MissingMonthError, naming every month that is not there."""
        available = self.available()
        missing = sorted(set(months) - set(available))
        if missing:
            raise MissingMonthError(
                f"{self.asset} lacks {describe_months(missing)} in {self.blobs.uri}; "
                f"it has {describe_months(available)}. Materialize {self.asset} for these months first, or "
                "set HOUSING_PANEL_START and HOUSING_PANEL_END to the months your source has"
            )

    def count_rows(self, months: Iterable[str], column: str) -> int:
        """Rows of some months, reading no more than one column that they all have."""
        return sum(frame.height for _, frame in self.iterate(months, [column]))

    def write(self, month: str, frame: pl.DataFrame, made_from: str = "") -> int:
        """Write one month whole, with what it was made from, in place of what was there; returns its size in bytes."""
        data = encode_parquet(frame, made_from)
        self.blobs.write(self.key(month), data)
        return len(data)

    def made_from(self, month: str) -> str:
        """What a month was made from, as it was written with it; empty where it does not tell, or there is no month."""
        try:
            return made_from(self.blobs.read(self.key(month)), self.key(month))
        except FileNotFoundError:
            return ""

    def write_each(
        self, frames: Iterable[tuple[str, pl.DataFrame]], made_from: Callable[[str], str] = lambda _: ""
    ) -> Iterator[str]:
        """Write months while the next ones are made, two at a time; gives each month once it has been handed over.

        Months that were made stay at most a few ahead of the disk, so that memory holds those alone.
        """
        with ThreadPoolExecutor(_WRITERS, thread_name_prefix="write") as pool:
            pending: set[Future[int]] = set()
            for month, frame in frames:
                pending.add(pool.submit(self.write, month, frame, made_from(month)))
                if len(pending) > _WRITERS:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    _ = [future.result() for future in done]
                yield month
            _ = [future.result() for future in pending]


def _gathered(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The same rows in frames of at least so many, but for the last."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(f.height for f in waiting) >= rows:
            yield pl.concat(waiting)
            waiting = []
    if waiting:
        yield pl.concat(waiting)


@dataclass(frozen=True)
class TableFile:
    """An unpartitioned table asset, read a row group at a time.

    Attributes:
        blobs: where it is.
        asset: its name.
        split: rows of this split alone; None reads all.
    """

    blobs: Blobs
    asset: str
    split: str | None = None

    def of(self, split: str) -> "TableFile":
        """The rows of one split."""
        return replace(self, split=split)

    def pieces(
        self, columns: Sequence[str] | None = None, only: Collection[int] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The row groups in order, those of the split.

        Args:
            columns: to read; None reads all.
            only: positions of the row groups to read, as `groups` gives them; None reads all of the split.

        Raises:
            StoreError: the table was never materialized, or is damaged.
        """
        with self._opened() as file:
            asked = None if columns is None else list(dict.fromkeys([*columns, *(["split"] if self.split else [])]))
            for group in self._groups(file) if only is None else only:
                frame = cast(pl.DataFrame, pl.from_arrow(file.read_row_group(group, asked)))
                if self.split:
                    frame = frame.filter(pl.col("split") == self.split)
                yield frame if columns is None else frame.select(columns)

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows of the split as one frame; errors as of `pieces`."""
        return pl.concat(self.pieces(columns))

    def groups(self) -> dict[int, int]:
        """Row groups that may have rows of the split, with the rows they have; errors as of `pieces`."""
        with self._opened() as file:
            return {group: file.metadata.row_group(group).num_rows for group in self._groups(file)}

    def digest(self) -> str:
        """The sha256 of the file; errors as of `pieces`."""
        with self._explained(), self.blobs.open(self._key) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def _key(self) -> str:
        return f"{self.asset}.parquet"

    def _groups(self, file: "pq.ParquetFile") -> list[int]:
        """The row groups whose statistics do not rule the split out."""
        every = range(file.metadata.num_row_groups)
        if self.split is None:
            return list(every)
        column = file.schema_arrow.get_field_index("split")
        found = []
        for group in every:
            statistics = file.metadata.row_group(group).column(column).statistics
            if not (statistics and statistics.has_min_max) or statistics.min <= self.split <= statistics.max:
                found.append(group)
        return found

    @contextmanager
    def _opened(self) -> Iterator["pq.ParquetFile"]:
        import pyarrow.parquet as pq

        with self._explained(), self.blobs.open(self._key) as stream, pq.ParquetFile(stream) as file:
            yield file

    @contextmanager
    def _explained(self) -> Iterator[None]:
        # Here, since serving imports this module, and needs pyarrow's 38 MB for Arrow calls alone.
        import pyarrow as pa

        where = f"{self.blobs.uri}/{self._key}"
        try:
            yield
        except FileNotFoundError as error:
            raise StoreError(f"{where} does not exist: materialize {self.asset} first") from error
        except (pa.ArrowException, KeyError) as error:
            raise StoreError(f"{where} is damaged ({error}): materialize {self.asset} again") from error


def encode_json(value: dict) -> bytes:
    """A JSON object as it is written, keys sorted."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def encode_parquet(frame: pl.DataFrame, made_from: str = "") -> bytes:
    """A frame as Parquet with zstd: level 1, since higher ones cost more time than they save space here.

    Args:
        frame: to write.
        made_from: kept in the file itself, so that it is of this very table whatever is written after it; empty: no
            word of it.
    """
    buffer = io.BytesIO()
    told = {_MADE_FROM: made_from} if made_from else None
    frame.write_parquet(buffer, compression="zstd", compression_level=1, metadata=told)
    return buffer.getvalue()


def made_from(data: bytes, name: str) -> str:
    """What a table was made from, as `encode_parquet` was told; empty if it was not.

    Raises:
        StoreError: the bytes are no Parquet.
    """
    try:
        return pl.read_parquet_metadata(io.BytesIO(data)).get(_MADE_FROM, "")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise StoreError(f"{name} is damaged or not the file it should be: materialize it again") from error


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
