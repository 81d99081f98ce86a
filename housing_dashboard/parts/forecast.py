"""The forecast of one place: its headline, how far it is to be trusted, the fan, and what came of earlier ones."""

from datetime import date

import polars as pl
import streamlit as st

from housing_assets.core.features.history import history_needed
from housing_assets.core.forecasting.schema import FORECAST_SCHEMA
from housing_assets.core.months import add_months, month_end
from housing_dashboard import charts, data, figures, shell
from housing_dashboard.data import Place
from housing_dashboard.parts import trust

# Years of history beside the forecast: over all of them its twelve months would be a sliver.
_YEARS_SHOWN = 5
NOTHING = pl.DataFrame(schema={name: FORECAST_SCHEMA[name] for name in data.FORECAST_COLUMNS})
"""No forecast."""


def history(place: Place) -> None:
    """The known prices of a place that has no forecasts."""
    actual = _known(place)
    if actual is None:
        return
    begin = f"{actual['date'][0]:%b %Y}"
    sentence = f"{place.name}: known prices since {begin}"
    sentence += f"; the mean of {place.metro} to compare." if place.metro else "."
    shell.chart(charts.fan(actual, NOTHING, NOTHING, _metro(place), 0), sentence, actual, "fan")


def _known(place: Place) -> pl.DataFrame | None:
    """Known prices of a place; None, after a message, if there are none."""
    actual = data.known_prices(place)
    if actual is None:
        shell.empty("There is no history yet", "Run `predictions_job` in Dagster, which makes `price_history`.")
    elif actual.is_empty():
        shell.empty(f"{place.name} has no known price", "It is predicted from the figures of each month alone.")
    else:
        return actual
    return None


def _metro(place: Place) -> pl.DataFrame:
    prices = data.metro_prices(place.metro) if place.metro else None
    return pl.DataFrame(schema={"date": pl.Date, "price": pl.Float64}) if prices is None else prices


def forecasts(place: Place, origin: str, ahead: int) -> pl.DataFrame | None:
    """The forecast from an origin, and the errors of earlier ones.

    Returns:
        The row of the forecast that the headline is of; None if there is none.
    """
    read = data.forecasts_of(place)
    shell.damaged(read.damaged)
    actual = _known(place)
    if actual is None:
        return None
    outcomes = read.frame if read.frame.height else NOTHING
    chosen = outcomes.filter(origin=origin)
    headline = None
    if chosen.is_empty():
        damaged = origin in read.damaged
        shell.empty(
            f"{origin} cannot be read" if damaged else f"{place.name} is not forecast from {origin}",
            "Choose another origin, or materialize `monthly_forecasts` for it again."
            if damaged
            else f"A forecast needs {history_needed(origin)}: choose another origin. "
            "Its monthly predictions are below.",
        )
    else:
        headline = summary(place, chosen.filter(horizon=ahead), outcomes.filter(horizon=ahead), ahead)
        if headline is not None:
            trust.forecast(place, headline, outcomes.filter(horizon=ahead), actual, ahead)
    _fan(place, actual, outcomes, origin, ahead)
    if chosen.height:
        st.caption(figures.who_forecasts(dict(chosen.select("horizon", "predictor").iter_rows())))
    if outcomes.height:
        past_forecasts(outcomes, actual, place, ahead)
    return headline


def _fan(place: Place, actual: pl.DataFrame, outcomes: pl.DataFrame, origin: str, ahead: int) -> None:
    chosen, other = outcomes.filter(origin=origin), outcomes.filter(pl.col("origin") != origin)
    every = st.toggle("All years", key="all-years")
    since = date.min if every else month_end(add_months(origin, -12 * _YEARS_SHOWN))
    shown = actual.filter(pl.col("date") >= since)
    if shown.is_empty():
        return
    sentence = f"{place.name}: known prices since {shown['date'][0]:%b %Y}"
    if chosen.height:
        sentence += f" and the forecast from {origin} with its 90% interval as a band"
    sentence += (
        f". Thin lines are the {other['origin'].n_unique()} forecasts from other months." if other.height else "."
    )
    if place.kind != data.ZIP:
        sentence += " Figures are means of zips, weighted by the people who live there."
    of_metro = _metro(place).filter(pl.col("date") >= since)
    shell.chart(charts.fan(shown, chosen, other, of_metro, ahead), sentence, table_of(chosen), "fan")


