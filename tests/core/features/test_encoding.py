"""Encoders: the numbers by hand, and that nothing after the train months reaches them."""

import random
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.encoding import ENCODER_COLUMNS, Encoders, fit_encoders
from housing_assets.core.months import Split, TimeSplit, month_of

SCHEMA = {"date": pl.Date, "zipcode": pl.String, "city_full": pl.String, "price": pl.Float64}
DAY = date(2019, 1, 31)
TRAIN = pl.DataFrame(
    [
        (DAY, "00001", "A", 100_000.0),
        (DAY, "00001", "A", 140_000.0),
        (DAY, "00002", "A", 120_000.0),
        (DAY, "00003", "B", 400_000.0),
        (DAY, "00004", "C", None),
    ],
    schema=SCHEMA,
    orient="row",
)
SALES = st.lists(
    st.tuples(
        st.just(DAY),
        st.sampled_from(["00001", "00002", "00003"]),
        st.sampled_from(["A", "B"]),
        st.floats(1_000, 1e7),
    ),
    min_size=1,
    max_size=20,
)


def frame(rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def test_the_encodings_by_hand():
    fitted = fit_encoders([TRAIN], smoothing=2)
    assert fitted.prior == 760_000 / 4
    assert fitted.zipcode_frequency == {"00001": 0.5, "00002": 0.25, "00003": 0.25}
    assert fitted.city_full_target == {
        "A": pytest.approx((360_000 + 2 * 190_000) / 5),
        "B": pytest.approx((400_000 + 2 * 190_000) / 3),
    }


def test_the_table_can_be_read_by_a_person():
    table = fit_encoders([TRAIN], smoothing=2).table
    assert table.rows() == [
        ("zipcode_frequency", "00001", 2, 0.5),
        ("zipcode_frequency", "00002", 1, 0.25),
        ("zipcode_frequency", "00003", 1, 0.25),
        ("zipcode_frequency", None, 0, 0.0),
        ("city_full_target", "A", 3, pytest.approx(148_000)),
        ("city_full_target", "B", 1, pytest.approx(260_000)),
        ("city_full_target", None, 0, 190_000),
    ]


def test_the_default_smoothing_weighs_20_rows():
    fitted = fit_encoders([TRAIN])
    assert fitted.city_full_target["B"] == pytest.approx((400_000 + 20 * 190_000) / 21)


@settings(max_examples=30, deadline=None)
@given(rows=SALES, smoothing=st.floats(0, 1e4))
def test_a_target_encoding_lies_between_the_metros_own_mean_and_that_of_all(rows, smoothing):
    known = frame(rows)
    fitted = fit_encoders([known], smoothing)
    assert fitted.prior == pytest.approx(known["price"].mean())
    assert sum(fitted.zipcode_frequency.values()) == pytest.approx(1)
    for metro, encoding in fitted.city_full_target.items():
        own = known.filter(city_full=metro)["price"].mean()
        low, high = sorted([own, fitted.prior])
        assert low * (1 - 1e-9) <= encoding <= high * (1 + 1e-9)
        assert fit_encoders([known], 0).city_full_target[metro] == pytest.approx(own)
        assert fit_encoders([known], 1e12).city_full_target[metro] == pytest.approx(fitted.prior)


@settings(max_examples=30, deadline=None)
@given(rows=SALES, data=st.data())
def test_how_rows_are_shared_out_over_months_does_not_matter(rows, data):
    cut = data.draw(st.integers(0, len(rows)))
    shuffled = data.draw(st.permutations(rows))
    whole = fit_encoders([frame(rows)]).table
    parts = fit_encoders(iter([frame(shuffled[cut:]), frame(shuffled[:cut])])).table
    assert_frame_equal(parts, whole)


def test_the_same_months_give_the_same_encoders_to_the_last_bit():
    rng = np.random.default_rng(5)
    months = [
        pl.DataFrame(
            {
                "zipcode": [f"{i % 240:05d}" for i in range(2_000)],
                "city_full": [f"metro {i % 30}" for i in range(2_000)],
                "price": rng.lognormal(13, 1, 2_000),
            }
        )
        for _ in range(40)
    ]
    first = fit_encoders(months)
    assert all(fit_encoders(months).city_full_target == first.city_full_target for _ in range(10))


def test_only_the_columns_it_names_are_needed(panel, encoders):
    train = panel.filter(split=Split.TRAIN).select(ENCODER_COLUMNS)
    assert_frame_equal(fit_encoders([train]).table, encoders.table)


# ---------------------------------------------------------------- what encoders never see


def fit_on_train(panel: pl.DataFrame) -> pl.DataFrame:
    """Fit on the train months of a panel, as the time split routes them, a month at a time."""
    split = TimeSplit()
    months = [
        rows for (day,), rows in panel.group_by("date", maintain_order=True) if split.of(month_of(day)) is Split.TRAIN
    ]
    return fit_encoders(months).table


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_nothing_that_happens_after_train_changes_an_encoding(panel, seed):
    dice = random.Random(seed)
    later = panel.filter(pl.col("date") >= pl.date(2020, 1, 1))
    changed = later.with_columns(
        price=pl.col("price") * dice.uniform(0.1, 10),
        city_full=pl.lit(dice.choice(["New Atlantis", "Pittsburgh"])),
        zipcode=pl.col("zipcode").shuffle(seed=seed),
    )
    added = later.sample(50, seed=seed).with_columns(zipcode=pl.lit("99999"))
    other = pl.concat([panel.filter(pl.col("date") < pl.date(2020, 1, 1)), changed, added])
    assert_frame_equal(fit_on_train(other), fit_on_train(panel), check_exact=True)


def test_what_happens_in_train_does(panel):
    raised = panel.with_columns(
        price=pl.when(pl.col("date") == pl.date(2019, 12, 31)).then(pl.col("price") * 2).otherwise("price")
    )
    assert not fit_on_train(raised).equals(fit_on_train(panel))


# ---------------------------------------------------------------- tables, kept and broken


def test_the_table_gives_the_same_encoders_back(encoders):
    again = Encoders.from_table(encoders.table)
    assert again.zipcode_frequency == encoders.zipcode_frequency
    assert again.city_full_target == encoders.city_full_target
    assert again.prior == encoders.prior
    assert not set(again.city_full_target) & {None}


def test_what_was_never_seen_has_its_own_rows(encoders):
    unseen = encoders.table.filter(pl.col("value").is_null())
    assert unseen.select("encoder", "encoding").rows() == [
        ("zipcode_frequency", 0.0),
        ("city_full_target", encoders.prior),
    ]


@pytest.mark.parametrize(
    "months", [[], [TRAIN.clear()], [TRAIN.with_columns(price=pl.lit(None, pl.Float64))]], ids=["none", "empty", "null"]
)
def test_without_a_train_price_there_is_nothing_to_fit(months):
    with pytest.raises(HousingError, match=r"no train row has a price.*Check HOUSING_EVAL_START and the source"):
        fit_encoders(months)


def test_rows_without_a_metro_count_for_the_prior_alone():
    fitted = fit_encoders([TRAIN.with_columns(city_full=pl.lit(None, pl.String))])
    assert fitted.prior == 190_000
    assert fitted.city_full_target == {}


def test_another_table_is_refused():
    with pytest.raises(BundleError, match=r"an encoder table has columns .*'encoding'.*this one \['a'\]"):
        Encoders.from_table(pl.DataFrame({"a": [1]}))


@pytest.mark.parametrize("copies", [0, 2])
def test_a_table_without_exactly_one_row_for_an_unseen_metro_is_refused(encoders, copies):
    unseen = pl.col("value").is_null() & (pl.col("encoder") == "city_full_target")
    rest = encoders.table.filter(~unseen)
    table = pl.concat([rest, *[encoders.table.filter(unseen)] * copies])
    with pytest.raises(BundleError, match="no row for a metro never seen"):
        Encoders.from_table(table)
