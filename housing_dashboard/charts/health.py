"""Charts of the state of the data: checks by month, and revisions of published prices."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import polars as pl

from housing_dashboard.charts.theme import (
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SERIES,
    VERMILION,
    empty_figure,
)

_STATES = {"green": 0, "warn": 1, "red": 2, "never checked": 3, "newer than its check": 4, "": 5}
_STATE_COLOURS = (GREEN, ORANGE, VERMILION, GREY, PURPLE, "rgba(127,127,127,0.12)")


def state_grid(assets: Sequence[str], months: Sequence[str], states: Mapping[str, Mapping[str, str]]) -> go.Figure:
    """The state of each month of each asset, by colour.

    Args:
        assets: down.
        months: across.
        states: by asset and month; a month that is absent has none.
    """
    cells = [[states[asset].get(month, "") for month in months] for asset in assets]
    steps = [(i / 6 + end / 6, colour) for i, colour in enumerate(_STATE_COLOURS) for end in (0, 1)]
    figure = empty_figure(240 + 26 * len(assets))
    figure.add_trace(
        go.Heatmap(
            z=[[_STATES[state] for state in row] for row in cells],
            x=list(months),
            y=list(assets),
            text=[[state or "absent" for state in row] for row in cells],
            hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
            colorscale=steps,
            zmin=-0.5,
            zmax=5.5,
            showscale=False,
            xgap=1,
            ygap=2,
        )
    )
    # A legend by words: a scale of colours would stand for an order, and has no room on a phone.
    for state, colour in zip(_STATES, _STATE_COLOURS, strict=True):
        square = {"symbol": "square", "size": 11, "color": colour}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=square, name=state or "absent"))
    figure.update_layout(legend={"y": -0.25, "yanchor": "top"})
    figure.update_xaxes(type="category", nticks=6)
    figure.update_yaxes(autorange="reversed")
    return figure


def revisions(table: pl.DataFrame) -> go.Figure:
    """How much published prices of each month were revised, on a logarithmic axis.

    The most that a price changed is a hundred times the median, so on a linear axis the median would vanish.

    Args:
        table: `month`, and `median`, `p95` and `most`: absolute changes in percent.
    """
    figure = empty_figure(320)
    names = {"median": "median", "p95": "95th percentile", "most": "largest"}
    for (column, name), (colour, dash, symbol) in zip(names.items(), SERIES, strict=False):
        # A logarithmic axis has no zero.
        values = table[column].replace(0, None)
        figure.add_trace(
            go.Scatter(
                x=table["month"].to_list(),
                y=values.to_list(),
                mode="lines+markers",
                line={"color": colour, "dash": dash},
                marker={"symbol": symbol, "size": 4},
                name=name,
                hovertemplate=f"%{{x}}<br>{name} %{{y:,.3f}}%<extra></extra>",
            )
        )
    figure.update_xaxes(type="category", nticks=8)
    # Plotly's own ticks of a logarithmic axis have digits alone between powers of ten.
    ticks = [digit * 10.0**power for power in range(-4, 4) for digit in (1, 3)]
    figure.update_yaxes(type="log", title="change", tickvals=ticks, ticktext=[f"{tick:g}%" for tick in ticks])
    return figure
