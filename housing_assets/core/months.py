"""Months and the time split: the one home of month arithmetic.

A month is a string `YYYY-MM`, which sorts as time does and is a Dagster partition key as it stands.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from housing_assets.core.errors import HousingError, UnknownPanelError

PANEL_START = "2012-03"
"""First month of the HouseTS panel."""
SOURCE_START = "2000-01"
"""First month that is taken of a source whose panel is not said to begin elsewhere: that of Zillow's index."""
PANEL_END = "2023-12"
"""Last month of the HouseTS panel, and of the generated sample."""

MONTH_PATTERN = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
_MONTH = re.compile(MONTH_PATTERN.rstrip("$"))
_COUNTED_BACK = re.compile(r"-[1-9][0-9]{0,3}")
_NEEDED = {"HOUSING_EVAL_START": "train needs one", "HOUSING_HOLDOUT_START": "train and eval need one each"}
"""Why a cut-off cannot leave all months of a panel to what follows it."""


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


def counts_back(cut_off: str) -> bool:
    """True if a cut-off of the time split is a number of months counted from the newest one, such as `-12`."""
    return _COUNTED_BACK.fullmatch(cut_off) is not None


def parse_cut_off(text: str) -> str:
    """Return `text` if it is a cut-off of the time split: a month, or `-1` to `-9999` months.

    Raises:
        HousingError: it is neither.
    """
    if not counts_back(text) and not _MONTH.fullmatch(text):
        raise HousingError(
            f"{text!r} is neither a month nor -1 to -9999: write YYYY-MM, for example 2022-01, or a negative number of "
            "months counted from the newest month of the panel, for example -12"
        )
    return text


def cut_off_month(cut_off: str, newest: str) -> str:
    """The month in which a cut-off lies: with `-12`, the split that begins there has the 12 newest months of the panel.

    Args:
        cut_off: as `parse_cut_off` returns it.
        newest: month of the panel; it matters only where the cut-off counts back.

    Returns:
        A month, 0000-01 where the count reaches beyond it.
    """
    return month_at(max(0, month_index(newest) + 1 + int(cut_off))) if counts_back(cut_off) else cut_off


def resolve_split(eval_start: str, holdout_start: str, first: str, newest: str) -> TimeSplit:
    """The time split in months.

    Args:
        eval_start, holdout_start: as `parse_cut_off` returns them.
        first: month of the panel.
        newest: month of the panel; empty: not known. It matters only where a cut-off counts back.

    Raises:
        UnknownPanelError: a cut-off counts back, and the newest month is not known.
        HousingError: a count leaves no month to the splits before it, or eval does not begin before holdout.
    """
    months: list[str] = []
    for spare, (name, cut_off) in enumerate(
        (("HOUSING_EVAL_START", eval_start), ("HOUSING_HOLDOUT_START", holdout_start)), start=1
    ):
        if counts_back(cut_off):
            _require_room(name, cut_off, first, newest, spare)
        months.append(cut_off_month(cut_off, newest))
    if not months[0] < months[1]:
        values = (f"{cut_off} ({month})" if counts_back(cut_off) else cut_off
                  for cut_off, month in zip((eval_start, holdout_start), months, strict=True))  # fmt: skip
        raise HousingError(
            "HOUSING_EVAL_START={} must come before HOUSING_HOLDOUT_START={}: set them so that both splits have "
            "months".format(*values)
        )
    return TimeSplit(*months)


def _require_room(name: str, cut_off: str, first: str, newest: str, spare: int) -> None:
    """Refuse a count that leaves fewer than `spare` months of the panel before it."""
    if not newest:
        raise UnknownPanelError(
            f"{name}={cut_off} counts from the newest month of the panel, which is not known before the source was "
            "read: run sources_job (or `housing run`) first, or write a month, such as 2022-01"
        )
    count = month_index(newest) - month_index(first) + 1
    if -int(cut_off) > count - spare:
        limit = f"write -1 to -{count - spare}" if count > spare else "give it a longer panel"
        raise HousingError(
            f"{name}={cut_off} is too far back: the panel has {count} months ({first} to {newest}), of which "
            f"{_NEEDED[name]}: {limit}"
        )
