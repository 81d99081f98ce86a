"""Make the outlines of this folder from a package of npm.

Run `python -m housing_dashboard.outlines.make` with npm at hand. The package is downloaded by name, version and hash,
nothing of it is installed or executed, and the same input gives the same bytes.

`us-atlas` 3.0.1 (ISC licence) is the cartographic boundaries of the Census of 2017 at 1:10,000,000, which are in the
public domain, as a topology: each border is stored once, as an arc that its two sides share. So both sides of a border
are simplified alike, and no gaps appear.
"""

import base64
import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from housing_dashboard.charts.projection import project
from housing_dashboard.outlines import AREAS, COUNTY, OUTLINES, POINTS, STATE, UNITS_PER_KILOMETRE
from housing_dashboard.outlines.make_areas import areas

PACKAGE = "us-atlas@3.0.1"
SHA512 = "wEIZCq0ImPvGblTd8gZMqNNCPkQshugMUG/8nkSWXb02+XqNFREg9atHOKP9w6prLZTpqcLhSvdBW81MkV3/0Q=="
"""Of the package's archive, as npm publishes it."""
_LEAST_AREA = {STATE: 6.0, COUNTY: 20.0}
"""Square kilometres of the triangle of a point and its neighbours, below which the point is left out."""


def download(folder: Path) -> dict[str, Any]:
    """The topology of counties and states.

    Raises:
        ValueError: the archive is not the one of `SHA512`.
    """
    subprocess.run(["npm", "pack", PACKAGE, "--silent", "--pack-destination", folder], check=True, cwd=folder)
    archive = next(folder.glob("*.tgz"))
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != SHA512:
        raise ValueError(f"{PACKAGE} has the sha512 {digest}, not {SHA512}")
    with tarfile.open(archive) as opened:
        member = opened.extractfile("package/counties-10m.json")
        assert member is not None
        return json.load(member)


def arcs_of(topology: dict[str, Any], layer: str) -> set[int]:
    """Numbers of the arcs that the shapes of a layer use."""

    def numbers(nested: Any) -> Iterator[int]:
        if isinstance(nested, int):
            # A negative number is an arc that is passed backwards: the complement of its own.
            yield nested if nested >= 0 else ~nested
        else:
            for inner in nested:
                yield from numbers(inner)

    return {number for shape in topology["objects"][layer]["geometries"] for number in numbers(shape.get("arcs", []))}


def degrees(topology: dict[str, Any], number: int) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of an arc, whose points are stored as differences of whole numbers."""
    steps = np.cumsum(np.array(topology["arcs"][number], dtype=np.float64), axis=0)
    scaled = steps * topology["transform"]["scale"] + topology["transform"]["translate"]
    return scaled[:, 0], scaled[:, 1]


def simplify(x: np.ndarray, y: np.ndarray, least_area: float) -> np.ndarray:
    """Positions of the points that are kept: without those whose triangle with their neighbours is smaller than an
    area, the smallest first (Visvalingam and Whyatt 1993). The ends are kept, where arcs meet."""
    kept = list(range(len(x)))
    while len(kept) > 2:
        px, py = x[kept], y[kept]
        areas = np.abs(
            (px[1:-1] - px[:-2]) * (py[2:] - py[:-2]) - (px[2:] - px[:-2]) * (py[1:-1] - py[:-2])
        )  # twice the area of each triangle
        smallest = int(np.argmin(areas))
        if areas[smallest] / 2 >= least_area:
            break
        del kept[smallest + 1]
    return np.array(kept)


def as_drawn(x: np.ndarray, y: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray] | None:
    """A border as the map has it: simplified, in whole units; None where it does not show it.

    Args:
        x, y: kilometres.
        kind: `STATE` or `COUNTY`.
    """
    if np.isnan(x).any():
        return None
    # A ring without a neighbour, such as an island, begins where it ends: two points of it would be a line.
    ring = x[0] == x[-1] and y[0] == y[-1]
    kept = simplify(x, y, _LEAST_AREA[kind])
    if ring and len(kept) < 4:
        return None
    across, up = (np.round(axis[kept] * UNITS_PER_KILOMETRE).astype(np.int16) for axis in (x, y))
    return across, up


def outlines(borders: Sequence[tuple[np.ndarray, np.ndarray] | None], kinds: Mapping[str, set[int]]) -> pl.DataFrame:
    """Each border once: `kind` (`state`, also coasts, or `county`), and its points as lists `x` and `y`."""
    shown = [(kind, borders[n]) for kind, numbers in kinds.items() for n in sorted(numbers)]
    rows = [(kind, *(axis.tolist() for axis in border)) for kind, border in shown if border is not None]
    return pl.DataFrame(rows, schema={"kind": pl.String, "x": pl.List(pl.Int16), "y": pl.List(pl.Int16)}, orient="row")


def main() -> None:
    """Write the tables beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        topology = download(Path(folder))
    states = arcs_of(topology, "states")
    counties = arcs_of(topology, "counties") - states
    lines = [degrees(topology, n) for n in range(len(topology["arcs"]))]
    borders = [as_drawn(*project(*line), STATE if n in states else COUNTY) for n, line in enumerate(lines)]
    rings, points = areas(topology["objects"]["counties"]["geometries"], lines, borders)
    tables = {
        OUTLINES: outlines(borders, {STATE: states, COUNTY: counties}),
        AREAS: rings,
        POINTS: points,
    }
    for name, table in tables.items():
        target = Path(__file__).with_name(name)
        table.write_parquet(target, compression="zstd", compression_level=19, statistics=False)


if __name__ == "__main__":
    main()
