"""The Compare page: up to five places beside each other, in US dollars or as an index, with forecasts and intervals."""

from typing import Any

import polars as pl
import streamlit as st

from housing_assets.core.evaluation.trust import record_of
from housing_assets.core.months import month_end
from housing_dashboard import charts, data, shell
from housing_dashboard.data import Place
from housing_dashboard.parts import forecast

MOST_PLACES = 5
PRICE, INDEX = "price", "index"
_UNITS = {PRICE: "Price", INDEX: "Index, 100 in a month"}
_AHEAD = 12
_SCHEMA = {
    "place": pl.String,
    "date": pl.Date,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "forecast": pl.Boolean,
}


def page() -> None:
    """The page."""
    shell.header("Compare", "How do prices of several places differ, and where are they forecast to go?")
    if shell.predicted_rows() is None:
        return
    every = data.places()
    chosen = shell.choose_places("Places", every, MOST_PLACES)
    if not chosen:
        shell.empty("No place is chosen", "Choose up to five: type a zip code, a city, a county or a metro.")
        return
    lines, forecasts = {}, {}
    with shell.guard():
        forecasts = {place: _forecasts(place) for place in chosen}
        lines = {place: _line(place, _newest(forecasts[place])) for place in chosen}
    if all(line.is_empty() for line in lines.values()):
        shell.empty("There is no history yet", "Run `predictions_job` in Dagster, which makes `price_history`.")
        return
    for place in [place for place, line in lines.items() if line.is_empty()]:
        st.warning(f"{place.short} has no known price.")
        del lines[place]
    frame, dollars = _in_unit(lines)
    with shell.guard():
        begin = f"{frame['date'].min():%b %Y}"
        what = "Prices" if dollars else "Prices as an index"
        names = ", ".join(place.short for place in lines)
        sentence = f"{what} of {names} since {begin}, dotted where they are forecast, with 90% intervals as bands."
        if any(place.kind != data.ZIP for place in lines):
            sentence += " Those of metros and the nation are means of zips, weighted by the people who live there."
        shell.chart(charts.compare(frame, dollars), sentence, frame, "compare")
    with shell.guard():
        _table(lines, forecasts)
    st.caption("The address of this page has the places and the unit in it: whoever opens it sees the same.")


def _line(place: Place, path: pl.DataFrame) -> pl.DataFrame:
    """Known prices and the newest forecast of a place, as `_SCHEMA` has them."""
    known = data.known_prices(place)
    if known is None or known.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    past = known.select(
        pl.lit(place.short).alias("place"),
        "date",
        pl.col("price").alias("value"),
        *(pl.lit(None, pl.Float64).alias(name) for name in ("low", "high")),
        pl.lit(False).alias("forecast"),
    )
    if path.is_empty():
        return past
    ahead = path.select(
        pl.lit(place.short).alias("place"),
        "date",
        pl.col("predicted_price").alias("value"),
        pl.col("predicted_low").alias("low"),
        pl.col("predicted_high").alias("high"),
        pl.lit(True).alias("forecast"),
    )
    last = past["date"][-1]
    return pl.concat([past, ahead.filter(pl.col("date") > last)])


def _forecasts(place: Place) -> pl.DataFrame:
    """Forecasts of a place from every origin, with what became of them."""
    read = data.forecasts_of(place)
    shell.damaged(read.damaged)
    return read.frame if read.frame.height else forecast.NOTHING


def _newest(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Those from the newest origin of all places."""
    return forecasts.filter(origin=data.months_of("monthly_forecasts")[-1]) if forecasts.height else forecasts


def _in_unit(lines: dict[Place, pl.DataFrame]) -> tuple[pl.DataFrame, bool]:
    """All lines in the chosen unit, and True if that is US dollars."""
    one, two = st.columns(2)
    with one:
        unit = shell.choice("Unit", list(_UNITS), "unit", PRICE, format_func=_UNITS.__getitem__)
    frame = pl.concat(list(lines.values()))
    if unit == PRICE:
        return frame, True
    # A month in which every place has a price; without one, each begins at its own first.
    known = frame.filter(~pl.col("forecast")).group_by("date").agg(pl.len()).filter(pl.col("len") == len(lines))
    months = known["date"].sort().dt.strftime("%Y-%m").to_list()
    if not months:
        return _indexed(frame, pl.col("value").first().over("place")), False
    with two:
        default = months[max(0, len(months) - 61)]
        base = shell.choice("100 in", months, "base", default)
    at_base = pl.col("value").filter(pl.col("date") == month_end(base)).first().over("place")
    return _indexed(frame, at_base), False


def _indexed(frame: pl.DataFrame, base: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(*((100 * pl.col(name) / base).alias(name) for name in ("value", "low", "high")))


def _table(lines: dict[Place, pl.DataFrame], forecasts: dict[Place, pl.DataFrame]) -> None:
    """Price, changes, forecast and record of each place."""
    rows = []
    for place, line in lines.items():
        known = line.filter(~pl.col("forecast"))
        last, year = known["value"][-1], known["value"][-13] if known.height > 12 else None
        path, read = _newest(forecasts[place]), forecasts[place]
        ends = path.filter(horizon=_AHEAD)
        end = ends.row(0, named=True) if ends.height else {}
        record = record_of(read.filter(horizon=_AHEAD)) if read.height else None
        predicted = end.get("predicted_price")
        rows.append(
            {
                "place": place.short,
                "month": f"{known['date'][-1]:%Y-%m}",
                "price": last,
                "change in a year": None if year is None else 100 * (last / year - 1),
                "forecast in a year": predicted,
                "low": end.get("predicted_low"),
                "high": end.get("predicted_high"),
                "forecast change": None if predicted is None else 100 * (predicted / end["last_known_price"] - 1),
                "error of earlier ones": record.error if record else None,
                "intervals that held": record.held if record else None,
            }
        )
    st.subheader("Side by side", anchor=False)
    table = pl.DataFrame(rows, infer_schema_length=None)
    number, label_of = st.column_config.NumberColumn, shell.label_of
    signed = ("change in a year", "forecast change")
    formats: dict[str, Any] = {name: number(label_of(name), format="%+.2f%%") for name in signed}
    formats["error of earlier ones"] = number(label_of("error of earlier ones"), format="%.2f%%")
    formats["intervals that held"] = number(label_of("intervals that held"), format="%.0f%%")
    formats["forecast in a year"] = number(label_of("forecast in a year"), format="dollar", step=1)
    shell.show_table(table, "side-by-side", "Price, changes and forecast of each place", **formats)
    links = st.container(horizontal=True, key="compare-links")
    for place in lines:
        key = "zip" if place.kind == data.ZIP else "place"
        links.page_link(
            "views/place.py",
            label=f"{place.short} on Place",
            query_params={key: place.name},
            icon=shell.LINK,
            width="content",
        )


page()
