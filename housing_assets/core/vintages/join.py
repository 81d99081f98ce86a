"""Several sources as one panel, month by month.

The rows are those of the sources that give a price. Of each column, the source that is named first wins. Census and
amenities change slowly: where a row has none, it gets those of the zip's last known month, never of a later one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.months import month_of
from housing_assets.core.panel.schema import BY_NAME, COLUMN_NAMES, COLUMNS, Role, Zero

SLOW: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.role in (Role.CENSUS, Role.AMENITY))
"""Columns that are carried forward."""
LABELS: tuple[str, ...] = ("city_full", "city", "state")
"""Columns that are of a zip whatever the month; `state` is there only where a source gives it."""
SAME = 1e-6
"""Relative difference up to which two sources say the same: one of them may round."""

_MISSING_ZERO = frozenset(c.name for c in COLUMNS if c.zero is not Zero.VALUE)


@dataclass(frozen=True)
class JoinedPanel:
    """Sources as one panel.

    Attributes:
        panel: by month and zip, in the contract's columns, and `state` where a source gives it.
        differences: by column and the two sources, the rows in which both have a value and not the same.
        without_price: by source, rows that no source with prices has: they are left out.
    """

    panel: pl.DataFrame
    differences: Mapping[tuple[str, str, str], int]
    without_price: Mapping[str, int]


def join_sources(frames: Mapping[str, pl.DataFrame]) -> JoinedPanel:
    """Join sources that are in memory; see `PanelJoin` for those that are not.

    Args:
        frames: tidy rows by the source's name, in the order of their addresses.

    Raises:
        SourceError: none of them gives a price.
    """
    join = PanelJoin({name: frame.columns for name, frame in frames.items()}, labels_of(frames.values()))
    by_month = {name: _by_month(frame) for name, frame in frames.items()}
    months = sorted({month for parts in by_month.values() for month in parts})
    rows = [join.month({name: parts[m] for name, parts in by_month.items() if m in parts}) for m in months]
    panel = pl.concat(rows) if rows else pl.DataFrame(schema=join.schema)
    return JoinedPanel(panel, dict(join.differences), dict(join.without_price))


def labels_of(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Each zip's newest label of the first frame that has one: `zipcode`, and those of `LABELS` that there are.

    Args:
        frames: with `zipcode`, in the order of their addresses; rows by month.
    """
    labels = pl.DataFrame(schema={"zipcode": pl.String()})
    for frame in frames:
        names = [name for name in LABELS if name in frame.columns]
        if not names:
            continue
        newest = frame.group_by("zipcode").agg(pl.col(n).drop_nulls().last() for n in names)
        labels = labels.join(newest, on="zipcode", how="full", coalesce=True, suffix=" later")
        both = [n for n in names if f"{n} later" in labels.columns]
        labels = labels.with_columns(pl.coalesce(n, f"{n} later").alias(n) for n in both).drop(
            f"{n} later" for n in both
        )
    return labels.sort("zipcode")


