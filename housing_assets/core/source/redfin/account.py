"""What all blocks of a Redfin file have in common: its level, its periods and its units."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.source.formats import LABELS_SCHEMA, Reading
from housing_assets.core.source.redfin.blocks import Block
from housing_assets.core.source.values import Problem, refusal_of

_PERCENT_ABOVE = {"avg_sale_to_list": 10.0, "sold_above_list": 1.0, "off_market_in_two_weeks": 1.0}
"""Values above these are percent. The first is a ratio near 1, the others are shares."""

_RATIO_MOSTLY, _SHARE_MOSTLY, _RARELY = 0.9, 0.5, 0.1
"""A block is percent if at least that part of its positive values is above the limit (all ratios are, shares of less
than one percent are not), and fractions if at most the last part is."""

_MONTHLY_DAYS, _ROLLING_DAYS = (28, 31), (89, 92)

_SHOWN_LEVELS = 5


@dataclass
class Account:
    """What is known of a file after the blocks so far.

    Attributes:
        name: of the file.
        reading: receives notes and labels.
        wanted: which rows count, in words.
        leveled: rows whose level counts, in words; empty for all.
        rows: so far, whether they count or not.
        kept: rows that count, so far.
        levels: rows of each level of region.
        dropped: rows that do not count, by reason.
        durations: rows that count by the length of their period in days.
        percent: columns whose unit is decided: True for percent.
    """

    name: str
    reading: Reading
    wanted: str = "of a ZIP code"
    leveled: str = ""
    rows: int = 0
    kept: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    durations: Counter[int] = field(default_factory=Counter)
    percent: dict[str, bool] = field(default_factory=dict)

    def frames(self, blocks: Iterator[Block], market: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        """The frames of the blocks, percent as fractions; notes are added at the end.

        Raises:
            SourceError: a value is invalid, no row counts, or blocks are of different units or periods.
        """
        for block in blocks:
            if block.problems:
                rows = [Problem(self.rows + p.row + 1, p.column, p.text) for p in block.problems]
                raise refusal_of(self.name, "row", rows)
            self.rows += block.rows
            self.levels.update(block.levels)
            self.dropped.update(block.dropped)
            self.durations.update(block.durations)
            self._check_periods()
            for words, count in block.assumed.items():
                self.reading.notes.add(f"{self.name}: {words}", count)
            if block.frame.is_empty():
                continue
            self.kept += block.frame.height
            self.reading.labels.append(_labels(block.frame))
            yield self._as_fractions(block.frame).select("date", "zipcode", *market)
        self._finish()

    def _check_periods(self) -> None:
        rolling = [d for d in self.durations if _within(d, _ROLLING_DAYS)]
        monthly = [d for d in self.durations if _within(d, _MONTHLY_DAYS)]
        other = sorted(set(self.durations) - {*rolling, *monthly})
        if other:
            raise SourceError(
                f"{self.name}: has periods of {other[0]} days, where months or rolling 90 days are asked for: download "
                "the monthly file"
            )
        if rolling and monthly:
            raise SourceError(
                f"{self.name}: has both months ({sum(self.durations[d] for d in monthly):,} rows) and rolling 90 days "
                f"({sum(self.durations[d] for d in rolling):,} rows): keep the rows of one of them"
            )

    def _as_fractions(self, frame: pl.DataFrame) -> pl.DataFrame:
        for column in (n for n in _PERCENT_ABOVE if n in frame.columns):
            unit = _is_percent(frame[column], _PERCENT_ABOVE[column], self.name, column)
            if unit is None:
                continue
            if self.percent.setdefault(column, unit) != unit:
                raise SourceError(
                    f"{self.name}: column {column!r} is in fractions in some rows and in percent in others (near row "
                    f"{self.rows:,}): download it again, or split it"
                )
        # A block too small to tell follows the ratio of prices, which tells wherever it is given.
        ratio = self.percent.get("avg_sale_to_list", False)
        scaled = [n for n in _PERCENT_ABOVE if n in frame.columns and self.percent.get(n, ratio)]
        for column in scaled:
            self.reading.notes.add(
                f"{self.name}: column {column!r}: percent read as fractions", int(frame[column].count())
            )
        return frame.with_columns(pl.col(scaled) / 100) if scaled else frame

    def _finish(self) -> None:
        if not self.kept:
            levels = [level for level in self.levels if level != "zip code"]
            if levels and "zip code" not in self.levels:
                raise SourceError(
                    f"{self.name}: its rows{self.leveled} are of level "
                    f"{', '.join(map(repr, sorted(levels)[:_SHOWN_LEVELS]))}, where 'zip code' is asked for: download "
                    "the file of ZIP codes"
                )
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items()) or "no rows"
            raise SourceError(f"{self.name}: no row is {self.wanted} ({reasons}): download the whole file of ZIP codes")
        for reason, count in self.dropped.items():
            self.reading.notes.add(f"{self.name}: left out rows that are {reason}", count)
        rolling = sorted(days for days in self.durations if _within(days, _ROLLING_DAYS))
        if rolling:
            length = f"{rolling[0]}" if len(rolling) == 1 else f"{rolling[0]} to {rolling[-1]}"
            self.reading.notes.add(
                f"{self.name}: rolling periods of {length} days belong to the month of period_end",
                sum(self.durations[days] for days in rolling),
            )


def _within(days: int, limits: tuple[int, int]) -> bool:
    return limits[0] <= days <= limits[1]


def _is_percent(values: pl.Series, limit: float, name: str, column: str) -> bool | None:
    """True if the positive values are percent, False if they are fractions, None if there are none."""
    positive = values.filter(values > 0)
    if positive.is_empty():
        return None
    above = cast(float, (positive > limit).mean())
    if above >= (_RATIO_MOSTLY if limit > 1 else _SHARE_MOSTLY):
        return True
    if above <= _RARELY:
        # A few small percentages cannot be told from fractions; a ratio of prices always can.
        return False if limit > 1 or positive.len() >= 20 else None
    raise SourceError(
        f"{name}: column {column!r} can be fractions or percent: {above:.0%} of its values are above {limit:g}: "
        "write all of them in one unit"
    )


def _labels(frame: pl.DataFrame) -> pl.DataFrame:
    given = frame.select("zipcode", *(n for n in LABELS_SCHEMA if n in frame.columns and n != "zipcode"))
    missing = [pl.lit(None, pl.String()).alias(n) for n in LABELS_SCHEMA if n not in given.columns]
    return given.unique("zipcode", keep="last").with_columns(missing).select(list(LABELS_SCHEMA))
