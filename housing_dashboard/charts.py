"""Plots. Colours are Okabe and Ito's (2008, "Color Universal Design"), which colour-blind readers can tell apart."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go
import polars as pl

from housing_assets.core.months import month_end
from housing_assets.core.panel.places import find_area
from housing_dashboard.figures import percent

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#7F7F7F"
VERMILION, SKY = "#D55E00", "#56B4E9"
_SERIES = (
    (BLUE, "solid", "circle"),
    (ORANGE, "dot", "square"),
    (GREEN, "dash", "diamond"),
    (PURPLE, "dashdot", "triangle-up"),
    (VERMILION, "longdash", "x"),
    (SKY, "solid", "triangle-down"),
    (GREY, "dot", "cross"),
)
"""Colour, line and marker of each series of a chart: told apart without the colour as well."""
BAND = "rgba(86,180,233,0.25)"
MOST_POINTS = 1_500
"""Points of a scatter: more hide each other and take seconds to send."""
_SMALL = 380
_FOLD = 26
_LEGEND_LINE = 50
"""Characters of a legend that fit in one line of a phone, with what stands between them."""
_TICKS = (50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000)
# The contiguous United States in some sixty points, longitude and latitude: enough to see where a metro lies.
_LAND: tuple[tuple[float, float], ...] = (
    (-124.7, 48.4), (-123.0, 48.8), (-122.8, 49.0), (-95.2, 49.0), (-94.6, 48.7), (-92.0, 48.3), (-89.6, 48.0),
    (-90.8, 46.9), (-88.2, 47.4), (-87.4, 46.5), (-84.9, 46.5), (-84.1, 46.0), (-85.5, 45.1), (-86.4, 43.8),
    (-86.3, 42.4), (-87.2, 41.6), (-87.9, 42.4), (-87.5, 44.5), (-88.0, 44.6), (-86.5, 45.9), (-84.7, 45.8),
    (-83.4, 45.2), (-83.4, 44.2), (-82.5, 43.0), (-83.4, 41.7), (-81.5, 41.6), (-78.9, 42.9), (-79.0, 43.3),
    (-76.3, 43.5), (-76.3, 44.2), (-74.8, 45.0), (-71.5, 45.0), (-70.3, 45.9), (-69.2, 47.4), (-68.3, 47.3),
    (-67.8, 45.8), (-67.0, 44.8), (-70.0, 43.7), (-70.8, 42.6), (-70.0, 41.8), (-72.0, 41.3), (-74.0, 40.6),
    (-75.0, 38.9), (-76.0, 37.0), (-75.6, 35.3), (-77.9, 34.0), (-81.0, 32.1), (-81.4, 30.5), (-80.1, 26.9),
    (-80.4, 25.2), (-81.8, 26.2), (-82.8, 28.0), (-84.1, 30.1), (-86.5, 30.4), (-89.5, 30.2), (-89.3, 29.1),
    (-91.8, 29.5), (-94.7, 29.4), (-97.2, 27.6), (-97.2, 25.9), (-99.2, 26.4), (-101.4, 29.8), (-103.2, 29.0),
    (-104.9, 30.6), (-106.5, 31.8), (-108.2, 31.8), (-111.1, 31.3), (-114.8, 32.5), (-117.1, 32.5), (-118.5, 34.0),
    (-120.6, 34.6), (-122.4, 37.2), (-123.8, 39.3), (-124.4, 40.4), (-124.1, 43.7), (-124.0, 46.3), (-124.7, 48.4),
)  # fmt: skip


def _figure(height: int = _SMALL, **layout: Any) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        legend={"orientation": "h", "y": 1.12, "x": 0},
        hovermode="closest",
        **layout,
    )
    return figure


def scatter(rows: pl.DataFrame) -> go.Figure:
    """Predicted against actual price, with the line on which they are equal; drawn with WebGL."""
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
    """Error in percent by actual price: shows what a scatter of prices hides once errors are small; with WebGL."""
    figure = _points(rows, "percent")
    figure.add_hline(y=0, line={"color": GREY, "dash": "dash"})
    figure.update_yaxes(title="error", ticksuffix="%")
    return figure


_PRICE_TICKS = {
    "tickvals": list(_TICKS),
    "ticktext": [f"${v / 1e3:,.0f}k" if v < 1e6 else f"${v / 1e6:g}M" for v in _TICKS],
}


def _points(rows: pl.DataFrame, value: str) -> go.Figure:
    """A point for each prediction: a column over the actual price."""
    figure = _figure(420)
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


def trend(months: pl.DataFrame, chosen: str | None = None) -> go.Figure:
    """Mean actual and predicted price by month, the interval as a band, the chosen month marked."""
    figure = _figure()
    _band(figure, months["month"].to_list(), months["low"].to_list(), months["high"].to_list())
    for column, name, colour, dash in (("predicted", "predicted", BLUE, "solid"), ("actual", "actual", ORANGE, "dot")):
        figure.add_trace(
            go.Scatter(
                x=months["month"].to_list(),
                y=months[column].to_list(),
                mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 2.5},
                name=name,
                hovertemplate=f"%{{x}}<br>{name} %{{y:$,.0f}}<extra></extra>",
            )
        )
    if chosen:
        figure.add_vline(x=chosen, line={"color": GREY, "width": 8}, opacity=0.25)
    figure.update_xaxes(type="category", nticks=8)
    figure.update_yaxes(tickprefix="$", title="mean price")
    return figure


def _colours_below(title: str) -> dict[str, Any]:
    """A scale of colours below a chart: beside it, it would take a third of a phone."""
    return {"orientation": "h", "y": -0.12, "yanchor": "top", "thickness": 12, "title": {"text": title}}


def _folded(names: Sequence[str]) -> list[str]:
    """Names in lines so short that bars have room beside them on a phone."""
    return ["<br>".join(wrap(name, _FOLD)) for name in names]


def _height(names: Sequence[str]) -> int:
    """Pixels that bars with these names take."""
    return sum(max(24, 6 + 15 * (1 + name.count("<br>"))) for name in names)


def _band(figure: go.Figure, x: Sequence, low: Sequence, high: Sequence) -> None:
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(x=x, y=high, showlegend=False, **edge))
    figure.add_trace(go.Scatter(x=x, y=low, fill="tonexty", fillcolor=BAND, name="90% interval", **edge))


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
        x: the column across.
        names: the columns, with their names in words.
        title: of the axis across.
        level: drawn as a line to compare with.
        least: where the axis begins; None: at zero, or below it where values are.
    """
    figure = _figure(300)
    for (column, name), (colour, dash, symbol) in zip(names.items(), _SERIES, strict=False):
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
    _room_for_legend(figure, names.values())
    return figure


