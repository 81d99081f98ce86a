"""Places by name (zips, metros and the nation): their known prices, predictions and forecasts.

Those of metros and of the nation are means of their zips, weighted by the people who live in each. The interval of such
a mean is the mean of the zips' intervals: as wide as if all of them erred together, so it holds at least as often.
"""

from dataclasses import dataclass
from functools import cache

import polars as pl
import streamlit as st

from housing_assets.core.panel.areas import KNOWN_SHARE, PEOPLE, matched_outcome, weighted_mean, with_people
from housing_assets.core.panel.places import UNITED_STATES, zip_table
from housing_dashboard.data.access import open_store, settings, stamps
from housing_dashboard.data.files import MonthRows, months_of, predictions, read_each
from housing_dashboard.data.history import people_of, price_grid
from housing_dashboard.figures import by_horizon, with_forecast_errors, with_outcomes

ZIP, METRO, NATION = "zip", "metro", "nation"
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
_OPTIONAL = ("vintage", "mostly", "fitted_before")
_DOLLARS = ("predicted_price", "predicted_low", "predicted_high", "last_known_price")


@dataclass(frozen=True)
class Place:
    """A zip, a metro or the nation.

    Attributes:
        name: the zip code, the metro's name as in `city_full`, or `United States`; unique.
        kind: `ZIP`, `METRO` or `NATION`.
        label: by which people find it: city, state, zip, county and metro.
        metro: of a zip, as in `city_full`; None for others and where there is none.
        short: a name for a title or a legend.
    """

    name: str
    kind: str
    label: str
    metro: str | None
    short: str


def places() -> dict[str, Place]:
    """Every place with a prediction, by name: the nation, metros (those with most people first), then zips."""
    stamp = tuple(sorted(stamps("monthly_predictions/").items()))
    return _places(settings().store_uri, stamp)


@st.cache_resource(max_entries=2, show_spinner=False)
def _places(uri: str, stamp: tuple[tuple[str, str], ...]) -> dict[str, Place]:
    del uri, stamp  # keys
    rows = predictions(months_of("monthly_predictions")).frame
    if rows.is_empty():
        return {}
    # Rows are in the order of months.
    newest = rows.select("zipcode", "city_full").unique("zipcode", keep="last").sort("zipcode")
    metros: dict[str, str | None] = dict(newest.iter_rows())
    weighed = with_people(pl.DataFrame({"zipcode": list(metros), "city_full": list(metros.values())}))
    sizes = weighed.drop_nulls("city_full").group_by("city_full").agg(pl.len(), pl.col("people").sum())
    nation = Place(UNITED_STATES, NATION, f"{UNITED_STATES} (all {len(metros):,} zips)", None, UNITED_STATES)
    listed = {nation.name: nation}
    for metro, count, _ in sizes.sort(["people", "city_full"], descending=[True, False]).iter_rows():
        zips = f"{count:,} zip{'s' if count > 1 else ''}"
        listed[metro] = Place(metro, METRO, f"{metro} (metro, {zips})", None, metro)
    for zipcode, metro in metros.items():
        listed[zipcode] = zip_by_name(zipcode, metro)
    return listed


def zip_by_name(zipcode: str, metro: str | None) -> Place:
    """A zip with the names by which people find it."""
    city, county, state = _names_of_zips().get(zipcode, (None, None, None))
    town = f"{city}, {state}" if city and state else None
    area = metro or "no metro"
    label = f"{zipcode} {town}, {county or ''}{' County' if _is_county(county) else ''}" if town else zipcode
    return Place(zipcode, ZIP, f"{label.rstrip(', ')}, {area}", metro, f"{town} {zipcode}" if town else zipcode)


def _is_county(name: str | None) -> bool:
    """True if the name of a county is written without its kind, as that of most states is."""
    kinds = ("County", "Parish", "Borough", "Municipio", "Area", "City", "Municipality", "city")
    return name is not None and not name.endswith(kinds)


@cache
def _names_of_zips() -> dict[str, tuple[str | None, str | None, str | None]]:
    return {z: (city, county, state) for z, city, county, state in _name_rows()}


def _name_rows() -> list[tuple]:
    return list(zip_table().select("zipcode", "city", "county", "state").iter_rows())


def known_prices(place: Place) -> pl.DataFrame | None:
    """Known prices of a place by month: `date`, `price`; None before `price_history` exists.

    Raises:
        StoreError: `price_history` is damaged.
    """
    grid = price_grid()
    if grid is None:
        return None
    return grid.of_zip(place.name) if place.kind == ZIP else grid.of_area(_area(place))


def metro_prices(metro: str) -> pl.DataFrame | None:
    """Mean known price of the zips of a metro by month, as `known_prices` has it."""
    grid = price_grid()
    return None if grid is None else grid.of_area(metro)


def _area(place: Place) -> str | None:
    return place.name if place.kind == METRO else None


def forecasts_of(place: Place) -> MonthRows:
    """Forecasts of a place from every origin, with what became of them: `FORECAST_COLUMNS` and those of
    `figures.with_outcomes`.

    Raises:
        StoreError: `price_history` is damaged.
    """
    uri, grid = settings().store_uri, price_grid()
    if place.kind == ZIP:
        read = read_each(
            "monthly_forecasts",
            months_of("monthly_forecasts"),
            lambda origin, stamp: _forecasts_of_zip(uri, origin, place.name, stamp),
        )
        if read.frame.is_empty() or grid is None:
            return read
        outcomes = with_outcomes(read.frame, grid.of_zip(place.name))
        return MonthRows(outcomes.sort("origin", "horizon"), read.damaged)
    history = stamps("price_history.parquet").get("price_history.parquet", "")
    read = read_each(
        "monthly_forecasts",
        months_of("monthly_forecasts"),
        lambda origin, stamp: _graded_origin(uri, origin, stamp, history)[0],
    )
    if read.frame.is_empty():
        return read
    own = read.frame.filter(pl.col("city_full").eq_missing(pl.lit(_area(place), pl.String)))
    return MonthRows(with_forecast_errors(own).sort("origin", "horizon"), read.damaged)


