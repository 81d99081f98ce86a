"""The column contract holds together."""

import re

import polars as pl
import pytest

from housing_assets.core.panel.schema import (
    BY_NAME,
    COLUMN_NAMES,
    COLUMNS,
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


def names(role: Role) -> list[str]:
    return [c.name for c in COLUMNS if c.role is role]


def test_the_contract_has_the_39_columns_of_the_source():
    assert len(COLUMNS) == len(set(COLUMN_NAMES)) == len(RAW_SCHEMA) == 39
    assert tuple(RAW_SCHEMA) == COLUMN_NAMES
    assert (COLUMN_NAMES[0], COLUMN_NAMES[-2], COLUMN_NAMES[-1]) == ("date", "price", "city_full")


def test_every_column_has_its_role():
    assert names(Role.KEY) == ["date", "zipcode"]
    assert names(Role.TARGET) == ["price"]
    assert names(Role.LABEL) == ["city", "year", "city_full"]
    assert len(names(Role.MARKET)) == 12
    assert len(names(Role.AMENITY)) == 9
    assert len(names(Role.CENSUS)) == 12
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


def test_what_a_zero_means():
    missing = {n for n in NUMBERS if BY_NAME[n].zero is Zero.MISSING}
    assert missing == {
        "median_sale_price", "median_list_price", "median_ppsf", "median_list_ppsf", "homes_sold", "median_dom",
        "avg_sale_to_list", "price", *names(Role.CENSUS),
    } - {"Unemployed Population"}  # fmt: skip
    assert [n for n in NUMBERS if BY_NAME[n].zero is Zero.MISSING_WITH_CENSUS] == ["Unemployed Population"]


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
