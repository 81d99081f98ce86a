"""What a sample is asked to be, and what it reports."""

from dataclasses import dataclass, field

from housing_assets.core.errors import HousingError
from housing_assets.core.limits import MOST_ZIPS
from housing_assets.core.months import (
    PANEL_END,
    PANEL_START,
    parse_month,
)

BLOCK_ZIPS = 500
"""Zips made at a time: bounds memory to some 100 MB whatever the size of the panel."""

DIRT_RATES: dict[str, float] = {
    "repeated_month": 0.010,
    "metro_spelling": 0.004,
    "exact_duplicate": 0.003,
    "conflicting_duplicate": 0.002,
    "list_price_outlier": 0.0004,
    "negative_price": 0.0002,
    "zero_price": 0.0002,
    "negative_count": 0.0002,
    "share_above_one": 0.0002,
    "zero_gap": 0.003,
}
"""Kinds of dirt and their share of all rows (`repeated_month`: of the rows before `TRAINING_END`)."""

DIRT_LIMIT = 0.03
"""Most rows, of all, that dirt may touch."""

TRAINING_END = "2020-01"
"""Months before this one hold the repeated months, as in the real panel."""

LIST_PRICE_OUTLIER = 19_000_000.0
"""US dollars: planted median list prices lie above this."""


@dataclass(frozen=True)
class SampleSpec:
    """What to generate.

    Attributes:
        zips: number of zips, 1 to `MOST_ZIPS`. The real panel has 6,226.
        start, end: first and last month, both included.
        seed: of every random draw, 0 or more.
        dirt: True to plant the faults of real deliveries.
    """

    zips: int = 300
    start: str = PANEL_START
    end: str = PANEL_END
    seed: int = 7
    dirt: bool = False

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            HousingError: a field is out of its limits.
        """
        if not 1 <= self.zips <= MOST_ZIPS:
            raise HousingError(
                f"zips={self.zips} is out of range: a sample has 1 to {MOST_ZIPS} zips; "
                f"choose a number in that range, for example 300"
            )
        for name in ("start", "end"):
            try:
                parse_month(getattr(self, name))
            except HousingError as error:
                raise HousingError(f"{name}: {error}") from None
        if self.start > self.end:
            raise HousingError(
                f"start={self.start} comes after end={self.end}: start may be {self.end} at the latest; "
                f"swap the two or choose an earlier start"
            )
        if self.seed < 0:
            raise HousingError(f"seed={self.seed} is negative: the least seed is 0; choose 0 or more")


@dataclass(frozen=True)
class SampleReport:
    """What was generated.

    Attributes:
        rows: in all, duplicates included.
        planted: rows of each kind of dirt; empty for clean data.
    """

    rows: int
    planted: dict[str, int] = field(default_factory=dict)
