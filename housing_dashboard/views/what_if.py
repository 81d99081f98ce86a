"""A live prediction: change what is known of a place, and see what the model makes of it, and why.

A zip with a history is predicted from its own past prices, which no figure of the month moves. So the page asks what
the figures alone say, and shows beside it what is published.
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
    shell.header(
        "What if", "What would the month's figures alone say if the market, the homes or the people were others?"
    )
    months = data.months_of("cleaned")
    if not months:
        shell.empty("No month is cleaned yet", "Run `make run`, or `ingest_job` in Dagster.")
        return
    found = data.read_months("cleaned", months[-1:], COLUMN_NAMES)
    shell.damaged(found.damaged)
    if found.frame.is_empty():
        shell.empty(f"{months[-1]} cannot be read", "Materialize `cleaned` for it again.")
        return
    rows = found.frame.sort("zipcode")
    metros = dict(rows.select("zipcode", "city_full").iter_rows())
    zipcode = shell.choice(
        "Start from zip code",
        list(metros),
        "zip",
        next(iter(metros)),
        format_func=lambda z: f"{z}, {metros[z] or 'no metro'}",
    )
    live(rows.filter(zipcode=zipcode).row(0, named=True))


@st.fragment
def live(start: dict[str, Any]) -> None:
    """The form and the answer, which follows each change."""
    api = data.api()
    left, right = st.columns([1, 1])
    try:
        with left:
            row = form(api.row_schema(), start)
        answer = api.predict(row, history=False)
        why = api.explain(row, history=False)
        published = api.predict(row)
    except ApiAwayError as error:
        st.warning(f"No live prediction: the API is not there ({error}). What is stored is on the other pages.")
        st.button("Try again", icon=":material/refresh:")
        return
    except ApiRefusedError as error:
        right.error(f"The API does not take this row: {error}")
        return
    with right, shell.guard():
        show(answer, published, why, start)


def form(schema: dict[str, dict[str, Any]], start: dict[str, Any]) -> dict[str, Any]:
    """A field for each number of the API's schema, filled with what is known; gives the row to predict."""
    row = {"date": str(start["date"]), "zipcode": start["zipcode"], "city_full": start["city_full"]}
    day = st.date_input("Month", start["date"], date(2012, 1, 1), date(2035, 12, 31), key=f"date-{start['zipcode']}")
    row["date"] = str(day)
    with st.container(height=520):
        for name, told in schema.items():
            number = next((kind for kind in told.get("anyOf", ()) if kind.get("type") == "number"), None)
            if name not in NUMERIC_FEATURES or number is None:
                continue
            low, high = float(number.get("minimum", 0)), float(number.get("maximum", 1e9))
            known = start[name]
            value = st.number_input(
                number.get("description", name),
                low,
                high,
                None if known is None else min(max(float(known), low), high),
                step=step(high),
                key=f"{name}-{start['zipcode']}",
                help=f"`{name}`, from {low:,.0f} to {high:,.0f}; empty: not known",
            )
            row[name] = value
    return row


def _interval(answer: dict[str, Any]) -> str:
    return figures.price_range(*answer["intervals"][0])


def step(high: float) -> float:
    """What one press of + adds."""
    return 0.01 if high <= 1 else 0.05 if high <= 10 else 1.0 if high <= 100_000 else 10_000.0


def show(answer: dict[str, Any], published: dict[str, Any], why: dict[str, Any], start: dict[str, Any]) -> None:
    """The prediction from the figures alone, beside the one with history, and what it is made of."""
    price = answer["predictions"][0]
    # An API of before histories does not tell.
    from_history = published.get("from_history", [None])[0]
    one, two = st.columns(2)
    one.metric("Live prediction", f"${price:,.0f}", border=True)
    two.metric("90% interval", _interval(answer), border=True)
    if from_history:
        one, two = st.columns(2)
        one.metric("With its history", f"${published['predictions'][0]:,.0f}", border=True)
        two.metric("90% interval with it", _interval(published), border=True)
        st.markdown(
            "The live prediction rests on the figures of the form alone, as of a zip whose past is not known. What is "
            f"published for {start['zipcode']} is the price **with its history**: it comes from the zip's own past "
            "prices, is far surer, and does not follow the form."
        )
    elif from_history is not None:
        st.markdown(f"No history of {start['zipcode']} is used in this month: what is published is the same.")
    for warning in answer["warnings"]:
        st.warning(f"{warning['field']}: {warning['message']}")
    if start["price"]:
        change = 100 * (price / start["price"] - 1)
        st.caption(f"{change:+.1f}% from the actual price of {start['date']:%b %Y}, ${start['price']:,.0f}.")
    parts = sorted(why["contributions"].items(), key=lambda part: -abs(part[1]))
    rest = sum(value for _, value in parts[_SHOWN:])
    named = [(describe_feature(name), value) for name, value in parts[:_SHOWN]]
    shown = [*named, (f"{len(parts) - _SHOWN} others", rest)]
    told = "From the average home to this one. " + "; ".join(why["factors"][:3]) + "."
    table = pl.DataFrame({"feature": [n for n, _ in parts], "dollars": [v for _, v in parts]})
    shell.chart(charts.waterfall(why["base"], shown, why["prediction"]), told, table, "why")
    st.caption(f"By model {answer['model_version']}.")


page()
