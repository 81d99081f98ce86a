"""The Place page: prices, forecasts and predictions of one zip, their errors, and nearby zips."""

from datetime import date

import polars as pl
import streamlit as st

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.features.history import history_needed
from housing_assets.core.forecasting.schema import FORECAST_SCHEMA, HORIZONS
from housing_assets.core.months import add_months, month_end
from housing_dashboard import charts, data, figures, shell

_AROUND = 8
# Years of history beside the forecast: over all of them its twelve months would be a sliver.
_YEARS_SHOWN = 5

_NOTHING = pl.DataFrame(schema={name: FORECAST_SCHEMA[name] for name in data.FORECAST_COLUMNS})


def page() -> None:
    """The page."""
    shell.header("Place", "What will homes in this zip cost, how certain is that, and how large were past errors here?")
    predicted = shell.predicted_rows()
    if predicted is None:
        return
    names = predicted.sort("month").group_by("zipcode").agg(pl.col("city_full").last()).sort("zipcode")
    metros: dict[str, str | None] = dict(names.iter_rows())
    origins = data.months_of("monthly_forecasts")
    one, two, three = st.columns([2, 1, 1])
    with one:
        zipcode = shell.choose_zip("Zip code", metros)
    if origins:
        with two:
            origin = shell.choice("Forecast from", origins[::-1], "origin", origins[-1])
        with three:
            ahead = shell.choice("Months ahead", [str(h) for h in HORIZONS], "ahead", str(HORIZONS[-1]))
        with shell.guard():
            forecasts(zipcode, metros[zipcode], origin, int(ahead))
    else:
        shell.empty(
            "No month is forecast yet",
            "Run `make run`, or `forecast_job` in Dagster: it says how many months before the evaluation it needs.",
        )
        with shell.guard():
            history(zipcode, metros[zipcode])
    rows = figures.with_errors(predicted.filter(zipcode=zipcode)).sort("date")
    with shell.guard():
        predictions(rows, zipcode)
    with shell.guard():
        around(predicted, rows, zipcode)


def history(zipcode: str, metro: str | None) -> None:
    """The known prices of a zip that has no forecasts."""
    actual = _history(zipcode)
    if actual is None:
        return
    sentence = (
        f"{zipcode}: known prices since {actual['date'][0]:%b %Y}; the median of {metro} to compare."
        if metro
        else f"{zipcode}: known prices since {actual['date'][0]:%b %Y}."
    )
    shell.chart(charts.fan(actual, _NOTHING, _NOTHING, _metro(metro), 0), sentence, actual, "fan")


def _history(zipcode: str) -> pl.DataFrame | None:
    """Known prices of a zip; None, after a message, if there are none."""
    actual = data.zip_history(zipcode)
    if actual is None:
        shell.empty("There is no history yet", "Run `predictions_job` in Dagster, which makes `price_history`.")
    elif actual.is_empty():
        shell.empty(f"{zipcode} has no known price", "It is predicted from the figures of each month alone.")
    else:
        return actual
    return None


def _metro(metro: str | None) -> pl.DataFrame:
    prices = data.metro_history(metro) if metro else None
    return pl.DataFrame(schema={"date": pl.Date, "price": pl.Float64}) if prices is None else prices


def forecasts(zipcode: str, metro: str | None, origin: str, ahead: int) -> None:
    """The forecast from an origin, and the errors of earlier ones."""
    forecasts_of_zip = data.forecasts_of_zip(zipcode)
    shell.damaged(forecasts_of_zip.damaged)
    actual = _history(zipcode)
    if actual is None:
        return
    if forecasts_of_zip.frame.is_empty():
        chosen = outcomes = _NOTHING
    else:
        outcomes = figures.with_outcomes(forecasts_of_zip.frame, actual).sort("origin", "horizon")
        chosen = outcomes.filter(origin=origin)
    if chosen.is_empty():
        damaged = origin in forecasts_of_zip.damaged
        shell.empty(
            f"{origin} cannot be read" if damaged else f"{zipcode} is not forecast from {origin}",
            "Choose another origin, or materialize `monthly_forecasts` for it again."
            if damaged
            else f"A forecast needs {history_needed(origin)}: choose another origin. "
            "Its monthly predictions are below.",
        )
    else:
        summary(chosen.filter(horizon=ahead), outcomes.filter(horizon=ahead), ahead)
    every = st.toggle("All years", key="all-years")
    since = date.min if every else month_end(add_months(origin, -12 * _YEARS_SHOWN))
    shown = actual.filter(pl.col("date") >= since)
    other = outcomes.filter(pl.col("origin") != origin)
    of_metro = _metro(metro).filter(pl.col("date") >= since)
    if not shown.is_empty():
        sentence = f"{zipcode}: known prices since {shown['date'][0]:%b %Y}"
        if chosen.height:
            sentence += f" and the forecast from {origin} with its 90% interval as a band"
        sentence += (
            f". Thin lines are the {other['origin'].n_unique()} forecasts from other months." if other.height else "."
        )
        shell.chart(charts.fan(shown, chosen, other, of_metro, ahead), sentence, _table(chosen), "fan")
    if chosen.height:
        st.caption(figures.who_forecasts(dict(chosen.select("horizon", "predictor").iter_rows())))
    if outcomes.height:
        past_forecasts(outcomes, actual, zipcode, ahead)