def summary(place: Place, chosen: pl.DataFrame, outcomes: pl.DataFrame, ahead: int) -> pl.DataFrame | None:
    """The forecast in words, and its figures.

    Returns:
        Its row; None if nothing is forecast so far ahead.
    """
    if chosen.is_empty():
        shell.empty(f"Nothing is forecast {ahead} months ahead", "Choose fewer months ahead.")
        return None
    row = chosen.row(0, named=True)
    price, last, month = row["predicted_price"], row["last_known_price"], f"{row['date']:%B %Y}"
    change = figures.percent(100 * (price / last - 1), signed=True)
    has_interval = row["predicted_low"] is not None
    width = f"${row['predicted_low']:,.0f} to ${row['predicted_high']:,.0f}" if has_interval else ""
    sentence = f"**{_dollars(price)}** in {month}, {change} from {_dollars(last)} in {row['origin']}. "
    sentence += (
        f"The 90% interval is {width}. " if has_interval else "It has no interval, because too few outcomes are known. "
    )
    past = outcomes.drop_nulls("actual_price")
    if past.height:
        count = f"{past.height} forecasts" if past.height > 1 else "one forecast"
        off, naive = (mean_error(past, column) for column in ("percent", "naive"))
        sentence += f"The mean error of {count} this far ahead with a known outcome is {off} here, and {naive} "
        sentence += "for the assumption of no change."
    else:
        sentence += "No forecast this far ahead has a known outcome yet."
    if row["actual_price"] is not None:
        sentence += f" The actual price was {_dollars(row['actual_price'])}: an error of "
        sentence += f"{figures.percent(row['percent'], signed=True)}."
    st.markdown(sentence.replace("$", r"\$"))
    with st.container(key="figures-forecast"):
        one, two, three, four = st.columns(4)
    shell.metric(one, f"Known, {row['origin']}", _dollars(last), border=True)
    shell.metric(two, f"Forecast, {row['date']:%Y-%m}", _dollars(price), border=True)
    interval = figures.price_range(row["predicted_low"], row["predicted_high"]) if has_interval else "not known yet"
    shell.metric(three, "90% interval of it", interval, border=True)
    off = mean_error(past, "percent") if past.height else "not known yet"
    shell.metric(four, f"Mean error, {ahead} ahead", off, border=True)
    if place.kind == data.ZIP:
        shell.api_link(f"/forecasts/{place.name}?origin={row['origin']}&horizon={ahead}")
    return chosen


def _dollars(price: float) -> str:
    return f"${price:,.0f}"


def mean_error(rows: pl.DataFrame, column: str) -> str:
    """The mean absolute value of a column in percent, in words."""
    return figures.percent(float(rows[column].abs().mean()))  # type: ignore[arg-type]


def table_of(forecasts: pl.DataFrame) -> pl.DataFrame:
    """The columns of forecasts that differ between rows."""
    if forecasts.is_empty():
        return forecasts
    named = pl.col("predictor").replace(figures.PREDICTOR_NAMES)
    kept = ("date", "horizon", "predicted_price", "predicted_low", "predicted_high", "actual_price", "percent")
    return forecasts.select(*kept, named)


def past_forecasts(outcomes: pl.DataFrame, actual: pl.DataFrame, place: Place, ahead: int) -> None:
    """Past forecasts against actual prices."""
    shell.section("Past forecasts")
    of_horizon = outcomes.filter(horizon=ahead)
    due = of_horizon.drop_nulls("actual_price")
    if due.is_empty():
        shell.empty(
            f"No forecast {ahead} month{'s' if ahead > 1 else ''} ahead has a known outcome yet",
            "Choose fewer months ahead, or come back when further months are ingested.",
        )
    else:
        left, right = st.columns(2)
        with left:
            first = add_months(f"{due['date'].min():%Y-%m}", -1)
            known = actual.filter(pl.col("date") >= month_end(first))
            far = f"{ahead} months" if ahead > 1 else "a month"
            sentence = f"Forecasts made {far} ahead for each month, and actual prices"
            inside = due["inside"].drop_nulls()
            sentence += f". {100 * inside.mean():.0f}% of the prices are inside the interval." if inside.len() else "."  # type: ignore[operator]
            shell.chart(charts.against_actual(of_horizon, known, "forecast"), sentence, table_of(of_horizon), "due")
        with right:
            table = due.select(pl.col("date").dt.strftime("%Y-%m").alias("month"), "percent", "naive", "error")
            sentence = f"Error of each of these forecasts. The mean absolute error is {mean_error(due, 'percent')}, "
            sentence += f"and {mean_error(due, 'naive')} for no change."
            names = {"percent": "forecast", "naive": "no change"}
            shell.chart(charts.lines(table, "month", names), sentence, table, "due-errors")
    graded = figures.by_horizon(outcomes)
    if graded.height:
        best = graded.filter(pl.col("mape") < pl.col("naive_mape"))["horizon"].to_list()
        sentence = f"Mean error of the forecasts of {place.name} by months ahead. "
        sentence += (
            f"It is below that of “no change” {figures.spans(best)} ahead."
            if best
            else "It is never below that of “no change”."
        )
        names = {"mape": "forecast", "naive_mape": "no change"}
        shell.chart(charts.lines(graded, "horizon", names, "months ahead"), sentence, graded, "by-horizon")
