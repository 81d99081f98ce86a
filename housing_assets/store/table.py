"""One table in one Parquet file."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import polars as pl

from housing_assets.core.errors import StoreError
from housing_assets.store.blobs import Blobs

if TYPE_CHECKING:
    import pyarrow.parquet as pq


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
            needed = None if columns is None else list(dict.fromkeys([*columns, *(["split"] if self.split else [])]))
            for group in self._groups(file) if only is None else only:
                frame = cast(pl.DataFrame, pl.from_arrow(file.read_row_group(group, needed)))
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
        groups = []
        for group in every:
            statistics = file.metadata.row_group(group).column(column).statistics
            if not (statistics and statistics.has_min_max) or statistics.min <= self.split <= statistics.max:
                groups.append(group)
        return groups

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
