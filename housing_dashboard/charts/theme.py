"""How every chart looks: colours, sizes, legends, and the traces that several charts have.

Colours are those of Okabe and Ito (2008, "Color Universal Design"), which colour-blind readers can tell apart. What a
chart shows belongs in the other modules.
"""

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any

# Plotly takes pandas as soon as any thread has begun to import it, and fails before that import has ended.
import pandas  # noqa: F401
import plotly.graph_objects as go
import polars as pl

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#7F7F7F"
VERMILION, SKY = "#D55E00", "#56B4E9"
SERIES = (
    (BLUE, "solid", "circle"),
    (ORANGE, "dot", "square"),
    (GREEN, "dash", "diamond"),
    (PURPLE, "dashdot", "triangle-up"),
    (VERMILION, "longdash", "x"),
    (SKY, "solid", "triangle-down"),
    (GREY, "dot", "cross"),
)
"""Colour, line and marker of each series of a chart: told apart without the colour as well."""
AREAS = (
    (BLUE, ""),
    (SKY, "/"),
    (GREEN, ""),
    (ORANGE, "\\"),
    (VERMILION, ""),
    (PURPLE, "x"),
    (GREY, ""),
)
"""Colour and pattern of each of several areas: told apart without the colour as well."""
BLUE_ON_DARK = "#3FA0E6"
"""In place of `BLUE` on a dark background, where that has a contrast of 3.6."""
BAND = "rgba(86,180,233,0.25)"
USUAL_HEIGHT = 380
MONTH_HOVER = "%{x|%b %Y}"
"""How the hover text of a time axis names a month."""
_FOLD_CHARACTERS = 26
_LEGEND_CHARACTERS = 50
"""Characters of a legend that fit in one line of a phone, with what stands between them."""


def empty_figure(height: int | None = USUAL_HEIGHT, **layout: Any) -> go.Figure:
    """A figure without traces, its legend above the chart. Without a height it has that of the place it is put in."""
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        # It grows upwards where it has several lines.
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
        **layout,
    )
    return figure


def for_dark(figure: go.Figure) -> None:
    """Change the colours of a figure that are too dark on a dark background, and points that let it through."""
    figure.update_traces({"marker": {"opacity": 1}}, selector={"mode": "markers"})
    figure.update_traces({"increasing": {"marker": {"color": BLUE_ON_DARK}}}, selector={"type": "waterfall"})
    for part in ("line", "marker"):
        figure.for_each_trace(
            lambda trace, part=part: trace.update({part: {"color": BLUE_ON_DARK}}),
            selector=lambda trace, part=part: part in trace and _is_blue(trace[part].to_plotly_json().get("color")),
        )


def _is_blue(colour: Any) -> bool:
    # A column of colours is an array, which equals no text.
    return isinstance(colour, str) and colour == BLUE


def price_line(
    frame: pl.DataFrame,
    x: str,
    y: str,
    name: str,
    colour: str,
    dash: str = "solid",
    width: float = 2.5,
    hover: str = MONTH_HOVER,
    **style: Any,
) -> go.Scatter:
    """A line of prices in US dollars.

    Args:
        frame: to show.
        x: the column across.
        y: the column of prices.
        name: in the legend and the hover text.
        colour: of the line.
        dash: its pattern.
        width: its pixels.
        hover: how the hover text writes `x`.
        style: further properties of the trace; `mode` is `lines` where it is not given.
    """
    return go.Scatter(
        x=frame[x].to_list(),
        y=frame[y].to_list(),
        line={"color": colour, "dash": dash, "width": width},
        name=name,
        hovertemplate=f"{hover}<br>{name} %{{y:$,.0f}}<extra></extra>",
        **{"mode": "lines", **style},
    )


def add_band(figure: go.Figure, x: Sequence, low: Sequence, high: Sequence) -> None:
    """Add the 90% interval as a band."""
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(x=x, y=high, showlegend=False, **edge))
    figure.add_trace(go.Scatter(x=x, y=low, fill="tonexty", fillcolor=BAND, name="90% interval", **edge))


def colour_bar_below(title: str) -> dict[str, Any]:
    """A scale of colours below a chart: beside it, it would take a third of a phone."""
    bottom = {"yref": "container", "y": 0, "yanchor": "bottom"}
    return {"orientation": "h", **bottom, "thickness": 12, "title": {"text": title, "side": "bottom"}}


def folded(names: Sequence[str]) -> list[str]:
    """Names in lines so short that bars have room beside them on a phone."""
    return ["<br>".join(wrap(name, _FOLD_CHARACTERS)) for name in names]


def bars_height(names: Sequence[str]) -> int:
    """Pixels that bars with these names take: each as many as the longest name needs, since bars lie evenly."""
    return len(names) * max((max(24, 6 + 15 * (1 + name.count("<br>"))) for name in names), default=0)


def make_room_for_legend(figure: go.Figure, names: Iterable[str], below: float = -0.25) -> None:
    """Put a legend that would fold over the chart on a phone below it, by so much of the chart's height."""
    if sum(len(name) + 6 for name in names) > _LEGEND_CHARACTERS:
        height: Any = figure.layout.height  # pyright: ignore[reportAttributeAccessIssue]
        figure.update_layout(height=height + 80, legend={"y": below, "yanchor": "top"})
