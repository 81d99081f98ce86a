"""Where the model says what: metros by price, error, or change over a year."""

import polars as pl
import streamlit as st

from housing_assets.core.metros import is_metro
from housing_assets.core.months import add_months
from housing_dashboard import charts, data, figures, shell

VALUES = {
    "price": "Predicted price",
    "error": "Mean % error",
    "bias": "Too high or too low",
    "change": "Change in a year",
}


def page() -> None:
    """The page."""
    shell.header("Map", "Where are homes dear, where is the model wrong, and where do prices move?")
    months = data.months_of("monthly_predictions")
    if not months:
        shell.no_months()
        return
    one, two = st.columns([1, 2])
    with one:
        value = shell.choice("Colour", list(VALUES), "colour", "price", format_func=VALUES.__getitem__)
    with two:
        month = shell.choice("Month", months, "month", months[-1], st.select_slider)
    found = data.predictions([month])
    shell.damaged(found.damaged)
    if found.frame.is_empty():
        shell.empty(
            f"{month} cannot be read", "Choose another month, or materialize `monthly_predictions` for it again."
        )
        return
    with shell.guard():
        metros(found.frame, month, value)


def metros(rows: pl.DataFrame, month: str, value: str) -> None:
    """The map, and below it the metro that is chosen on it."""
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
        shell.empty("Not known", f"{add_months(month, -12)} is not there to compare {month} with.")
        return
    placed = table.filter(pl.col("city_full").is_not_null()).filter(
        pl.col("city_full").map_elements(is_metro, pl.Boolean)
    )
    ranked = placed.drop_nulls(column).sort(column)
    told = f"{placed.height} metros in {month}, {VALUES[value].lower()}: each dot a metro, larger with more zips."
    if ranked.height:
        low, high = ranked.row(0, named=True), ranked.row(-1, named=True)
        shown = (lambda v: f"${v:,.0f}") if unit == "$" else (lambda v: f"{v:.1f}%")
        told += f" From {low['city_full']} ({shown(low[column])}) to {high['city_full']} ({shown(high[column])})."
    figure = charts.metro_map(placed, column, title, unit, diverging)
    shell.chart(figure, told, table, "metros", on_select=lambda: take(placed))
    region = shell.choice("Metro", placed["city_full"].to_list(), "region", placed["city_full"][0])
    metro(rows.filter(city_full=region), region, month)


def take(placed: pl.DataFrame) -> None:
    """Make the metro that was clicked the one that is shown."""
    points = st.session_state["metros"]["selection"]["points"]
    names = [p["customdata"][0] for p in points if "customdata" in p]
    if names and names[0] in placed["city_full"].to_list():
        st.session_state["region"] = names[0]


def metro(rows: pl.DataFrame, region: str, month: str) -> None:
    """The zips of a metro."""
    st.subheader(f"{region}, {month}", anchor=False)
    known = figures.headline(rows)
    error = f"off by {known.model['mape']:.1f}% on average" if known.model else "actual prices are not known yet"
    st.markdown(f"**{rows.height}** zips, {error}.")
    kept = ("zipcode", "predicted_price", "predicted_low", "predicted_high", "actual_price", "percent")
    table = figures.with_errors(rows).select(kept).sort("predicted_price", descending=True)
    shell.show_table(table, "zips", f"Zips of {region}")
    st.page_link("views/overview.py", label=f"{region} on Overview", query_params={"region": region, "month": month})


page()
