"""Rows of one source that come more than once: from several files, or from several addresses."""

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.months import month_of
from housing_assets.core.source.notes import Notes

_KEYS = ["date", "zipcode"]


class Agreement:
    """Whether the files of one address say the same of a zip and month that several of them have."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._seen: list[pl.DataFrame] = []

    def add(self, file: str, frame: pl.DataFrame) -> None:
        """Remember rows of a file."""
        hashed = frame.select(*_KEYS, frame.hash_rows().alias("row"))
        self._seen.append(hashed.with_columns(pl.lit(file).cast(pl.Categorical).alias("file")))

    def require(self) -> None:
        """Refuse two files that say different things about the same zips of a month.

        Raises:
            SourceError: two files disagree; it names them, the month and a zip.
        """
        rows = pl.concat(self._seen)
        of_file = rows.group_by(*_KEYS, "file").agg(pl.col("row").unique().sort())
        differing = of_file.group_by(_KEYS).agg(
            pl.col("file").cast(pl.String).sort(), pl.col("row").n_unique().alias("kinds")
        )
        wrong = differing.filter(pl.col("kinds") > 1).sort(_KEYS).head(1)
        for day, zipcode, files, _ in wrong.iter_rows():
            raise SourceError(
                f"{self._uri}: {files[0]} and {files[1]} disagree about {month_of(day)} (for example ZIP {zipcode}): "
                "keep that month in one of them"
            )


class FirstWins:
    """Rows of several addresses of one source: of each zip and month, those of the first address that has it."""

    def __init__(self) -> None:
        self._taken = pl.DataFrame(schema={"date": pl.Date(), "zipcode": pl.String(), "row": pl.UInt64()})
        self._own: list[pl.DataFrame] = []
        self._repeated = self._differing = 0

    def take(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows whose zip and month no earlier address has."""
        hashed = rows.select(*_KEYS, rows.hash_rows().alias("row"))
        self._own.append(hashed)
        again = hashed.join(self._taken, on=_KEYS, how="semi")
        self._repeated += again.height
        self._differing += again.join(self._taken, on=[*_KEYS, "row"], how="anti").height
        return rows.join(self._taken, on=_KEYS, how="anti", maintain_order="left") if again.height else rows

    def next_address(self, address: str, notes: Notes) -> None:
        """Close an address: its rows come before those of the next one."""
        if self._repeated:
            notes.add(f"{address}: rows that an address before it gives too and that were left out", self._repeated)
            notes.add(f"{address}: of these, rows that say something else: the address named first wins",
                      self._differing)  # fmt: skip
        self._taken = pl.concat([self._taken, *self._own])
        self._own, self._repeated, self._differing = [], 0, 0
