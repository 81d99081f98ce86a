"""The Map page: metros by price, error, change over a year, or forecast change."""

from collections.abc import Callable

import polars as pl
import streamlit as st

from housing_assets.core.forecasting.schema import HORIZONS
from housing_assets.core.months import add_months
from housing_assets.core.panel.places import find_area
from housing_dashboard import charts, data, figures, shell

VALUES = {
    "price": "Predicted price",
    "error": "Mean % error",
    "bias": "Too high or too low",
    "change": "Change in a year",
    "forecast": "Forecast change",
}


def page() -> None:
    """The page."""
    shell.header("Map", "Where are homes expensive, where is the model wrong, and where do prices rise or fall?")
    months = data.months_of("monthly_predictions")
    if not months:
        shell.no_months()
        return
    one, two = st.columns([1, 2])
    with one:
        value = shell.choice("Colour", list(VALUES), "colour", "price", format_func=VALUES.__getitem__)
    if value == "forecast":
        with two:
            ahead = shell.choice(
                "Months ahead", [str(h) for h in HORIZONS], "ahead", str(HORIZONS[-1]), st.select_slider
            )
        with shell.guard():
            forecast(int(ahead))
        return
    with two:
        month = shell.choice("Month", months, "month", months[-1], st.select_slider)
    predicted = data.predictions([month])
    shell.damaged(predicted.damaged)
    if predicted.frame.is_empty():
        shell.empty(
            f"{month} cannot be read", "Choose another month, or materialize `monthly_predictions` for it again."
        )
        return
    with shell.guard():
        metros(predicted.frame, month, value)


def forecast(ahead: int) -> None:
    """Metros by forecast change in price, from the newest origin."""
    origins = data.months_of("monthly_forecasts")
    if not origins:
        shell.empty("No month is forecast yet", "Run `make run`, or `forecast_job` in Dagster.")
        return
    origin = origins[-1]
    forecasts = data.forecasts_at(origin, ahead)
    shell.damaged(forecasts.damaged)
    if forecasts.frame.is_empty():
        shell.empty(
            f"No forecast {ahead} months ahead of {origin} can be read",
            "Choose fewer months ahead, or materialize `monthly_forecasts` for it again.",
        )
        return
    placed = _placed(figures.forecast_change(forecasts.frame))
    month = add_months(origin, ahead)
    span = f"{ahead} months" if ahead > 1 else "one month"
    sentence = (
        f"{placed.height} metros, the median change of their zips' prices forecast over {span}, {origin} to {month}"
    )
    sentence += ": each dot a metro, larger with more zips."
    figure = charts.metro_map(placed, "change", f"% in {span}", "%", True)
    sentence += _ends(placed, "change", lambda value: figures.percent(value, signed=True))
    shell.chart(figure, sentence, placed, "metros", on_select=lambda: choose_clicked(placed))
    if placed.is_empty():
        return
    region = shell.choice("Metro", placed["city_full"].to_list(), "region", placed["city_full"][0])
    st.subheader(f"{region}, forecast for {month}", anchor=False)
    change = (100 * (pl.col("predicted_price") / pl.col("last_known_price") - 1)).alias("change")
    kept = ("zipcode", "last_known_price", "predicted_price", "predicted_low", "predicted_high")
    table = forecasts.frame.filter(city_full=region).select(*kept, change, "predictor").sort("change", descending=True)
    whose = figures.who_forecasts(dict(forecasts.frame.select("horizon", "predictor").unique().iter_rows()))
    st.markdown(f"**{table.height}** zips. {whose}")
    named = table.with_columns(pl.col("predictor").replace(figures.PREDICTOR_NAMES))
    shell.show_table(named, "zips", f"Forecasts of the zips of {region}")
    st.page_link(
        "views/place.py",
        label=f"{table['zipcode'][0]} on Place",
        query_params={"zip": table["zipcode"][0], "ahead": str(ahead)},
    )


def _placed(table: pl.DataFrame) -> pl.DataFrame:
    """Metros whose location is known."""
    named = table.filter(pl.col("city_full").is_not_null())
    placed = [(area := find_area(name)) is not None and area.latitude is not None for name in named["city_full"]]
    return named.filter(pl.Series(placed, dtype=pl.Boolean))


def _ends(placed: pl.DataFrame, column: str, text_of: Callable[[float], str]) -> str:
    """The metros with the lowest and the highest value, in words."""
    ranked = placed.drop_nulls(column).sort(column)
    if ranked.is_empty():
        return ""
    low, high = ranked.row(0, named=True), ranked.row(-1, named=True)
    return f" From {low['city_full']} ({text_of(low[column])}) to {high['city_full']} ({text_of(high[column])})."


def metros(rows: pl.DataFrame, month: str, value: str) -> None:
    """The map, and below it the zips of the chosen metro."""
    table = figures.by_metro(rows)
    before = data.read_months("cleaned", [add_months(month, -12)], ("zipcode", "price")).frame
    if not before.is_empty():
        table = table.join(figures.year_change(rows, before), on="city_full", how="left")
    column, title, unit, diverging = {
        "price": ("predicted", "US dollars", "$", False),
        "error": ("mape", "% error", "%", False),
        "bias": ("bias", "% too high", "%", True),
        "change": ("change", "% in a year", "%", True),
    }[value]
    if column not in table.columns:
        shell.empty("Not known", f"There is no {add_months(month, -12)} to compare {month} with.")
        return
    placed = _placed(table)
    sentence = f"{placed.height} metros in {month}, {VALUES[value].lower()}: each dot a metro, larger with more zips."
    sentence += _ends(placed, column, (lambda v: f"${v:,.0f}") if unit == "$" else figures.percent)
    figure = charts.metro_map(placed, column, title, unit, diverging)
    shell.chart(figure, sentence, table, "metros", on_select=lambda: choose_clicked(placed))
    region = shell.choice("Metro", placed["city_full"].to_list(), "region", placed["city_full"][0])
    metro(rows.filter(city_full=region), region, month)


def choose_clicked(placed: pl.DataFrame) -> None:
    """Choose the metro that was clicked."""
    points = st.session_state["metros"]["selection"]["points"]
    names = [p["customdata"][0] for p in points if "customdata" in p]
    if names and names[0] in placed["city_full"].to_list():
        st.session_state["region"] = names[0]


def metro(rows: pl.DataFrame, region: str, month: str) -> None:
    """The zips of a metro."""
    st.subheader(f"{region}, {month}", anchor=False)
    headline = figures.headline(rows)
    error = (
        f"off by {figures.percent(headline.model['mape'])} on average"
        if headline.model
        else "actual prices are not known yet"
    )
    st.markdown(f"**{rows.height}** zips, {error}.")
    kept = ("zipcode", "predicted_price", "predicted_low", "predicted_high", "actual_price", "percent")
    table = figures.with_errors(rows).select(kept).sort("predicted_price", descending=True)
    shell.show_table(table, "zips", f"Zips of {region}")
    st.page_link("views/overview.py", label=f"{region} on Overview", query_params={"region": region, "month": month})


page()
