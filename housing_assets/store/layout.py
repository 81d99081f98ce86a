"""The store: every path under HOUSING_STORE_URI, and what is read and written there.

```
raw_splits/2012-03.parquet    cleaned/…    quarantined/…    interval_calibration/…    monthly_predictions/…
price_history.parquet         encoders.parquet              training_features.parquet
model_evaluation.parquet      model_comparison.parquet
monthly_forecasts/2022-01.parquet (by origin)               forecast_evaluation.parquet
forecast_skill.parquet        forecast_coverage.parquet     forecast_model.json
forecast_intervals.parquet    forecast_weights.parquet
forecast_record.zip           (what grades are made of, so that a month that is added is graded alone)
drift_report/2022-01.parquet  drift_report/2022-01.html     prediction_accuracy/…
baseline_model.json           tuned_model.json              (references to their bundles)
checks/<asset>/2012-03.json   checks/<asset>.json           (verdicts)                data_quality/index.html
remembered/…                  (what is the same for every month, made again where it is removed)
panel.json                    (the source's first month, where HOUSING_PANEL_START does not say it)
models/<version>/…            models/<version>/decisions/<time>.json
models/champion.json          models/forecast_champion.json (pointers)
```
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import polars as pl

from housing_assets.core.errors import DamagedError, StoreError
from housing_assets.store.blobs import Blobs, open_blobs
from housing_assets.store.months import Months
from housing_assets.store.parquet import decode_parquet, encode_parquet, open_writer
from housing_assets.store.table import TableFile

GROUP_ROWS = 65_536
"""Rows of a table that are read at a time: some 10 MB of the matrix; with fewer, reading takes longer than training."""


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
        rows, writer = 0, None
        with self.blobs.writing(f"{asset}.parquet") as file:
            with ExitStack() as closing:
                for frame in _gathered(frames, group_rows):
                    piece = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
                    writer = writer or closing.enter_context(open_writer(file, piece.schema))
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


def encode_json(value: dict) -> bytes:
    """A JSON object as it is written, keys sorted."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
