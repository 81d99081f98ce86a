"""The Place page: prices, forecasts and predictions of a zip, a metro or the nation, and how far to trust them."""

from typing import Any

import polars as pl
import streamlit as st

from housing_assets.core.forecasting.schema import HORIZONS
from housing_dashboard import data, figures, shell
from housing_dashboard.parts import forecast, living, predicted


def page() -> None:
    """The page."""
    shell.header("Place", "What will homes here cost, how certain is that, and how large were past errors here?")
    everything = shell.predicted_rows()
    if everything is None:
        return
    origins = data.months_of("monthly_forecasts")
    one, two, three = st.columns([2, 1, 1])
    with one:
        place = shell.choose_place("Zip, city, county or metro", data.places())
    with shell.contents():
        parts(place, everything, origins, (two, three))


def parts(place: data.Place, everything: pl.DataFrame, origins: list[str], cells: tuple[Any, Any]) -> None:
    """All below the choice of the place.

    Args:
        place: whose.
        everything: predicted rows of every zip.
        origins: that are forecast from.
        cells: where the choices of the origin and of the horizon go.
    """
    rows = figures.with_errors(data.predictions_of(place, everything)).sort("date")
    headline = None
    if origins:
        with cells[0]:
            origin = shell.choice("Forecast from", origins[::-1], "origin", origins[-1])
        with cells[1]:
            ahead = shell.choice("Months ahead", [str(h) for h in HORIZONS], "ahead", str(HORIZONS[-1]))
        with shell.guard():
            headline = forecast.forecasts(place, origin, int(ahead))
    else:
        shell.empty(
            "No month is forecast yet",
            "Run `make run`, or `forecast_job` in Dagster: it says how many months before the evaluation it needs.",
        )
        with shell.guard():
            forecast.history(place)
    with shell.guard():
        living.costs(place, (rows.tail(1) if headline is None else headline).row(0, named=True))
    with shell.guard():
        predicted.predictions(rows, place)
    with shell.guard():
        predicted.around(everything, rows, place)


page()
