"""Charts of a model: its skill, its search, and what a prediction is made of."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import plotly.graph_objects as go
import polars as pl

from housing_dashboard.charts.theme import (
    AREAS,
    BLUE,
    GREY,
    ORANGE,
    SERIES,
    USUAL_HEIGHT,
    VERMILION,
    bars_height,
    empty_figure,
    folded,
    make_room_for_legend,
)
from housing_dashboard.figures import percent


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


def regret(table: pl.DataFrame) -> go.Figure:
    """Regret by year and months ahead as colours around 0, each written out.

    Args:
        table: `year`, `horizon`, `mape`, `best`, `naive_mape`, `regret`, as `figures.regret` gives them.
    """
    years, horizons = table["year"].unique().sort().to_list(), table["horizon"].unique().sort().to_list()
    cells = {(row["year"], row["horizon"]): row for row in table.to_dicts()}
    grid = [[cells.get((year, horizon)) for horizon in horizons] for year in years]
    most = max(float(table["regret"].abs().max() or 0), 0.01)  # type: ignore[arg-type]
    figure = empty_figure(140 + 34 * len(years))
    figure.add_trace(
        go.Heatmap(
            x=[str(horizon) for horizon in horizons],
            y=years,
            z=[[cell["regret"] if cell else None for cell in row] for row in grid],
            text=[[f"{cell['regret']:+.1f}" if cell else "" for cell in row] for row in grid],
            texttemplate="%{text}",
            customdata=[[_hover(cell) if cell else "not graded" for cell in row] for row in grid],
            hovertemplate="%{customdata}<extra></extra>",
            colorscale=[[0, BLUE], [0.5, "#f2f2f2"], [1, VERMILION]],
            zmin=-most,
            zmax=most,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    figure.update_xaxes(type="category", title="months ahead", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return figure


def _hover(cell: Mapping[str, Any]) -> str:
    return (
        f"{cell['horizon']} ahead in {cell['year']}<br>published {percent(cell['mape'])}"
        f"<br>{cell['best']} {percent(cell['naive_mape'])}"
    )


def shares(frame: pl.DataFrame, names: Mapping[str, str]) -> go.Figure:
    """Shares of 100 percent through time, as areas over one another.

    Args:
        frame: `origin`, and a column for each name in percent; the rows add up to 100.
        names: the columns with their names in words, the lowest area first.
    """
    figure = empty_figure(340)
    for (column, name), (colour, pattern) in zip(names.items(), AREAS, strict=False):
        figure.add_trace(
            go.Scatter(
                x=frame["origin"].to_list(),
                y=frame[column].to_list(),
                mode="lines",
                line={"width": 0.5, "color": colour},
                stackgroup="one",
                fillcolor=colour,
                fillpattern={"shape": pattern, "fgcolor": "rgba(255,255,255,0.55)", "bgcolor": colour, "size": 7},
                name=name,
                hovertemplate=f"%{{x}}<br>{name} %{{y:.0f}}%<extra></extra>",
            )
        )
    figure.update_yaxes(range=[0, 100], ticksuffix="%")
    figure.update_xaxes(type="category", nticks=8, title="origin")
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
