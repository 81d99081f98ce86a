"""The map: outlines of states and counties and areas of metros as pictures, and places as dots over them.

All of it comes from data of the package. `places_map` shows it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from housing_dashboard import outlines
from housing_dashboard.charts import colours
from housing_dashboard.charts.projection import EXTENT

_NICE = (1, 2, 3, 5, 10)
_STEPS = {False: {1: 5, 2: 4, 3: 3, 5: 5}, True: {1: 4, 2: 4, 3: 6, 5: 4}}
"""Steps of a scale, also of a diverging one, by the first digit of its end: each is a round number."""
_PRICE_TICKS = (20, 50, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000)
"""Thousands of US dollars at which a scale of prices may begin, end and be labelled."""
_NO_DOT = 0.0
"""Pixels of a dot that is not seen."""
_SHOWN_SHARE = 0.95
"""Share of places within the ends of the scale: a few extreme ones would take its colours from the others."""
_MARGIN = 25.0
"""Kilometres around the places that a zoomed map shows."""
_REACH = 45.0
"""Kilometres around a point within an area in which it answers the mouse."""


@dataclass(frozen=True)
class Scale:
    """Where values lie on a scale of colours.

    Attributes:
        at: of each value, in the units of the scale.
        low, high: its ends.
        ticks: values in its units that are labelled, with their words.
    """

    at: np.ndarray
    low: float
    high: float
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class PlaceMap:
    """A map, as the browser draws it.

    Attributes:
        header: `title` and `unit` of the figures, `signed` (True if they are written with a sign), `pictures` below the
            dots, `extent` (kilometres across and up that are seen), `colours` and `ticks` of the scale, `background`,
            and the `reach` of points within areas in kilometres.
        places: a row for each dot: `name`, `x`, `y`, `size`, `value`, `predicted_low`, `predicted_high`. A painted area
            has a dot that is not seen.
        colours: of each dot: red, green, blue and opacity from 0 to 255, shape (places, 4).
        within: points within areas at which they answer the mouse: `x`, `y`, and the row of their `place`.
    """

    header: dict[str, Any]
    places: pl.DataFrame
    colours: np.ndarray
    within: pl.DataFrame


def place_map(
    places: pl.DataFrame, title: str, unit: str, diverging: bool, theme: str, counties: bool, around: Any = None
) -> PlaceMap:
    """Places where they lie, coloured by their value.

    Args:
        places: `name`, `x`, `y` (kilometres), `size` (pixels), `value`, `predicted_low`, `predicted_high`; `area` where
            they are areas that the map paints, null for those that it shows as dots. Rows without a place or a value
            are left out.
        title: of the colours.
        unit: `$` (colours follow the logarithm) or `%`.
        diverging: True if values above and below 0 have colours of their own.
        theme: `light` or `dark`.
        counties: True to draw the borders of counties as well.
        around: places (`x`, `y`) that the map is zoomed to; None shows the whole country.
    """
    drawn = places.drop_nulls(["x", "y", "value"])
    values = drawn["value"].to_numpy()
    scale = price_scale(values) if unit == "$" else percent_scale(values, diverging)
    stops = colours.of(diverging, theme)
    shades = colours.shades(scale.at, scale.low, scale.high, stops)
    pictures, within = [], pl.DataFrame(schema={"x": pl.Float64, "y": pl.Float64, "place": pl.UInt32})
    if "area" in drawn.columns:
        words = colours.written(shades)
        painted = {area: shade for area, shade in zip(drawn["area"], words, strict=True) if area}
        pictures.append(outlines.painted(painted, colours.BACKGROUND[theme]))
        # A painted area has no dot: it answers the mouse where one would be, and at the points of a grid.
        drawn = drawn.with_columns(pl.when(pl.col("area").is_null()).then("size").otherwise(_NO_DOT).alias("size"))
        of_area = drawn.select("area").with_row_index("place").drop_nulls()
        within = outlines.points().join(of_area, on="area").select("x", "y", "place")
    state, county = colours.BORDER[theme]
    for kind, colour, shown in ((outlines.COUNTY, county, counties), (outlines.STATE, state, True)):
        if shown:
            pictures.append(outlines.drawing(kind, colour))
    header = {
        "title": title,
        "unit": unit,
        "signed": diverging,
        "pictures": [vars(picture) for picture in pictures],
        "extent": _window(around),
        "colours": stops,
        "ticks": [((at - scale.low) / (scale.high - scale.low), word) for at, word in scale.ticks],
        "background": colours.BACKGROUND[theme],
        "reach": _REACH,
    }
    kept = drawn.select("name", "x", "y", "size", "value", "predicted_low", "predicted_high")
    return PlaceMap(header, kept, np.insert(shades, 3, 255, axis=1), within)


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


def price_scale(values: np.ndarray) -> Scale:
    """Logarithms of prices, on a scale that ends and is labelled at round prices."""
    logs = np.log10(values)
    low, high = np.quantile(logs, [1 - _SHOWN_SHARE, _SHOWN_SHARE]) if logs.size else (5.0, 6.0)
    ticks = [math.log10(1e3 * tick) for tick in _PRICE_TICKS]
    first = max((tick for tick in ticks if tick <= low), default=ticks[0])
    last = min((tick for tick in ticks if tick >= high and tick > first), default=ticks[-1])
    first = first if first < last else ticks[-2]  # a scale has two ends, also where all prices are one
    shown = [tick for tick in ticks if first <= tick <= last]
    shown = shown[:: 1 + len(shown) // 7]
    words = [f"${10**tick / 1e3:,.0f}k" if tick < 6 else f"${10**tick / 1e6:g}M" for tick in shown]
    return Scale(logs, first, last, list(zip(shown, words, strict=True)))


def percent_scale(values: np.ndarray, diverging: bool) -> Scale:
    """Values in percent, on a scale around 0 or from it that ends at a round value."""
    end = nice_end(float(np.quantile(np.abs(values), _SHOWN_SHARE)) if values.size else 1.0)
    low = -end if diverging else 0.0
    digit = round(end / 10.0 ** math.floor(math.log10(end) + 1e-9))
    places = np.linspace(low, end, 1 + _STEPS[diverging][digit]).round(9)
    ticks = [(float(place), f"{place:{'+' if diverging and place else ''}g}%") for place in places]
    return Scale(values, low, end, ticks)


def nice_end(most: float) -> float:
    """The least of 1, 2, 3, 5 and 10 times a power of ten that is no less than a positive value. It changes seldom from
    month to month, so that colours keep their meaning while months play."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in _NICE if step * power >= most * (1 - 1e-9))
