"""Charts of the state of the data: checks by month, and revisions of published prices."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from housing_dashboard.charts.theme import (
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
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
