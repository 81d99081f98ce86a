"""The panel that months are ingested from: the vintages in use, joined in the order of their addresses."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.errors import MissingMonthError, SourceError, StoreError
from housing_assets.core.months import describe_months
from housing_assets.core.panel.schema import RAW_SCHEMA
from housing_assets.core.vintages.join import LABELS, SLOW, PanelJoin, labels_of
from housing_assets.ingestion.sources import SAMPLE
from housing_assets.store import vintages
from housing_assets.store.layout import Store
from housing_assets.store.sources import read_labels, read_record
from housing_assets.store.vintages import Vintage

_OWN_LAYOUT = (SAMPLE, "housets")


@dataclass
class VintagePanel:
    """Vintages as one panel.

    Attributes:
        label: of the settings, for messages.
        vintages: in the order of their addresses.
        passed_over: what is wrong with newer vintages that are not used.
        notes: of what the join of the months so far left out, with counts.
    """

    store: Store
    label: str
    vintages: tuple[Vintage, ...]
    passed_over: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def vintage(self) -> str:
        """The vintages in words: `zillow 2026-11-27T10-45-00Z, redfin …`."""
        return ", ".join(f"{v.source} {v.time}" for v in self.vintages)

    @property
    def fingerprint(self) -> str:
        """Digest of all rows."""
        told = "\n".join(f"{v.source} {v.rows_sha256}" for v in self.vintages)
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def is_own_layout(self) -> bool:
        """True if its rows are those of one vintage as they are."""
        return len(self.vintages) == 1 and self.vintages[0].source in _OWN_LAYOUT

    @property
    def is_carrying(self) -> bool:
        """True if rows of a month may get values of earlier months."""
        return len(self.vintages) > 1 and any(name in SLOW for v in self.vintages for name in v.columns)

    @cached_property
    def months(self) -> tuple[str, ...]:
        """Months that have rows, in order: those of the sources that give prices."""
        priced = [v for v in self.vintages if "price" in v.columns]
        # A vintage of an earlier version has no digests: its rows tell.
        return tuple(sorted({m for v in priced for m in v.digests or vintages.available_months(self.store, v)}))

    def month(self, month: str) -> pl.DataFrame:
        """The rows of one month, in the columns of `RAW_SCHEMA`; errors as of `iterate`."""
        ((_, frame),) = self.iterate([month])
        return frame

    def iterate(self, months: Collection[str]) -> Iterator[tuple[str, pl.DataFrame]]:
        """Months in order, each with its rows by zip, in the columns of `RAW_SCHEMA`.

        Raises:
            MissingMonthError: the panel lacks one of them.
            DamagedError: a vintage cannot be read.
        """
        if missing := sorted(set(months) - set(self.months)):
            raise MissingMonthError(
                f"{self.label}: no rows for {describe_months(missing)}: the source has "
                f"{describe_months(list(self.months))}"
            )
        if self.is_own_layout:
            for month, frame in vintages.iterate(self.store, self.vintages[0], months):
                yield month, _completed(frame)
        elif months:
            yield from self._joined(set(months))

    def _joined(self, wanted: set[str]) -> Iterator[tuple[str, pl.DataFrame]]:
        """Months of several sources. Earlier ones are read too if what changes slowly is carried forward from them."""
        join = PanelJoin({v.source: v.columns for v in self.vintages}, labels_of(self._label_frames()))
        needed = {m for m in self.months if m <= max(wanted)} if self.is_carrying else wanted
        for month, rows in _side_by_side(self.store, self.vintages, needed):
            joined = join.month(rows)
            if month in wanted:
                yield month, joined.select(*RAW_SCHEMA)
        self.notes = [
            f"{column}: {first} and {other} differ, {first} wins ({count:,} rows)"
            for (column, first, other), count in join.differences.items()
        ] + [f"{source}: rows without a price in any source are left out ({count:,} rows)"
             for source, count in join.without_price.items()]  # fmt: skip

    def _label_frames(self) -> Iterator[pl.DataFrame]:
        for vintage in self.vintages:
            labels = read_labels(self.store, vintage)
            columns = ["zipcode", *(name for name in LABELS if name in vintage.columns)]
            if labels is None and len(columns) > 1:
                labels = vintages.read(self.store, vintage, columns=columns)
            if labels is not None:
                yield labels


def vintage_panel(settings: Settings, store: Store) -> VintagePanel:
    """The vintages in use; those of HOUSING_AS_OF where it is set.

    Raises:
        StoreError: there are none, or each one is damaged; the message says what to do.
        SourceError: none of them gives a price.
    """
    record = read_record(store)
    if record.label != settings.source_label or not record.sources:
        raise StoreError(
            f"{store.uri} has no vintage of {settings.source_label}: run sources_job (or `housing run`) first"
        )
    used, passed_over = [], []
    for kind, source in record.sources.items():
        sound = vintages.newest_sound(store, kind, settings.as_of_day, source.since, source.time)
        used.append(sound.vintage)
        passed_over += sound.passed_over
    if not any("price" in v.columns for v in used):
        raise SourceError(
            f"{settings.source_label}: column 'price' is missing: no source gives prices. Name one that does in "
            "HOUSING_SOURCE_URI, such as the word zillow"
        )
    return VintagePanel(store, settings.source_label, tuple(used), tuple(passed_over))


def _side_by_side(
    store: Store, used: Sequence[Vintage], months: Collection[str]
) -> Iterator[tuple[str, dict[str, pl.DataFrame]]]:
    """Months in order, each with the rows that every source has of it."""
    sides = {v.source: vintages.iterate(store, v, months) for v in used}
    heads = {name: next(side, None) for name, side in sides.items()}
    while any(heads.values()):
        month = min(head[0] for head in heads.values() if head)
        yield month, {name: head[1] for name, head in heads.items() if head and head[0] == month}
        heads = {n: next(sides[n], None) if head and head[0] == month else head for n, head in heads.items()}


def _completed(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows with all columns of the contract: null where the source has none, the year from the date."""
    absent = {
        name: pl.col("date").dt.year().cast(dtype) if name == "year" else pl.lit(None, dtype)
        for name, dtype in RAW_SCHEMA.items()
        if name not in frame.columns
    }
    return frame.with_columns(**absent).select(*RAW_SCHEMA)
