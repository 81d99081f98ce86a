"""The column contract holds together."""

import re

import polars as pl
import pytest

from housing_assets.core.panel.schema import (
    BY_NAME,
    COLUMN_NAMES,
    COLUMNS,
    NAMES_BY_ROLE,
    NEVER_FEATURES,
    NUMBERS,
    NUMERIC_FEATURES,
    RAW_SCHEMA,
    REQUIRED,
    ZIP_PATTERN,
    Column,
    Role,
    Zero,
)


def test_the_contract_names_each_column_once():
    assert len(COLUMNS) == len(set(COLUMN_NAMES)) == len(RAW_SCHEMA)
    assert tuple(RAW_SCHEMA) == COLUMN_NAMES
    assert (COLUMN_NAMES[0], COLUMN_NAMES[-2], COLUMN_NAMES[-1]) == ("date", "price", "city_full")


def test_every_column_has_its_role():
    assert NAMES_BY_ROLE[Role.KEY] == ("date", "zipcode")
    assert NAMES_BY_ROLE[Role.TARGET] == ("price",)
    assert NAMES_BY_ROLE[Role.LABEL] == ("city", "year", "city_full")
    assert "homes_sold" in NAMES_BY_ROLE[Role.MARKET]
    assert "park" in NAMES_BY_ROLE[Role.AMENITY]
    assert "Median Rent" in NAMES_BY_ROLE[Role.CENSUS]
    assert sorted(name for names in NAMES_BY_ROLE.values() for name in names) == sorted(COLUMN_NAMES)
    assert set(REQUIRED) == {"date", "zipcode", "price", "city_full"}


@pytest.mark.parametrize("column", COLUMNS, ids=COLUMN_NAMES)
def test_a_column_is_whole(column: Column):
    assert BY_NAME[column.name] is column
    assert column.description
    assert column.unit
    assert RAW_SCHEMA[column.name] == {"date": pl.Date, "text": pl.String, "number": pl.Float64}[column.kind]
    assert (column.name in NUMBERS) == (column.kind == "number")
    if column.kind == "number":
        assert column.low is not None
        assert column.high is not None
        assert column.low < column.high
    else:
        assert (column.low, column.high, column.zero, column.feature) == (None, None, Zero.VALUE, False)


def test_the_price_and_who_a_row_is_never_reach_a_model():
    assert {"price", "median_sale_price", "city", "city_full", "zipcode", "date"} == NEVER_FEATURES
    assert not NEVER_FEATURES & set(NUMERIC_FEATURES)
    assert set(NUMERIC_FEATURES) | NEVER_FEATURES | {"year"} == set(COLUMN_NAMES)


@pytest.mark.parametrize("name", NUMBERS)
def test_what_a_zero_means(name: str):
    """No price, age, time or ratio is 0. A share may be, and so may the number of parks in a zip."""
    column = BY_NAME[name]
    if "dollars" in column.unit or column.unit in ("years", "days", "ratio"):
        assert column.zero is Zero.MISSING
    if column.unit == "share" or column.role in (Role.AMENITY, Role.LABEL):
        assert column.zero is Zero.VALUE
    if column.role is Role.CENSUS:
        assert column.zero is not Zero.VALUE, "the census has a 0 where a zip was not surveyed"


def test_what_a_zero_count_means():
    assert BY_NAME["homes_sold"].zero is Zero.MISSING
    assert {BY_NAME[n].zero for n in ("pending_sales", "new_listings", "inventory")} == {Zero.VALUE}
    assert BY_NAME["Unemployed Population"].zero is Zero.MISSING_WITH_CENSUS
    others = set(NAMES_BY_ROLE[Role.CENSUS]) - {"Unemployed Population"}
    assert {BY_NAME[n].zero for n in others} == {Zero.MISSING}


@pytest.mark.parametrize("text", ["00000", "02139", "99999"])
def test_a_zip_is_five_digits(text):
    assert pl.Series([text]).str.contains(ZIP_PATTERN).item()


@pytest.mark.parametrize(
    "text",
    ["", "2139", "021390", "0213a", " 02139", "02139 ", "02139-1234", "2139.0", "+2139",
     "\u0660\u0662\u0661\u0663\u0669", "02139\n", "02139\n02139"],
)  # fmt: skip
def test_anything_else_is_no_zip(text):
    assert not pl.Series([text]).str.contains(ZIP_PATTERN).item()
    assert not re.fullmatch(ZIP_PATTERN, text)
