"""The monthly predictions of one place from what was known the month before, and the places around it."""

from urllib.parse import urlencode

import polars as pl
import streamlit as st

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_dashboard import charts, data, figures, shell
from housing_dashboard.data import Place

_AROUND = 8


def predictions(rows: pl.DataFrame, place: Place) -> None:
    """The prediction of each month and its error.

    Args:
        rows: of the place by month, as `figures.with_errors` gives them.
        place: whose.
    """
    shell.section("Monthly predictions")
    newest = rows.row(-1, named=True)
    with st.container(key="figures-place"):
        one, two, three, four = st.columns(4)
    dollars = f"${newest['predicted_price']:,.0f}"
    shell.metric(one, f"Predicted, {newest['month']}", dollars, border=True)
    interval = figures.price_range(newest["predicted_low"], newest["predicted_high"])
    shell.metric(two, "90% interval", interval, border=True)
    actual = newest["actual_price"]
    shell.metric(three, "Actual", f"${actual:,.0f}" if actual else "not known yet", border=True)
    typical = figures.median_or_none(rows["percent"].abs())
    shell.metric(
        four, "Typical error here", figures.percent(typical) if typical is not None else "not known yet", border=True
    )
    asked = {data.ZIP: {"zipcode": place.name}, data.METRO: {"city_full": place.name}}.get(place.kind, {})
    shell.api_link(f"/predictions?{urlencode({'month': newest['month'], **asked})}")
    _method(newest, place)
    actual_prices = rows.drop_nulls("actual_price").select("date", pl.col("actual_price").alias("price"))
    left, right = st.columns(2)
    with left:
        sentence = f"{place.name}: predictions from {rows['month'][0]} to {newest['month']} with their 90% intervals, "
        sentence += "and actual prices."
        shell.chart(charts.against_actual(rows, actual_prices, "predicted"), sentence, rows.drop("month"), "history")
    inside = rows.drop_nulls("inside")
    if inside.is_empty():
        return
    with right:
        share = 100 * float(inside["inside"].mean())  # type: ignore[arg-type]
        sentence = (
            f"Error of each month in percent. {share:.0f}% of {inside.height} actual prices are inside their interval."
        )
        naive = (100 * (pl.col("naive_price") / pl.col("actual_price") - 1)).alias("naive")
        table = inside.select("month", "percent", naive, "error", "inside")
        names = {"percent": "model", "naive": "price of the month before"}
        shell.chart(charts.lines(table, "month", names), sentence, table, "errors")


def _method(newest: dict, place: Place) -> None:
    """Whether the prediction is made from the zip's own past."""
    if newest.get("from_history") is None:
        return
    baseline = NAIVE_FORECASTERS.get(newest.get("predictor") or "")
    method = f": {baseline.words}, which was better than the model on eval." if baseline else "."
    st.markdown(
        f"{place.name} is predicted from its own past prices{method}"
        if newest["from_history"]
        else f"{place.name} is predicted from the figures of the month alone, because it has too few past prices. "
        "That is less certain."
    )


def around(everything: pl.DataFrame, rows: pl.DataFrame, place: Place) -> None:
    """The zips of the same metro with the nearest numbers, which are mostly neighbours; of an area, its zips.

    Args:
        everything: predicted rows of every zip.
        rows: those of the place.
        place: whose.
    """
    month = rows["month"][-1]
    near = everything.filter(month=month)
    if place.kind == data.NATION:
        shown, title = near, "Its zips"
    else:
        metro = place.name if place.kind == data.METRO else rows["city_full"][-1]
        near = near.filter(pl.col("city_full").eq_missing(pl.lit(metro, pl.String)))
        title = f"Nearby in {metro or 'no metro'}" if place.kind == data.ZIP else "Its zips"
        shown = near
    graded = figures.with_errors(shown)
    if place.kind == data.ZIP:
        distance = (pl.col("zipcode").cast(pl.Int64) - int(place.name)).abs()
        graded = graded.sort(distance).head(_AROUND + 1)
    else:
        graded = graded.sort("predicted_price", descending=True)
    kept = graded.select("zipcode", "predicted_price", "actual_price", "percent", "predicted_low", "predicted_high")
    shell.section(f"{title}, {month}")
    shell.show_table(kept, "nearby", "Nearby zips with prices and errors")
