"""Charts of any table by its columns: lines, bars, dots, colours and a histogram. What needs the columns of one asset
belongs in the other modules.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl

from housing_dashboard.charts.theme import (
    BLUE,
    GREY,
    SERIES,
    USUAL_HEIGHT,
    bars_height,
    colour_bar_below,
    empty_figure,
    folded,
    make_room_for_legend,
)
from housing_dashboard.figures import percent


def lines(
    frame: pl.DataFrame,
    x: str,
    names: Mapping[str, str],
    title: str = "",
    level: float | None = None,
    least: float | None = None,
) -> go.Figure:
    """Several columns in percent over one.

    Args:
        frame: to show.
        x: the column of the horizontal axis.
        names: the columns, with their names in words.
        title: of the horizontal axis.
        level: drawn as a dashed line to compare with.
        least: where the axis begins; None starts it at zero, or below where values are negative.
    """
    figure = empty_figure(300)
    for (column, name), (colour, dash, symbol) in zip(names.items(), SERIES, strict=False):
        figure.add_trace(
            go.Scatter(
                x=frame[x].to_list(),
                y=frame[column].to_list(),
                mode="lines+markers",
                line={"color": colour, "dash": dash},
                marker={"symbol": symbol},
                name=name,
                hovertemplate=f"%{{x}}<br>{name} %{{y:,.2f}}%<extra></extra>",
            )
        )
    if level is not None:
        figure.add_hline(y=level, line={"color": GREY, "dash": "dash"})
    figure.update_yaxes(ticksuffix="%", rangemode="tozero")
    if least is not None:
        figure.update_yaxes(range=[least, 101])
    figure.update_xaxes(type="category", nticks=8, title=title or None)
    make_room_for_legend(figure, names.values())
    return figure


def heat(grid: pl.DataFrame, rows: str, title: str, unit: str = "%") -> go.Figure:
    """A table as colours: rows named by one column, the others across."""
    across = [c for c in grid.columns if c != rows]
    figure = empty_figure(max(USUAL_HEIGHT, 120 + 19 * grid.height))
    figure.add_trace(
        go.Heatmap(
            z=grid.select(across).to_numpy(),
            x=across,
            y=[name or "no metro" for name in grid[rows].to_list()],
            colorscale="Cividis",
            colorbar=colour_bar_below(title) | {"ticksuffix": unit, "nticks": 2, "tickangle": 0},
            hovertemplate="%{y}<br>%{x}: %{z:.2f}" + unit + "<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", nticks=5)
    figure.update_yaxes(autorange="reversed")
    return figure


def distribution(values: Sequence[float] | pl.Series, title: str) -> go.Figure:
    """A histogram, counted here: half a million values would take seconds to send."""
    figure = empty_figure(300, bargap=0.05)
    counts, edges = np.histogram(np.asarray(values, dtype=np.float64), bins=60)
    middle, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    hover = "about %{x:.2f}: %{y:,} rows<extra></extra>"
    bar = go.Bar(x=middle, y=counts, width=width, marker={"color": BLUE}, hovertemplate=hover)
    figure.add_trace(bar)
    figure.add_vline(x=0, line={"color": GREY, "dash": "dash"})
    figure.update_xaxes(title=title)
    figure.update_yaxes(title="rows")
    return figure


def bars(frame: pl.DataFrame, name: str, value: str, title: str) -> go.Figure:
    """Horizontal bars, the largest at the top."""
    names = folded(frame[name].to_list())
    figure = empty_figure(max(260, 60 + bars_height(names)))
    figure.add_trace(go.Bar(x=frame[value].to_list(), y=names, orientation="h", marker={"color": BLUE}))
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title=title)
    return figure


def dots(frame: pl.DataFrame, name: str, value: str, title: str) -> go.Figure:
    """Values in percent of different orders of size: dots over a logarithmic axis, the least at the top, written out.

    Bars need an axis from zero, on which the small ones would vanish beside the large.
    """
    names = folded(frame[name].to_list())
    figure = empty_figure(max(220, 60 + bars_height(names)))
    figure.add_trace(
        go.Scatter(
            x=frame[value].to_list(),
            y=names,
            text=[f" {percent(v)}" for v in frame[value]],
            mode="markers+text",
            textposition="middle right",
            cliponaxis=False,
            marker={"color": BLUE, "size": 10},
            hovertemplate="%{y}: %{x:.2f}%<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=True)
    # Room for the figure beside the last dot.
    ends = [math.log10(0.7 * frame[value].min()), math.log10(4 * frame[value].max())]  # type: ignore[operator]
    ticks = [10.0**power for power in range(-2, 4)]
    figure.update_xaxes(title=title, type="log", range=ends, tickvals=ticks, ticktext=[f"{t:g}%" for t in ticks])
    return figure