@st.cache_resource(max_entries=2_000, show_spinner=False)
def _forecasts_of_zip(uri: str, origin: str, zipcode: str, stamp: str) -> pl.DataFrame:
    # The cache keeps the rows of this zip alone, since the file of an origin has those of every zip.
    del stamp  # a key
    return _with_optional(open_store(uri).months("monthly_forecasts").read(origin)).filter(zipcode=zipcode)


def _with_optional(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of forecasts that pages show. Files of earlier versions lack those that are not in
    `FORECAST_COLUMNS`."""
    return rows.select(*FORECAST_COLUMNS, *(name for name in _OPTIONAL if name in rows.columns))


@st.cache_resource(max_entries=60, show_spinner=False)
def _graded_origin(uri: str, origin: str, stamp: str, history: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Forecasts of every metro, and of the nation (`city_full` null), from one origin; and the errors of its zips."""
    del stamp, history  # keys
    columns = tuple(name for name in FORECAST_COLUMNS if name != "origin")
    rows = open_store(uri).months("monthly_forecasts").read(origin, columns)
    grid = price_grid()
    unknown = pl.Series("actual_price", [None] * rows.height, pl.Float64)
    actual = unknown if grid is None else grid.at(rows["zipcode"], rows["date"])
    rows = rows.with_columns(pl.lit(origin).alias("origin"), actual, people_of(rows["zipcode"]))
    errors = by_horizon(with_forecast_errors(rows)).with_columns(pl.lit(origin).alias("origin"))
    return means_of_areas(rows), errors


def errors_by_origin() -> MonthRows:
    """Errors of the forecasts of every zip by `origin` and `horizon`, as `figures.by_horizon` has them.

    Raises:
        StoreError: `price_history` is damaged.
    """
    uri, history = settings().store_uri, stamps("price_history.parquet").get("price_history.parquet", "")
    return read_each(
        "monthly_forecasts",
        months_of("monthly_forecasts"),
        lambda origin, stamp: _graded_origin(uri, origin, stamp, history)[1],
    )


def means_of_areas(rows: pl.DataFrame) -> pl.DataFrame:
    """Weighted means by metro and horizon, and of the nation (`city_full` null), as `weighted_mean` and
    `matched_outcome` have them. Sums are taken once, and those of the nation are sums of the metros'."""
    people, predicted, actual = pl.col(PEOPLE), pl.col("predicted_price"), pl.col("actual_price")
    both = predicted.is_not_null() & actual.is_not_null()
    parts = {PEOPLE: people, "_known": pl.when(both).then(people), "_zips": pl.lit(1)}
    for name in _DOLLARS:
        parts |= {name: pl.col(name) * people, f"_{name}": pl.when(pl.col(name).is_not_null()).then(people)}
    parts |= {
        f"_both_{name}": pl.when(both).then(pl.col(name) * people) for name in ("actual_price", "predicted_price")
    }
    same = ("origin", "date", "predictor")
    products = rows.select(*same, "horizon", "city_full", **parts)
    sums = products.group_by("horizon", "city_full").agg(pl.col(*parts).sum(), pl.col(*same).first())
    whole = sums.group_by("horizon").agg(pl.col(*parts).sum(), pl.col(*same).first())
    table = pl.concat([sums.drop_nulls("city_full"), whole], how="diagonal")
    means = [(pl.col(name) / pl.when(pl.col(f"_{name}") > 0).then(f"_{name}")).alias(name) for name in _DOLLARS]
    known = pl.col("_known") >= KNOWN_SHARE * people
    ratio = pl.col("_both_actual_price") / pl.col("_both_predicted_price")
    return table.select(
        *same,
        "horizon",
        "city_full",
        *means,
        pl.when(known).then(predicted / pl.col("_predicted_price") * ratio).alias("actual_price"),
        pl.col("_zips").alias("zips"),
        pl.col("city_full").alias("zipcode"),
    )


def predictions_of(place: Place, rows: pl.DataFrame) -> pl.DataFrame:
    """Monthly predictions of a place, with `month` and `naive_price`.

    Args:
        place: whose.
        rows: of every zip, as `predictions` has them.
    """
    if place.kind == ZIP:
        return rows.filter(zipcode=place.name)
    chosen = rows if place.kind == NATION else rows.filter(city_full=place.name)
    columns = ("predicted_price", "predicted_low", "predicted_high")
    means = [weighted_mean(pl.col(name)).alias(name) for name in columns]
    predicted = pl.col("predicted_price")
    actual = matched_outcome(predicted, pl.col("actual_price")).alias("actual_price")
    naive = matched_outcome(predicted, pl.col("naive_price")).alias("naive_price")
    table = with_people(chosen).group_by("month", "date").agg(*means, actual, naive, pl.len().alias("zips"))
    name = pl.lit(place.name)
    return table.with_columns(name.alias("zipcode"), name.alias("city_full")).sort("month")
