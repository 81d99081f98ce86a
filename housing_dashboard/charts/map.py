"""The map: outlines of states and counties and areas of metros as pictures, and places as dots that WebGL draws.

All of it comes from data of the package. As lines of WebGL, the outlines would take more than the dots to draw.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

from housing_dashboard import outlines
from housing_dashboard.charts import colours
from housing_dashboard.charts.projection import EXTENT
from housing_dashboard.charts.theme import colour_bar_below, empty_figure
from housing_dashboard.figures import price_range

PLACES, WITHIN = "places", "within"
"""Names of the traces: a dot for each place, and points within areas at which they answer the mouse."""
ZOOM = {"scrollZoom": True, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}
"""Plotly's configuration of a map: the wheel and two fingers zoom."""
_NICE = (1, 2, 3, 5, 10)
_PRICE_TICKS = (20, 50, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000)
"""Thousands of US dollars at which a scale of prices may begin, end and be labelled."""
_NO_DOT = 0.01
"""Pixels of a dot that is not seen."""
_SHOWN_SHARE = 0.95
"""Share of places within the ends of the scale: a few extreme ones would take its colours from the others."""
_MARGIN = 25.0
"""Kilometres around the places that a zoomed map shows."""


def place_map(
    places: pl.DataFrame, title: str, unit: str, diverging: bool, theme: str, counties: bool, around: Any = None
) -> go.Figure:
    """Places where they lie, coloured by their value.

    Args:
        places: `name`, `x`, `y` (kilometres), `size` (pixels), `value`, `figure` and `interval` (in words); `area`
            where they are areas that the map paints, null for those that it shows as dots. Rows without a place or a
            value are left out.
        title: of the colours.
        unit: `$` (colours follow the logarithm) or `%`.
        diverging: True if values above and below 0 have colours of their own.
        theme: `light` or `dark`.
        counties: True to draw the borders of counties as well.
        around: places (`x`, `y`) that the map is zoomed to; None shows the whole country.
    """
    figure = empty_figure(None, showlegend=False, dragmode="pan", uirevision="map")
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0})
    drawn = places.drop_nulls(["x", "y", "value"])
    values = drawn["value"].to_numpy()
    marker = _colours_of_prices(values) if unit == "$" else _colours_of_percents(values, diverging)
    if "area" in drawn.columns:
        shades = colours.shades(marker["color"], marker["cmin"], marker["cmax"], colours.of(diverging, theme))
        painted = {area: shade for area, shade in zip(drawn["area"], shades, strict=True) if area}
        figure.add_layout_image(**_picture(outlines.painted(painted, colours.BACKGROUND[theme])))
        # A painted area has no dot: it answers the mouse where one would be, and at the points of a grid.
        drawn = drawn.with_columns(pl.when(pl.col("area").is_null()).then("size").otherwise(_NO_DOT).alias("size"))
    state, county = colours.BORDER[theme]
    for kind, colour, shown in ((outlines.COUNTY, county, counties), (outlines.STATE, state, True)):
        if shown:
            figure.add_layout_image(**_picture(outlines.drawing(kind, colour)))
    hover = (
        f"<b>%{{customdata[0]}}</b><br>{title}: %{{customdata[1]}}<br>90% interval: %{{customdata[2]}}<extra></extra>"
    )
    if "area" in drawn.columns:
        within = outlines.points().join(drawn.drop("x", "y"), on="area")
        figure.add_trace(_dots(within, WITHIN, hover, {"size": _NO_DOT, "color": "rgba(0,0,0,0)"}))
    sizes = drawn["size"].to_numpy()
    marker |= {
        "size": sizes if np.unique(sizes).size != 1 else float(sizes[0]),
        "colorscale": colours.scale(diverging, theme),
        "colorbar": {**colour_bar_below(title), **marker["colorbar"], "outlinewidth": 0, "len": 0.9},
        "opacity": 1,
    }
    figure.add_trace(_dots(drawn, PLACES, hover, marker))
    across, up = _window(around)
    # Ranges stay as they are when the chart is drawn larger, and both axes get smaller instead.
    figure.update_xaxes(visible=False, range=across, constrain="domain")
    figure.update_yaxes(visible=False, range=up, constrain="domain", scaleanchor="x", scaleratio=1)
    return figure


