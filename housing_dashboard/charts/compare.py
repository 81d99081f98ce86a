"""Several places over one another: known prices, forecasts and their intervals."""

import plotly.graph_objects as go
import polars as pl

from housing_dashboard.charts.theme import GREY, MONTH_HOVER, SERIES, empty_figure, make_room_for_legend


def compare(frame: pl.DataFrame, dollars: bool) -> go.Figure:
    """A line for each place, dashed where it is a forecast, with the interval as a band of its colour.

    Args:
        frame: `place`, `date`, `value`, `low`, `high` (null where there is none), and `forecast` (True for those), by
            place and date.
        dollars: True for US dollars, False for an index.
    """
    figure = empty_figure(480)
    places = frame["place"].unique(maintain_order=True).to_list()
    number = "%{y:$,.0f}" if dollars else "%{y:.1f}"
    for name, (colour, dash, _) in zip(places, SERIES, strict=False):
        own = frame.filter(place=name)
        known, path = own.filter(~pl.col("forecast")), own.filter("forecast")
        # The forecast begins where the known prices end.
        joined = pl.concat([known.tail(1).with_columns(low="value", high="value"), path])
        band = joined.drop_nulls(["low", "high"])
        if path.height and band.height > 1:
            x = [*band["date"], *reversed(band["date"].to_list())]
            y = [*band["high"], *reversed(band["low"].to_list())]
            red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
            fill = f"rgba({red},{green},{blue},0.15)"
            figure.add_trace(
                go.Scatter(
                    x=x, y=y, fill="toself", fillcolor=fill, mode="lines", line={"width": 0}, hoverinfo="skip",
                    showlegend=False, legendgroup=name,
                )
            )  # fmt: skip
        for part, pattern, legend in ((known, "solid", True), (joined, "dot", False)):
            figure.add_trace(
                go.Scatter(
                    x=part["date"].to_list(),
                    y=part["value"].to_list(),
                    mode="lines",
                    line={"color": colour, "dash": pattern, "width": 2.5 if dash == "solid" else 2},
                    name=name,
                    legendgroup=name,
                    showlegend=legend,
                    hovertemplate=f"{name}<br>{MONTH_HOVER}: {number}<extra></extra>",
                )
            )
    if frame.filter("forecast").height:
        begin = frame.filter(~pl.col("forecast"))["date"].max()
        figure.add_vline(x=str(begin), line={"color": GREY, "dash": "dot", "width": 1})
    if dollars:
        figure.update_yaxes(tickprefix="$")
    make_room_for_legend(figure, places, -0.1)
    return figure
