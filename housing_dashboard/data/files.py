"""Tables and months of any asset. A damaged month is left out and named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl
import streamlit as st

from housing_assets.core.errors import StoreError
from housing_assets.core.months import add_months
from housing_dashboard.data.access import open_store, settings, stamps


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


def _uncached(asset: str, months: Sequence[str], columns: Sequence[str] | None = None) -> MonthRows:
    """Several months as one frame, which the caller keeps: a second copy of all predictions has no room."""
    store = open_store(settings().store_uri)
    return read_each(asset, months, lambda month, _: store.months(asset).read(month, columns))


@st.cache_resource(max_entries=4, show_spinner=False)
def _predictions(uri: str, months: tuple[str, ...], own: tuple, cleaned: tuple) -> MonthRows:
    del uri, own, cleaned  # keys
    predicted = _uncached("monthly_predictions", months)
    if predicted.frame.is_empty():
        return predicted
    before = _uncached("cleaned", [add_months(m, -1) for m in months], ("date", "zipcode", "price"))
    month = pl.col("date").dt.strftime("%Y-%m")
    frame = predicted.frame.with_columns(month.alias("month"))
    if before.frame.is_empty():
        return MonthRows(frame.with_columns(pl.lit(None, pl.Float64).alias("naive_price")), predicted.damaged)
    naive = before.frame.select(
        pl.col("date").dt.offset_by("1d").dt.strftime("%Y-%m").alias("month"),
        "zipcode",
        pl.col("price").alias("naive_price"),
    )
    return MonthRows(frame.join(naive, on=["month", "zipcode"], how="left", maintain_order="left"), predicted.damaged)