@dataclass
class PanelJoin:
    """Joins months that are given in order.

    Attributes:
        columns: of each source, by its name, in the order of their addresses.
        labels: as `labels_of` gives them; fill rows whose own label is missing.
        differences, without_price: as of `JoinedPanel`, of the months so far.
    """

    columns: Mapping[str, Sequence[str]]
    labels: pl.DataFrame
    differences: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    without_price: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Check the columns.

        Raises:
            SourceError: no source gives a price.
        """
        if not any("price" in names for names in self.columns.values()):
            raise SourceError(
                f"no source gives prices: {', '.join(self.columns)}. Name one that does in HOUSING_SOURCE_URI, "
                "such as the word zillow"
            )
        given = {name for names in self.columns.values() for name in names} | set(self.labels.columns)
        # Expressions of columns that no source gives would take most of the time of a month.
        self._given = [name for name in self.schema if name in given and name not in ("date", "zipcode", "year")]
        self._carries = [name for name in SLOW if name in given] if len(self.columns) > 1 else []
        self._slow = pl.DataFrame(schema={"zipcode": pl.String(), **{name: pl.Float64() for name in self._carries}})

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """Of the rows of a month."""
        has_state = "state" in self.labels.columns and "state" not in COLUMN_NAMES
        extra: dict[str, pl.DataType] = {"state": pl.String()} if has_state else {}
        return {name: BY_NAME[name].dtype for name in COLUMN_NAMES} | extra

    def month(self, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """The rows of one month, by zip; months must be given in order, since slow columns are carried from them.

        Args:
            frames: its rows by source; a source without rows of it may be left out. Rows of one zip that a source has
                several times all stay, as cleaning has to see them.
        """
        ordered = {name: frames[name] for name in self.columns if name in frames}
        pieces, taken = [], pl.Series(dtype=pl.String())
        for name, frame in ordered.items():
            if "price" in frame.columns:
                own = frame.filter(~pl.col("zipcode").is_in(taken.implode()))
                taken = pl.concat([taken, own["zipcode"].unique()])
                pieces.append(self._filled(name, own, ordered))
        for name, frame in ordered.items():
            if left_out := frame.filter(~pl.col("zipcode").is_in(taken.implode())).height:
                self.without_price[name] += left_out
        if not pieces:
            return pl.DataFrame(schema=self.schema)
        rows = self._carried(pl.concat(pieces)).sort("zipcode", maintain_order=True)
        absent = [pl.lit(None, dtype).alias(n) for n, dtype in self.schema.items() if n not in rows.columns]
        return rows.with_columns(absent).select(*self.schema)

    def _filled(self, own: str, rows: pl.DataFrame, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """Rows of one source with the columns that any gives."""
        names = self._given
        joined = rows.select("date", "zipcode", *(pl.col(n).alias(f"{own} {n}") for n in names if n in rows.columns))
        for other, frame in frames.items():
            if other != own:
                once = frame.unique("zipcode", keep="first", maintain_order=True)
                theirs = once.select("zipcode", *(pl.col(n).alias(f"{other} {n}") for n in names if n in frame.columns))
                joined = joined.join(theirs, on="zipcode", how="left", maintain_order="left")
        values = []
        for name in names:
            givers = [source for source in frames if f"{source} {name}" in joined.columns]
            self._count_differences(joined, name, givers)
            told = [pl.col(f"{source} {name}") for source in givers]
            values.append(
                pl.coalesce(*(_value(e, name) for e in told), *told, pl.lit(None, self.schema[name])).alias(name)
            )
        year = pl.col("date").dt.year().cast(pl.Float64).alias("year")
        return self._labelled(joined.select("date", "zipcode", year, *values))

    def _count_differences(self, joined: pl.DataFrame, name: str, givers: Sequence[str]) -> None:
        if name in LABELS or len(givers) < 2:  # spellings differ and are matched by key
            return
        first = _value(pl.col(f"{givers[0]} {name}"), name)
        for other in givers[1:]:
            second = _value(pl.col(f"{other} {name}"), name)
            count = joined.select(((first - second).abs() > SAME * first.abs()).sum()).item()
            if count:
                self.differences[name, givers[0], other] += count

    def _labelled(self, rows: pl.DataFrame) -> pl.DataFrame:
        names = [n for n in LABELS if n in self.labels.columns and n in rows.columns]
        labels = self.labels.select("zipcode", *(pl.col(n).alias(f"label {n}") for n in names))
        joined = rows.join(labels, on="zipcode", how="left", maintain_order="left")
        filled = joined.with_columns(pl.coalesce(n, f"label {n}").alias(n) for n in names)
        return filled.select(pl.col(n).cast(dtype) for n, dtype in self.schema.items() if n in rows.columns)

    def _carried(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows whose missing slow columns are those of the zip's last known month; remembers what these rows know."""
        names = self._carries
        if not names:
            return rows
        last = self._slow.rename({name: f"last {name}" for name in names})
        joined = rows.join(last, on="zipcode", how="left", maintain_order="left")
        filled = joined.with_columns(pl.coalesce(n, f"last {n}").alias(n) for n in names).select(rows.columns)
        # A 0 that means missing stays in its row, and is not what a later month is given.
        values = filled.select("zipcode", *(_value(pl.col(name), name).alias(name) for name in names))
        known = values.unique("zipcode", keep="first")
        kept = self._slow.join(known, on="zipcode", how="full", coalesce=True, suffix=" now")
        self._slow = kept.select("zipcode", *(pl.coalesce(f"{name} now", name).alias(name) for name in names))
        return filled


def _value(told: pl.Expr, name: str) -> pl.Expr:
    """A value, null where it is the 0 that means missing."""
    return pl.when(told != 0).then(told) if name in _MISSING_ZERO else told


def _by_month(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    parts = frame.partition_by("date", as_dict=True, maintain_order=True)
    return {month_of(day[0]): part for day, part in parts.items()}
