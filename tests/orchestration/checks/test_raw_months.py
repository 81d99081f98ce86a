"""Each way a delivered month can be broken turns its check red, and no other month."""

from collections.abc import Callable

import polars as pl
import pytest

from housing_assets.core.panel.cleaning import clean_month
from housing_assets.core.panel.schema import BY_NAME, NUMERIC_FEATURES
from housing_assets.core.quality.cleaned import measure_clean_month
from housing_assets.core.quality.raw import measure_raw_months
from housing_assets.core.quality.rules import Severity
from housing_assets.orchestration.checks.suites import Finding, judge

MONTH, NEXT, ZIPS = "2021-06", "2021-07", 60
Breaker = Callable[[pl.DataFrame], pl.DataFrame]


def change(**values: pl.Expr) -> Breaker:
    return lambda frame: frame.with_columns(**values)


def first(rows: int, column: str, value: pl.Expr) -> Breaker:
    """Another value in the first rows."""
    return change(**{column: pl.when(pl.int_range(pl.len()) < rows).then(value).otherwise(pl.col(column))})


def swap(one: str, other: str) -> Breaker:
    return change(**{one: pl.col(other), other: pl.col(one)})


def judged(months: dict[str, pl.DataFrame], only: list[str] | None = None) -> list[Finding]:
    found = measure_raw_months(months.items(), only or months)
    return judge("raw_splits", [m for _, _, measurements in found for m in measurements])


def other_zips(frame: pl.DataFrame) -> pl.DataFrame:
    """Ten times the rows, of zips that nobody knows."""
    zips = pl.Series("zipcode", [f"{i:05d}" for i in range(1, frame.height * 9 + 1)])
    return pl.concat([frame, pl.concat([frame] * 9).with_columns(zips)])


DEFECTS: dict[str, tuple[Breaker, str, str]] = {
    "every zip twice": (
        lambda f: pl.concat([f, f]), "few_repeated_zips", "zipcode: 60 of 120 rows (50.0%) repeat a zip"),
    "a column renamed": (
        lambda f: f.rename({"inventory": "stock"}), "columns_are_declared",
        "inventory: is missing; there is stock instead"),
    "a column of text": (
        change(price=pl.col("price").cast(pl.String)), "columns_are_declared",
        "price: is String, should be Float64"),
    "a column too many": (change(extra=pl.lit(1)), "columns_are_declared", "extra: is not in the contract"),
    "no rows": (lambda f: f.clear(), "has_rows", "(rows): 0 rows"),
    "prices times 1000": (
        change(price=pl.col("price") * 1_000), "units_are_unchanged", "price: the median of 60 rows is"),
    "rents times 10": (
        change(**{"Median Rent": pl.col("Median Rent") * 10}), "units_are_unchanged",
        "Median Rent: the median of 49 rows is 12,200, 10 times the usual 1,220"),
    "list prices in hundreds": (
        change(median_list_price=pl.col("median_list_price") / 100), "units_are_unchanged", "0.0"),
    "an empty column": (
        change(inventory=pl.lit(None, pl.Float64)), "columns_are_filled",
        "inventory: 60 of 60 rows (100.0%) are missing"),
    "a column of zeros": (change(new_listings=pl.lit(0.0)), "columns_vary", "new_listings: all 60 rows are 0"),
    "a column of one value": (change(price=pl.lit(5e5)), "columns_vary", "price: all 60 rows are 500000"),
    "no prices": (
        change(price=pl.lit(None, pl.Float64)), "prices_are_known", "price: 60 of 60 rows (100.0%) have no price"),
    "ten times the rows": (other_zips, "row_count_is_plausible", "(rows): 600 rows, usually 60"),
    "half the zips missing": (
        lambda f: f.head(30), "zips_are_covered", "zipcode: 30 of 60 zips of the months before are not there"),
    "dates of another month": (
        change(date=pl.col("date").dt.offset_by("-1mo")), "dates_are_in_their_month",
        "date: 60 of 60 rows are not dated in 2021-06, for example 2021-05-30"),
    "dates of the future": (
        first(3, "date", pl.lit("2091-06-30").str.to_date()), "dates_are_in_their_month",
        "date: 3 of 60 rows are not dated in 2021-06, some later, for example 2091-06-30"),
    "negative prices": (
        change(price=-pl.col("price")), "few_impossible_values", "price: 60 of 60 rows (100.0%) outside 1000 to 1e+09"),
    "shares above one": (
        change(sold_above_list=pl.lit(1.0) + pl.col("sold_above_list")), "few_impossible_values", "outside 0 to 1"),
    "NaN": (
        first(1, "median_dom", pl.lit(float("nan"))), "values_are_numbers",
        "median_dom: 1 of 60 rows (1.7%) are NaN"),
    "infinity": (first(2, "price", pl.lit(float("-inf"))), "values_are_numbers", "price: 2 of 60 rows (3.3%) are NaN"),
    "sizes swapped": (swap("median_list_price", "median_list_ppsf"), "units_are_unchanged", "median_list_ppsf"),
    "columns of a size swapped": (
        swap("Median Age", "median_dom"), "zips_keep_their_order", "Median Age: 60 zips correlate by"),
    "prices swapped": (swap("price", "Median Home Value"), "prices_do_not_jump", "zips jump by more than 28%"),
    "rows shifted against their zips": (
        change(**{n: pl.col(n).shift(7).fill_null(pl.col(n).first()) for n in NUMERIC_FEATURES}),
        "zips_keep_their_order", "Median Home Value: 60 zips correlate by"),
    "zips as numbers": (
        change(zipcode=pl.col("zipcode").cast(pl.Int64).cast(pl.String).str.slice(1)), "zip_codes_have_5_digits",
        "zipcode: 60 of 60 rows are not 5 digits"),
    "no zips": (change(zipcode=pl.lit(None, pl.String)), "keys_are_known", "zipcode: 60 of 60 rows have no zip code"),
    "a metro spelled otherwise": (
        change(city_full=pl.lit("Greater ") + pl.col("city_full")), "metros_stay_known",
        "city_full: 60 of 60 rows (100.0%) name no metro that is known, in the months before 0.0% at least"),
}  # fmt: skip


