"""One zip: what it will cost, how sure that is, how far off forecasts and predictions were, and what is around it."""

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
    shell.header("Place", "What will this zip cost, how sure is that, and how wrong were we here before?")
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
    origins = data.months_of("monthly_forecasts")
    one, two, three = st.columns([2, 1, 1])
    with one:
        zipcode = shell.choice(
            "Zip code",
            list(places),
            "zip",
            next(iter(places)),
            format_func=lambda z: f"{z}, {places[z] or 'no metro'}",
        )
    if origins:
        with two:
            origin = shell.choice("Forecast from", origins[::-1], "origin", origins[-1])
        with three:
            ahead = shell.choice("Months ahead", [str(h) for h in HORIZONS], "ahead", str(HORIZONS[-1]))
        with shell.guard():
            forecasts(zipcode, places[zipcode], origin, int(ahead))
    else:
        shell.empty(
            "No month is forecast yet",
            "Run `make run`, or `forecast_job` in Dagster: it says how many months before the evaluation it needs.",
        )
        with shell.guard():
            known(zipcode, places[zipcode])
    rows = figures.with_errors(found.frame.filter(zipcode=zipcode)).sort("date")
    with shell.guard():
        predictions(rows, zipcode)
    with shell.guard():
        around(found.frame, rows, zipcode)


def known(zipcode: str, metro: str | None) -> None:
    """The history of a zip alone."""
    actual = _history(zipcode)
    if actual is None:
        return
    told = f"{zipcode}: known prices since {actual['date'][0]:%b %Y}; the median of {metro or 'no metro'} to compare."
    shell.chart(charts.fan(actual, _NOTHING, _NOTHING, _metro(metro), 0), told, actual, "fan")


def _history(zipcode: str) -> pl.DataFrame | None:
    """Known prices of a zip; None, and said so, if there are none."""
    actual = data.zip_history(zipcode)
    if actual is None:
        shell.empty("There is no history yet", "Run `predictions_job` in Dagster: it makes `price_history`.")
    elif actual.is_empty():
        shell.empty(f"{zipcode} has no known price", "It is predicted from the figures of each month alone.")
    else:
        return actual
    return None


def _metro(metro: str | None) -> pl.DataFrame:
    found = data.metro_history(metro) if metro else None
    return pl.DataFrame(schema={"date": pl.Date, "price": pl.Float64}) if found is None else found


def forecasts(zipcode: str, metro: str | None, origin: str, ahead: int) -> None:
    """The forecast from an origin, and what became of the others."""
    found = data.forecasts_of_zip(zipcode)
    shell.damaged(found.damaged)
    actual = _history(zipcode)
    if actual is None:
        return
    if found.frame.is_empty():
        chosen = outcomes = _NOTHING
    else:
        outcomes = figures.with_outcomes(found.frame, actual).sort("origin", "horizon")
        chosen = outcomes.filter(origin=origin)
    if chosen.is_empty():
        damaged = origin in found.damaged
        shell.empty(
            f"{origin} cannot be read" if damaged else f"{zipcode} is not forecast from {origin}",
            "Choose another origin, or materialize `monthly_forecasts` for it again."
            if damaged
            else f"A forecast needs {history_needed(origin)}: choose another origin. "
            "Below is what its months are predicted to be.",
        )
    else:
        answer(chosen.filter(horizon=ahead), outcomes.filter(horizon=ahead), ahead)
    every = st.toggle("All years", key="all-years")
    since = date.min if every else month_end(add_months(origin, -12 * _YEARS_SHOWN))
    shown = actual.filter(pl.col("date") >= since)
    other = outcomes.filter(pl.col("origin") != origin)
    of_metro = _metro(metro).filter(pl.col("date") >= since)
    if not shown.is_empty():
        told = f"{zipcode}: known prices since {shown['date'][0]:%b %Y}"
        if chosen.height:
            told += f" and the forecast from {origin}, the band its 90% interval"
        told += (
            f"; thin lines are the {other['origin'].n_unique()} forecasts from other months." if other.height else "."
        )
        shell.chart(charts.fan(shown, chosen, other, of_metro, ahead), told, _table(chosen), "fan")
    if chosen.height:
        st.caption(figures.who_forecasts(dict(chosen.select("horizon", "predictor").iter_rows())))
    if outcomes.height:
        became(outcomes, actual, zipcode, ahead)