def _room_for_legend(figure: go.Figure, names: Iterable[str], below: float = -0.25) -> None:
    """Put a legend that would fold over the chart on a phone below it, by so much of the chart's height."""
    if sum(len(name) + 6 for name in names) > _LEGEND_LINE:
        height: Any = figure.layout.height  # pyright: ignore[reportAttributeAccessIssue]
        figure.update_layout(height=height + 80, legend={"y": below, "yanchor": "top"})


def metro_map(metros: pl.DataFrame, value: str, title: str, unit: str, diverging: bool = False) -> go.Figure:
    """Metros where they lie, coloured by a column. It needs no tile server: the land is an outline.

    Args:
        metros: `city_full`, `zips`, and the column.
        value: the column.
        title: of the colours.
        unit: `$` or `%`.
        diverging: are values above and below 0 to be told apart?
    """
    figure = _figure(520, showlegend=False)
    figure.add_trace(
        go.Scatter(
            x=[x for x, _ in _LAND],
            y=[y for _, y in _LAND],
            mode="lines",
            fill="toself",
            fillcolor="rgba(127,127,127,0.14)",
            line={"color": "rgba(127,127,127,0.5)", "width": 1},
            hoverinfo="skip",
        )
    )
    placed = [(row, area) for row in metros.to_dicts() if (area := find_area(row["city_full"])) is not None]
    values = [row[value] for row, _ in placed]
    widest = max((abs(v) for v in values if v is not None), default=1)
    money = unit == "$"
    colours = {"colorscale": "RdBu", "cmin": -widest, "cmax": widest} if diverging else {"colorscale": "Cividis"}
    figure.add_trace(
        go.Scatter(
            x=[place.longitude for _, place in placed],
            y=[place.latitude for _, place in placed],
            customdata=[[row["city_full"], row["zips"]] for row, _ in placed],
            mode="markers",
            marker={
                "size": [12 + min(22, row["zips"] ** 0.5 * 2) for row, _ in placed],
                "color": values,
                "colorbar": _colours_below(title) | {"tickprefix": "$" if money else "", "nticks": 6},
                "line": {"width": 1, "color": "#333333"},
                **colours,
            },
            hovertemplate="%{customdata[0]}<br>%{customdata[1]} zips<br>"
            + ("%{marker.color:$,.0f}" if money else "%{marker.color:.2f}%")
            + "<extra></extra>",
        )
    )
    # A degree of longitude is shorter by the cosine of the latitude, here 38 degrees.
    figure.update_yaxes(visible=False, scaleanchor="x", scaleratio=1.27, range=[23.5, 50.5])
    figure.update_xaxes(visible=False, range=[-127, -65])
    return figure


