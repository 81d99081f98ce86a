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
models/<version>/…            models/<version>/decisions/<time>.json
models/champion.json          models/forecast_champion.json (pointers)
```
"""

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from housing_assets.core.errors import MissingMonthError, StoreError
from housing_assets.core.months import describe_months
from housing_assets.store.blobs import Blobs, open_blobs

DEFAULT_URI = "data/store"
"""Where assets live if HOUSING_STORE_URI does not say."""
_READ_AHEAD = 4
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

    def write_table(self, asset: str, frame: pl.DataFrame) -> int:
        """Write an unpartitioned table asset; returns its size in bytes."""
        data = encode_parquet(frame)
        self.blobs.write(f"{asset}.parquet", data)
        return len(data)

    def read_json(self, key: str) -> dict:
        """A JSON object; FileNotFoundError if there is none.

        Raises:
            StoreError: the file is no JSON object.
        """
        data = self.blobs.read(key)
        try:
            value = json.loads(data)
        except ValueError as error:
            raise StoreError(f"{self.uri}/{key} is damaged ({error}): materialize it again") from error
        if not isinstance(value, dict):
            raise StoreError(f"{self.uri}/{key} is no JSON object: materialize it again")
        return value

    def write_json(self, key: str, value: dict) -> None:
        """Write a JSON object, keys sorted."""
        self.blobs.write(key, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


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
        with ThreadPoolExecutor(2, thread_name_prefix="read") as pool:
            pending = [pool.submit(self.read, m, columns) for m in months[:_READ_AHEAD]]
            try:
                for i, month in enumerate(months):
                    frame = pending.pop(0).result()
                    if i + _READ_AHEAD < len(months):
                        pending.append(pool.submit(self.read, months[i + _READ_AHEAD], columns))
                    yield month, frame
            finally:
                for future in pending:
                    future.cancel()

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

    def write(self, month: str, frame: pl.DataFrame) -> int:
        """Write one month whole, in place of what was there; returns its size in bytes."""
        data = encode_parquet(frame)
        self.blobs.write(self.key(month), data)
        return len(data)


def encode_parquet(frame: pl.DataFrame) -> bytes:
    """A frame as Parquet with zstd: level 1, since higher ones cost more time than they save space here."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1)
    return buffer.getvalue()


def decode_parquet(data: bytes, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Parquet bytes as a frame.

    Raises:
        StoreError: truncated, damaged, or without an asked column.
    """
    try:
        return pl.read_parquet(io.BytesIO(data), columns=list(columns) if columns is not None else None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(f"{name} is damaged or not the file it should be ({reason}): materialize it again") from error
