"""When a publisher's next file is expected, judged by the days of those before."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from statistics import median

USUAL_DAYS = 31
"""Days between two publications where none are known: Zillow and Redfin publish once a month."""
LEAST_DAYS, MOST_DAYS = 7, 92
"""Bounds of the days between two publications: several files of one day are corrections, a pause is no habit."""
GRACE_DAYS = 7
"""Days after which a file that did not come is late: publishers move their day within a week."""
_LAST = 12


def next_expected(days: Sequence[date]) -> date:
    """The day on which the next file is expected: the newest one, and the median of the days between the last ones.

    Args:
        days: of the files so far, in order; at least one.
    """
    known = sorted(set(days))[-_LAST:]
    gaps = [(later - earlier).days for earlier, later in pairwise(known)]
    usual = median(gaps) if gaps else USUAL_DAYS
    return known[-1] + timedelta(days=round(min(max(usual, LEAST_DAYS), MOST_DAYS)))


def is_late(days: Sequence[date], today: date) -> bool:
    """True if the next file should have come more than `GRACE_DAYS` days ago."""
    return today > next_expected(days) + timedelta(days=GRACE_DAYS)
