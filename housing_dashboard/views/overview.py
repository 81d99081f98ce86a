"""The Overview page: predictions and their errors in figures, charts and rows to download."""

import re
from urllib.parse import urlencode

import polars as pl
import streamlit as st

from housing_dashboard import charts, data, figures, shell
from housing_dashboard.figures import ALL, Headline
from housing_dashboard.parts import home

COLUMNS = ["date", "zipcode", "city_full", "predicted_price", "predicted_low", "predicted_high", "actual_price"]
# Columns of the downloads alone; files of earlier versions lack some of them.
_ORIGINS = ("model_version", "from_history", "predictor", "vintage", "first_price")
FIGURES = (
    ("mape", "Mean % error", "%"),
    ("mdape", "Median % error", "%"),
    ("mae", "MAE", "$"),
    ("rmse", "RMSE", "$"),
    *((f"within_{p:g}", f"Within {p:g}%", "share") for p in figures.WITHIN),
)
MOST_LISTED = 500
_LISTED = (
    "zipcode",
    "predicted_price",
    "actual_price",
    "off by",
    "city_full",
    "predicted_low",
    "predicted_high",
    "error",
    "percent",
    "date",
)


def page() -> None:
    """The page."""
    shell.header("Overview", "Where is the market going, what does the model predict, and how far off is it?")
    predicted = shell.predicted_rows()
    if predicted is None:
        return
    home.brief(data.months_of("monthly_predictions"))
    # Another filter changes nothing above.
    st.fragment(graded)(predicted)


def graded(rows: pl.DataFrame) -> None:
    """Predictions and their errors, as filtered.

    Args:
        rows: every predicted row, as `shell.predicted_rows` gives them.
    """
    year, month, region = filters(rows)
    chosen = figures.with_errors(figures.choose(rows, year, month, region))
    if chosen.is_empty():
        shell.empty("No rows for this choice", f"{region} has no predictions in {month if month != ALL else year}.")
        return
    with shell.guard():
        headline(rows, chosen, year, month, region)
    left, right = st.columns(2)
    with left, shell.guard():
        scatter(chosen)
    with right, shell.guard():
        trend(rows, year, month, region)
    with shell.guard():
        table(chosen, "-".join((month if month != ALL else year, region)))


def filters(rows: pl.DataFrame) -> tuple[str, str, str]:
    """Year, month and region as chosen, also in the address."""
    # Rows are in the order of months.
    months = rows["month"].unique(maintain_order=True).to_list()[::-1]
    years = sorted({m[:4] for m in months}, reverse=True)
    regions = rows["city_full"].unique().drop_nulls().sort().to_list()
    one, two, three = st.columns([1, 1, 2])
    with one:
        year = shell.choice("Year", [ALL, *years], "year", ALL)
    of_year = [m for m in months if year in (ALL, m[:4])]
    with two:
        month = shell.choice("Month", [ALL, *of_year], "month", of_year[0])
    with three:
        region = shell.choice("Region", [ALL, *regions], "region", ALL)
    return year, month, region


def headline(rows: pl.DataFrame, chosen: pl.DataFrame, year: str, month: str, region: str) -> None:
    """Figures of the chosen rows, each beside the naive baseline and the period before."""
    now = figures.headline(chosen)
    before_year, before_month, name = figures.span_before(year, month)
    before = (
        figures.headline(figures.choose(rows, before_year, before_month, region))
        if name
        else Headline(0, 0, {}, {}, None)
    )
    with st.container(key="figures-headline"):
        cells = st.columns(4) + st.columns(4)
    for cell, (key, label, unit) in zip(cells, FIGURES, strict=False):
        better_low = not key.startswith("within")
        with cell.container(border=True, gap=None):
            metric(label, now.model.get(key), before.model.get(key), now.naive.get(key), unit, name, better_low)
    with cells[7].container(border=True, gap=None):
        metric("Interval coverage", now.coverage, before.coverage, None, "share", name, None, "target: 90%")
    query = {"month": month, "city_full": region}
    asked = urlencode({name: value for name, value in query.items() if value != ALL})
    with_price = f"{now.known:,} with a known price" if now.known else "none of them has a known price yet"
    st.markdown(f"**{now.rows:,}** predictions, {with_price}. *Naive* is each zip's price of the month before.")
    shell.api_link(f"/predictions?{asked}" if asked else "/predictions")


