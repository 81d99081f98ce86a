"""Tables and months of any asset. A damaged month is left out and named."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import polars as pl
import streamlit as st

from housing_assets.core.errors import StoreError
from housing_assets.core.months import add_months
from housing_dashboard.data.access import open_store, settings, stamps

log = logging.getLogger("housing_dashboard")


@st.cache_resource(max_entries=1_000, show_spinner=False)
def _month(uri: str, asset: str, month: str, stamp: str, columns: tuple[str, ...] | None) -> pl.DataFrame:
    del stamp  # a key
    return open_store(uri).months(asset).read(month, columns)


@st.cache_resource(max_entries=20, show_spinner=False)
def _table(uri: str, asset: str, stamp: str) -> pl.DataFrame:
    del stamp  # a key
    return open_store(uri).read_table(asset)


@dataclass(frozen=True)
class MonthRows:
    """Rows of several months.

    Attributes:
        frame: of the months that can be read.
        damaged: the reason by month of those that cannot.
    """

    frame: pl.DataFrame
    damaged: dict[str, str]


def months_of(asset: str) -> list[str]:
    """Months of an asset that have a file, in order."""
    keys = (key for key in stamps(f"{asset}/") if key.endswith(".parquet"))
    return sorted(key.removeprefix(f"{asset}/").removesuffix(".parquet") for key in keys)


def read_months(asset: str, months: Sequence[str], columns: Sequence[str] | None = None) -> MonthRows:
    """Several months as one frame."""
    uri, kept = settings().store_uri, tuple(columns) if columns else None
    return read_each(asset, months, lambda month, stamp: _month(uri, asset, month, stamp, kept))


def read_each(asset: str, months: Sequence[str], read: Callable[[str, str], pl.DataFrame]) -> MonthRows:
    """Several months as one frame; months without a file are left out.

    Args:
        asset: its name.
        months: to read.
        read: gives the rows of a month from the month and the stamp of its file.
    """
    stamp_by_key, uri = stamps(f"{asset}/"), settings().store_uri
    frames, damaged = [], {}
    for month in months:
        stamp = stamp_by_key.get(f"{asset}/{month}.parquet")
        if stamp is None:
            continue
        try:
            frames.append(read(month, stamp))
        except StoreError as error:
            damaged[month] = str(error).replace(uri, "the store")
    # Months of an earlier version of the platform may lack a column.
    return MonthRows(pl.concat(frames, how="diagonal") if frames else pl.DataFrame(), damaged)


def read_table(asset: str) -> pl.DataFrame | None:
    """An asset that is one table; None if it was never materialized."""
    stamp = stamps(f"{asset}.parquet").get(f"{asset}.parquet")
    return _table(settings().store_uri, asset, stamp) if stamp else None


def predictions(months: Sequence[str]) -> MonthRows:
    """Rows of `monthly_predictions` with `month`, and `naive_price`: the zip's actual price of the month before."""
    before = tuple(sorted(stamps("cleaned/").items()))
    own = tuple(sorted(stamps("monthly_predictions/").items()))
    return _predictions(settings().store_uri, tuple(months), own, before)


@st.cache_resource(max_entries=4, show_spinner=False)
def _predictions(uri: str, months: tuple[str, ...], own: tuple, cleaned: tuple) -> MonthRows:
    # Months are not kept by themselves: a second copy of all predictions has no room.
    del own  # a key
    known = {key for key, _ in cleaned}
    return read_each("monthly_predictions", months, lambda month, _: _with_naive(uri, month, known))


def _with_naive(uri: str, month: str, cleaned: Collection[str]) -> pl.DataFrame:
    """Predictions of a month with `month` and `naive_price`, null where the month before cannot be read."""
    store, before = open_store(uri), add_months(month, -1)
    rows = store.months("monthly_predictions").read(month).with_columns(pl.lit(month).alias("month"))
    try:
        if f"cleaned/{before}.parquet" in cleaned:
            prices = store.months("cleaned").read(before, ("zipcode", "price")).rename({"price": "naive_price"})
            return rows.join(prices, on="zipcode", how="left", maintain_order="left")
    except StoreError as error:
        log.warning("no prices of the month before %s: %s", month, error)
    return rows.with_columns(pl.lit(None, pl.Float64).alias("naive_price"))
