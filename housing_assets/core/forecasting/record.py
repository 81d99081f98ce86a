"""A model's forecasts from past origins, recorded once when it is fitted.

They are what takes time in a backtest, so they stand in the model's bundle for the grades that are made of it later.
Naive forecasts and outcomes are computed anew from the history at hand.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from housing_assets.core.errors import BundleError
from housing_assets.core.features.history import History, HistoryAtOrigin
from housing_assets.core.forecasting.schema import MODEL

BACKTEST_FILE = "backtest.parquet"
"""Name of the recorded forecasts in a bundle. A bundle without them is backtested anew."""

_FINGERPRINT, _LAST_MONTH = "fingerprint", "last_month"


@dataclass(frozen=True)
class RecordedForecasts:
    """Log growth that a model forecast from past origins.

    Attributes:
        table: `origin`, `zipcode`, and for each horizon a column named by it: log growth, null where the model does not
            forecast it.
        fingerprint: `History.fingerprint` of the history up to `last_month`.
        last_month: last month of the history that the forecasts were made from.
    """

    table: pl.DataFrame = field(repr=False)
    fingerprint: str
    last_month: str

    @classmethod
    def from_backtest(cls, rows: pl.DataFrame, history: History) -> "RecordedForecasts":
        """Keep the model's part of a backtest.

        Args:
            rows: as `housing_assets.core.forecasting.backtest.backtest` returns them.
            history: that they were made from.
        """
        zipcodes = pl.Series(history.zips).gather(rows["zip"])
        table = rows.select("origin", zipcodes.alias("zipcode"), "horizon", MODEL).pivot(
            on="horizon", index=["origin", "zipcode"], values=MODEL
        )
        return cls(table, history.fingerprint(history.last_month), history.last_month)

    def agrees_with(self, history: History) -> bool:
        """True if a history has the very values that the forecasts were made from."""
        if not history.first_month <= self.last_month <= history.last_month:
            return False
        return history.fingerprint(self.last_month) == self.fingerprint

    @cached_property
    def _by_origin(self) -> Mapping[str, pl.DataFrame]:
        parts = self.table.partition_by("origin", as_dict=True, maintain_order=True)
        return {str(origin): part for (origin,), part in parts.items()}

    def log_growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray | None:
        """Log growth as `Forecaster.log_growth` returns it, shape (zips,); None where the origin is not recorded."""
        part = self._by_origin.get(at.origin)
        if part is None or str(horizon) not in part.columns:
            return None
        growth = np.full(len(at.history.zips), np.nan)
        zips = [at.history.zip_index[zipcode] for zipcode in part["zipcode"]]
        growth[zips] = part[str(horizon)].fill_null(float("nan")).to_numpy()
        return growth

    def to_file(self) -> bytes:
        """The forecasts as Parquet."""
        buffer = io.BytesIO()
        metadata = {_FINGERPRINT: self.fingerprint, _LAST_MONTH: self.last_month}
        self.table.write_parquet(buffer, compression="zstd", metadata=metadata)
        return buffer.getvalue()

    @classmethod
    def from_file(cls, data: bytes) -> "RecordedForecasts":
        """Read the file back. The caller has verified its hash.

        Raises:
            BundleError: it is not such a file.
        """
        try:
            metadata = pl.read_parquet_metadata(io.BytesIO(data))
            return cls(pl.read_parquet(io.BytesIO(data)), metadata[_FINGERPRINT], metadata[_LAST_MONTH])
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, KeyError) as error:
            raise BundleError(f"{BACKTEST_FILE} cannot be read ({error}): publish the model again") from error