def fan(
    actual: pl.DataFrame, forecast: pl.DataFrame, earlier: pl.DataFrame, metro: pl.DataFrame, horizon: int
) -> go.Figure:
    """A zip's known prices, its forecast with the interval opening like a fan, and what was forecast before.

    Args:
        actual: `date`, `price` of the zip.
        forecast: of one origin, `monthly_forecasts`, by horizon; empty: there is none.
        earlier: of the other origins, by origin and horizon.
        metro: `date`, `price`: the median of the metro; shown when its name in the legend is clicked.
        horizon: months ahead that are marked.
    """
    figure = _figure(430)
    paths: list[tuple[Any, Any]] = []
    for (_, start), path in earlier.group_by("origin", "last_known_price", maintain_order=True):
        paths += [(_origin_end(path), start), *path.select("date", "predicted_price").iter_rows(), (None, None)]
    if paths:
        figure.add_trace(
            go.Scatter(
                x=[day for day, _ in paths],
                y=[price for _, price in paths],
                mode="lines",
                line={"color": SKY, "width": 1},
                opacity=0.75,
                name="forecasts of other months",
                hovertemplate="%{x|%b %Y}<br>forecast then %{y:$,.0f}<extra></extra>",
            )
        )
    if forecast.height:
        _band(figure, *(_from_origin(forecast, column) for column in ("date", "predicted_low", "predicted_high")))
        figure.add_vline(x=str(_origin_end(forecast)), line={"color": GREY, "dash": "dot", "width": 1})
    figure.add_trace(
        go.Scatter(
            x=metro["date"].to_list(),
            y=metro["price"].to_list(),
            mode="lines",
            line={"color": GREY, "dash": "dash", "width": 1.5},
            name="metro median",
            visible="legendonly",
            hovertemplate="%{x|%b %Y}<br>metro median %{y:$,.0f}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=actual["date"].to_list(),
            y=actual["price"].to_list(),
            mode="lines",
            line={"color": ORANGE, "width": 2.5},
            name="actual",
            hovertemplate="%{x|%b %Y}<br>actual %{y:$,.0f}<extra></extra>",
        )
    )
    if forecast.height:
        ends = (_from_origin(forecast, column) for column in ("predicted_low", "predicted_high"))
        figure.add_trace(
            go.Scatter(
                x=_from_origin(forecast, "date"),
                y=_from_origin(forecast, "predicted_price"),
                customdata=list(zip(*ends, strict=True)),
                mode="lines",
                line={"color": BLUE, "width": 2.5},
                name="forecast",
                hovertemplate="%{x|%b %Y}<br>forecast %{y:$,.0f}"
                "<br>%{customdata[0]:$,.0f} to %{customdata[1]:$,.0f}<extra></extra>",
            )
        )
        marked = forecast.filter(horizon=horizon)
        figure.add_trace(
            go.Scatter(
                x=marked["date"].to_list(),
                y=marked["predicted_price"].to_list(),
                mode="markers+text",
                marker={"color": BLUE, "size": 9},
                text=[f"${price / 1e3:,.0f}k" for price in marked["predicted_price"]],
                textposition="top left",
                showlegend=False,
                hoverinfo="skip",
            )
        )
    figure.update_yaxes(tickprefix="$")
    _room_for_legend(figure, (str(trace.name) for trace in figure.data if trace.showlegend is not False), -0.1)
    return figure


