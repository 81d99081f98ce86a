"""What a new vintage changed, and what cannot be a revision."""

from datetime import UTC, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from housing_assets.core.months import add_months, month_end, month_of
from housing_assets.core.vintages.revisions import (
    REVISIONS_SCHEMA,
    judge_revision,
    month_revisions,
    revision_table,
    revisions_of,
)


def vintage(zips: int = 40, months: int = 6, **columns: pl.Expr) -> pl.DataFrame:
    frame = pl.DataFrame({"zipcode": [f"{n:05d}" for n in range(zips)]}).join(
        pl.DataFrame({"date": [month_end(add_months("2024-01", n)) for n in range(months)]}), how="cross"
    )
    number = pl.col("zipcode").cast(pl.Float64)
    frame = frame.with_columns(
        price=200_000 + 1_000 * number, homes_sold=10 + number, sold_above_list=0.3 + number / 100
    )
    return frame.with_columns(**columns)


def rules(old: pl.DataFrame, new: pl.DataFrame, **published) -> tuple[list[str], list[str]]:
    verdict = judge_revision(revision_table(old, new), "zillow", **published)
    return [f.rule for f in verdict.blocks], [f.rule for f in verdict.warnings]


@pytest.mark.parametrize("order", [range(5), [0, 0, 1, 2, 3, 4], [4, 2, 2, 0, 1, 3]])
def test_a_month_that_is_the_same_in_both_vintages_counts_each_zip_once(order):
    same = vintage(zips=5, months=1)[list(order)]
    unchanged, compared = month_revisions("2024-01", same, same), month_revisions("2024-01", same, same.clone())
    assert_frame_equal(unchanged, compared)
    assert unchanged["zips_in_both"].unique().to_list() == [5]
    assert unchanged["share_changed"].unique().to_list() == [0]


def test_a_month_tells_how_much_changed_and_where_most():
    new = vintage(months=7).with_columns(
        price=pl.when(pl.col("zipcode") == "00003").then(pl.col("price") * 0.9)
        .when(pl.col("zipcode") < "00020").then(pl.col("price") * 1.01).otherwise("price")
    )  # fmt: skip
    new = new.filter(pl.col("zipcode") != "00039").vstack(new.head(1).with_columns(zipcode=pl.lit("99999")))
    table = revision_table(vintage(), new)

    assert table.schema == REVISIONS_SCHEMA
    row = table.row(by_predicate=(pl.col("month") == "2024-01") & (pl.col("column") == "price"), named=True)
    assert (row["old_zips"], row["new_zips"], row["zips_in_both"]) == (40, 40, 39)
    assert (row["zips_gained"], row["zips_lost"], row["most_zip"]) == (1, 1, "00003")
    assert row["share_changed"] == pytest.approx(20 / 39)
    assert row["median_change"] == pytest.approx(0.01)
    assert row["most_change"] == pytest.approx(0.1)
    added = table.row(by_predicate=(pl.col("month") == "2024-07") & (pl.col("column") == "price"), named=True)
    assert (added["old_zips"], added["zips_in_both"], added["median_change"]) == (0, 0, None)


def test_a_usual_revision_and_a_month_more_pass_without_a_word():
    assert rules(vintage(), vintage(months=7, price=pl.col("price") * 1.003)) == ([], [])
    assert rules(vintage(), vintage()) == ([], [])


def test_a_month_that_stayed_as_it_was_is_told_as_one_that_was_compared():
    some = pl.col("zipcode").cast(pl.Int64) % 3
    old = vintage(
        price=pl.when(some > 0).then("price"),
        homes_sold=pl.when(some == 1).then(0.0).otherwise("homes_sold"),
        sold_above_list=pl.lit(0.0),
        inventory=pl.lit(None, pl.Float64),
    )
    compared = revision_table(old, old)
    months = {month_of(day[0]): part for day, part in old.partition_by("date", as_dict=True).items()}
    assert_frame_equal(revisions_of((month, rows, rows) for month, rows in months.items()), compared)
    assert compared.filter(column="price")["zips_in_both"].unique().to_list() == [26]


def test_an_unusual_revision_warns():
    assert rules(vintage(), vintage(price=pl.col("price") * 1.08)) == ([], ["usual_revision"])
    assert rules(vintage(), vintage(homes_sold=pl.col("homes_sold") * 1.3)) == ([], ["usual_revision"])
    assert rules(vintage(zips=100), vintage(zips=100).filter(pl.col("zipcode") > "00004")) == ([], ["few_zips_lost"])


@pytest.mark.parametrize(
    ("new", "rule", "words"),
    [
        (vintage(price=pl.col("price") * 1_000), "units_stay", "dollars and thousands"),
        (vintage(price=pl.col("price") / 1_000), "units_stay", "price of zillow"),
        (vintage(sold_above_list=pl.col("sold_above_list") * 100), "units_stay", "percent and fractions"),
        (vintage().filter(pl.col("zipcode") >= "00012"), "zips_stay", "12 of 40 zips (30.0%)"),
        (vintage().filter(pl.col("date").dt.month() != 3), "months_stay", "lacks 2024-03"),
        (vintage(months=8).filter(pl.col("date").dt.month() != 7), "months_stay", "lacks 2024-07"),
        (vintage(months=5), "newer_than_the_last", "ends with 2024-05, the newest vintage with 2024-06"),
        (vintage().rename({"price": "value"}).drop("homes_sold", "sold_above_list"), "months_stay", "other names"),
    ],
)
def test_what_cannot_be_a_revision_is_blocked(new, rule, words):
    verdict = judge_revision(revision_table(vintage(), new), "zillow")
    assert [f.rule for f in verdict.blocks] == [rule]
    assert words in str(verdict)


def test_a_file_that_was_published_earlier_is_blocked():
    old, new = datetime(2024, 7, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    assert rules(vintage(), vintage(), old_published=old, new_published=new) == (["newer_than_the_last"], [])
    assert rules(vintage(), vintage(), old_published=new, new_published=old) == ([], [])
