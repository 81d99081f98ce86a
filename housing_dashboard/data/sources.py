"""The vintages of each source, and how newer ones revised published prices.

Only manifests are read: the rows of a vintage may be hundreds of megabytes.
"""

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
import streamlit as st

from housing_assets.core.vintages.schedule import is_late, next_expected
from housing_assets.store import vintages
from housing_assets.store.vintages import Vintage
from housing_dashboard.data.access import SECONDS_BETWEEN_LISTINGS, open_store, settings
from housing_dashboard.data.files import read_table

SAMPLE = "sample"
"""The source whose files are generated."""
REVISION_FIGURES = ("median", "p95", "most")
"""Columns of `revisions`: percent by which the prices of a month changed, by absolute size."""


def newest_vintages() -> list[tuple[Vintage, int]]:
    """The newest vintage of each source, in alphabetical order, with the number of its vintages.

    Raises:
        StoreError: the store cannot be read.
    """
    uri = settings().store_uri
    return [(listed[-1], len(listed)) for stamp in _manifests(uri) if (listed := _vintages(uri, *stamp))]


@dataclass(frozen=True)
class Publications:
    """What is known of one source's files.

    Attributes:
        source: its name.
        publisher: for people.
        vintages: in order; at least one.
        next_day: on which the next file is expected; None for the generated sample.
        late: True if that is long past.
    """

    source: str
    publisher: str
    vintages: list[Vintage]
    next_day: date | None
    late: bool

    @property
    def newest(self) -> datetime:
        """When the newest vintage was known."""
        return self.vintages[-1].known_at


def publications(today: date) -> list[Publications]:
    """The vintages of each source, and when its next file is expected, by name.

    Args:
        today: the day by which lateness is judged.

    Raises:
        StoreError: the store cannot be read.
    """
    uri, records = settings().store_uri, []
    for source, stamps in _manifests(uri):
        listed = _vintages(uri, source, stamps)
        if not listed:
            continue
        days = [vintage.known_at.date() for vintage in listed]
        made_here = source == SAMPLE
        expected = None if made_here else next_expected(days)
        late = not made_here and is_late(days, today)
        records.append(Publications(source, listed[-1].publisher, listed, expected, late))
    return records


def vintages_in_words() -> list[str]:
    """The newest vintage of each source with the day it was fetched, a line each.

    Raises:
        StoreError: the store cannot be read.
    """
    return [
        f"{vintage.publisher} ({vintage.source}), known since {vintage.known_at:%Y-%m-%d}, "
        f"{count} vintage{'s' if count > 1 else ''} so far"
        for vintage, count in newest_vintages()
    ]


def revisions() -> pl.DataFrame | None:
    """How much the newest vintages changed published prices: `month` and `REVISION_FIGURES`; None before there are any.

    Raises:
        StoreError: `revisions` is damaged.
    """
    table = read_table("revisions")
    if table is None or "median_change" not in table.columns:
        return table
    prices = table.filter(pl.col("column") == "price")
    changes = [(100 * pl.col(f"{name}_change")).abs().max().alias(name) for name in REVISION_FIGURES]
    return prices.group_by("month").agg(changes).sort("month")


def changes_by_source() -> dict[str, str]:
    """What the newest vintage of each source changed of published prices, in words; empty before there is any.

    Raises:
        StoreError: `revisions` is damaged.
    """
    table = read_table("revisions")
    if table is None or not {"source", "share_changed", "median_change"} <= set(table.columns):
        return {}
    prices = table.filter(pl.col("column") == "price", pl.col("share_changed") > 0)
    absolute = (100 * pl.col("median_change").abs()).median()
    changed = prices.group_by("source").agg(pl.len().alias("months"), absolute.alias("median"))
    return {
        source: f"prices of {months} months, {median:.2f}% typically" for source, months, median in changed.iter_rows()
    }


@st.cache_data(ttl=SECONDS_BETWEEN_LISTINGS, show_spinner=False)
def _manifests(uri: str) -> list[tuple[str, tuple[str, ...]]]:
    """Each source with the stamps of its manifests."""
    store = open_store(uri)
    by_source: dict[str, tuple[str, ...]] = {}
    for key in store.blobs.keys(f"{vintages.FOLDER}/"):
        if key.endswith("/vintage.json"):
            source = key.split("/")[1]
            stamp = store.blobs.stamps(key).get(key, "")
            by_source[source] = (*by_source.get(source, ()), f"{key} {stamp}")
    return sorted(by_source.items())


@st.cache_resource(max_entries=20, show_spinner=False)
def _vintages(uri: str, source: str, stamps: tuple[str, ...]) -> list[Vintage]:
    del stamps  # a key
    return vintages.list_vintages(open_store(uri), source)
