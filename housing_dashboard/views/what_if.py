"""The What if page: a live prediction for changed figures of a zip, with its explanation.

A zip with a history is predicted from its own past prices, which no figure of the month changes. So the page asks the
API for a prediction from the figures alone, and shows the published kind beside it.
"""

from datetime import date
from typing import Any

import polars as pl
import streamlit as st

from housing_assets.core.features.monthly import describe_feature
from housing_assets.core.panel.schema import COLUMN_NAMES, NUMERIC_FEATURES
from housing_dashboard import charts, data, figures, shell
from housing_dashboard.api import ApiAwayError, ApiRefusedError

_SHOWN = 12


def page() -> None:
    """The page."""
    shell.header("What if", "What would the model predict if the market, the homes or the population were different?")
    months = data.months_of("cleaned")
    if not months:
        shell.empty("No month is cleaned yet", "Run `make run`, or `ingest_job` in Dagster.")
        return
    newest = data.read_months("cleaned", months[-1:], COLUMN_NAMES)
    shell.damaged(newest.damaged)
    if newest.frame.is_empty():
        shell.empty(f"{months[-1]} cannot be read", "Materialize `cleaned` for it again.")
        return
    rows = newest.frame.sort("zipcode")
    metros = dict(rows.select("zipcode", "city_full").iter_rows())
    zipcode = shell.choose_zip("Start from zip code", metros)
    has_figures = any(rows[name].count() for name in NUMERIC_FEATURES)
    live(rows.filter(zipcode=zipcode).row(0, named=True), has_figures)


@st.fragment
def live(start: dict[str, Any], has_figures: bool) -> None:
    """The form, and the prediction for it, made again at each change.

    Args:
        start: row of `cleaned` that the form begins with.
        has_figures: False for a panel of prices alone: the form has no figures.
    """
    api = data.api()
    left, right = st.columns([1, 1])
    try:
        with left:
            row = form(api.row_schema() if has_figures else {}, start)
        prediction = api.predict(row, history=False)
        explanation = api.explain(row, history=False)
        published = api.predict(row)
    except ApiAwayError as error:
        st.warning(
            f"No live prediction, because the API is not available ({error}). Stored predictions are on the "
            "other pages."
        )
        st.button("Try again", icon=":material/refresh:")
        return
    except ApiRefusedError as error:
        right.error(f"The API does not accept this row: {error}")
        return
    with right, shell.guard():
        show(prediction, published, explanation, start)


def form(schema: dict[str, dict[str, Any]], start: dict[str, Any]) -> dict[str, Any]:
    """A field for each number of the API's schema, filled with the start row; returns the row to predict.

    Without a schema the form has the month and a sentence instead of figures.
    """
    row = {"date": str(start["date"]), "zipcode": start["zipcode"], "city_full": start["city_full"]}
    day = st.date_input("Month", start["date"], date(2012, 1, 1), date(2035, 12, 31), key=f"date-{start['zipcode']}")
    row["date"] = str(day)
    if not schema:
        st.caption(
            "The panel has prices alone. The model uses season, place and encodings, so there are no figures to change."
        )
        return row
    with st.container(height=520):
        for name, column in schema.items():
            number = next((kind for kind in column.get("anyOf", ()) if kind.get("type") == "number"), None)
            if name not in NUMERIC_FEATURES or number is None:
                continue
            low, high = float(number.get("minimum", 0)), float(number.get("maximum", 1e9))
            initial = start[name]
            value = st.number_input(
                number.get("description", name),
                low,
                high,
                None if initial is None else min(max(float(initial), low), high),
                step=step(high),
                key=f"{name}-{start['zipcode']}",
                help=f"`{name}`, from {low:,.0f} to {high:,.0f}; empty means not known",
            )
            row[name] = value
    return row


def _interval(prediction: dict[str, Any]) -> str:
    return figures.price_range(*prediction["intervals"][0])


def step(high: float) -> float:
    """The amount that one press of + adds."""
    return 0.01 if high <= 1 else 0.05 if high <= 10 else 1.0 if high <= 100_000 else 10_000.0


def show(
    prediction: dict[str, Any], published: dict[str, Any], explanation: dict[str, Any], start: dict[str, Any]
) -> None:
    """The prediction from the figures alone, beside the one with history, and its explanation."""
    price = prediction["predictions"][0]
    # An API of an earlier version does not have the field.
    from_history = published.get("from_history", [None])[0]
    headline = st.container(key="figures-live")
    one, two = headline.columns(2)
    shell.metric(one, "Live prediction", f"${price:,.0f}", border=True)
    shell.metric(two, "90% interval", _interval(prediction), border=True)
    if from_history:
        one, two = headline.columns(2)
        shell.metric(one, "With its history", f"${published['predictions'][0]:,.0f}", border=True)
        shell.metric(two, "90% interval with it", _interval(published), border=True)
        st.markdown(
            "The live prediction uses the figures of the form alone, as for a zip without known past prices. The "
            f"published prediction for {start['zipcode']} is the one **with its history**. It comes from the zip's own "
            "past prices, has a narrower interval, and does not change with the form."
        )
    elif from_history is not None:
        st.markdown(
            f"{start['zipcode']} has too little history for this month, so the published prediction is the same."
        )
    for warning in prediction["warnings"]:
        st.warning(f"{warning['field']}: {warning['message']}")
    if start["price"]:
        change = 100 * (price / start["price"] - 1)
        st.caption(f"{change:+.1f}% from the actual price of {start['date']:%b %Y}, ${start['price']:,.0f}.")
    contributions = sorted(explanation["contributions"].items(), key=lambda item: -abs(item[1]))
    rest = sum(value for _, value in contributions[_SHOWN:])
    named = [(describe_feature(name), value) for name, value in contributions[:_SHOWN]]
    shown = [*named, (f"{len(contributions) - _SHOWN} others", rest)]
    sentence = "From the average home to this one. Largest factors: " + ", ".join(explanation["factors"][:3]) + "."
    table = pl.DataFrame({"feature": [n for n, _ in contributions], "dollars": [v for _, v in contributions]})
    shell.chart(charts.waterfall(explanation["base"], shown, explanation["prediction"]), sentence, table, "why")
    st.caption(f"By model {prediction['model_version']}.")


page()
