"""What a reader of a layout is.

Adding a layout is one class in one file, its entry in `registry.READERS`, and its test.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import polars as pl

from housing_assets.core.months import month_of
from housing_assets.core.source.content import Content
from housing_assets.core.source.notes import Notes

LABELS_SCHEMA: dict[str, pl.DataType] = {
    "zipcode": pl.String(),
    "city_full": pl.String(),
    "state": pl.String(),
    "county": pl.String(),
    "place": pl.String(),
}
"""Labels of zips: name of the metro, code of the state (`MA`), county, city or place. Null where not known."""


@dataclass
class Reading:
    """What a reader is given, and what it leaves beside its frames.

    Attributes:
        latest: last month that a row may speak of.
        notes: receives what was assumed, with counts.
        labels: receives frames of `LABELS_SCHEMA`; for a zip that comes twice, the later one counts.
    """

    latest: str
    notes: Notes = field(default_factory=Notes)
    labels: list[pl.DataFrame] = field(default_factory=list)

    @classmethod
    def until(cls, today: date) -> "Reading":
        """A reading that refuses months after that of `today`."""
        return cls(month_of(today))


class Reader(Protocol):
    """One layout. A reader has no state: one object reads every file of it."""

    @property
    def kind(self) -> str:
        """Whose data it is: `housets`, `zillow` or `redfin`."""
        ...

    @property
    def title(self) -> str:
        """The layout in words, for messages."""
        ...

    @property
    def telling_columns(self) -> tuple[str, ...]:
        """Columns that a file of the layout has, as its publisher spells them."""
        ...

    def recognizes(self, content: Content) -> bool:
        """True if the head of a file is of this layout, by its content and never by its name."""
        ...

    def columns(self, content: Content) -> tuple[str, ...]:
        """Columns of the contract that the file gives, in the contract's order, without `date` and `zipcode`."""
        ...

    def read(self, content: Content, reading: Reading) -> Iterator[pl.DataFrame]:
        """Frames of `date` (month end), `zipcode` (5 characters) and `columns(content)`, in the contract's types.

        Raises:
            SourceError: the file breaks its layout, is damaged, or is of a level that is not ZIP codes.
        """
        ...
