"""Gaps: the source has no nulls, and codes some missing values as 0. Which ones, the schema says in `Column.zero`.

The same rule twice, for frames and for arrays: one row over HTTP has no time for a frame.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import polars as pl

from housing_assets.core.panel.schema import BY_NAME, NUMBERS, Zero

_CENSUS_COLUMN = "Total Population"
"""Where this is 0, the census has no figures of the zip."""


@cache
def null_gaps() -> list[pl.Expr]:
    """The columns in which a 0 can stand for a gap, with null for it. Built once: to build takes longer."""
    no_census = pl.col(_CENSUS_COLUMN) == 0
    return [
        pl.when(pl.col(c.name) == 0 if c.zero is Zero.MISSING else (pl.col(c.name) == 0) & no_census)
        .then(None)
        .otherwise(pl.col(c.name))
        .alias(c.name)
        for name in NUMBERS
        if (c := BY_NAME[name]).zero is not Zero.VALUE
    ]


class GapRule:
    """The rule for arrays whose columns are numbers of the panel."""

    def __init__(self, columns: Sequence[str]) -> None:
        """Look up the columns.

        Args:
            columns: names of the arrays' columns, of which `Total Population` is one.
        """
        zeros = [BY_NAME[name].zero for name in columns]
        self._missing = np.array([zero is Zero.MISSING for zero in zeros])
        self._missing_with_census = np.array([zero is Zero.MISSING_WITH_CENSUS for zero in zeros])
        self._population = columns.index(_CENSUS_COLUMN)

    def apply(self, numbers: np.ndarray) -> None:
        """Write NaN in place of each gap of an array of shape (n, columns)."""
        zero = numbers == 0
        no_census = zero[:, self._population, None]
        numbers[zero & (self._missing | (no_census & self._missing_with_census))] = np.nan
