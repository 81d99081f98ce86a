"""Charts of one zip: its prices, its forecasts, and what came of them."""

from datetime import date
from typing import Any, cast

import plotly.graph_objects as go
import polars as pl

from housing_assets.core.months import month_end
from housing_dashboard.charts.theme import (
    BLUE,
    GREY,
    MONTH_HOVER,
    ORANGE,
    SKY,
    add_band,
    empty_figure,
    make_room_for_legend,
    price_line,
)


def fan(
    actual: pl.DataFrame, forecast: pl.DataFrame, earlier: pl.DataFrame, metro: pl.DataFrame, horizon: int
) -> go.Figure:
    """A zip's known prices, its forecast with its interval, and earlier forecasts.

    Args:
        actual: `date`, `price` of the zip.
        forecast: rows of `monthly_forecasts` of one origin, by horizon; may be empty.
        earlier: rows of the other origins, by origin and horizon.
        metro: `date`, `price`: the mean of the metro; hidden until its name in the legend is clicked.
        horizon: months ahead whose price is written out.
    """
    figure = empty_figure(430)
    if earlier.height:
        figure.add_trace(_earlier_forecasts(earlier))
    if forecast.height:
        add_band(figure, *(_from_origin(forecast, column) for column in ("date", "predicted_low", "predicted_high")))
        figure.add_vline(x=str(_origin_end(forecast)), line={"color": GREY, "dash": "dot", "width": 1})
    figure.add_trace(price_line(metro, "date", "price", "metro mean", GREY, "dash", 1.5, visible="legendonly"))
    figure.add_trace(price_line(actual, "date", "price", "actual", ORANGE))
    if forecast.height:
        figure.add_trace(_forecast_line(forecast))
        figure.add_trace(_labelled_point(forecast.filter(horizon=horizon)))
    figure.update_yaxes(tickprefix="$")
    traces = cast("tuple[go.Scatter, ...]", figure.data)
    make_room_for_legend(figure, (str(trace["name"]) for trace in traces if trace["showlegend"] is not False), -0.1)
    return figure


def _earlier_forecasts(earlier: pl.DataFrame) -> go.Scatter:
    """Forecasts of several origins as one trace, with a gap between them."""
    points: list[tuple[Any, Any]] = []
    for (_, start), path in earlier.group_by("origin", "last_known_price", maintain_order=True):
        points += [(_origin_end(path), start), *path.select("date", "predicted_price").iter_rows(), (None, None)]
    return go.Scatter(
        x=[day for day, _ in points],
        y=[price for _, price in points],
        mode="lines",
        line={"color": SKY, "width": 1},
        opacity=0.75,
        name="forecasts from other months",
        hovertemplate=f"{MONTH_HOVER}<br>forecast then %{{y:$,.0f}}<extra></extra>",
    )


def _forecast_line(forecast: pl.DataFrame) -> go.Scatter:
    """The forecast of one origin from its last known price on, with the interval in the hover text."""
    low, high = (_from_origin(forecast, column) for column in ("predicted_low", "predicted_high"))
    return go.Scatter(
        x=_from_origin(forecast, "date"),
        y=_from_origin(forecast, "predicted_price"),
        customdata=list(zip(low, high, strict=True)),
        mode="lines",
        line={"color": BLUE, "width": 2.5},
        name="forecast",
        hovertemplate=f"{MONTH_HOVER}<br>forecast %{{y:$,.0f}}"
        "<br>%{customdata[0]:$,.0f} to %{customdata[1]:$,.0f}<extra></extra>",
    )


def _labelled_point(forecast: pl.DataFrame) -> go.Scatter:
    """Points of a forecast, each with its price written beside it."""
    return go.Scatter(
        x=forecast["date"].to_list(),
        y=forecast["predicted_price"].to_list(),
        mode="markers+text",
        marker={"color": BLUE, "size": 9},
        text=[f"${price / 1e3:,.0f}k" for price in forecast["predicted_price"]],
        textposition="top left",
        showlegend=False,
        hoverinfo="skip",
    )


def _from_origin(path: pl.DataFrame, column: str) -> list[Any]:
    """A column of the forecasts of one origin, after the price at the origin itself."""
    first = _origin_end(path) if column == "date" else path["last_known_price"][0]
    return [first, *path[column]]


def _origin_end(path: pl.DataFrame) -> date:
    """The last day of the month that the forecasts of one origin start from."""
    return month_end(path["origin"][0])


def against_actual(predicted: pl.DataFrame, actual: pl.DataFrame, name: str) -> go.Figure:
    """Predictions or forecasts of months with their interval, and the actual prices.

    Args:
        predicted: `date`, `predicted_price`, `predicted_low`, `predicted_high`, by date.
        actual: `date`, `price`.
        name: of the predictions in the legend.
    """
    figure = empty_figure(300)
    days = predicted["date"].to_list()
    add_band(figure, days, predicted["predicted_low"].to_list(), predicted["predicted_high"].to_list())
    for frame, column, label, colour, dash in (
        (predicted, "predicted_price", name, BLUE, "solid"),
        (actual, "price", "actual", ORANGE, "dot"),
    ):
        line = price_line(frame, "date", column, label, colour, dash, 2, mode="lines+markers", marker={"size": 5})
        figure.add_trace(line)
    figure.update_yaxes(tickprefix="$")
    return figure
