"""Months and the time split: the one home of month arithmetic.

A month is a string `YYYY-MM`, which sorts as time does and is a Dagster partition key as it stands.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from housing_assets.core.errors import HousingError

PANEL_START = "2012-03"
"""First month of the HouseTS panel."""
SOURCE_START = "2000-01"
"""First month that is taken of a source whose panel is not said to begin elsewhere: that of Zillow's index."""
PANEL_END = "2023-12"
"""Last month of the HouseTS panel, and of the generated sample."""

MONTH_PATTERN = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
_MONTH = re.compile(MONTH_PATTERN.rstrip("$"))


class Split(StrEnum):
    """Part of the time split a month belongs to."""

    TRAIN = "train"
    EVAL = "eval"
    HOLDOUT = "holdout"


def parse_month(text: str) -> str:
    """Return `text` if it is a month.

    Raises:
        HousingError: it is not `YYYY-MM`.
    """
    if not _MONTH.fullmatch(text):
        raise HousingError(f"{text!r} is not a month: write YYYY-MM, for example 2022-01")
    return text


def parse_month_range(text: str) -> tuple[str, str]:
    """Read `A:B`, or one month, as first and last month.

    Raises:
        HousingError: a part is not a month, or the first comes after the last.
    """
    first, _, last = text.partition(":")
    first, last = parse_month(first), parse_month(last or first)
    if first > last:
        raise HousingError(f"the range {text!r} ends before it begins: write FIRST:LAST")
    return first, last


def month_index(month: str) -> int:
    """Months since year 0, so that a difference is a number of months."""
    return int(month[:4]) * 12 + int(month[5:7]) - 1


def month_at(index: int) -> str:
    """Inverse of `month_index`."""
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def add_months(month: str, count: int) -> str:
    """The month `count` months after `month` (before it, if negative)."""
    return month_at(month_index(month) + count)


def month_range(first: str, last: str) -> list[str]:
    """Every month from `first` to `last`, both included; empty if `last` comes first."""
    return [month_at(i) for i in range(month_index(first), month_index(last) + 1)]


def month_of(day: date) -> str:
    """The month a day lies in."""
    return f"{day.year:04d}-{day.month:02d}"


def month_end(month: str) -> date:
    """Last day of a month."""
    following = add_months(month, 1)
    return date(int(following[:4]), int(following[5:7]), 1) - timedelta(days=1)


def consecutive(months: Iterable[str]) -> list[list[str]]:
    """Months as runs of months that follow each other, in order: each can be a range of partitions."""
    runs: list[list[str]] = []
    for month in sorted(months):
        if runs and month == add_months(runs[-1][-1], 1):
            runs[-1].append(month)
        else:
            runs.append([month])
    return runs


def describe_months(months: list[str]) -> str:
    """Months in words for a message: the runs of consecutive months, shortest form."""
    runs = consecutive(months)
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs) or "none"


@dataclass(frozen=True)
class TimeSplit:
    """The cut-offs of the time split. A month is routed by its own date alone.

    Attributes:
        eval_start: first month of eval; every earlier one is train.
        holdout_start: first month of holdout.
    """

    eval_start: str = "2020-01"
    holdout_start: str = "2022-01"

    def __post_init__(self) -> None:
        if not parse_month(self.eval_start) < parse_month(self.holdout_start):
            raise HousingError(
                f"HOUSING_EVAL_START={self.eval_start} must come before "
                f"HOUSING_HOLDOUT_START={self.holdout_start}: set them so that both splits have months"
            )

    def of(self, month: str) -> Split:
        """The split a month belongs to."""
        if month < self.eval_start:
            return Split.TRAIN
        return Split.EVAL if month < self.holdout_start else Split.HOLDOUT

    def months(self, split: Split, first: str, last: str) -> list[str]:
        """The months of one split between `first` and `last`, both included."""
        return [m for m in month_range(first, last) if self.of(m) is split]
