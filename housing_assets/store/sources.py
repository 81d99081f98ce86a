"""What the last publication left for those who read: which vintage of each source is in use, and what was refused."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import polars as pl

from housing_assets.core.errors import StoreError
from housing_assets.core.vintages.revisions import REVISIONS_SCHEMA
from housing_assets.store.layout import Store
from housing_assets.store.parquet import decode_parquet, encode_parquet
from housing_assets.store.vintages import FOLDER, Vintage

KEY = f"{FOLDER}/sources.json"
LABELS = "labels.parquet"


@dataclass
class SourceRecord:
    """One source in use.

    Attributes:
        stamps: by address, of the files that were read last.
        time: of the vintage in use; empty before there is one.
        since: time of the first vintage that it is a revision of: earlier ones are of something else.
        compared: time of the vintage that the newest one was compared with; empty for a first one.
        refused: why the files that were read last are not used; empty if they are.
        warnings: what is unusual about the vintage in use.
    """

    stamps: dict[str, str] = field(default_factory=dict)
    time: str = ""
    since: str = ""
    compared: str = ""
    refused: str = ""
    warnings: list[str] = field(default_factory=list)


@dataclass
class SourcesRecord:
    """All sources in use.

    Attributes:
        label: of the settings that they are of.
        sources: by kind, in the order of their addresses.
    """

    label: str = ""
    sources: dict[str, SourceRecord] = field(default_factory=dict)

    def stamp(self, address: str) -> str:
        """Of the files that were last read from an address; empty if none were."""
        return next((s.stamps[address] for s in self.sources.values() if address in s.stamps), "")

    def kind(self, address: str) -> str:
        """What was last read from an address; empty if nothing was."""
        return next((kind for kind, s in self.sources.items() if address in s.stamps), "")


def read_record(store: Store) -> SourcesRecord:
    """The record; an empty one where there is none, or none that can be read."""
    try:
        told = store.read_json(KEY)
        sources = {kind: SourceRecord(**told["sources"][kind]) for kind in told["order"]}
        return SourcesRecord(str(told["label"]), sources)
    except (FileNotFoundError, StoreError, KeyError, TypeError):
        return SourcesRecord()


def write_record(store: Store, record: SourcesRecord) -> None:
    """Keep the record, in place of the one before."""
    sources = {kind: asdict(source) for kind, source in record.sources.items()}
    store.write_json(KEY, {"label": record.label, "order": list(sources), "sources": sources})


def read_labels(store: Store, vintage: Vintage) -> pl.DataFrame | None:
    """What a vintage says of each zip, one row each; None if it says nothing beside its rows."""
    key = f"{vintage.key}/{LABELS}"
    try:
        return decode_parquet(store.blobs.read(key), f"{store.uri}/{key}")
    except FileNotFoundError:
        return None


def write_labels(store: Store, vintage: Vintage, labels: pl.DataFrame) -> None:
    """Keep what a source says of each zip beside the rows."""
    if labels.height:
        store.blobs.write(f"{vintage.key}/{LABELS}", encode_parquet(labels))


def read_revisions(store: Store, kinds: Sequence[str]) -> pl.DataFrame:
    """What the newest vintage of each source changed of the one before it: `source`, then `REVISIONS_SCHEMA`."""
    frames = [pl.DataFrame(schema={"source": pl.String(), **REVISIONS_SCHEMA})]
    for kind in kinds:
        key = f"{FOLDER}/{kind}/revisions.parquet"
        try:
            frame = decode_parquet(store.blobs.read(key), f"{store.uri}/{key}")
        except FileNotFoundError:
            continue
        frames.append(frame.select(pl.lit(kind).alias("source"), *REVISIONS_SCHEMA))
    return pl.concat(frames)


def write_revisions(store: Store, kind: str, table: pl.DataFrame) -> None:
    """Keep what the newest vintage of a source changed."""
    store.blobs.write(f"{FOLDER}/{kind}/revisions.parquet", encode_parquet(table))
