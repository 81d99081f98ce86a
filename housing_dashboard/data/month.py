"""One month of every zip, as the map and the home page need it: prices, those of months before, predictions, place.

How a measure follows from these rows belongs in `housing_dashboard.measures`.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import polars as pl
import streamlit as st

from housing_assets.core.months import add_months
from housing_assets.core.panel.areas import with_people
from housing_assets.core.panel.places import find_area, state_names, zip_table
from housing_dashboard import outlines
from housing_dashboard.charts.projection import project
from housing_dashboard.data.access import open_store, settings, stamps
from housing_dashboard.data.files import MonthRows, months_of, read_each
from housing_dashboard.measures import CHANGES, before_column

_PREDICTED = ("zipcode", "city_full", "predicted_price", "predicted_low", "predicted_high", "actual_price")
_INCOME = "Per Capita Income"
_FORECAST = ("zipcode", "city_full", "predicted_price", "predicted_low", "predicted_high", "last_known_price")


def months_with_prices() -> list[str]:
    """Every month whose prices are known or predicted, in order."""
    return sorted({*months_of("cleaned"), *months_of("monthly_predictions")})


def month_of_zips(month: str) -> MonthRows:
    """A row for each zip of a month.

    Returns:
        `zipcode`, `city_full`, `price` (US dollars: as known, or as predicted where it is not known yet), `known` (True
        for the former), `before_1`, `before_3`, `before_12` (known prices so many months before), the columns of
        predictions (null in months that are not predicted), and what `with_places` adds.
    """
    months = [month, *(add_months(month, -ahead) for ahead in CHANGES.values())]
    at = stamps("cleaned/")
    known = tuple(at.get(f"cleaned/{m}.parquet", "") for m in months)
    predicted = stamps("monthly_predictions/").get(f"monthly_predictions/{month}.parquet", "")
    uri = settings().store_uri
    asset = "monthly_predictions" if predicted else "cleaned"
    return read_each(asset, [month], lambda m, _: _month_of_zips(uri, m, known, predicted))


@st.cache_resource(max_entries=40, show_spinner=False)
def _month_of_zips(uri: str, month: str, known: tuple[str, ...], predicted: str) -> pl.DataFrame:
    store = open_store(uri)
    cleaned = store.months("cleaned")
    prices = pl.DataFrame(schema={"zipcode": pl.String, "city_full": pl.String, "price": pl.Float64})
    if known[0]:
        prices = cleaned.read(month, ("zipcode", "city_full", "price")).unique("zipcode", keep="first")
    if predicted:
        rows = store.months("monthly_predictions").read(month, _PREDICTED)
        rows = rows.join(prices.drop("city_full"), on="zipcode", how="left", maintain_order="left")
    else:
        dollars = [pl.lit(None, pl.Float64).alias(name) for name in _PREDICTED[2:]]
        rows = prices.with_columns(dollars)
    actual = pl.coalesce("actual_price", "price")
    rows = rows.with_columns(actual.is_not_null().alias("known"), pl.coalesce(actual, "predicted_price").alias("price"))
    for ahead, stamp in zip(CHANGES.values(), known[1:], strict=True):
        before = before_column(ahead)
        if not stamp:
            rows = rows.with_columns(pl.lit(None, pl.Float64).alias(before))
            continue
        earlier = cleaned.read(add_months(month, -ahead), ("zipcode", "price")).unique("zipcode", keep="first")
        rows = rows.join(earlier.rename({"price": before}), on="zipcode", how="left", maintain_order="left")
    return with_places(rows)


def areas_of_newest_month() -> tuple[dict[str, str], list[str]]:
    """Postal codes of the states by name, and the metros, that the newest predicted month has zips in."""
    months = months_of("monthly_predictions")
    return _areas(month_of_zips(months[-1]).frame) if months else ({}, [])


def _areas(rows: pl.DataFrame) -> tuple[dict[str, str], list[str]]:
    if rows.is_empty():
        return {}, []
    names = state_names()
    codes: list[str] = rows["state"].drop_nulls().unique().to_list()
    states: dict[str, str] = dict(sorted((names.get(code, code), code) for code in codes))
    return states, rows["city_full"].drop_nulls().unique().sort().to_list()


def incomes(month: str) -> pl.DataFrame | None:
    """Income a head of each zip in a month: `zipcode`, `city_full`, `Per Capita Income`, `people`; None where the panel
    has no census figures or the month has no file."""
    stamp = stamps("cleaned/").get(f"cleaned/{month}.parquet")
    return _incomes(settings().store_uri, month, stamp) if stamp else None


@st.cache_resource(max_entries=2, show_spinner=False)
def _incomes(uri: str, month: str, stamp: str) -> pl.DataFrame | None:
    del stamp  # a key
    rows = open_store(uri).months("cleaned").read(month)
    if _INCOME not in rows.columns:
        return None
    return with_people(rows.select("zipcode", "city_full", pl.col(_INCOME).cast(pl.Float64)))


def forecast_of_zips(origin: str, horizon: int) -> MonthRows:
    """A row for each zip that is forecast from an origin at a horizon: `zipcode`, `city_full`, `price` and
    `predicted_price` (the forecast), its interval, `before_0` (the last known price), `known` (False), and what
    `with_places` adds."""
    uri = settings().store_uri
    return read_each("monthly_forecasts", [origin], lambda m, stamp: _forecast_of_zips(uri, m, horizon, stamp))


@st.cache_resource(max_entries=24, show_spinner=False)
def _forecast_of_zips(uri: str, origin: str, horizon: int, stamp: str) -> pl.DataFrame:
    del stamp  # a key
    rows = open_store(uri).months("monthly_forecasts").read(origin, (*_FORECAST, "horizon", "predictor"))
    rows = rows.filter(horizon=horizon).rename({"last_known_price": before_column(0)})
    price = pl.col("predicted_price").alias("price")
    return with_places(
        rows.with_columns(price, pl.lit(False).alias("known"), pl.lit(None, pl.Float64).alias("actual_price"))
    )


def with_places(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the `people` of each zip, its `city`, `county` and `state`, and where the map shows it: `x`, `y` in
    kilometres. They are null where they are not known, or outside the map."""
    return with_people(rows).join(_placed_zips(), on="zipcode", how="left", maintain_order="left")


@cache
def _placed_zips() -> pl.DataFrame:
    table = zip_table()
    x, y = project(table["longitude"].to_numpy(), table["latitude"].to_numpy())
    at = [pl.Series("x", x).fill_nan(None), pl.Series("y", y).fill_nan(None)]
    return table.select("zipcode", "city", "county", "state").with_columns(at)


def place_metros(names: Sequence[str]) -> pl.DataFrame:
    """Where the map shows metros, in the same order: `city_full`, `x`, `y`, and the code of the `area` that it paints
    (see `outlines.areas`); null where that is not known."""
    return pl.DataFrame(
        [(name, *_metro_at(name)) for name in names],
        schema={"city_full": pl.String, "x": pl.Float64, "y": pl.Float64, "area": pl.String},
        orient="row",
    )


@cache
def _metro_at(name: str) -> tuple[float | None, float | None, str | None]:
    area = find_area(name)
    if area is None or area.latitude is None or area.longitude is None:
        return None, None, None
    code = area.cbsa or "".join(area.states[:1])
    x, y = project(np.array([area.longitude]), np.array([area.latitude]))
    painted = code if code in outlines.areas() else None
    return (None, None, painted) if np.isnan(x[0]) else (float(x[0]), float(y[0]), painted)
