"""The column contract: every column of the HouseTS panel, once.

Readers, cleaning, features, checks, the sample and the documentation all derive from `COLUMNS`.
What belongs here: names, types, units, ranges, what a 0 means. What does not: any code that reads or
changes data.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import polars as pl


class Role(StrEnum):
    """What a column is to the platform."""

    KEY = "key"
    TARGET = "target"
    LABEL = "label"
    MARKET = "market"
    CENSUS = "census"
    AMENITY = "amenity"


class Zero(StrEnum):
    """What a 0 in the source means, since the source has no nulls."""

    VALUE = "a value"
    MISSING = "missing"
    MISSING_WITH_CENSUS = "missing where the zip's Total Population is 0"


@dataclass(frozen=True)
class Column:
    """One column of the raw panel.

    Attributes:
        name: as the source spells it.
        kind: how it is held in a frame.
        role: what it is to the platform.
        unit: of its values.
        description: one line for people.
        low, high: valid range, both included; a value outside is impossible, not unusual.
        zero: what a 0 means.
        feature: True if it may reach a model.
        required: True if the source must have it.
    """

    name: str
    kind: Literal["date", "text", "number"]
    role: Role
    unit: str
    description: str
    low: float | None = None
    high: float | None = None
    zero: Zero = Zero.VALUE
    feature: bool = False
    required: bool = False

    @property
    def dtype(self) -> pl.DataType:
        """The polars type of the column in every stored asset."""
        return {"date": pl.Date(), "text": pl.String(), "number": pl.Float64()}[self.kind]


def _market(name: str, unit: str, description: str, high: float, **changes) -> Column:
    return Column(name, "number", Role.MARKET, unit, description, 0, high, **{"feature": True, **changes})


def _census(name: str, unit: str, description: str, high: float, zero: Zero = Zero.MISSING) -> Column:
    return Column(name, "number", Role.CENSUS, unit, description, 0, high, zero, feature=True)


def _amenity(name: str, description: str) -> Column:
    return Column(name, "number", Role.AMENITY, "count", description, 0, 100_000, feature=True)


_DOLLARS = "US dollars"
_PEOPLE = "people"
_MISSING = Zero.MISSING

COLUMNS: tuple[Column, ...] = (
    Column("date", "date", Role.KEY, "day", "Any day of the month the row speaks of", required=True),
    # A median list price far above the limit of cleaning is possible, so that limit is a setting, not this one.
    _market("median_sale_price", _DOLLARS, "Median sale price (never a feature: it is the price of the same month)",
            1e9, zero=_MISSING, feature=False),
    _market("median_list_price", _DOLLARS, "Median list price", 1e9, zero=_MISSING),
    _market("median_ppsf", "US dollars per square foot", "Median sale price per square foot", 1e6, zero=_MISSING),
    _market("median_list_ppsf", "US dollars per square foot", "Median list price per square foot", 1e6, zero=_MISSING),
    _market("homes_sold", "count", "Homes sold", 1e5, zero=_MISSING),
    _market("pending_sales", "count", "Homes that went under contract", 1e5),
    _market("new_listings", "count", "Homes newly listed", 1e5),
    _market("inventory", "count", "Homes for sale at the month's end", 1e6),
    _market("median_dom", "days", "Median days on market", 1e4, zero=_MISSING),
    _market("avg_sale_to_list", "ratio", "Average of sale price over list price", 10, zero=_MISSING),
    _market("sold_above_list", "share", "Share of homes sold above their list price", 1),
    _market("off_market_in_two_weeks", "share", "Share of homes under contract within two weeks", 1),
    Column("city", "text", Role.LABEL, "code", "Metro code of the source (ATL, NY, ...)"),
    Column("zipcode", "text", Role.KEY, "code", "ZIP code: 5 characters, leading zeros kept", required=True),
    Column("year", "number", Role.LABEL, "year", "Year of `date`, which decides", 1900, 2100),
    _amenity("bank", "Banks in the zip"),
    _amenity("bus", "Bus stations"),
    _amenity("hospital", "Hospitals"),
    _amenity("mall", "Malls"),
    _amenity("park", "Parks"),
    _amenity("restaurant", "Restaurants"),
    _amenity("school", "Schools"),
    _amenity("station", "Rail stations"),
    _amenity("supermarket", "Supermarkets"),
    _census("Total Population", _PEOPLE, "Residents", 1e6),
    _census("Median Age", "years", "Median age", 120),
    _census("Per Capita Income", _DOLLARS, "Income per head and year", 1e7),
    _census("Total Families Below Poverty", _PEOPLE, "Mislabelled at the source: about the population", 1e6),
    _census("Total Housing Units", "count", "Housing units", 1e6),
    _census("Median Rent", "US dollars per month", "Median gross rent", 1e5),
    _census("Median Home Value", _DOLLARS, "Median home value of the census survey", 1e8),
    _census("Total Labor Force", _PEOPLE, "Labour force", 1e6),
    _census("Unemployed Population", _PEOPLE, "Unemployed", 1e6, Zero.MISSING_WITH_CENSUS),
    _census("Total School Age Population", _PEOPLE, "School age population", 1e6),
    _census("Total School Enrollment", _PEOPLE, "Equal to the school age population at the source", 1e6),
    _census("Median Commute Time", _PEOPLE, "Mislabelled at the source: commuters, not minutes", 1e6),
    Column("price", "number", Role.TARGET, _DOLLARS, "Zillow Home Value Index of the zip: the target",
           1_000, 1e9, _MISSING, required=True),
    Column("city_full", "text", Role.LABEL, "name", "Metro name, as spelled at the time", required=True),
)  # fmt: skip

BY_NAME: dict[str, Column] = {c.name: c for c in COLUMNS}
COLUMN_NAMES: tuple[str, ...] = tuple(BY_NAME)
RAW_SCHEMA: dict[str, pl.DataType] = {c.name: c.dtype for c in COLUMNS}
REQUIRED: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.required)
NUMBERS: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.kind == "number")
NUMERIC_FEATURES: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.feature and c.kind == "number")
NAMES_BY_ROLE: dict[Role, tuple[str, ...]] = {role: tuple(c.name for c in COLUMNS if c.role is role) for role in Role}
NEVER_FEATURES: frozenset[str] = frozenset(c.name for c in COLUMNS if not c.feature) - {"year"}
"""Columns that may never reach a model. `year` may: it is a date part, made from `date`."""

ZIP_PATTERN = r"^[0-9]{5}$"