def answer(chosen: pl.DataFrame, outcomes: pl.DataFrame, ahead: int) -> None:
    """The answer to the page's question in one sentence, and its figures."""
    if chosen.is_empty():
        shell.empty(f"Nothing is forecast {ahead} months ahead", "Choose fewer months ahead.")
        return
    row = chosen.row(0, named=True)
    price, last, month = row["predicted_price"], row["last_known_price"], f"{row['date']:%B %Y}"
    change = figures.percent(100 * (price / last - 1), signed=True)
    sure = row["predicted_low"] is not None
    width = f"${row['predicted_low']:,.0f} to ${row['predicted_high']:,.0f}" if sure else ""
    told = f"**{_dollars(price)}** in {month}, {change} from {_dollars(last)} in {row['origin']}; "
    told += f"90% sure to be {width}. " if sure else "how sure that is, too few outcomes tell yet. "
    past = outcomes.drop_nulls("actual_price")
    if past.height:
        count = f"{past.height} forecasts" if past.height > 1 else "one forecast"
        off, naive = (_mean_off(past, column) for column in ("percent", "naive"))
        told += f"The {count} this far ahead whose month has come erred by {off} here on average; saying that nothing "
        told += f"changes, by {naive}."
    else:
        told += "No forecast this far ahead has come due yet."
    if row["actual_price"] is not None:
        told += f" It came to be {_dollars(row['actual_price'])}: this one erred by "
        told += f"{figures.percent(row['percent'], signed=True)}."
    st.markdown(told.replace("$", r"\$"))
    with st.container(key="figures-forecast"):
        one, two, three, four = st.columns(4)
    one.metric(f"Known, {row['origin']}", _dollars(last), border=True)
    two.metric(f"Forecast, {row['date']:%Y-%m}", _dollars(price), border=True)
    three.metric(
        "90% interval of it",
        figures.price_range(row["predicted_low"], row["predicted_high"]) if sure else "not known yet",
        border=True,
    )
    off = _mean_off(past, "percent") if past.height else "not known yet"
    four.metric(f"Mean error, {ahead} ahead", off, border=True)


def _dollars(price: float) -> str:
    return f"${price:,.0f}"


def _mean_off(rows: pl.DataFrame, column: str) -> str:
    return figures.percent(float(rows[column].abs().mean()))  # type: ignore[arg-type]


def _table(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Forecasts as a table: without what is the same in every row."""
    if forecasts.is_empty():
        return forecasts
    named = pl.col("predictor").replace(figures.PREDICTOR_NAMES)
    kept = ("date", "horizon", "predicted_price", "predicted_low", "predicted_high", "actual_price", "percent")
    return forecasts.select(*kept, named)


def became(outcomes: pl.DataFrame, actual: pl.DataFrame, zipcode: str, ahead: int) -> None:
    """Every forecast against what happened."""
    st.subheader("What became of forecasts", anchor=False)
    of_horizon = outcomes.filter(horizon=ahead)
    due = of_horizon.drop_nulls("actual_price")
    if due.is_empty():
        shell.empty(
            f"No forecast {ahead} month{'s' if ahead > 1 else ''} ahead has come due yet",
            "Choose fewer months ahead, or come back when further months are ingested.",
        )
    else:
        left, right = st.columns(2)
        with left:
            first = add_months(f"{due['date'].min():%Y-%m}", -1)
            lived = actual.filter(pl.col("date") >= month_end(first))
            far = f"{ahead} months" if ahead > 1 else "a month"
            told = f"What was forecast {far} ahead for each month, and what came"
            inside = due["inside"].drop_nulls()
            told += f"; {100 * inside.mean():.0f}% lay inside the interval." if inside.len() else "."  # type: ignore[operator]
            shell.chart(charts.against_actual(of_horizon, lived, "forecast"), told, _table(of_horizon), "due")
        with right:
            table = due.select(pl.col("date").dt.strftime("%Y-%m").alias("month"), "percent", "naive", "error")
            told = f"Error of each of these forecasts: {_mean_off(due, 'percent')} on average, either way; "
            told += f"{_mean_off(due, 'naive')} had nothing changed."
            names = {"percent": "forecast", "naive": "no change"}
            shell.chart(charts.lines(table, "month", names), told, table, "due-errors")
    graded = figures.by_horizon(outcomes)
    if graded.height:
        best = graded.filter(pl.col("mape") < pl.col("naive_mape"))["horizon"].to_list()
        told = f"Mean error of the forecasts of {zipcode} by months ahead; "
        told += f"less than of “no change” {figures.spans(best)} ahead." if best else "never less than of “no change”."
        names = {"mape": "forecast", "naive_mape": "no change"}
        shell.chart(charts.lines(graded, "horizon", names, "months ahead"), told, graded, "by-horizon")


def predictions(rows: pl.DataFrame, zipcode: str) -> None:
    """Each month's prediction, made when the month before was the last known, and its error."""
    st.subheader("Each month, predicted when it began", anchor=False)
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
        whose = f": {baseline.words}, which was better than the model on eval." if baseline else "."
        st.markdown(
            f"{zipcode} is predicted from its own past prices{whose}"
            if newest["from_history"]
            else f"{zipcode} is predicted from the figures of the month alone, which is less sure: its own past prices "
            "are too few, or none."
        )
    came = rows.drop_nulls("actual_price").select("date", pl.col("actual_price").alias("price"))
    left, right = st.columns(2)
    with left:
        told = f"{zipcode}: predictions from {rows['month'][0]} to {newest['month']} with their 90% intervals, "
        told += "and what came."
        shell.chart(charts.against_actual(rows, came, "predicted"), told, rows.drop("month"), "history")
    inside = rows.drop_nulls("inside")
    if inside.is_empty():
        return
    with right:
        share = 100 * float(inside["inside"].mean())  # type: ignore[arg-type]
        told = (
            f"Error of each month in percent; {share:.0f}% of {inside.height} actual prices lay inside their interval."
        )
        naive = (100 * (pl.col("naive_price") / pl.col("actual_price") - 1)).alias("naive")
        table = inside.select("month", "percent", naive, "error", "inside")
        names = {"percent": "model", "naive": "price of the month before"}
        shell.chart(charts.lines(table, "month", names), told, table, "errors")


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
