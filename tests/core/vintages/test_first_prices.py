"""First published prices: the earliest vintage with a price decides."""

from datetime import date

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.vintages.first_prices import (
    FIRST_SCHEMA,
    WANTED_SCHEMA,
    describe_vintages,
    parse_vintages,
    prices_of_vintage,
    still_wanted,
    with_vintage,
)

MAY = date(2024, 5, 31)
WANTED = pl.DataFrame({"date": [MAY] * 3, "zipcode": ["02139", "96813", "96814"]}, schema=WANTED_SCHEMA)


@given(st.dictionaries(st.sampled_from(["housets", "zillow", "redfin"]), st.just("2026-11-27T10-45-00Z")))
def test_vintages_are_read_back_from_their_text(times):
    text = describe_vintages(times)
    assert list(parse_vintages(text).items()) == list(times.items())


def test_other_texts_name_no_vintage():
    for text in ("", "unknown", '{"panel_start": "2012-03", "cleaned": {}}'):
        assert parse_vintages(text) == {}


def test_a_vintage_gives_its_valid_prices_of_wanted_zips_and_the_rest_stay_wanted():
    rows = pl.DataFrame(
        [(MAY, "02139", 900_000), (MAY, "96813", None), (MAY, "96814", 0), (MAY, "10001", 1e6), (MAY, "02139", 1.0)],
        schema={"date": pl.Date, "zipcode": pl.String, "price": pl.Float64},
        orient="row",
    )
    first = prices_of_vintage(WANTED, rows)
    assert dict(first.schema) == FIRST_SCHEMA
    assert first.rows() == [(MAY, "02139", 900_000.0)]
    assert still_wanted(WANTED, first)["zipcode"].to_list() == ["96813", "96814"]


def test_predictions_keep_their_order_and_lack_what_is_not_known():
    first = pl.DataFrame([(MAY, "96814", 5e5)], schema=FIRST_SCHEMA, orient="row")
    made = with_vintage(WANTED.reverse(), "zillow 2024-06-20T10-00-00Z", first)
    assert made["zipcode"].to_list() == ["96814", "96813", "02139"]
    assert made["first_price"].to_list() == [5e5, None, None]
    assert set(made["vintage"]) == {"zillow 2024-06-20T10-00-00Z"}
    unknown = with_vintage(WANTED, "", first.clear())
    assert dict(unknown.schema) == {**WANTED_SCHEMA, "vintage": pl.String(), "first_price": pl.Float64()}
    assert unknown.select("vintage", "first_price").null_count().row(0) == (3, 3)
