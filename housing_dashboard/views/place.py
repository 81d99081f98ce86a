"""One zip: its history, what was predicted, how far off, and what is around it."""

import polars as pl
import streamlit as st

from housing_dashboard import charts, data, figures, shell

_AROUND = 8


def page() -> None:
    """The page."""
    shell.header("Place", "What is known of one zip, what does the model say, and how far was it off?")
    months = data.months_of("monthly_predictions")
    if not months:
        shell.no_months()
        return
    found = data.predictions(months)
    shell.damaged(found.damaged)
    if found.frame.is_empty():
        shell.empty("No month can be read", "Materialize `monthly_predictions` again.")
        return
    names = found.frame.sort("month").group_by("zipcode").agg(pl.col("city_full").last()).sort("zipcode")
    places = dict(names.iter_rows())
    zipcode = shell.choice(
        "Zip code", list(places), "zip", next(iter(places)), format_func=lambda z: f"{z}, {places[z] or 'no metro'}"
    )
    rows = figures.with_errors(found.frame.filter(zipcode=zipcode)).sort("date")
    with st.spinner("Reading the history"), shell.guard():
        story(rows, zipcode, places[zipcode])
    with shell.guard():
        around(found.frame, rows, zipcode)


def story(rows: pl.DataFrame, zipcode: str, metro: str | None) -> None:
    """Price and error of the zip over time."""
    history = data.history()
    shell.damaged(history.damaged)
    own = history.frame.filter(zipcode=zipcode).sort("date")
    metros = history.frame.filter(pl.col("city_full") == metro) if metro else history.frame.clear()
    of_metro = metros.group_by("date").agg(pl.col("price").median()).sort("date")
    newest = rows.row(-1, named=True)
    with st.container(key="figures-place"):
        one, two, three, four = st.columns(4)
    one.metric(f"Predicted, {newest['month']}", f"${newest['predicted_price']:,.0f}", border=True)
    two.metric(
        "90% interval",
        f"${newest['predicted_low'] / 1e3:,.0f}k to ${newest['predicted_high'] / 1e3:,.0f}k",
        border=True,
    )
    actual = newest["actual_price"]
    three.metric("Actual", f"${actual:,.0f}" if actual else "not known yet", border=True)
    typical = figures.median_or_none(rows["percent"].abs())
    four.metric("Typical error here", f"{typical:.1f}%" if typical is not None else "not known yet", border=True)
    told = f"{zipcode}: actual prices since {own['date'][0]:%b %Y}, predictions from {rows['month'][0]} with 90% "
    told += f"intervals, and the median of {metro or 'no metro'}."
    shell.chart(charts.place_history(own, rows, of_metro), told, rows.drop("month"), "history")
    inside = rows.drop_nulls("inside")
    if inside.height:
        share = 100 * float(inside["inside"].mean())  # type: ignore[arg-type]
        told = (
            f"Error of each month in percent; {share:.0f}% of {inside.height} actual prices lay inside their interval."
        )
        naive = (100 * (pl.col("naive_price") / pl.col("actual_price") - 1)).alias("naive")
        table = inside.select("month", "percent", naive, "error", "inside")
        shell.chart(
            charts.lines(table, "month", {"percent": "model", "naive": "price of the month before"}),
            told,
            table,
            "errors",
        )


def around(everything: pl.DataFrame, rows: pl.DataFrame, zipcode: str) -> None:
    """The zips of the same metro with the nearest numbers: neighbours, as a rule, since zips are numbered by place."""
    newest = rows.row(-1, named=True)
    near = everything.filter(pl.col("month") == newest["month"], pl.col("city_full") == newest["city_full"])
    away = (pl.col("zipcode").cast(pl.Int64) - int(zipcode)).abs()
    shown = figures.with_errors(near).sort(away).head(_AROUND + 1)
    kept = shown.select("zipcode", "predicted_price", "predicted_low", "predicted_high", "actual_price", "percent")
    st.subheader(f"Nearby in {newest['city_full'] or 'no metro'}, {newest['month']}", anchor=False)
    shell.show_table(kept, "nearby", "Nearby zips with prices and errors")


page()
