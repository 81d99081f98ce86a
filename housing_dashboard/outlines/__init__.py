"""Borders of states and counties as the map draws them: a small table, and the script that makes it."""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

STATE, COUNTY = "state", "county"
UNITS_PER_KILOMETRE = 10
"""Coordinates are stored as whole tenths of a kilometre, which fit in 16 bits."""


@cache
def borders(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The borders of states or counties as one line with a gap (NaN) after each border.

    Args:
        kind: `STATE` (with coasts) or `COUNTY` (without those that are borders of states).

    Returns:
        Kilometres as `charts.projection.project` gives them, two arrays of one shape.
    """
    table = pl.read_parquet(Path(__file__).with_name("outlines.parquet")).filter(kind=kind)
    gap = pl.lit([None], dtype=pl.List(pl.Int16))
    x, y = (table.select(pl.col(axis).list.concat(gap).explode())[axis].cast(pl.Float64) for axis in ("x", "y"))
    # Rounded, or a tenth would be sent with sixteen digits.
    return (x / UNITS_PER_KILOMETRE).round(1).to_numpy(), (y / UNITS_PER_KILOMETRE).round(1).to_numpy()