def summary(chosen: pl.DataFrame, outcomes: pl.DataFrame, ahead: int) -> None:
    """The forecast in words, and its figures."""
    if chosen.is_empty():
        shell.empty(f"Nothing is forecast {ahead} months ahead", "Choose fewer months ahead.")
        return
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
        off, naive = (_mean_error(past, column) for column in ("percent", "naive"))
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
    one.metric(f"Known, {row['origin']}", _dollars(last), border=True)
    two.metric(f"Forecast, {row['date']:%Y-%m}", _dollars(price), border=True)
    three.metric(
        "90% interval of it",
        figures.price_range(row["predicted_low"], row["predicted_high"]) if has_interval else "not known yet",
        border=True,
    )
    off = _mean_error(past, "percent") if past.height else "not known yet"
    four.metric(f"Mean error, {ahead} ahead", off, border=True)


def _dollars(price: float) -> str:
    return f"${price:,.0f}"


def _mean_error(rows: pl.DataFrame, column: str) -> str:
    return figures.percent(float(rows[column].abs().mean()))  # type: ignore[arg-type]


def _table(forecasts: pl.DataFrame) -> pl.DataFrame:
    """The columns of forecasts that differ between rows."""
    if forecasts.is_empty():
        return forecasts
    named = pl.col("predictor").replace(figures.PREDICTOR_NAMES)
    kept = ("date", "horizon", "predicted_price", "predicted_low", "predicted_high", "actual_price", "percent")
    return forecasts.select(*kept, named)


def past_forecasts(outcomes: pl.DataFrame, actual: pl.DataFrame, zipcode: str, ahead: int) -> None:
    """Past forecasts against actual prices."""
    st.subheader("Past forecasts", anchor=False)
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
            shell.chart(charts.against_actual(of_horizon, known, "forecast"), sentence, _table(of_horizon), "due")
        with right:
            table = due.select(pl.col("date").dt.strftime("%Y-%m").alias("month"), "percent", "naive", "error")
            sentence = f"Error of each of these forecasts. The mean absolute error is {_mean_error(due, 'percent')}, "
            sentence += f"and {_mean_error(due, 'naive')} for no change."
            names = {"percent": "forecast", "naive": "no change"}
            shell.chart(charts.lines(table, "month", names), sentence, table, "due-errors")
    graded = figures.by_horizon(outcomes)
    if graded.height:
        best = graded.filter(pl.col("mape") < pl.col("naive_mape"))["horizon"].to_list()
        sentence = f"Mean error of the forecasts of {zipcode} by months ahead. "
        sentence += (
            f"It is below that of “no change” {figures.spans(best)} ahead."
            if best
            else "It is never below that of “no change”."
        )
        names = {"mape": "forecast", "naive_mape": "no change"}
        shell.chart(charts.lines(graded, "horizon", names, "months ahead"), sentence, graded, "by-horizon")


def predictions(rows: pl.DataFrame, zipcode: str) -> None:
    """The prediction of each month from what was known the month before, and its error."""
    st.subheader("Monthly predictions", anchor=False)
    newest = rows.row(-1, named=True)
    with st.container(key="figures-place"):
        one, two, three, four = st.columns(4)
    one.metric(f"Predicted, {newest['month']}", _dollars(newest["predicted_price"]), border=True)
    two.metric(
        "90% interval",
        figures.price_range(newest["predicted_low"], newest["predicted_high"]),
        border=True,
    )
    actual = newest["actual_price"]
    three.metric("Actual", _dollars(actual) if actual else "not known yet", border=True)
    typical = figures.median_or_none(rows["percent"].abs())
    four.metric("Typical error here", figures.percent(typical) if typical is not None else "not known yet", border=True)
    if newest.get("from_history") is not None:
        baseline = NAIVE_FORECASTERS.get(newest.get("predictor") or "")
        method = f": {baseline.words}, which was better than the model on eval." if baseline else "."
        st.markdown(
            f"{zipcode} is predicted from its own past prices{method}"
            if newest["from_history"]
            else f"{zipcode} is predicted from the figures of the month alone, because it has too few past prices. "
            "That is less certain."
        )
    actual_prices = rows.drop_nulls("actual_price").select("date", pl.col("actual_price").alias("price"))
    left, right = st.columns(2)
    with left:
        sentence = f"{zipcode}: predictions from {rows['month'][0]} to {newest['month']} with their 90% intervals, "
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


def around(everything: pl.DataFrame, rows: pl.DataFrame, zipcode: str) -> None:
    """The zips of the same metro with the nearest numbers, which are mostly neighbours."""
    newest = rows.row(-1, named=True)
    near = everything.filter(pl.col("month") == newest["month"], pl.col("city_full") == newest["city_full"])
    distance = (pl.col("zipcode").cast(pl.Int64) - int(zipcode)).abs()
    shown = figures.with_errors(near).sort(distance).head(_AROUND + 1)
    kept = shown.select("zipcode", "predicted_price", "predicted_low", "predicted_high", "actual_price", "percent")
    st.subheader(f"Nearby in {newest['city_full'] or 'no metro'}, {newest['month']}", anchor=False)
    shell.show_table(kept, "nearby", "Nearby zips with prices and errors")


page()
