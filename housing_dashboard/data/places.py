"""Known prices and forecasts of one zip or metro."""

import polars as pl
import streamlit as st

from housing_dashboard.data.access import open_store, settings, stamps
from housing_dashboard.data.files import MonthRows, months_of, read_each


@st.cache_resource(max_entries=1, show_spinner=False)
def _price_history(uri: str, stamp: str) -> pl.DataFrame:
    del stamp  # a key
    table = open_store(uri).read_table("price_history", ("date", "zipcode", "city_full", "price"))
    # As categories the full panel takes a third of the memory, and a zip is found in milliseconds.
    return table.drop_nulls("price").with_columns(pl.col("zipcode", "city_full").cast(pl.Categorical))


def _known_prices(condition: pl.Expr) -> pl.DataFrame | None:
    stamp = stamps("price_history.parquet").get("price_history.parquet")
    if stamp is None:
        return None
    prices = _price_history(settings().store_uri, stamp).filter(condition).sort("date")
    return prices.with_columns(pl.col("zipcode", "city_full").cast(pl.String))


def zip_history(zipcode: str) -> pl.DataFrame | None:
    """Prices of a zip by month (`date`, `zipcode`, `city_full`, `price`), None before `price_history` exists.

    Raises:
        StoreError: `price_history` is damaged.
    """
    return _known_prices(pl.col("zipcode") == zipcode)


def metro_history(metro: str) -> pl.DataFrame | None:
    """Median known price of the zips of a metro by month: `date`, `price`; None and errors as in `zip_history`."""
    prices = _known_prices(pl.col("city_full") == metro)
    return None if prices is None else prices.group_by("date").agg(pl.col("price").median()).sort("date")


FORECAST_COLUMNS = (
    "origin",
    "date",
    "horizon",
    "zipcode",
    "city_full",
    "predicted_price",
    "predicted_low",
    "predicted_high",
    "predictor",
    "last_known_price",
)


@st.cache_resource(max_entries=2_000, show_spinner=False)
def _forecasts_of_zip(uri: str, origin: str, zipcode: str, stamp: str) -> pl.DataFrame:
    del stamp  # a key
    return open_store(uri).months("monthly_forecasts").read(origin, FORECAST_COLUMNS).filter(zipcode=zipcode)


def forecasts_of_zip(zipcode: str) -> MonthRows:
    """Forecasts of a zip from every origin.

    The cache keeps the rows of this zip alone, since the file of an origin has those of every zip.
    """
    uri = settings().store_uri
    return read_each(
        "monthly_forecasts",
        months_of("monthly_forecasts"),
        lambda origin, stamp: _forecasts_of_zip(uri, origin, zipcode, stamp),
    )


@st.cache_resource(max_entries=50, show_spinner=False)
def _forecasts_at(uri: str, origin: str, horizon: int, stamp: str) -> pl.DataFrame:
    del stamp  # a key
    return open_store(uri).months("monthly_forecasts").read(origin, FORECAST_COLUMNS).filter(horizon=horizon)


def forecasts_at(origin: str, horizon: int) -> MonthRows:
    """Forecasts of every zip from one origin at one horizon."""
    uri = settings().store_uri
    return read_each("monthly_forecasts", [origin], lambda month, stamp: _forecasts_at(uri, month, horizon, stamp))
