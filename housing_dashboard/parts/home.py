"""The top of the first page: where the market goes, how good the last month was, and if the data are fresh."""

from datetime import UTC, datetime

import polars as pl
import streamlit as st

from housing_assets.core.features.history import LONGEST_HORIZON
from housing_assets.core.panel.areas import weighted_mean
from housing_dashboard import data, figures, shell
from housing_dashboard.measures import MEASURES, metro_values

_MOVES = 3
_LEAST_PEOPLE = 100_000
"""In a metro whose move is named: small ones move by chance."""
_TOUR = """
- **Map**: metros and zips by price, change, forecast or error. *Play* shows month after month, a click opens a place.
- **Place**: type a zip, a city, a county or a metro. You get its forecast, how far to trust it, and what it costs to
  live there.
- **Compare**: up to five places in one chart, in dollars or as an index.
- **What if**: change what is known of a zip and see what the model says.
- **Model**: which model is in use, how good it is, and how that was found out.
- **Data health**: which data there are, how fresh they are, what was restated, and which checks they passed.

Words that are not clear are in the glossary, at the top of each page. Each view has an address of its own to share.
"""


def brief(months: list[str]) -> None:
    """Three answers side by side, and a short tour.

    Args:
        months: that are predicted.
    """
    with st.container(key="brief"):
        market, quality, fresh = st.columns(3)
    with market.container(border=True, height="stretch"), shell.guard():
        _market(months[-1])
    with quality.container(border=True, height="stretch"), shell.guard():
        _quality(months)
    with fresh.container(border=True, height="stretch"), shell.guard():
        _fresh(months[-1])
    first = "toured" not in st.session_state and not st.query_params
    st.session_state["toured"] = True
    with st.expander("A short tour of the pages", icon=":material/explore:", expanded=first):
        st.markdown(_TOUR)


def _market(month: str) -> None:
    """The nation's price, its change, its forecast, and the metros that are forecast to move most."""
    st.markdown("**Where is the market going?**")
    rows = data.month_of_zips(month).frame
    price = rows.select(weighted_mean(pl.col("price"))).item() if rows.height else None
    if price is None:
        st.markdown("Not known yet.")
        return
    nation = rows.with_columns(pl.lit("nation").alias("city_full"))
    change = metro_values(nation, MEASURES["change"])["value"][0]
    past = "" if change is None else f", {figures.percent(change, signed=True)} in a year"
    lines = [f"A home costs **${price:,.0f}** in {month}{past}: the mean of {rows.height:,} zips."]
    origins = data.months_of("monthly_forecasts")
    ahead = data.forecast_of_zips(origins[-1], LONGEST_HORIZON).frame if origins else pl.DataFrame()
    if ahead.height:
        whole = metro_values(ahead.with_columns(pl.lit("nation").alias("city_full")), MEASURES["forecast"])
        value = figures.percent(whole["value"][0], signed=True)
        # With a figure this early, the browser has the code of figures when the others come, and shows them at once.
        shell.metric(st, f"Forecast from {origins[-1]} over the next year", value)
        moves = metro_values(ahead, MEASURES["forecast"]).drop_nulls("value")
        large = moves.filter(pl.col("people") >= _LEAST_PEOPLE)
        moves = (large if large.height >= 2 * _MOVES else moves).sort("value", descending=True)
        lines.append(f"Up most: {moves_in_words(moves.head(_MOVES))}.")
        lines.append(f"Least: {moves_in_words(moves.tail(_MOVES).reverse())}.")
    else:
        lines.append("No month is forecast yet.")
    st.markdown("  \n".join(lines).replace("$", r"\$"))
    st.page_link("views/map.py", label="On the map", query_params={"colour": "forecast"}, icon=shell.LINK)


def moves_in_words(metros: pl.DataFrame) -> str:
    """Metros by their first city, and their state where the name has it, with their change."""
    words = []
    for name, value in metros.select("city_full", "value").iter_rows():
        cities, comma, states = name.partition(", ")
        words.append(f"{cities.split('-')[0]}{comma}{states} {figures.percent(value, signed=True)}")
    return "; ".join(words)


def _quality(months: list[str]) -> None:
    """Errors of the newest month with known prices."""
    st.markdown("**How good were we last month?**")
    for month in reversed(months[-3:]):
        rows = data.predictions([month]).frame
        if rows.is_empty():
            continue
        now = figures.headline(rows)
        if not now.known:
            continue
        error, naive = now.model["mape"], now.naive.get("mape")
        better = "" if naive is None else f", against {figures.percent(naive)} for “no change”"
        lines = [
            f"{month}: predictions were off by **{figures.percent(error)}** on average{better}.",
            f"**{now.coverage:.0f}%** of the prices were inside their 90% interval.",
        ]
        if naive is not None:
            lines.append("Better than no model." if error < naive else ":orange[No better than no model.]")
        st.markdown("  \n".join(lines))
        st.page_link("views/model.py", label="The model and its errors", icon=shell.LINK)
        return
    st.markdown("No actual price of the last three months is known yet.")


def _fresh(month: str) -> None:
    """The newest month, the newest vintage of each source, and what is late."""
    st.markdown("**Is the data fresh?**")
    lines = [f"The newest month is **{month}**."]
    today = datetime.now(UTC).date()
    for record in data.publications(today):
        state = f":red[late: expected on {record.next_day}]" if record.late else f"next expected on {record.next_day}"
        if record.next_day is None:
            state = "made here"
        publisher = "Generated sample" if record.next_day is None else record.publisher
        lines.append(f"{publisher}: of {record.newest:%Y-%m-%d}, {state}.")
    states = data.check_states("cleaned", data.months_of("cleaned")[-12:])
    red = [m for m, state in states.items() if str(state) == "red"]
    lines.append(f":red[Checks are red in {', '.join(red)}.]" if red else "No check of the last year is red.")
    st.markdown("  \n".join(lines))
    st.page_link("views/health.py", label="Data health", icon=shell.LINK)
