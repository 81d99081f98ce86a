"""Months as text, their arithmetic, and the time split."""

import calendar
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.errors import HousingError, UnknownPanelError
from housing_assets.core.months import (
    PANEL_END,
    PANEL_START,
    Split,
    TimeSplit,
    add_months,
    counts_back,
    cut_off_month,
    describe_months,
    month_at,
    month_end,
    month_index,
    month_of,
    month_range,
    parse_cut_off,
    parse_month,
    parse_month_range,
    resolve_split,
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


# ---------------------------------------------------------------- cut-offs that count back

COUNTS = st.integers(1, 300)


@given(MONTHS, st.integers(2, 400), st.data())
def test_a_count_is_how_many_months_belong_to_the_split_and_what_follows(first, size, data):
    newest = add_months(first, size)  # size + 1 months
    back = sorted(data.draw(st.lists(st.integers(1, size), min_size=2, max_size=2, unique=True)))
    split = resolve_split(f"-{back[1]}", f"-{back[0]}", first, newest)
    counts = {part: len(split.months(part, first, newest)) for part in Split}
    assert counts == {Split.HOLDOUT: back[0], Split.EVAL: back[1] - back[0], Split.TRAIN: size + 1 - back[1]}


@given(st.dates(date(2000, 1, 1), date(2050, 12, 31)).map(month_of), COUNTS, COUNTS, st.integers(0, 60))
def test_the_split_moves_as_far_as_the_newest_month(newest, one, other, later):
    cut_offs = (f"-{max(one, other) + 1}", f"-{min(one, other)}")
    before = resolve_split(*cut_offs, "1900-01", newest)
    after = resolve_split(*cut_offs, "1900-01", add_months(newest, later))
    assert (after.eval_start, after.holdout_start) == (
        add_months(before.eval_start, later),
        add_months(before.holdout_start, later),
    )


@given(MONTHS, MONTHS)
def test_months_are_cut_offs_whatever_the_panel(month, newest):
    assert cut_off_month(parse_cut_off(month), newest) == cut_off_month(month, "") == month
    following = add_months(month, 1)
    assert resolve_split(month, following, "2000-01", "") == TimeSplit(month, following)


@given(st.integers(0, 30), st.integers(1, 40), st.integers(1, 40))
def test_a_count_is_refused_exactly_where_a_split_would_have_no_months(size, eval_count, holdout_count):
    newest = add_months("2020-01", size)  # size + 1 months
    fits = holdout_count < eval_count <= size
    try:
        split = resolve_split(f"-{eval_count}", f"-{holdout_count}", "2020-01", newest)
    except HousingError as error:
        assert not fits
        assert "HOUSING_" in str(error)
    else:
        assert fits
        assert all(split.months(part, "2020-01", newest) for part in Split)


def test_a_panel_that_is_too_short_is_told_from_a_count_that_is_too_large():
    with pytest.raises(HousingError, match="the panel has 1 months .*train needs one: give it a longer panel"):
        resolve_split("-2", "-1", "2020-01", "2020-01")


@pytest.mark.parametrize("cut_offs", [("-2", "-1"), ("2019-01", "-1"), ("-2", "2030-01")])
def test_a_count_needs_to_know_the_newest_month(cut_offs):
    with pytest.raises(UnknownPanelError, match="counts from the newest month of the panel, which is not known"):
        resolve_split(*cut_offs, "2012-03", "")


@given(st.one_of(st.text(max_size=8), st.from_regex(r"[-+]?[0-9]{1,6}", fullmatch=True), MONTHS))
def test_a_cut_off_is_a_month_or_a_count_and_nothing_else(text):
    try:
        cut_off = parse_cut_off(text)
    except HousingError:
        with pytest.raises(HousingError):
            parse_month(text)
    else:
        assert cut_off == text
        assert -9999 <= int(text) <= -1 if counts_back(text) else parse_month(text) == text
