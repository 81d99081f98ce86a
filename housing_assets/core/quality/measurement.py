"""A measurement, and how measurements are recorded."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from housing_assets.core.months import month_end
from housing_assets.core.panel.schema import ZIP_PATTERN

SAME_ERROR = 1e-9
"""Relative difference up to which two errors are the same."""

FEW = 5
"""Fewer rows are strays, not a broken month: shares count from here on."""

WHOLE_TABLE = "(rows)"

FRAME_MEASURES: frozenset[str] = frozenset({"undeclared", "rows"})
"""What `MeasurementRecorder.schema` records."""

KEY_MEASURES: frozenset[str] = frozenset({"other_dates", "keys_missing", "zip_format"})
"""What `MeasurementRecorder.keys_and_dates` records."""


@dataclass(frozen=True)
class Measurement:
    """One number about a month (or a table) and a column.

    Attributes:
        month: `YYYY-MM`; empty for an asset without months.
        column: `(rows)` where it is about whole rows.
        measure: which one; `Rule.measure` refers to it.
        observed: the number; NaN where it cannot be known yet.
        told: what was found, in words, for when a rule is broken.
    """

    month: str
    column: str
    measure: str
    observed: float
    told: str


@dataclass
class MeasurementRecorder:
    """Collects the measurements of one month."""

    month: str
    frame: pl.DataFrame
    found: list[Measurement] = field(default_factory=list)

    def add(self, measure: str, observed: float | None, told: str, column: str = WHOLE_TABLE) -> None:
        """Records one measurement; a measure that has no value is NaN."""
        value = math.nan if observed is None else float(observed)
        self.found.append(Measurement(self.month, column, measure, value, told))

    def count(self, measure: str, broken: pl.Expr, column: str, what: str) -> None:
        """Rows that meet a condition, with an example."""
        at = self.frame.select(broken.arg_true()).to_series()
        told = f"{at.len()} of {self.frame.height} rows {what}"
        if at.len():
            told += f", for example {self.frame[column][at[0]]}"
        self.add(measure, at.len(), told, column)

    def schema(self, expected: Mapping[str, pl.DataType]) -> bool:
        """Columns and types; False if the rest cannot be measured."""
        actual = dict(self.frame.schema)
        for name, kind in expected.items():
            if name not in actual:
                near = ", ".join(n for n in actual if n not in expected)
                self.add("undeclared", 1, "is missing" + (f"; there is {near} instead" if near else ""), name)
            elif actual[name] != kind:
                self.add("undeclared", 1, f"is {actual[name]}, should be {kind}", name)
        for name in actual.keys() - expected.keys():
            self.add("undeclared", 1, "is not in the contract", name)
        sound = not self.found
        if sound:
            self.add("undeclared", 0, f"all {len(expected)} columns are as declared")
        self.add("rows", self.frame.height, f"{self.frame.height} rows")
        return sound

    def keys_and_dates(self) -> None:
        """Records rows of another date than the month's last day, and zip codes that are missing or malformed."""
        expected = month_end(self.month)
        days = self.frame["date"]
        self.count("other_dates", pl.col("date").ne_missing(expected), "date", _where(days, expected, self.month))
        self.count("keys_missing", pl.col("zipcode").is_null(), "zipcode", "have no zip code")
        self.count("zip_format", ~pl.col("zipcode").str.contains(ZIP_PATTERN), "zipcode", "are not 5 digits")

    def repeated(self) -> None:
        """Records rows that share their zip code with another row."""
        self.count("repeated_keys", pl.col("zipcode").is_duplicated(), "zipcode", "share their zip with another row")


def _where(days: pl.Series, expected: date, month: str) -> str:
    latest = days.max()
    future = isinstance(latest, date) and latest > expected
    return f"are not dated in {month}" + (", some later" if future else "")


def share_of(count: int, of: int) -> float:
    """A share that strays do not count towards."""
    return count / of if of and count >= FEW else 0.0


def as_percent(count: int, of: int, what: str) -> str:
    """A count in words: `3 of 10 rows (30.0%) are ...`."""
    return f"{count} of {of} rows ({count / of if of else 0:.1%}) {what}"


def true_not_null(condition: pl.Expr) -> pl.Expr:
    """A condition that a missing value does not meet; polars would pass over such a row."""
    return condition.fill_null(False)