FEW = ("every zip twice", "prices times 1000", "half the zips missing", "NaN")
"""Those that are looked for at every change."""


@pytest.mark.parametrize(
    ("broken", "rule", "told"),
    [pytest.param(*of, id=name, marks=() if name in FEW else pytest.mark.slow) for name, of in DEFECTS.items()],
)
def test_a_broken_month_is_named_with_column_and_count_and_the_others_are_sound(months, broken, rule, told):
    changed = months | {MONTH: broken(months[MONTH])}
    found = judged(changed)
    mine = [f for f in found if f.rule.name == rule]
    assert mine, [str(f) for f in found]
    assert mine[0].rule.severity is Severity.ERROR
    assert any(told in str(f) for f in mine), [str(f) for f in mine]
    assert {f.month for f in found} == {MONTH}, [f"{f.rule.name} {f}" for f in found if f.month != MONTH]
    # Alone, it is judged as in the range.
    before = {m: changed[m] for m in list(changed)[: list(changed).index(MONTH) + 1]}
    assert [str(f) for f in judged(before, only=[MONTH])] == [str(f) for f in found]


SOFT: dict[str, tuple[Breaker, str, str]] = {
    "a price that is off": (
        first(1, "price", pl.col("price") * 3), "no_price_jumps", "price: 1 of 60 zips jump by more than 28%"),
    "a fifth of the zips missing": (
        lambda f: f.head(48), "zips_are_covered_as_usual", "zipcode: 12 of 60 zips of the months before are not there"),
    "more rows": (
        lambda f: pl.concat([f, f.head(12).with_columns(zipcode=pl.lit("0") + pl.col("zipcode").str.slice(1))]),
        "row_count_is_usual", "(rows): 72 rows, usually 60"),
    "more gaps": (
        first(24, "median_dom", pl.lit(0.0)), "columns_are_filled_as_usual",
        "median_dom: 24 of 60 rows (40.0%) are missing, usually 0.0%"),
}  # fmt: skip


@pytest.mark.parametrize(("broken", "rule", "told"), SOFT.values(), ids=SOFT)
def test_what_is_only_odd_warns(months, broken, rule, told):
    found = judged(months | {MONTH: broken(months[MONTH])})
    mine = [f for f in found if f.rule.name == rule]
    assert [(f.rule.severity, str(f).startswith(f"{MONTH}: {told}")) for f in mine] == [(Severity.WARN, True)]


@pytest.mark.slow
def test_a_dirty_panel_is_green_in_each_of_its_142_months(dirty_months):
    assert len(dirty_months) == 142
    assert judged(dirty_months) == []
    cleaned = []
    for month, raw in dirty_months.items():
        made = clean_month(raw)
        cleaned += measure_clean_month(made.frame, month, made.quarantined.height)
    assert judge("cleaned", cleaned) == []


@pytest.mark.parametrize("zips", [1, 3])
def test_a_panel_of_a_few_zips_is_not_judged_by_chance(months, zips):
    assert judged({m: f.head(zips) for m, f in months.items()}) == []


# ---------------------------------------------------------------- cleaned months

CLEAN_DEFECTS: dict[str, tuple[Breaker, str, str]] = {
    "two rows of a zip": (
        lambda f: pl.concat([f.head(1), f]), "one_row_a_zip", "zipcode: 2 of 61 rows share their zip"),
    "a share above one": (
        first(1, "sold_above_list", pl.lit(1.5)), "values_are_in_range",
        "sold_above_list: 1 of 60 rows outside 0 to 1, for example 1.5"),
    "NaN": (first(1, "price", pl.lit(float("nan"))), "values_are_numbers", "price: 1 of 60 rows are NaN"),
    "no prices": (change(price=pl.lit(None, pl.Float64)), "prices_are_known", "price: 60 of 60 rows (100.0%) have no"),
    "a column too many": (change(extra=pl.lit(1)), "columns_are_declared", "extra: is not in the contract"),
    "another month": (
        change(date=pl.col("date").dt.offset_by("1y")), "dates_are_in_their_month", "60 of 60 rows are not dated in"),
}  # fmt: skip


@pytest.mark.parametrize(("broken", "rule", "told"), CLEAN_DEFECTS.values(), ids=CLEAN_DEFECTS)
def test_a_broken_cleaned_month_is_named(clean, broken, rule, told):
    assert judge("cleaned", measure_clean_month(clean, MONTH)) == []
    found = judge("cleaned", measure_clean_month(broken(clean), MONTH))
    assert any(f.rule.name == rule and told in str(f) for f in found), [str(f) for f in found]


@pytest.mark.parametrize(
    ("rows", "rules"),
    [(0, []), (4, []), (8, ["quarantine_is_usual"]), (20, ["little_is_quarantined", "quarantine_is_usual"])],
)
def test_much_quarantine_warns_and_more_blocks(clean, rows, rules):
    found = judge("cleaned", measure_clean_month(clean, MONTH, rows))
    assert [f.rule.name for f in found] == rules


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NUMERIC_FEATURES if BY_NAME[n].unit == "US dollars"])
def test_dollars_times_1000_are_red_in_every_column(months, name):
    found = judged(months | {MONTH: change(**{name: pl.col(name) * 1_000})(months[MONTH])})
    assert name in {f.column for f in found if f.rule.severity is Severity.ERROR}