def _from_origin(path: pl.DataFrame, column: str) -> list[Any]:
    """A column of the forecasts of one origin, with the known price there, which they set out from, before it."""
    first = _origin_end(path) if column == "date" else path["last_known_price"][0]
    return [first, *path[column]]


def _origin_end(path: pl.DataFrame) -> date:
    """The last day of the month that the forecasts of one origin start from."""
    return month_end(path["origin"][0])


def against_actual(predicted: pl.DataFrame, actual: pl.DataFrame, name: str) -> go.Figure:
    """What was said of months, with its interval, and what came.

    Args:
        predicted: `date`, `predicted_price`, `predicted_low`, `predicted_high`, by date.
        actual: `date`, `price`.
        name: of what was said.
    """
    figure = _figure(380)
    days = predicted["date"].to_list()
    _band(figure, days, predicted["predicted_low"].to_list(), predicted["predicted_high"].to_list())
    for frame, column, called, colour, dash in (
        (predicted, "predicted_price", name, BLUE, "solid"),
        (actual, "price", "actual", ORANGE, "dot"),
    ):
        figure.add_trace(
            go.Scatter(
                x=frame["date"].to_list(),
                y=frame[column].to_list(),
                mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 2},
                marker={"size": 5},
                name=called,
                hovertemplate=f"%{{x|%b %Y}}<br>{called} %{{y:$,.0f}}<extra></extra>",
            )
        )
    figure.update_yaxes(tickprefix="$")
    return figure


def skill(table: pl.DataFrame, names: Mapping[str, str]) -> go.Figure:
    """Share of each baseline's error that the model saves, by horizon, with its 95% interval.

    Args:
        table: `horizon`, `against`, `skill`, `skill_low`, `skill_high`.
        names: the baselines, with their names in words.
    """
    figure = _figure(400)
    for place, ((against, name), (colour, _, symbol)) in enumerate(zip(names.items(), _SERIES[1:], strict=False)):
        part = table.filter(against=against).sort("horizon")
        # Side by side, or their intervals hide each other.
        aside = 0.14 * (place - (len(names) - 1) / 2)
        figure.add_trace(
            go.Scatter(
                x=[horizon + aside for horizon in part["horizon"]],
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
                hovertemplate=f"{name}, %{{customdata[0]}} months ahead<br>%{{y:.1f}}% saved"
                "<br>%{customdata[1]:.1f}% to %{customdata[2]:.1f}%<extra></extra>",
            )
        )
    figure.add_hline(y=0, line={"color": GREY, "dash": "dash"})
    figure.update_yaxes(ticksuffix="%", title="error saved")
    figure.update_xaxes(title="months ahead", dtick=1, range=[0.4, table["horizon"].max() + 0.6])  # type: ignore[operator]
    _room_for_legend(figure, names.values())
    return figure


