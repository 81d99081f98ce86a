"""Rows of one zip and month that a file gives more than once.

What belongs here: keys of rows, small enough to hold for a whole file. What does not: the rows themselves, which are
gone once they were given.
"""

from datetime import date, timedelta

import numpy as np
import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.months import month_of
from housing_assets.core.source.notes import Notes

_FIRST_DAY = date(1900, 1, 1)
"""No row is earlier: `read_days` takes none."""
_MOST_DIFFERING = 0.01
"""Share of rows up to which a row that contradicts another is a slip of the publisher, and no second kind of rows."""
_DAYS = 100_000
"""More than there are from the first day to the last one that `read_days` takes."""


class RowKeys:
    """The zip, month and figures of each row of a file in 16 bytes: the nation's file has millions of rows."""

    def __init__(self) -> None:
        self._keys: list[pl.Series] = []
        self._rows: list[pl.Series] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Remember rows of `date` (month end), `zipcode` and figures."""
        days = rows["date"].to_physical().cast(pl.Int64) - (_FIRST_DAY - date(1970, 1, 1)).days
        self._keys.append(rows["zipcode"].cast(pl.Int64) * _DAYS + days)
        self._rows.append(rows.drop("date", "zipcode").hash_rows())

    def note_repeats(self, name: str, notes: Notes) -> None:
        """Note the rows that repeat another one, and those that say something else of its zip and month.

        What follows takes the first row of a zip and month.

        Args:
            name: of the file.
            notes: receives both, with counts.

        Raises:
            SourceError: more than `_MOST_DIFFERING` of the rows say something else, so that the file has rows of two
                kinds, and nothing tells which of them is meant.
        """
        keys = _joined(self._keys)
        if not _alike(np.sort(keys)).any():  # many times faster than the order of rows, which few files need
            return
        order = np.argsort(keys, kind="stable")
        keys, rows = keys[order], _joined(self._rows)[order]
        repeated = _alike(keys)
        differing = np.flatnonzero(repeated & ~_alike(rows))
        notes.add(f"{name}: rows given more than once", int(np.count_nonzero(repeated)) - differing.size)
        if not differing.size:
            return
        key = int(keys[differing[0]])
        zipcode, days = divmod(key, _DAYS)
        month = month_of(_FIRST_DAY + timedelta(days=days))
        if differing.size > _MOST_DIFFERING * keys.size:
            raise SourceError(
                f"{name}: ZIP code {zipcode:05d} has {np.count_nonzero(keys == key)} rows of {month} that differ, and "
                f"{differing.size:,} of {keys.size:,} rows are like that: keep one of them"
            )
        example = f"for example of ZIP code {zipcode:05d} in {month}"
        notes.add(
            f"{name}: rows that differ from the first one of their zip and month, which counts ({example})",
            differing.size,
        )


def _joined(parts: list[pl.Series]) -> np.ndarray:
    return np.concatenate([part.to_numpy() for part in parts])


def _alike(values: np.ndarray) -> np.ndarray:
    """Where a value is the one before it; one shorter than the values."""
    return values[1:] == values[:-1]
