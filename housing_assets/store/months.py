"""Monthly Parquet files of one asset."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import polars as pl

from housing_assets.core.errors import MissingMonthError
from housing_assets.core.months import describe_months
from housing_assets.core.prefetch import prefetch_map
from housing_assets.store.blobs import Blobs
from housing_assets.store.parquet import decode_parquet, encode_parquet, made_from

_WRITERS = 2

_MONTH_FILE = re.compile(r"[0-9]{4}-[0-9]{2}\.parquet")


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
        yield from zip(months, prefetch_map(lambda month: self.read(month, columns), months, "read"), strict=True)

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
