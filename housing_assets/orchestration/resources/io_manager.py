"""The IO manager: assets in the store, a file a month, ranges of months in one run.

Dagster's stock UPath IO managers cannot write more than one partition in a run.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

from housing_assets.core.errors import MissingMonthError
from housing_assets.core.features.history import History
from housing_assets.core.months import describe_months
from housing_assets.orchestration.histories import read_history
from housing_assets.store.layout import Store
from housing_assets.store.months import Months
from housing_assets.store.table import TableFile

_REPORT_SECONDS = 5.0
_READ_AS = "housing/read_as"
AS_JSON = dg.AssetIn(metadata={_READ_AS: "json"})
"""Input of an asset that is a dict."""
AS_FILE = dg.AssetIn(metadata={_READ_AS: "file"})
"""Input of an asset that is a table, given as a `TableFile` that reads it in pieces."""
AS_HISTORY = dg.AssetIn(metadata={_READ_AS: "history"})
"""Input of an asset that is `price_history`, given as a `History`."""


@dataclass(frozen=True)
class MonthlyFrames:
    """What a monthly asset returns: `(month, frame)`, each month of the run once, made while they are written, and for
    a month what it is made from, which its file keeps."""

    frames: Iterable[tuple[str, pl.DataFrame]]
    made_from: Callable[[str], str] = lambda _: ""


@dataclass(frozen=True)
class MadeTable:
    """What a table asset returns whose file keeps what it is made from."""

    frame: pl.DataFrame
    made_from: str


@dataclass(frozen=True)
class TablePieces:
    """What a table asset returns that need not be in memory at once: its frames in order, made while written."""

    frames: Iterable[pl.DataFrame]


@dataclass(frozen=True)
class MonthReader:
    """What a monthly asset is given of another: the months that map to it, read when asked for."""

    months: Months
    keys: tuple[str, ...]

    def iterate(self, columns: Sequence[str] | None = None) -> Iterator[tuple[str, pl.DataFrame]]:
        """The months one after the other; MissingMonthError names all that lack, before the first."""
        self.months.require(self.keys)
        yield from self.months.iterate(self.keys, columns)

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All mapped months as one frame."""
        return self.months.read_many(self.keys, columns)


class StoreIOManager(dg.IOManager):
    """Monthly frames as `<asset>/YYYY-MM.parquet`, a frame as `<asset>.parquet`, a dict as `<asset>.json`."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def handle_output(
        self, context: dg.OutputContext, obj: MonthlyFrames | TablePieces | MadeTable | pl.DataFrame | dict | None
    ) -> None:
        """Write what an asset returned, each file whole or not at all."""
        name = context.asset_key.path[-1]
        if obj is None:
            return
        if isinstance(obj, MonthlyFrames):
            self._write_months(context, name, obj)
            context.add_output_metadata({"path": f"{self.store.uri}/{name}"})
        elif isinstance(obj, pl.DataFrame | TablePieces | MadeTable):
            if isinstance(obj, TablePieces):
                rows, size = self.store.write_pieces(name, obj.frames)
            elif isinstance(obj, MadeTable):
                rows, size = obj.frame.height, self.store.write_table(name, obj.frame, obj.made_from)
            else:
                rows, size = obj.height, self.store.write_table(name, obj)
            context.add_output_metadata(
                {
                    "dagster/row_count": rows,
                    "bytes": size,
                    "path": f"{self.store.uri}/{name}.parquet",
                }
            )
        else:
            self.store.write_json(f"{name}.json", obj)
            context.add_output_metadata({"path": f"{self.store.uri}/{name}.json"})

    def load_input(self, context: dg.InputContext) -> MonthReader | TableFile | History | pl.DataFrame | dict:
        """What an asset is given of another.

        Returns:
            A reader over the mapped months of a monthly asset. Of an asset without months its dict for an input that
            is `AS_JSON`, its file unread for one that is `AS_FILE`, the `History` for one that is `AS_HISTORY`, else
            its frame.
        """
        name = context.asset_key.path[-1]
        if context.has_asset_partitions:
            return MonthReader(self.store.months(name), tuple(context.asset_partition_keys))
        match (context.definition_metadata or {}).get(_READ_AS):
            case "json":
                return self.store.read_json(f"{name}.json")
            case "file":
                return self.store.table(name)
            case "history":
                return read_history(self.store)
            case _:
                return self.store.read_table(name)

    def _write_months(self, context: dg.OutputContext, name: str, obj: MonthlyFrames) -> None:
        """Write months as they are made."""
        expected = list(context.asset_partition_keys)

        def checked_frames() -> Iterator[tuple[str, pl.DataFrame]]:
            for month, frame in obj.frames:
                if month not in expected:
                    raise MissingMonthError(f"{name} made {month}, which is not a month of this run")
                yield month, frame

        written: set[str] = set()
        reported = time.monotonic()
        for month in self.store.months(name).write_each(checked_frames(), obj.made_from):
            written.add(month)
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                context.log.info(f"{len(written)} of {len(expected)} months, now at {month}")
        if missing := sorted(set(expected) - written):
            raise MissingMonthError(f"{name} did not make {describe_months(missing)}")
