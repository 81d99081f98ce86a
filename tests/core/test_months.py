"""Months as text, their arithmetic, and the time split."""

import calendar
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.errors import HousingError
from housing_assets.core.months import (
    PANEL_END,
    PANEL_START,
    Split,
    TimeSplit,
    add_months,
    describe_months,
    month_at,
    month_end,
    month_index,
    month_of,
    month_range,
    parse_month,
    parse_month_range,
)

MONTHS = st.dates(date(1000, 1, 1), date(8999, 12, 31)).map(month_of)
STEPS = st.integers(-5000, 5000)


@given(MONTHS)
def test_a_month_is_read_as_it_is_written(month):
    assert parse_month(month) == month
    assert month_at(month_index(month)) == month


@given(MONTHS, STEPS)
def test_adding_months_is_undone_by_taking_them_away(month, count):
    assert add_months(add_months(month, count), -count) == month
    assert month_index(add_months(month, count)) - month_index(month) == count


@given(MONTHS, MONTHS)
def test_months_sort_as_time_does(one, other):
    assert (one < other) == (month_index(one) < month_index(other))


@given(MONTHS, st.integers(-20, 400))
def test_a_range_has_every_month_once_and_both_ends(first, count):
    months = month_range(first, add_months(first, count))
    assert len(months) == max(count + 1, 0)
    assert months == sorted(set(months))
    if count >= 0:
        assert (months[0], months[-1]) == (first, add_months(first, count))


@given(MONTHS)
def test_the_end_of_a_month_is_that_of_the_calendar(month):
    year, number = int(month[:4]), int(month[5:])
    assert month_end(month) == date(year, number, calendar.monthrange(year, number)[1])


@given(st.dates())
def test_a_day_lies_in_its_month(day):
    assert month_of(day) == day.isoformat()[:7]


@pytest.mark.parametrize(
    ("month", "last_day"),
    [("2020-02", 29), ("2021-02", 28), ("2100-02", 28), ("2000-02", 29), ("2021-12", 31), ("2021-04", 30)],
)
def test_leap_years_and_year_ends(month, last_day):
    assert month_end(month).day == last_day


def test_the_panel_has_142_months():
    assert len(month_range(PANEL_START, PANEL_END)) == 142


@pytest.mark.parametrize(
    "text",
    ["", "2022", "2022-1", "2022-00", "2022-13", "2022-01-31", " 2022-01", "2022-01\n", "2022/01", "22-01", "x",
     "\u0662\u0660\u0662\u0662-\u0660\u0661"],
)  # fmt: skip
def test_what_is_no_month_is_refused_with_its_form(text):
    with pytest.raises(HousingError) as caught:
        parse_month(text)
    assert repr(text) in str(caught.value)
    assert "write YYYY-MM" in str(caught.value)


def test_a_range_may_be_one_month():
    assert parse_month_range("2022-01:2022-03") == ("2022-01", "2022-03")
    assert parse_month_range("2022-01") == ("2022-01", "2022-01")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2022-03:2022-01", "'2022-03:2022-01' ends before it begins: write FIRST:LAST"),
        (":2022-01", "'' is not a month"),
        ("2022-01:2022-13", "'2022-13' is not a month"),
        ("2022-01:2022-02:2022-03", "'2022-02:2022-03' is not a month"),
    ],
)
def test_bad_ranges_are_refused(text, words):
    with pytest.raises(HousingError, match=words):
        parse_month_range(text)


@pytest.mark.parametrize(
    ("months", "words"),
    [
        ([], "none"),
        (["2022-01"], "2022-01"),
        (["2022-02", "2021-12", "2022-01"], "2021-12 to 2022-02"),
        (["2022-05", "2021-12", "2022-01"], "2021-12 to 2022-01, 2022-05"),
    ],
)
def test_months_in_words(months, words):
    assert describe_months(months) == words


# ---------------------------------------------------------------- the time split


@given(st.lists(MONTHS, min_size=2, max_size=2, unique=True), MONTHS)
def test_a_month_belongs_to_exactly_one_split(cuts, month):
    eval_start, holdout_start = sorted(cuts)
    split = TimeSplit(eval_start, holdout_start)
    holds = {s for s in Split if split.months(s, month, month)}
    assert holds == {split.of(month)}
    assert (split.of(month) is Split.TRAIN) == (month < eval_start)
    assert (split.of(month) is Split.HOLDOUT) == (month >= holdout_start)


def test_the_splits_share_out_the_panel_in_order():
    split = TimeSplit()
    parts = [split.months(s, PANEL_START, PANEL_END) for s in (Split.TRAIN, Split.EVAL, Split.HOLDOUT)]
    assert [month for part in parts for month in part] == month_range(PANEL_START, PANEL_END)
    assert [(p[0], p[-1]) for p in parts] == [
        ("2012-03", "2019-12"),
        ("2020-01", "2021-12"),
        ("2022-01", "2023-12"),
    ]


@pytest.mark.parametrize("cuts", [("2022-01", "2022-01"), ("2022-02", "2022-01")])
def test_cut_offs_that_leave_eval_empty_are_refused(cuts):
    with pytest.raises(HousingError, match=f"HOUSING_EVAL_START={cuts[0]} must come before HOUSING_HOLDOUT_START"):
        TimeSplit(*cuts)


@pytest.mark.parametrize("cuts", [("2022", "2023-01"), ("2022-01", "soon")])
def test_a_cut_off_that_is_no_month_is_refused(cuts):
    with pytest.raises(HousingError, match="is not a month"):
        TimeSplit(*cuts)
