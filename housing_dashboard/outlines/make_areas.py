"""Make the areas of metros from the same topology as the outlines.

A county belongs to the metro of most of its people, by the zips that lie in it (`places.zip_table`), and counties in no
metro to their state's part without one. Counties of one area are merged by leaving out the borders between them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from housing_assets.core.panel.places import zip_table
from housing_dashboard.outlines import UNITS_PER_KILOMETRE

GRID = 60.0
"""Kilometres between the points at which an area answers the mouse."""
Rings = list[tuple[np.ndarray, np.ndarray]]
Arc = tuple[np.ndarray, np.ndarray]


def inside(rings: Rings, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """True for points that lie in a shape: a line from them to the right crosses its rings an odd number of times."""
    within = np.zeros(len(x), bool)
    for ring_x, ring_y in rings:
        near = np.flatnonzero((x <= ring_x.max()) & (y >= ring_y.min()) & (y <= ring_y.max()))
        across, up = x[near, None], y[near, None]
        x0, y0, x1, y1 = ring_x[:-1], ring_y[:-1], ring_x[1:], ring_y[1:]
        passed = (y0 > up) != (y1 > up)
        # A level side is never passed.
        slope = np.divide(x1 - x0, y1 - y0, out=np.zeros_like(x0), where=y1 != y0)
        within[near] ^= (passed & (across < x0 + (up - y0) * slope)).sum(axis=1) % 2 == 1
    return within


def rings_of(shape: dict[str, Any]) -> list[list[int]]:
    """The rings of a shape as numbers of arcs; a negative number is the complement of one that is passed backwards."""
    polygons = shape.get("arcs", []) if shape["type"] == "MultiPolygon" else [shape.get("arcs", [])]
    return [ring for polygon in polygons for ring in polygon]


def drawn(ring: Sequence[int], arcs: Sequence[Arc]) -> Arc:
    """The points of a ring."""
    parts = [arcs[n] if n >= 0 else (arcs[~n][0][::-1], arcs[~n][1][::-1]) for n in ring]
    return tuple(np.concatenate([part[axis] for part in parts]) for axis in (0, 1))  # pyright: ignore[reportReturnType]


def areas_of_counties(counties: Sequence[dict[str, Any]], arcs: Sequence[Arc]) -> dict[str, str]:
    """The area of each county by its code: the code of a metro, or of a state for its part without one.

    Args:
        counties: their shapes.
        arcs: longitudes and latitudes.
    """
    zips = zip_table().drop_nulls(["latitude", "state"])
    longitude, latitude = zips["longitude"].to_numpy(), zips["latitude"].to_numpy()
    found = np.full(zips.height, "", dtype="U5")
    for county in counties:
        found[inside([drawn(ring, arcs) for ring in rings_of(county)], longitude, latitude)] = county["id"]
    placed = zips.with_columns(pl.Series("county", found)).filter(pl.col("county") != "")
    # Zips without people decide where no others are.
    people = (pl.col("population") + 0.001).sum().alias("people")
    area = pl.coalesce("cbsa", "state").alias("area")
    by_area = placed.group_by("county", area).agg(people).sort("people", "area")
    of_county = dict(by_area.group_by("county", maintain_order=True).agg(pl.col("area").last()).iter_rows())
    state_of = dict(placed.select(pl.col("county").str.slice(0, 2), "state").iter_rows())
    return {c["id"]: of_county.get(c["id"]) or state_of[c["id"][:2]] for c in counties if c["id"][:2] in state_of}


def merged(shapes: Sequence[dict[str, Any]], ends: Sequence[tuple[Any, Any]]) -> Iterator[list[int]]:
    """Rings around several shapes together: arcs between two of them, which both have, are left out.

    Args:
        shapes: to merge.
        ends: where each arc begins and ends.
    """
    counts = Counter(n for shape in shapes for ring in rings_of(shape) for n in ring)
    outer = {n for n in counts if ~n not in counts}
    begins: dict[Any, list[int]] = {}
    for n in sorted(outer):
        begins.setdefault(ends[n][0] if n >= 0 else ends[~n][1], []).append(n)
    while begins:
        start, at = next((point, point) for point in begins)
        ring: list[int] = []
        while at in begins:
            n = begins[at].pop()
            if not begins[at]:
                del begins[at]
            ring.append(n)
            at = ends[n][1] if n >= 0 else ends[~n][0]
            if at == start:
                break
        yield ring


def areas(
    counties: Sequence[dict[str, Any]], degrees: Sequence[Arc], simplified: Sequence[Arc | None]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The areas, and points within them.

    Args:
        counties: their shapes.
        degrees: longitudes and latitudes of each arc.
        simplified: each arc as the outlines have it, whole units of the map; None where the map does not show it.

    Returns:
        Rings as `area` and lists `x` and `y`; points of a grid as `area`, `x` and `y`.
    """
    of_county = areas_of_counties(counties, degrees)
    shapes: dict[str, list[dict[str, Any]]] = {}
    for county in counties:
        if county["id"] in of_county:
            shapes.setdefault(of_county[county["id"]], []).append(county)
    ends = [((x[0], y[0]), (x[-1], y[-1])) for x, y in degrees]
    rings, points = [], []
    for area in sorted(shapes):
        outer: Rings = []
        for numbers in merged(shapes[area], ends):
            # An arc that is not shown ends where it begins: islands, and loops too small to see.
            shown = [n for n in numbers if simplified[n if n >= 0 else ~n] is not None]
            if not shown:
                continue
            x, y = drawn(shown, simplified)  # pyright: ignore[reportArgumentType]
            if len(x) > 3:
                outer.append((x, y))
                rings.append((area, x.tolist(), y.tolist()))
        points += [(area, *point) for point in grid_within(outer)]
    lists = {"area": pl.String, "x": pl.List(pl.Int16), "y": pl.List(pl.Int16)}
    numbers = {"area": pl.String, "x": pl.Int16, "y": pl.Int16}
    return pl.DataFrame(rings, schema=lists, orient="row"), pl.DataFrame(points, schema=numbers, orient="row")


def grid_within(rings: Rings) -> list[tuple[int, int]]:
    """Points of a grid over the map that lie in a shape."""
    if not rings:
        return []
    step = round(GRID * UNITS_PER_KILOMETRE)
    low, high = ([edge(axis) for axis in map(np.concatenate, zip(*rings, strict=True))] for edge in (np.min, np.max))
    across, up = (np.arange(-(-a // step) * step, b + 1, step) for a, b in zip(low, high, strict=True))
    x, y = (axis.ravel().astype(float) for axis in np.meshgrid(across, up))
    within = inside([(a.astype(float), b.astype(float)) for a, b in rings], x, y)
    return [(int(a), int(b)) for a, b in zip(x[within], y[within], strict=True)]