def _dots(places: pl.DataFrame, name: str, hover: str, marker: dict[str, Any]) -> go.Scattergl:
    return go.Scattergl(
        name=name,
        x=places["x"].round(1).to_numpy(),
        y=places["y"].round(1).to_numpy(),
        customdata=places.select("name", "figure", "interval").to_numpy(),
        mode="markers",
        marker={**marker, "line": {"width": 0}},
        unselected={"marker": {"opacity": 1}},
        hovertemplate=hover,
    )


def _picture(drawing: outlines.Drawing) -> dict[str, Any]:
    """A picture where it lies, below the dots."""
    return {
        "source": drawing.source,
        **{"x": drawing.left, "y": drawing.top, "sizex": drawing.width, "sizey": drawing.height},
        **{"xref": "x", "yref": "y", "sizing": "stretch", "layer": "below"},
    }


def _window(around: pl.DataFrame | None) -> tuple[Sequence[float], ...]:
    """Ends of the two axes, in the proportions of the whole country."""
    placed = None if around is None else around.drop_nulls(["x", "y"])
    if placed is None or placed.is_empty():
        return EXTENT
    whole = [high - low for low, high in EXTENT]
    ends = [(float(np.min(axis)), float(np.max(axis))) for axis in (placed["x"].to_numpy(), placed["y"].to_numpy())]
    share = max((high - low + 2 * _MARGIN) / size for (low, high), size in zip(ends, whole, strict=True))
    middles = [(low + high) / 2 for low, high in ends]
    return tuple([m - share * size / 2, m + share * size / 2] for m, size in zip(middles, whole, strict=True))


def _colours_of_prices(values: np.ndarray) -> dict[str, Any]:
    """Logarithms of prices, with a scale that ends and is labelled at round prices."""
    logs = np.log10(values)
    low, high = np.quantile(logs, [1 - _SHOWN_SHARE, _SHOWN_SHARE]) if logs.size else (5.0, 6.0)
    ticks = [math.log10(1e3 * tick) for tick in _PRICE_TICKS]
    first = max((tick for tick in ticks if tick <= low), default=ticks[0])
    last = min((tick for tick in ticks if tick >= high and tick > first), default=ticks[-1])
    first = first if first < last else ticks[-2]  # a scale has two ends, also where all prices are one
    shown = [tick for tick in ticks if first <= tick <= last]
    shown = shown[:: 1 + len(shown) // 7]
    words = [f"${10**tick / 1e3:,.0f}k" if tick < 6 else f"${10**tick / 1e6:g}M" for tick in shown]
    return {
        "color": logs.round(3),
        "cmin": first,
        "cmax": last,
        "colorbar": {"tickvals": shown, "ticktext": words},
    }


def _colours_of_percents(values: np.ndarray, diverging: bool) -> dict[str, Any]:
    """Values in percent, with a scale around 0 or from it that ends at a round value."""
    most = float(np.quantile(np.abs(values), _SHOWN_SHARE)) if values.size else 1.0
    end = nice_end(most)
    bar = {"ticksuffix": "%", "nticks": 6}
    return {"color": values.round(3), "cmin": -end if diverging else 0.0, "cmax": end, "colorbar": bar}


def nice_end(most: float) -> float:
    """The least of 1, 2, 3, 5 and 10 times a power of ten that is no less than a positive value. It changes seldom from
    month to month, so that colours keep their meaning while months play."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in _NICE if step * power >= most * (1 - 1e-9))


def hover_columns(places: pl.DataFrame, unit: str) -> list[pl.Series]:
    """What stands in the hover text of each place: `figure` and `interval`, in words.

    Args:
        places: `value`, `predicted_low`, `predicted_high`.
        unit: `$` or `%`.
    """
    number = "${:,.0f}" if unit == "$" else "{:+.2f}%"
    figures = ["not known" if value is None else number.format(value) for value in places["value"].to_list()]
    ends = (places[name].to_list() for name in ("predicted_low", "predicted_high"))
    intervals = [
        "not known" if low is None or high is None else price_range(low, high) for low, high in zip(*ends, strict=True)
    ]
    return [pl.Series("figure", figures, pl.String), pl.Series("interval", intervals, pl.String)]