def heat(grid: pl.DataFrame, rows: str, title: str, unit: str = "%") -> go.Figure:
    """A table as colours: rows named by one column, the others across."""
    across = [c for c in grid.columns if c != rows]
    figure = _figure(max(_SMALL, 120 + 19 * grid.height))
    figure.add_trace(
        go.Heatmap(
            z=grid.select(across).to_numpy(),
            x=across,
            y=[name or "no metro" for name in grid[rows].to_list()],
            colorscale="Cividis",
            colorbar=_colours_below(title) | {"ticksuffix": unit, "nticks": 2, "tickangle": 0},
            hovertemplate="%{y}<br>%{x}: %{z:.2f}" + unit + "<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", nticks=5)
    figure.update_yaxes(autorange="reversed")
    return figure


def distribution(values: Sequence[float] | pl.Series, title: str) -> go.Figure:
    """A histogram."""
    figure = _figure(300)
    figure.add_trace(go.Histogram(x=list(values), nbinsx=60, marker={"color": BLUE}))
    figure.add_vline(x=0, line={"color": GREY, "dash": "dash"})
    figure.update_xaxes(title=title)
    figure.update_yaxes(title="rows")
    return figure


def bars(frame: pl.DataFrame, name: str, value: str, title: str) -> go.Figure:
    """Horizontal bars, the largest at the top."""
    names = _folded(frame[name].to_list())
    figure = _figure(max(260, 60 + _height(names)))
    figure.add_trace(go.Bar(x=frame[value].to_list(), y=names, orientation="h", marker={"color": BLUE}))
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title=title)
    return figure


def dots(frame: pl.DataFrame, name: str, value: str, title: str) -> go.Figure:
    """Values in percent of different orders of size: dots over a logarithmic axis, the least at the top, written out.

    Bars need an axis from zero, on which the small ones would vanish beside the large.
    """
    names = _folded(frame[name].to_list())
    figure = _figure(max(220, 60 + _height(names)))
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


def trials(history: pl.DataFrame) -> go.Figure:
    """Scores of trials in their order, with the best so far.

    Args:
        history: `trial`, `state`, `score` (root mean squared error over the mean price).
    """
    figure = _figure(300)
    for complete, name, colour, symbol in ((True, "complete", BLUE, "circle"), (False, "given up", GREY, "x")):
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


def calibration_bars(frame: pl.DataFrame) -> go.Figure:
    """Shares of prices below, inside and above their intervals, by month."""
    figure = _figure(300, barmode="stack")
    for column, colour in (("below", PURPLE), ("inside", BLUE), ("above", ORANGE)):
        figure.add_trace(
            go.Bar(x=frame["month"].to_list(), y=frame[column].to_list(), name=column, marker={"color": colour})
        )
    figure.add_hline(y=90, line={"color": GREY, "dash": "dash"})
    figure.update_xaxes(type="category", nticks=8)
    figure.update_yaxes(ticksuffix="%", range=[0, 100])
    return figure


def waterfall(base: float, parts: Sequence[tuple[str, float]], price: float) -> go.Figure:
    """From the base value to a price, by contributions in US dollars."""
    names = _folded([name for name, _ in parts])
    figure = _figure(max(_SMALL, 150 + _height(names)))
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
    reached = [base]
    for _, value in parts:
        reached.append(reached[-1] + value)
    figure.update_xaxes(range=[min(0.0, *reached), 1.3 * max(*reached, price)])
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickprefix="$")
    return figure


_STATES = {"green": 0, "warn": 1, "red": 2, "never checked": 3, "newer than its check": 4, "": 5}
_STATE_COLOURS = (GREEN, ORANGE, VERMILION, GREY, PURPLE, "rgba(127,127,127,0.12)")


def state_grid(assets: Sequence[str], months: Sequence[str], found: dict[str, dict[str, str]]) -> go.Figure:
    """What is known of each month of each asset, by colour; an empty state is a month that is not there."""
    cells = [[found[asset].get(month, "") for month in months] for asset in assets]
    steps = [(i / 6 + end / 6, colour) for i, colour in enumerate(_STATE_COLOURS) for end in (0, 1)]
    figure = _figure(240 + 26 * len(assets))
    figure.add_trace(
        go.Heatmap(
            z=[[_STATES[state] for state in row] for row in cells],
            x=list(months),
            y=list(assets),
            text=[[state or "not there" for state in row] for row in cells],
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
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=square, name=state or "not there"))
    figure.update_layout(legend={"y": -0.25, "yanchor": "top"})
    figure.update_xaxes(type="category", nticks=6)
    figure.update_yaxes(autorange="reversed")
    return figure