def metric(
    label: str,
    value: float | None,
    before: float | None,
    naive: float | None,
    unit: str,
    name: str,
    better_low: bool | None,
    note: str = "",
) -> None:
    """One figure with its change and the naive figure below it."""
    change = None if value is None or before is None else value - before
    colour = "off" if better_low is None else "inverse" if better_low else "normal"
    words, arrow = "" if change is None else amount(change, unit, signed=True), "auto"
    if words and not re.search("[1-9]", words):
        words, arrow, colour = words.lstrip("+-"), "off", "off"  # a change that rounds to zero
    shell.metric(
        st,
        label,
        "not known yet" if value is None else amount(value, unit),
        f"{words} vs {name}" if words else None,
        delta_color=colour,
        delta_arrow=arrow,
    )
    st.caption(note or (f"naive: {amount(naive, unit)}" if naive is not None else "naive: not known"))


def amount(value: float, unit: str, signed: bool = False) -> str:
    """A figure with its unit: `$`, `%` (an error), or `share` (of rows, in percent)."""
    if unit == "%":
        return figures.percent(value, signed)
    sign = ("+" if value >= 0 else "-") if signed else ("-" if value < 0 else "")
    return f"{sign}${abs(value):,.0f}" if unit == "$" else f"{sign}{abs(value):.1f}%"


def scatter(chosen: pl.DataFrame) -> None:
    """Errors by price, or predictions against actuals."""
    st.subheader("Error by price", anchor=False)
    known = chosen.filter(pl.col("actual_price").is_not_null())
    if known.is_empty():
        shell.empty("No actual price is known yet", "Actual prices come with the next month's data.")
        return
    shown = figures.thin(known, charts.MOST_POINTS)
    outside = 100 * (1 - known["inside"].mean())  # type: ignore[operator]
    of = f" ({shown.height:,} drawn at random)" if shown.height < known.height else ""
    sentence = f"{known.height:,} predictions{of}; {outside:.1f}% of the actual prices lie outside their 90% interval."
    as_prices = st.toggle("Predicted against actual price", key="as-prices")
    figure = charts.scatter(shown) if as_prices else charts.residuals(shown)
    shell.chart(figure, sentence, shown.select(*COLUMNS, "percent"), "scatter")


def trend(rows: pl.DataFrame, year: str, month: str, region: str) -> None:
    """Mean prices by month, over the chosen year."""
    span = year if year != ALL else month[:4] if month != ALL else ALL
    months = figures.by_month(figures.choose(rows, span, ALL, region))
    st.subheader(f"By month, {span if span != ALL else 'all years'}", anchor=False)
    worst = months.drop_nulls("mape").sort("mape").tail(1)
    sentence = "Mean actual and predicted price with the 90% interval."
    if worst.height:
        sentence += (
            f" The month with the largest error is {worst['month'][0]}: {figures.percent(worst['mape'][0])} on average."
        )
    shell.chart(charts.trend(months, month if month != ALL else None), sentence, months, "trend")


def table(chosen: pl.DataFrame, name: str) -> None:
    """Rows, those with the largest error first, and all of them to download."""
    st.subheader("Rows", anchor=False)
    origins = [name for name in _ORIGINS if name in chosen.columns]
    kept = [*COLUMNS, "error", "percent", *origins]
    order = chosen.select(*kept, pl.col("percent").abs().alias("off by"))
    order = order.sort("off by", "zipcode", descending=[True, False], nulls_last=True)
    # On a phone the first four columns are seen without scrolling.
    listed = order.head(MOST_LISTED).select(*_LISTED)
    widest = figures.largest_or_none(listed["off by"]) or 1.0
    bar = st.column_config.ProgressColumn("Off by", format="%.2f%%", min_value=0, max_value=widest)
    shell.frame(listed, "rows", "Predicted rows, those with the largest error first", **{"off by": bar})
    shown = min(order.height, MOST_LISTED)
    part = f"The {shown:,} of {order.height:,} rows with the largest error."
    st.caption(f"{part if shown < order.height else f'All {shown:,} rows.'} The downloads have all of them.")
    rows = order.drop("off by").sort("date", "zipcode")
    shell.downloads(rows, f"predictions-{name}", "rows", "")


page()
