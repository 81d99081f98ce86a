"""The newest labels of each zip, in whatever order the months of a file come."""

import polars as pl

from housing_assets.core.source.formats import LABELS_SCHEMA

_LABELS = tuple(name for name in LABELS_SCHEMA if name != "zipcode")

_WAITING_ROWS = 250_000
"""Rows that are merged at a time: a merge takes as long for a few rows as for many."""


class NewestLabels:
    """Of each zip and label, the one of the newest month that has it. Of several of that month, the last one."""

    def __init__(self) -> None:
        self._waiting: list[pl.DataFrame] = []
        self._known: dict[str, pl.DataFrame] = {}
        self._zips = pl.Series("zipcode", dtype=pl.String)

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows of `date`, `zipcode` and labels; their other columns are passed over."""
        self._waiting.append(rows.select("date", "zipcode", *(n for n in _LABELS if n in rows.columns)))
        if sum(frame.height for frame in self._waiting) >= _WAITING_ROWS:
            self._merge()

    def table(self) -> pl.DataFrame:
        """One row of `LABELS_SCHEMA` for each zip that was added, by zip."""
        self._merge()
        table = self._zips.sort().to_frame()
        for known in self._known.values():
            table = table.join(known.drop("date"), on="zipcode", how="left", maintain_order="left")
        missing = [pl.lit(None, LABELS_SCHEMA[n]).alias(n) for n in _LABELS if n not in table.columns]
        return table.with_columns(missing).select(list(LABELS_SCHEMA))

    def _merge(self) -> None:
        if not self._waiting:
            return
        rows = pl.concat(self._waiting)
        self._waiting.clear()
        self._zips = pl.concat([self._zips, rows["zipcode"]]).unique()
        for name in rows.columns[2:]:
            given = rows.select("date", "zipcode", name).drop_nulls()
            known = [self._known[name], given] if name in self._known else [given]
            # Each label has its own date: the newest row of a zip may lack one that an older row has.
            self._known[name] = pl.concat(known).sort("date", maintain_order=True).unique("zipcode", keep="last")
