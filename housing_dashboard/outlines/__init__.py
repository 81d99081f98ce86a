"""Borders of states and counties as the map draws them: a small table, and the script that makes it."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl

STATE, COUNTY = "state", "county"
UNITS_PER_KILOMETRE = 10
"""Coordinates are stored as whole tenths of a kilometre, which fit in 16 bits."""


@dataclass(frozen=True)
class Drawing:
    """A picture of borders and where the map has it.

    Attributes:
        source: the picture, an address that holds all of its content.
        left, top: of its upper left corner, kilometres.
        width, height: kilometres.
    """

    source: str
    left: float
    top: float
    width: float
    height: float


@cache
def drawing(kind: str, colour: str) -> Drawing:
    """The borders of states or counties as a picture: lines a pixel wide at any size.

    Args:
        kind: `STATE` or `COUNTY`, as for `borders`.
        colour: of the lines, as CSS has it.
    """
    lines = _table(kind).select("x", "y").rows()
    across, up = ([value for line in lines for value in line[axis]] for axis in (0, 1))
    left, top = min(across), max(up)
    width, height = max(across) - left, top - min(up)
    path = "".join(_line(x, y, left, top) for x, y in lines)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
        f'<path d="{path}" fill="none" stroke="{colour}" vector-effect="non-scaling-stroke"/></svg>'
    )
    ends = (size / UNITS_PER_KILOMETRE for size in (left, top, width, height))
    return Drawing(f"data:image/svg+xml,{quote(svg, safe=' =:/,-().')}", *ends)


def _line(x: list[int], y: list[int], left: int, top: int) -> str:
    """A border as SVG writes it: where it begins, and each step from there. `y` goes down."""
    steps = " ".join(f"{b - a} {c - d}" for (a, b), (c, d) in zip(pairwise(x), pairwise(y), strict=True))
    return f"M{x[0] - left} {top - y[0]}l{steps}"


def _table(kind: str) -> pl.DataFrame:
    return pl.read_parquet(Path(__file__).with_name("outlines.parquet")).filter(kind=kind)


@cache
def borders(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The borders of states or counties as one line with a gap (NaN) after each border.

    Args:
        kind: `STATE` (with coasts) or `COUNTY` (without those that are borders of states).

    Returns:
        Kilometres as `charts.projection.project` gives them, two arrays of one shape.
    """
    table = _table(kind)
    gap = pl.lit([None], dtype=pl.List(pl.Int16))
    x, y = (table.select(pl.col(axis).list.concat(gap).explode())[axis].cast(pl.Float64) for axis in ("x", "y"))
    # Rounded, or a tenth would be sent with sixteen digits.
    return (x / UNITS_PER_KILOMETRE).round(1).to_numpy(), (y / UNITS_PER_KILOMETRE).round(1).to_numpy()
