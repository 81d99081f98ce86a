"""Rows of one source that come more than once: from several files, or from several addresses."""

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.months import month_of
from housing_assets.core.source.notes import Notes

_KEYS = ["date", "zipcode"]
_LATER = " of the later address"


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


def side_by_side(earlier: pl.DataFrame, later: pl.DataFrame, address: str, notes: Notes) -> pl.DataFrame:
    """The rows of two addresses of one source, joined by zip and month.

    A value that both give is that of the earlier address. Rows of one zip and month that an address has several times
    all stay, as cleaning has to see them.

    Args:
        earlier: rows of the addresses before.
        later: rows of the next address, with the same columns.
        address: of `later`, for notes.
        notes: receives how many rows both give, and how many values differ.
    """
    names = [name for name in earlier.columns if name not in _KEYS]
    both = later.join(earlier, on=_KEYS, how="semi").height
    if not both:
        return pl.concat([earlier, later])
    joined = earlier.join(later, on=_KEYS, how="full", coalesce=True, suffix=_LATER, maintain_order="left_right")
    differing = joined.select(pl.sum_horizontal((pl.col(n) != pl.col(f"{n}{_LATER}")).sum() for n in names)).item()
    notes.add(f"{address}: rows of zips and months that an address before it gives too", both)
    notes.add(f"{address}: values that an address before it gives otherwise: the address named first wins", differing)
    return joined.select(*_KEYS, *(pl.coalesce(n, f"{n}{_LATER}").alias(n) for n in names))
