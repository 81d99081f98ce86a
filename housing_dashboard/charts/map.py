"""The map of metros. The land is an outline, so that no tile server is needed."""

from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

from housing_assets.core.panel.places import find_area
from housing_dashboard.charts.theme import (
    colour_bar_below,
    empty_figure,
)

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


_LONGITUDES, _LATITUDES = (-127.0, -65.0), (23.5, 50.5)
"""What is shown at least: the contiguous United States. Metros of other states and territories widen it."""
_MANY_METROS = 100
"""With more of them, dots are smaller, so that they do not hide each other."""


def metro_map(metros: pl.DataFrame, value: str, title: str, unit: str, diverging: bool = False) -> go.Figure:
    """Metros where they lie, coloured by a column.

    Args:
        metros: `city_full`, `zips`, and the column.
        value: the column.
        title: of the colours.
        unit: `$` or `%`.
        diverging: True if values above and below 0 have colours of their own.
    """
    figure = empty_figure(520, showlegend=False)
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
    areas = {name: area for name in metros["city_full"] if (area := find_area(name)) is not None}
    # A pool of the armed forces has no place.
    metros = metros.filter(
        pl.col("city_full").is_in([name for name, area in areas.items() if area.latitude is not None])
    )
    longitudes = [float(areas[name].longitude or 0) for name in metros["city_full"]]
    latitudes = [float(areas[name].latitude or 0) for name in metros["city_full"]]
    values = metros[value].to_list()
    widest = max((abs(v) for v in values if v is not None), default=1)
    smallest = 12 if metros.height <= _MANY_METROS else 6
    money = unit == "$"
    colours = {"colorscale": "RdBu", "cmin": -widest, "cmax": widest} if diverging else {"colorscale": "Cividis"}
    figure.add_trace(
        go.Scatter(
            x=longitudes,
            y=latitudes,
            customdata=metros.select("city_full", "zips").rows(),
            mode="markers",
            marker={
                "size": [smallest + min(22, zips**0.5 * 2) for zips in metros["zips"]],
                "color": values,
                "colorbar": colour_bar_below(title) | {"tickprefix": "$" if money else "", "nticks": 6},
                "line": {"width": 1, "color": "#333333"},
                **colours,
            },
            hovertemplate="%{customdata[0]}<br>%{customdata[1]} zips<br>"
            + ("%{marker.color:$,.0f}" if money else "%{marker.color:.2f}%")
            + "<extra></extra>",
        )
    )
    # A degree of longitude is shorter by the cosine of the latitude, here 38 degrees.
    figure.update_yaxes(visible=False, scaleanchor="x", scaleratio=1.27, range=_range_with(_LATITUDES, latitudes))
    figure.update_xaxes(visible=False, range=_range_with(_LONGITUDES, longitudes))
    return figure


def _range_with(least: tuple[float, float], values: Sequence[float]) -> list[float]:
    """An axis that shows at least a range, and every value two degrees from its ends."""
    return [min(least[0], *(v - 2 for v in values)), max(least[1], *(v + 2 for v in values))]
