"""Charts of predicted rows: prices, errors, and how often intervals hold."""

import plotly.graph_objects as go
import polars as pl

from housing_dashboard.charts.theme import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    add_band,
    empty_figure,
    price_line,
)

MOST_POINTS = 1_500
"""Points of a scatter: more hide each other and take seconds to send."""
_TICKS = (50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000)
_PRICE_TICKS = {
    "tickvals": list(_TICKS),
    "ticktext": [f"${v / 1e3:,.0f}k" if v < 1e6 else f"${v / 1e6:g}M" for v in _TICKS],
}


def scatter(rows: pl.DataFrame) -> go.Figure:
    """Predicted against actual price, with the line on which they are equal."""
    figure = _points(rows, "predicted_price")
    ends = [
        rows.select(pl.min_horizontal("actual_price", "predicted_price").min()).item(),
        rows.select(pl.max_horizontal("actual_price", "predicted_price").max()).item(),
    ]
    figure.add_trace(
        go.Scattergl(x=ends, y=ends, mode="lines", line={"color": GREY, "dash": "dash"}, name="predicted = actual")
    )
    figure.update_yaxes(title="predicted price", type="log", **_PRICE_TICKS)
    return figure


def residuals(rows: pl.DataFrame) -> go.Figure:
    """Error in percent by actual price. It shows errors that a scatter of prices hides once they are small."""
    figure = _points(rows, "percent")
    figure.add_hline(y=0, line={"color": GREY, "dash": "dash"})
    figure.update_yaxes(title="error", ticksuffix="%")
    return figure


def _points(rows: pl.DataFrame, value: str) -> go.Figure:
    """A point for each prediction: a column over the actual price."""
    figure = empty_figure(420)
    for inside, name, colour, symbol in (
        (True, "inside its interval", BLUE, "circle"),
        (False, "outside", ORANGE, "x"),
    ):
        part = rows.filter(pl.col("inside") == inside)
        figure.add_trace(
            go.Scattergl(
                x=part["actual_price"].to_numpy(),
                y=part[value].to_numpy(),
                customdata=part.select("zipcode", "month", "predicted_price", "percent").to_numpy(),
                hovertemplate="%{customdata[0]}, %{customdata[1]}<br>actual %{x:$,.0f}"
                "<br>predicted %{customdata[2]:$,.0f}<br>%{customdata[3]:+.2f}%<extra></extra>",
                mode="markers",
                marker={"size": 5, "color": colour, "symbol": symbol, "opacity": 0.7},
                name=name,
            )
        )
    figure.update_xaxes(title="actual price", type="log", **_PRICE_TICKS)
    return figure


def trend(months: pl.DataFrame, marked_month: str | None = None) -> go.Figure:
    """Mean actual and predicted price by month, the interval as a band, one month marked."""
    figure = empty_figure()
    add_band(figure, months["month"].to_list(), months["low"].to_list(), months["high"].to_list())
    for column, colour, dash in (("predicted", BLUE, "solid"), ("actual", ORANGE, "dot")):
        line = price_line(months, "month", column, column, colour, dash, hover="%{x}", mode="lines+markers")
        figure.add_trace(line)
    if marked_month:
        figure.add_vline(x=marked_month, line={"color": GREY, "width": 8}, opacity=0.25)
    figure.update_xaxes(type="category", nticks=8)
    figure.update_yaxes(tickprefix="$", title="mean price")
    return figure


def calibration_bars(frame: pl.DataFrame) -> go.Figure:
    """Shares of prices below, inside and above their intervals, by month."""
    figure = empty_figure(300, barmode="stack")
    for column, colour in (("below", PURPLE), ("inside", BLUE), ("above", ORANGE)):
        figure.add_trace(
            go.Bar(x=frame["month"].to_list(), y=frame[column].to_list(), name=column, marker={"color": colour})
        )
    figure.add_hline(y=90, line={"color": GREY, "dash": "dash"})
    figure.update_xaxes(type="category", nticks=8)
    figure.update_yaxes(ticksuffix="%", range=[0, 100])
    return figure
