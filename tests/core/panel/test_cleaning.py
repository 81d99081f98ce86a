"""Cleaning of a month: what it changes, what it takes out, and that it loses nothing."""

import unicodedata
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from housing_assets.core.panel.cleaning import CLEAN_SCHEMA, CleaningRules, clean_month, standardize
from housing_assets.core.panel.metros import METROS
from housing_assets.core.panel.schema import BY_NAME, COLUMN_NAMES, COLUMNS, NUMBERS, RAW_SCHEMA, Column, Role, Zero

CENSUS = [c.name for c in COLUMNS if c.role is Role.CENSUS]
AMENITIES = [c.name for c in COLUMNS if c.role is Role.AMENITY]
MEASURED = [n for n in NUMBERS if n != "year"]
DASHES = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) == "Pd"] + ["\u2212", "\u00ad", "_", "/"]

FEW = settings(max_examples=25, deadline=None)


def edit(frame: pl.DataFrame, row: int, changes: dict[str, object]) -> pl.DataFrame:
    """The frame with some values of one row changed."""
    hit = pl.int_range(pl.len()) == row
    return frame.with_columns(
        pl.when(hit).then(pl.lit(value, frame.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in changes.items()
    )


DIRTY_ROW = st.fixed_dictionaries(
    {
        "zipcode": st.sampled_from(["02139", "07030", "90001"]),
        "date": st.sampled_from([date(2021, 6, 1), date(2021, 6, 30)]),
        "city_full": st.sampled_from(["DC_Metro", " dc metro", "Boston\u2013Cambridge - Newton", "No  Land", None]),
        "price": st.sampled_from([0.0, -1.0, 999.0, 1e5, 2e5, 2e9, float("nan"), float("inf"), None]),
        "median_list_price": st.sampled_from([0.0, 3e5, 2e7, 2e9, None]),
        "sold_above_list": st.sampled_from([0.0, 0.5, 1.5]),
        "Total Population": st.sampled_from([0.0, 100.0, None]),
        "Unemployed Population": st.sampled_from([0.0, 5.0]),
    }
)


def month_of(template: pl.DataFrame, rows: list[dict]) -> pl.DataFrame:
    """Rows of one month: a sound row with the drawn values over it."""
    sound = template.row(0, named=True)
    return pl.DataFrame([sound | row for row in rows], schema=RAW_SCHEMA)


# ---------------------------------------------------------------- laws


@FEW
@given(rows=st.lists(DIRTY_ROW, max_size=8))
def test_to_standardize_twice_is_to_standardize_once(raw_month, rows):
    once = standardize(month_of(raw_month, rows))
    assert_frame_equal(standardize(once), once)
    assert once.height == len(rows)


@FEW
@given(rows=st.lists(DIRTY_ROW, max_size=8))
def test_a_cleaned_month_is_clean(raw_month, rows):
    first = clean_month(month_of(raw_month, rows))
    second = clean_month(first.frame)
    assert_frame_equal(second.frame, first.frame)
    assert second.quarantined.is_empty()
    changed = {k: n for k, n in second.counts.items() if k not in ("rows in", "rows kept", "metros unknown")}
    assert set(changed.values()) == {0}


@FEW
@given(rows=st.lists(DIRTY_ROW, max_size=10))
def test_no_row_is_lost(raw_month, rows):
    raw = month_of(raw_month, rows)
    result = clean_month(raw)
    counts = result.counts
    assert counts["rows in"] == raw.height
    assert counts["rows kept"] == result.frame.height
    assert raw.height == result.frame.height + result.quarantined.height + counts["exact copies dropped"]
    by_reason = {k: n for k, n in counts.items() if k.startswith("quarantined, ")}
    assert sum(by_reason.values()) == result.quarantined.height
    assert set(result.frame["zipcode"]) | set(result.quarantined["zipcode"]) == set(raw["zipcode"])


@FEW
@given(rows=st.lists(DIRTY_ROW, max_size=10))
def test_what_is_kept_is_possible_and_what_is_taken_out_has_a_reason(raw_month, rows):
    result = clean_month(month_of(raw_month, rows))
    assert dict(result.frame.schema) == CLEAN_SCHEMA
    assert result.frame["zipcode"].is_unique().all()
    for name in NUMBERS:
        values = result.frame[name].drop_nulls().to_list()
        assert all(BY_NAME[name].low <= v <= BY_NAME[name].high for v in values), name
    assert result.quarantined.columns == [*COLUMN_NAMES, "split", "reason"]
    assert result.quarantined["reason"].null_count() == 0


@FEW
@given(data=st.data(), rows=st.lists(DIRTY_ROW, max_size=10))
def test_neither_the_order_of_rows_nor_that_of_columns_matters(raw_month, data, rows):
    raw = month_of(raw_month, rows)
    order = data.draw(st.permutations(range(raw.height)))
    columns = data.draw(st.permutations(raw.columns))
    previous = raw_month.head(3).with_columns(zipcode=pl.Series(["02139", "07030", "90001"]))
    one = clean_month(raw, previous)
    other = clean_month(raw[list(order)].select(columns), previous.reverse().select(reversed(columns)))
    assert_frame_equal(other.frame, one.frame)
    assert_frame_equal(other.quarantined, one.quarantined)
    assert other.counts == one.counts


def test_a_sound_month_is_kept_whole(raw_month):
    result = clean_month(raw_month)
    assert result.quarantined.is_empty()
    assert result.frame["zipcode"].to_list() == sorted(raw_month["zipcode"])
    assert_frame_equal(result.frame.select(AMENITIES), raw_month.sort("zipcode").select(AMENITIES))
    assert result.frame["split"].null_count() == result.frame.height


def test_the_split_of_a_row_is_carried_along(raw_month):
    raw = edit(raw_month, 0, {"price": -1.0}).with_columns(split=pl.lit("eval"))
    result = clean_month(raw)
    assert result.frame["split"].unique().to_list() == ["eval"]
    assert result.quarantined["split"].to_list() == ["eval"]


def test_an_empty_month_stays_empty(raw_month):
    result = clean_month(raw_month.clear())
    assert dict(result.frame.schema) == CLEAN_SCHEMA
    assert set(result.counts.values()) == {0}


# ---------------------------------------------------------------- metro names


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_spelling_of_a_metro_becomes_todays_census_name(raw_month, data):
    metro = data.draw(st.sampled_from(METROS))
    spelling = data.draw(st.sampled_from([metro.code, metro.name, *metro.spellings]))
    cased = data.draw(st.sampled_from([str.upper, str.lower, str.title, str.swapcase]))(spelling)
    dash = data.draw(st.sampled_from(DASHES))
    space = data.draw(st.sampled_from(["", " ", "\u00a0", "\t "]))
    written = space + cased.replace("-", f"{space}{dash}{space}") + space
    row = standardize(edit(raw_month.head(1), 0, {"city_full": written})).row(0, named=True)
    assert (row["city_full"], row["latitude"], row["longitude"]) == (metro.name, metro.latitude, metro.longitude)


def test_every_dash_there_is_parts_the_cities_of_a_metro(raw_month):
    names = [f"Denver{d}Aurora{d}Lakewood" for d in DASHES]
    rows = pl.concat([raw_month.head(1)] * len(names)).with_columns(city_full=pl.Series(names))
    assert standardize(rows)["city_full"].unique().to_list() == ["Denver-Aurora-Centennial"]


def test_rows_of_an_unknown_metro_or_of_none_are_pooled_with_their_state_and_counted(raw_month):
    raw = edit(raw_month, 0, {"city_full": "  New   Atlantis ", "zipcode": "59715"})
    raw = edit(edit(raw, 1, {"city_full": None, "zipcode": "79830"}), 2, {"city_full": " ", "zipcode": "00801"})
    result = clean_month(raw)
    assert (result.counts["metros unknown"], result.counts["rows of no metro"]) == (1, 2)
    pooled = result.frame.filter(pl.col("zipcode").is_in(["59715", "79830", "00801"]))
    assert dict(pooled.select("zipcode", "city_full").iter_rows()) == {
        "59715": "Montana (no metro)", "79830": "Texas (no metro)", "00801": "US Virgin Islands (no metro)",
    }  # fmt: skip
    assert pooled["latitude"].null_count() == pooled["longitude"].null_count() == 0


def test_a_row_that_nobody_can_place_keeps_its_trimmed_name(raw_month):
    raw = edit(raw_month.head(1), 0, {"city_full": "  New   Atlantis ", "zipcode": None})
    row = standardize(raw).row(0, named=True)
    assert (row["city_full"], row["latitude"], row["longitude"]) == ("New Atlantis", None, None)


def test_cleaning_a_cleaned_name_again_changes_nothing(raw_month):
    raw = edit(raw_month.head(2), 0, {"city_full": "Atlantis", "zipcode": "59715"})
    once = standardize(raw)
    again = standardize(once.select(raw.columns))
    assert again.equals(once)


def test_a_metro_without_a_name_is_not_counted_as_respelled(raw_month):
    raw = raw_month.with_columns(city_full=pl.lit("Boston-Cambridge-Newton"))
    assert clean_month(raw).counts["metro names normalized"] == 0
    assert clean_month(edit(raw, 0, {"city_full": None})).counts["metro names normalized"] == 0
    assert clean_month(edit(raw, 0, {"city_full": "Boston"})).counts["metro names normalized"] == 1


# ---------------------------------------------------------------- gaps


@pytest.mark.parametrize("column", COLUMNS, ids=COLUMN_NAMES)
def test_a_zero_is_read_as_the_schema_says(raw_month, column: Column):
    zero: object = {"number": 0.0, "text": "0", "date": date(2021, 6, 30)}[column.kind]
    surveyed, bare = (
        standardize(edit(raw_month.head(1), 0, {"Total Population": people, column.name: zero}))[column.name][0]
        for people in (500.0, 0.0)
    )
    if column.name == "year":
        assert surveyed == bare == 2021
    elif column.name == "city_full":
        assert surveyed == bare == "Massachusetts (no metro)"
    elif column.zero is Zero.VALUE:
        assert surveyed == bare == zero
    elif column.zero is Zero.MISSING:
        assert surveyed is bare is None
    else:
        assert (surveyed, bare) == (0, None)


@pytest.mark.parametrize("name", MEASURED)
def test_a_value_that_is_there_is_left_alone(raw_month, name):
    high = BY_NAME[name].high
    assert standardize(edit(raw_month.head(1), 0, {name: high}))[name][0] == high
    assert standardize(edit(raw_month.head(1), 0, {name: None}))[name][0] is None


def test_gaps_are_counted(raw_month):
    full = raw_month.with_columns(pl.lit(1.0).alias(n) for n in MEASURED).with_columns(price=pl.lit(1e5))
    assert clean_month(full).counts["0-coded gaps made missing"] == 0
    gaps = edit(edit(full, 0, {"median_dom": 0.0, "homes_sold": 0.0, "bank": 0.0}), 1, {"price": 0.0})
    result = clean_month(gaps)
    assert result.counts["0-coded gaps made missing"] == 3
    assert result.frame["price"].null_count() == 1


def test_new_jersey_is_kept_without_its_census(raw_month):
    jersey = clean_month(raw_month).frame.filter(pl.col("zipcode").str.contains("^0[78]"))
    assert jersey.height > 0
    assert all(jersey[name].null_count() == jersey.height for name in CENSUS)
    assert all(jersey[name].null_count() == 0 for name in [*AMENITIES, "price", "latitude"])


# ---------------------------------------------------------------- duplicates


def test_of_exact_copies_one_row_stays(raw_month):
    result = clean_month(pl.concat([raw_month, raw_month.head(2), raw_month.head(1)]))
    assert_frame_equal(result.frame, clean_month(raw_month).frame)
    assert result.counts["exact copies dropped"] == 3
    assert result.quarantined.is_empty()


def test_copies_that_differ_in_spelling_alone_are_exact_copies(raw_month):
    raw = edit(raw_month.head(1), 0, {"city_full": "DC_Metro"})
    again = edit(raw, 0, {"city_full": "washington dc", "date": date(2021, 6, 1)})
    result = clean_month(pl.concat([raw, again]))
    assert result.counts["exact copies dropped"] == 1
    assert result.frame["city_full"].to_list() == ["Washington-Arlington-Alexandria"]


def test_rows_that_disagree_about_a_zip_are_all_quarantined(raw_month):
    rival = edit(raw_month.head(1), 0, {"price": 123_456.0})
    third = edit(raw_month.head(1), 0, {"bank": 77.0})
    result = clean_month(pl.concat([raw_month, rival, third, rival]))
    zipcode = raw_month["zipcode"][0]
    assert result.quarantined["zipcode"].to_list() == [zipcode] * 3
    assert set(result.quarantined["reason"]) == {"conflict: 3 different rows for this zip and month"}
    assert zipcode not in result.frame["zipcode"]
    assert result.frame.height == raw_month.height - 1
    assert result.counts["quarantined, conflict"] == 3
    assert result.counts["exact copies dropped"] == 1


# ---------------------------------------------------------------- impossible rows


@pytest.mark.parametrize("name", MEASURED)
def test_an_impossible_value_is_quarantined_and_named(raw_month, name):
    column = BY_NAME[name]
    bad = [column.low - 1, column.high * 1.001, float("nan"), float("inf"), float("-inf")]
    raw = raw_month
    for i, value in enumerate(bad):
        raw = edit(raw, i, {name: value})
    result = clean_month(raw, rules=CleaningRules(max_list_price=float("inf")))
    found = dict(result.quarantined.select("zipcode", "reason").iter_rows())
    assert set(found) == set(raw["zipcode"][: len(bad)])
    for zipcode, value in zip(raw["zipcode"], bad, strict=False):
        assert found[zipcode].startswith(f"impossible value: {name} ")
        assert found[zipcode].endswith(f" outside {column.low:g} to {column.high:g}")
        assert str(pl.select(pl.lit(value).cast(pl.String)).item()) in found[zipcode]


@pytest.mark.parametrize("name", MEASURED)
def test_the_limits_themselves_are_possible(raw_month, name):
    column = BY_NAME[name]
    raw = edit(edit(raw_month, 0, {name: column.high}), 1, {name: column.low})
    assert clean_month(raw, rules=CleaningRules(max_list_price=1e12)).quarantined.is_empty()


def test_a_list_price_over_the_limit_is_quarantined(raw_month):
    raw = edit(edit(raw_month, 0, {"median_list_price": 19_000_000.0}), 1, {"median_list_price": 19_000_001.0})
    result = clean_month(raw)
    assert result.quarantined["zipcode"].to_list() == [raw["zipcode"][1]]
    assert result.quarantined["reason"][0].startswith("list price over the limit: median_list_price 19000001.0")
    assert result.quarantined["reason"][0].endswith("> 19000000")
    assert result.counts["quarantined, list price over the limit"] == 1


def test_the_list_price_limit_can_be_set(raw_month):
    raw = edit(edit(raw_month, 0, {"median_list_price": 5e6}), 1, {"median_list_price": 9e8})
    assert clean_month(raw, rules=CleaningRules(max_list_price=4_999_999)).quarantined.height == 2
    assert clean_month(raw, rules=CleaningRules(max_list_price=float("inf"))).quarantined.is_empty()


def test_a_row_that_breaks_several_rules_is_told_the_first(raw_month):
    broken = {"median_list_price": 2e7, "price": -5.0, "bank": -1.0}
    reason = clean_month(edit(raw_month, 0, broken)).quarantined["reason"].to_list()
    assert len(reason) == 1
    assert reason[0].startswith("list price")
    rivals = pl.concat([edit(raw_month.head(1), 0, broken), raw_month.head(1)])
    assert clean_month(rivals).counts["quarantined, conflict"] == 2


# ---------------------------------------------------------------- repeats


@pytest.fixture
def may(raw_month):
    """The month before, with the very values of June."""
    return raw_month.with_columns(date=pl.lit(date(2021, 5, 31)))


def repeats(raw: pl.DataFrame, previous: pl.DataFrame | None) -> set[str]:
    return set(clean_month(raw, previous).frame.filter("repeats_previous")["zipcode"])


def test_a_row_that_only_repeats_the_month_before_is_kept_and_flagged(raw_panel, raw_month, may):
    real = raw_panel.filter(pl.col("date") == pl.date(2021, 5, 31))
    mixed = pl.concat([real.slice(2), may.head(2)])
    result = clean_month(raw_month, mixed)
    assert result.frame.height == raw_month.height
    assert set(result.frame.filter("repeats_previous")["zipcode"]) == set(raw_month["zipcode"][:2])
    assert result.counts["repeats of the previous month"] == 2


def test_without_the_month_before_nothing_repeats(raw_month, may):
    assert repeats(raw_month, None) == repeats(raw_month, may.clear()) == set()


def test_one_value_that_differs_is_enough_not_to_repeat(raw_month, may):
    raw = raw_month.sort("zipcode")
    changed = raw
    for i, name in enumerate(MEASURED):
        changed = edit(changed, i, {name: (raw[name][i] or 0) / 2 + (0.2 if BY_NAME[name].high <= 1000 else 700)})
    assert clean_month(changed).quarantined.is_empty()
    assert repeats(changed, may) == set(raw["zipcode"][len(MEASURED) :])


def test_a_respelled_metro_does_not_hide_a_repeat(raw_month, may):
    assert repeats(raw_month, may.with_columns(pl.col("city_full").str.to_uppercase())) == set(raw_month["zipcode"])


def test_exact_copies_in_the_month_before_do_not_hide_a_repeat(raw_month, may):
    assert repeats(raw_month, pl.concat([may, may.head(3)])) == set(raw_month["zipcode"])


def test_a_conflict_in_the_month_before_says_nothing(raw_month, may):
    rival = edit(may.head(1), 0, {"price": 1e6})
    for previous in ([may, rival], [rival, may]):
        assert repeats(raw_month, pl.concat(previous)) == set(raw_month["zipcode"][1:])


def test_a_zip_that_was_not_there_before_repeats_nothing(raw_month, may):
    thin = [n for n in MEASURED if n != "price"]
    june = edit(raw_month, 0, {"price": 0.0}).with_columns(pl.lit(None, pl.Float64).alias(n) for n in thin)
    assert raw_month["zipcode"][0] not in repeats(june, may.slice(1))


def test_a_month_without_any_number_repeats_nothing(raw_month, may):
    bare = raw_month.with_columns(pl.lit(None, pl.Float64).alias(n) for n in MEASURED)
    assert repeats(bare, may) == set()
