"""How far a forecast of a place is to be trusted: what came of earlier ones there, and what speaks against it.

Figures are in percent. What is shown of them, and how, belongs in the dashboard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

NEW_PLACE_MONTHS = 36
"""Known months below which a place is new: a forecast needs one year, a cycle of prices takes several."""
LONG_GAP_MONTHS = 3
"""Months in a row without a price that make a gap long: growth over a quarter cannot be seen in it."""
LEAST_OUTCOMES = 6
"""Earlier forecasts with an outcome below which nothing can be said of how often intervals hold."""
OFTEN = 80.0
"""Percent of outcomes inside their interval below which 90% intervals are too narrow here: with 20 outcomes, fewer than
16 inside happen by chance in one of 25 places."""
TURN_PERCENT = 1.0
"""Percent of growth over 3 months, against that of the year before them, from which on a market turns."""


class Trust(StrEnum):
    """In a word, how far a forecast is to be trusted."""

    USUAL = "usual"
    LIMITED = "limited"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Record:
    """What came of earlier forecasts of one place at one horizon.

    Attributes:
        outcomes: of them that are known.
        error: mean absolute percent error; None without an outcome.
        naive: the same of no change.
        intervals: outcomes of forecasts that had an interval.
        inside: of these, how many lay inside it.
    """

    outcomes: int
    error: float | None
    naive: float | None
    intervals: int
    inside: int

    @property
    def held(self) -> float | None:
        """Percent of intervals that held; None without one."""
        return 100 * self.inside / self.intervals if self.intervals else None


def record_of(forecasts: pl.DataFrame) -> Record:
    """The record of forecasts.

    Args:
        forecasts: of one place at one horizon: `actual_price` (null where not known), `percent` and `naive` (errors),
            and `inside` (null without an interval).
    """
    known = forecasts.drop_nulls("actual_price") if "actual_price" in forecasts.columns else forecasts.clear()
    if known.is_empty():
        return Record(0, None, None, 0, 0)
    inside = known["inside"].drop_nulls()
    error, naive = (float(known[name].abs().mean()) for name in ("percent", "naive"))  # type: ignore[arg-type]
    return Record(known.height, error, naive, inside.len(), int(inside.sum()))


def turns(prices: Sequence[float]) -> bool:
    """True if the growth of the last 3 months is against that of the 12 months before, both by `TURN_PERCENT` or more.

    Args:
        prices: known monthly prices in order, the newest last.
    """
    if len(prices) < 16:
        return False
    recent = 100 * (prices[-1] / prices[-4] - 1)
    year = 100 * (prices[-4] / prices[-16] - 1)
    return recent * year < 0 and min(abs(recent), abs(year)) >= TURN_PERCENT


def doubts(record: Record, months: int | None, longest_gap: int, turning: bool, has_interval: bool) -> list[str]:
    """What speaks against a forecast, in sentences; empty if nothing does.

    Args:
        record: of earlier forecasts of the place at the horizon.
        months: with a known price of the place; None for an area, whose zips differ in that.
        longest_gap: months in a row without a price, between known ones.
        turning: True if the market turns, as `turns` says.
        has_interval: False if the forecast has none.
    """
    found = []
    if months is not None and months < NEW_PLACE_MONTHS:
        found.append(f"Only {months} months of prices are known here.")
    if longest_gap >= LONG_GAP_MONTHS:
        found.append(f"Prices of {longest_gap} months in a row are missing here.")
    if turning:
        found.append("The market turns: the last 3 months go against the year before them.")
    if not has_interval:
        found.append("There is no interval, because too few outcomes are known.")
    if record.intervals >= LEAST_OUTCOMES and record.held is not None and record.held < OFTEN:
        found.append(f"Only {record.held:.0f}% of such 90% intervals held here: they are too narrow.")
    if record.outcomes >= LEAST_OUTCOMES and record.error is not None and record.error > (record.naive or 0):
        found.append("Assuming no change was closer here.")
    return found


def trust_in(record: Record, against: Sequence[str]) -> Trust:
    """How far a forecast is to be trusted."""
    if against:
        return Trust.LIMITED
    return Trust.USUAL if record.outcomes >= LEAST_OUTCOMES else Trust.UNKNOWN


def in_words(record: Record, against: Sequence[str]) -> str:
    """One line that says it."""
    trust = trust_in(record, against)
    if trust is Trust.LIMITED:
        return f"Trust this less than usual. {' '.join(against)}"
    if trust is Trust.UNKNOWN:
        one = record.outcomes == 1
        count = (
            f"{record.outcomes or 'no'} earlier forecast{'' if one else 's'} this far ahead {'has' if one else 'have'}"
        )
        return f"How far this can be trusted is not known yet: {count} an outcome here."
    return (
        f"As trustworthy as usual: {record.inside} of {record.intervals} earlier 90% intervals held here, and the mean "
        f"error was {record.error:.1f}%."
    )
