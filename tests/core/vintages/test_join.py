"""Several sources as one panel."""

from datetime import date

import polars as pl
import pytest

from housing_assets.core.errors import SourceError
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame
from housing_assets.core.vintages.join import SLOW, join_sources

JAN, FEB, MAR = date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)


def rows(*told: tuple, **schema: type) -> pl.DataFrame:
    return pl.DataFrame(told, schema={"date": pl.Date, "zipcode": pl.String, **schema}, orient="row")


def test_columns_come_from_the_source_that_is_named_first_and_differences_are_counted():
    zillow = rows((JAN, "02139", 900.0, "Boston", "MA"), (FEB, "02139", 910.0, "Boston", "MA"),
                  price=pl.Float64, city_full=pl.String, state=pl.String)  # fmt: skip
    redfin = rows((FEB, "02139", 7.0, 1.0), (FEB, "99999", 3.0, 1.0), homes_sold=pl.Float64, price=pl.Float64)
    redfin = redfin.filter(pl.col("zipcode") == "02139")
    joined = join_sources({"zillow": zillow, "redfin": redfin})
    assert joined.panel.columns[: len(COLUMN_NAMES)] == list(COLUMN_NAMES)
    assert joined.panel["price"].to_list() == [900.0, 910.0]
    assert joined.panel["homes_sold"].to_list() == [None, 7.0]
    assert joined.panel["state"].to_list() == ["MA", "MA"]
    assert joined.panel["year"].to_list() == [2024.0, 2024.0]
    assert joined.differences == {("price", "zillow", "redfin"): 1}
    assert join_sources({"redfin": redfin, "zillow": zillow}).panel["price"].to_list() == [900.0, 1.0]


def test_rows_without_a_price_are_left_out_and_counted():
    zillow = rows((JAN, "02139", 900.0), price=pl.Float64)
    redfin = rows((JAN, "02139", 7.0), (JAN, "10001", 3.0), homes_sold=pl.Float64)
    joined = join_sources({"redfin": redfin, "zillow": zillow})
    assert joined.panel["zipcode"].to_list() == ["02139"]
    assert joined.without_price == {"redfin": 1}
    with pytest.raises(SourceError, match="no source gives prices: redfin"):
        join_sources({"redfin": redfin})


def test_slow_columns_are_carried_forward_and_never_backward():
    prices = rows(*((day, "02139", 900.0) for day in (JAN, FEB, MAR)), price=pl.Float64)
    census = rows((FEB, "02139", 35_000.0, 4.0), **{"Total Population": pl.Float64, "park": pl.Float64})
    panel = join_sources({"zillow": prices, "census": census}).panel
    assert panel["Total Population"].to_list() == [None, 35_000.0, 35_000.0]
    assert panel["park"].to_list() == [None, 4.0, 4.0]


def test_a_zero_that_means_missing_yields_to_another_source_and_is_not_carried():
    schema = {"price": pl.Float64, "Total Population": pl.Float64}
    housets = rows((JAN, "02139", 0.0, 100.0), (FEB, "02139", 5.0, 0.0), **schema)
    zillow = rows((JAN, "02139", 900.0), (FEB, "02139", 910.0), (MAR, "02139", 920.0), price=pl.Float64)
    joined = join_sources({"housets": housets, "zillow": zillow})
    assert joined.panel["price"].to_list() == [900.0, 5.0, 920.0]
    assert joined.panel["Total Population"].to_list() == [100.0, 0.0, 100.0]
    assert joined.differences == {("price", "housets", "zillow"): 1}


def test_labels_fill_rows_of_sources_that_have_none():
    housets = rows((JAN, "02139", 900.0, "Boston-Cambridge-Newton"), price=pl.Float64, city_full=pl.String)
    zillow = rows((JAN, "02139", 1.0), (FEB, "02139", 2.0), price=pl.Float64)
    assert join_sources({"zillow": zillow, "housets": housets}).panel["city_full"].unique().to_list() == [
        "Boston-Cambridge-Newton"
    ]


def test_one_source_alone_is_the_panel_that_it_was():
    frame = sample_frame(SampleSpec(zips=8, start="2019-01", end="2019-06", dirt=True))
    panel = join_sources({"housets": frame}).panel
    assert panel.equals(frame.with_columns(panel["year"]).sort("date", "zipcode", maintain_order=True))


def test_a_panel_that_goes_on_in_another_source_keeps_its_census():
    frame = sample_frame(SampleSpec(zips=8, start="2019-01", end="2019-06"))
    longer = frame.select("date", "zipcode", "price").vstack(
        frame.filter(pl.col("date") == date(2019, 6, 30)).select(
            pl.lit(date(2019, 7, 31)).alias("date"), "zipcode", "price"
        )
    )
    panel = join_sources({"zillow": longer, "housets": frame}).panel
    june, july = (panel.filter(pl.col("date").dt.month() == month) for month in (6, 7))
    # A zip whose census is missing (0) in the source has none (null) afterwards.
    assert july.select(SLOW).fill_null(0).equals(june.select(SLOW))
    assert july["city_full"].equals(june["city_full"])
    assert july["median_list_price"].null_count() == july.height
