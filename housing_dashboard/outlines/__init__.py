"""Borders of states and counties and areas of metros as the map draws them: small tables, and what makes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import polars as pl

STATE, COUNTY = "state", "county"
OUTLINES, AREAS, POINTS = "outlines.parquet", "areas.parquet", "points.parquet"
"""Tables of this folder: borders, rings around areas, and points within them."""
UNITS_PER_KILOMETRE = 10
"""Coordinates are stored as whole tenths of a kilometre, which fit in 16 bits."""


@dataclass(frozen=True)
class Drawing:
    """A picture of borders or areas and where the map has it.

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
        kind: `STATE` (with coasts) or `COUNTY` (without those that are borders of states).
        colour: of the lines, as CSS has it.
    """
    lines = _table(kind)
    left, top, *_ = box = _box(lines)
    path = "".join(_line(x, y, left, top) for x, y in lines.select("x", "y").iter_rows())
    return _picture(f'<path d="{path}" fill="none" stroke="{colour}" vector-effect="non-scaling-stroke"/>', box)


def painted(colour_by_area: Mapping[str, str], edge: str) -> Drawing:
    """Areas as a picture, each filled with its colour.

    Args:
        colour_by_area: those of `areas`, by their code.
        edge: the colour of the lines between them.
    """
    # Paths are quoted once: each month that plays paints all of them.
    mark = f'" stroke="{edge}" stroke-width="0.5" fill-rule="evenodd" vector-effect="non-scaling-stroke"/>'
    before, between, after = (_quoted(part) for part in ('<path d="', '" fill="', mark))
    paths = _paths()
    shapes = (f"{before}{paths[area]}{between}{_quoted(colour)}{after}" for area, colour in colour_by_area.items())
    left, top, width, height = _box_of_areas()
    # Plotly takes two pictures of one place and size for the same one: the borders of states end there too.
    return _picture("".join(shapes), (left, top, width + 1, height + 1), quoted=True)


@cache
def areas() -> frozenset[str]:
    """Codes of the areas that can be painted: of metros, and of states for their parts without a metro."""
    return frozenset(_paths())


@cache
def points() -> pl.DataFrame:
    """A grid of points within areas: `area`, `x` and `y` in kilometres."""
    table = pl.read_parquet(Path(__file__).with_name(POINTS))
    return table.with_columns(pl.col("x", "y").cast(pl.Float64) / UNITS_PER_KILOMETRE)


def _areas() -> pl.DataFrame:
    return pl.read_parquet(Path(__file__).with_name(AREAS))


@cache
def _box_of_areas() -> tuple[int, int, int, int]:
    return _box(_areas())


@cache
def _paths() -> dict[str, str]:
    """The outline of each area, as SVG writes it in an address."""
    table = _areas()
    left, top, *_ = _box(table)
    paths: dict[str, str] = {}
    for area, x, y in table.iter_rows():
        paths[area] = paths.get(area, "") + _line(x, y, left, top)
    return paths


def _box(lines: pl.DataFrame) -> tuple[int, int, int, int]:
    """Left, top, width and height of lines, in their units."""
    (left, right), (low, top) = (
        lines.select(pl.col(axis).list.min().min().alias("a"), pl.col(axis).list.max().max().alias("b")).row(0)
        for axis in ("x", "y")
    )
    return left, top, right - left, top - low


def _picture(shapes: str, box: tuple[int, int, int, int], quoted: bool = False) -> Drawing:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {box[2]} {box[3]}" preserveAspectRatio="none">',
        "</svg>",
    )
    begin, end = (_quoted(part) for part in head)
    ends = (size / UNITS_PER_KILOMETRE for size in box)
    return Drawing(f"data:image/svg+xml,{begin}{shapes if quoted else _quoted(shapes)}{end}", *ends)


def _quoted(svg: str) -> str:
    return quote(svg, safe=" =:/,-().")


def _line(x: list[int], y: list[int], left: int, top: int) -> str:
    """A border as SVG writes it: where it begins, and each step from there. `y` goes down."""
    steps = " ".join(f"{b - a} {c - d}" for (a, b), (c, d) in zip(pairwise(x), pairwise(y), strict=True))
    return f"M{x[0] - left} {top - y[0]}l{steps}"


def _table(kind: str) -> pl.DataFrame:
    return pl.read_parquet(Path(__file__).with_name(OUTLINES)).filter(kind=kind)
