"""Rows that arrive in any order, sorted by month and zip in memory that holds them once."""

import hashlib
from collections.abc import Iterator

import numpy as np
import polars as pl

from housing_assets.core.errors import StoreError
from housing_assets.core.months import month_of
from housing_assets.core.prefetch import prefetch_map

_GATHERED_ROWS = 500_000
"""Rows that are split into months at a time: a publisher's blocks are smaller and of all months."""
_DIGEST_LENGTH = 16
"""Hexadecimal digits of a month's digest: 64 bits, for a few hundred months."""
_NO_TEXT = 0xFFFFFFFF
"""Length that stands for null in the digest: longer than any text."""


class MonthlySort:
    """Rows gathered by month.

    A sort of the whole frame would hold it twice. Here rows are split into months as they arrive, with texts as codes,
    and each month is sorted by itself. Rows of one zip and month keep their order.

    Attributes:
        columns: `date`, `zipcode`, then the others as they came.
        months: in order; set by `finish`.
        digests: of the rows of each month; set by `finish`.
        rows: in all.
    """

    def __init__(self, name: str) -> None:
        """Make an empty one.

        Args:
            name: of the source, for messages.
        """
        self._name = name
        self._waiting: list[pl.DataFrame] = []
        self._by_month: dict[str, list[pl.DataFrame]] = {}
        self._zips: set[str] = set()
        self.columns: tuple[str, ...] = ()
        self.months: list[str] = []
        self.digests: dict[str, str] = {}
        self.rows = 0

    @property
    def zips(self) -> int:
        """How many different ones were added."""
        return len(self._zips)

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows.

        Raises:
            StoreError: a column is missing or is none of the first frame's, or a row has no date or zip.
        """
        if not self.columns:
            self.columns = ("date", "zipcode", *(c for c in frame.columns if c not in ("date", "zipcode")))
        if absent := set(self.columns) ^ set(frame.columns):
            raise StoreError(
                f"rows of {self._name} do not have the same columns in every part: {', '.join(sorted(absent))}. "
                "Give `date`, `zipcode` and the same others in each"
            )
        for name in ("date", "zipcode"):
            if missing := frame[name].null_count():
                raise StoreError(f"{missing} rows of {self._name} have no {name}: leave them out and note their number")
        if frame.height:
            self.rows += frame.height
            compact = frame.select(_at_month_end(frame["date"]), *(_compact(frame[name]) for name in self.columns[1:]))
            self._zips.update(compact["zipcode"].unique().cast(pl.String))
            self._waiting.append(compact)
            if sum(f.height for f in self._waiting) >= _GATHERED_ROWS:
                self._split()

    def finish(self) -> str:
        """Sort what was added; returns the sha256 of the rows, which depends on them and their columns alone.

        Raises:
            StoreError: there are no rows.
        """
        self._split()
        if not self.rows:
            raise StoreError(f"{self._name} has no rows: a vintage has at least one. Check what was published")
        self.months = sorted(self._by_month)
        zips = sorted(self._zips)
        ranks, texts = _ranks(zips), _as_bytes(zips)
        header = "\0".join(self.columns).encode()

        def sort_month(month: str) -> tuple[pl.DataFrame, "hashlib._Hash"]:
            frame = pl.concat(self._by_month[month]).rechunk()
            places = ranks[frame["zipcode"].to_physical().to_numpy()]
            if (places[1:] < places[:-1]).any():
                order = np.argsort(places, kind="stable")
                frame, places = frame[order], places[order]
            of_month = hashlib.sha256(header)
            for column in frame:
                if column.name == "zipcode" and texts is not None:
                    _feed_texts(of_month, texts[places])
                else:
                    _feed(of_month, column)
            return frame, of_month

        digest = hashlib.sha256(header)
        sorted_months = prefetch_map(sort_month, self.months, "sort")
        for month, (frame, of_month) in zip(self.months, sorted_months, strict=True):
            digest.update(of_month.digest())
            self.digests[month] = of_month.hexdigest()[:_DIGEST_LENGTH]
            self._by_month[month] = [frame]
        return digest.hexdigest()

    def groups(self, least_rows: int) -> Iterator[pl.DataFrame]:
        """The sorted rows in frames that end with months and have at least so many rows, but for the last.

        Each month is let go once it was given: this can be called once, after `finish`.
        """
        waiting: list[pl.DataFrame] = []
        for month in self.months:
            waiting += self._by_month.pop(month)
            if sum(f.height for f in waiting) >= least_rows:
                yield _plain(pl.concat(waiting))
                waiting = []
        if waiting:
            yield _plain(pl.concat(waiting))

    def _split(self) -> None:
        if not self._waiting:
            return
        frame = pl.concat(self._waiting)
        self._waiting = []
        for day, part in frame.partition_by("date", maintain_order=True, as_dict=True).items():
            self._by_month.setdefault(month_of(day[0]), []).append(part)


def _ranks(zips: list[str]) -> np.ndarray:
    """The place of each code of zips in the order of their texts: texts are compared once, not once a month."""
    codes = pl.Series(zips, dtype=pl.Categorical).to_physical().to_numpy()
    # The narrowest integers that hold the places: numpy sorts those of 16 bits by their digits, which is much faster.
    ranks = np.zeros(codes.max() + 1, np.min_scalar_type(codes.size))
    ranks[codes] = np.arange(codes.size)
    return ranks


def _as_bytes(zips: list[str]) -> np.ndarray | None:
    """Texts as bytes of one length, shape (n,); None where their lengths differ, as those of no zip codes do."""
    texts = np.array([text.encode() for text in zips])
    return texts if all(len(text) == texts.itemsize for text in zips) else None


def _at_month_end(dates: pl.Series) -> pl.Series:
    days = dates.unique()  # far fewer than rows, and mostly the ends of months already
    return dates if (days.dt.month_end() == days).all() else dates.dt.month_end()


def _compact(column: pl.Series) -> pl.Series:
    return column.cast(pl.Categorical) if column.dtype == pl.String else column


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String)).rechunk()


def _feed_texts(digest: "hashlib._Hash", texts: np.ndarray) -> None:
    """Add texts of one length to a digest, as `_feed` adds those of a column."""
    digest.update(np.full(texts.size, texts.itemsize, np.uint32).data)
    digest.update(texts.tobytes())


def _feed(digest: "hashlib._Hash", column: pl.Series) -> None:
    """Add the values of a column to a digest, in a form that no library decides."""
    if column.dtype == pl.Categorical:
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        lengths = column.str.len_bytes().fill_null(_NO_TEXT).cast(pl.UInt32)
        text = column.drop_nulls().to_arrow(compat_level=pl.CompatLevel.oldest())
        digest.update(lengths.to_numpy().data)
        if len(text):
            digest.update(text.buffers()[2])
        return
    values = column.to_physical()
    if not values.null_count():
        digest.update(np.zeros(values.len(), np.uint8).data)
        digest.update(np.ascontiguousarray(values.to_numpy()).data)
        return
    digest.update(values.is_null().cast(pl.UInt8).to_numpy().data)
    digest.update(values.fill_null(0).to_numpy().data)
