"""Charts of a model: its skill, its search, and what a prediction is made of."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import plotly.graph_objects as go
import polars as pl

from housing_dashboard.charts.theme import (
    BLUE,
    GREY,
    ORANGE,
    SERIES,
    USUAL_HEIGHT,
    bars_height,
    empty_figure,
    folded,
    make_room_for_legend,
)


def skill(table: pl.DataFrame, names: Mapping[str, str]) -> go.Figure:
    """How much lower the model's error is than each baseline's, by horizon, with its 95% interval.

    Args:
        table: `horizon`, `against`, `skill`, `skill_low`, `skill_high`.
        names: the baselines, with their names in words.
    """
    figure = empty_figure(400)
    for position, ((against, name), (colour, _, symbol)) in enumerate(zip(names.items(), SERIES[1:], strict=False)):
        part = table.filter(against=against).sort("horizon")
        # Side by side, or their intervals hide each other.
        offset = 0.14 * (position - (len(names) - 1) / 2)
        figure.add_trace(
            go.Scatter(
                x=[horizon + offset for horizon in part["horizon"]],
                y=part["skill"].to_list(),
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": (part["skill_high"] - part["skill"]).to_list(),
                    "arrayminus": (part["skill"] - part["skill_low"]).to_list(),
                    "width": 0,
                    "thickness": 1.5,
                },
                customdata=part.select("horizon", "skill_low", "skill_high").to_numpy(),
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 7},
                name=name,
                hovertemplate=f"{name}, %{{customdata[0]}} months ahead<br>%{{y:.1f}}% lower error"
                "<br>%{customdata[1]:.1f}% to %{customdata[2]:.1f}%<extra></extra>",
            )
        )
    figure.add_hline(y=0, line={"color": GREY, "dash": "dash"})
    figure.update_yaxes(ticksuffix="%", title="error reduction")
    figure.update_xaxes(title="months ahead", dtick=1, range=[0.4, table["horizon"].max() + 0.6])  # type: ignore[operator]
    make_room_for_legend(figure, names.values())
    return figure


def trials(history: pl.DataFrame) -> go.Figure:
    """Scores of trials in their order, with the best so far.

    Args:
        history: `trial`, `state`, `score` (root mean squared error over the mean price).
    """
    figure = empty_figure(300)
    for complete, name, colour, symbol in ((True, "complete", BLUE, "circle"), (False, "stopped early", GREY, "x")):
        part = history.filter((pl.col("state") == "complete") == complete)
        figure.add_trace(
            go.Scatter(
                x=part["trial"].to_list(),
                y=(100 * part["score"]).to_list(),
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 9},
                name=name,
                hovertemplate="trial %{x}: %{y:.2f}%<extra></extra>",
            )
        )
    best = history.filter(state="complete").sort("trial")
    figure.add_trace(
        go.Scatter(
            x=best["trial"].to_list(),
            y=(100 * best["score"].cum_min()).to_list(),
            mode="lines",
            line={"color": ORANGE, "shape": "hv"},
            name="best so far",
        )
    )
    figure.update_xaxes(title="trial")
    figure.update_yaxes(ticksuffix="%")
    return figure


def waterfall(base: float, parts: Sequence[tuple[str, float]], price: float) -> go.Figure:
    """From the base value to a price, by contributions in US dollars."""
    names = folded([name for name, _ in parts])
    figure = empty_figure(max(USUAL_HEIGHT, 150 + bars_height(names)))
    figure.add_trace(
        go.Waterfall(
            orientation="h",
            measure=["absolute", *(["relative"] * len(parts)), "total"],
            y=["base", *names, "prediction"],
            x=[base, *(value for _, value in parts), price],
            text=[f"${base:,.0f}", *(f"{value:+,.0f}" for _, value in parts), f"${price:,.0f}"],
            increasing={"marker": {"color": BLUE}},
            decreasing={"marker": {"color": ORANGE}},
            totals={"marker": {"color": GREY}},
            textposition="outside",
            cliponaxis=False,
        )
    )
    # Room for the figures beside the longest bars.
    running_totals = list(accumulate((value for _, value in parts), initial=base))
    figure.update_xaxes(range=[min(0.0, *running_totals), 1.3 * max(*running_totals, price)])
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickprefix="$")
    return figure
