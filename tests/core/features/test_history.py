"""History: nothing after the origin is looked at, the features by hand, and gaps."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import (
    CARRIED_MONTHS,
    HISTORY_FEATURES,
    HISTORY_SCHEMA,
    LEAST_MONTHS,
    LONGEST_HORIZON,
    SIGNALS,
    History,
    history_needed,
    history_table,
)
from housing_assets.core.months import add_months, month_end, month_range

MONTHS = month_range("2015-01", "2018-06")
ORIGIN = "2017-09"


def made(seed: int = 1, zips: int = 6, months: list[str] = MONTHS) -> pl.DataFrame:
    """A panel of prices and signals that wander."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(zips):
        growth = 0.004 + 0.004 * rng.standard_normal(len(months)).cumsum() / 6
        columns = {name: rng.lognormal(2, 0.3, len(months)) for name in HISTORY_SCHEMA}
        frames.append(
            pl.DataFrame(
                {
                    **columns,
                    "date": [month_end(m) for m in months],
                    "zipcode": f"{10_000 + i:05d}",
                    "city_full": "Here" if i % 2 else "There",
                    "price": 200_000 * np.exp(growth.cumsum()),
                    "sold_above_list": rng.random(len(months)),
                }
            )
        )
    return history_table([pl.concat(frames)])


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return made()


def of(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, HISTORY_FEATURES.index(name)]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), horizon=st.integers(1, LONGEST_HORIZON))
def test_no_value_after_the_origin_changes_a_feature(table, data, horizon):
    """The one rule of the project: what is not known yet reaches no feature."""
    later = pl.col("date") > month_end(ORIGIN)
    column = data.draw(st.sampled_from([c for c in HISTORY_SCHEMA if c not in ("date", "zipcode")]))
    if column == "city_full":
        value = pl.lit("Elsewhere")
    else:
        drawn = data.draw(st.one_of(st.none(), st.floats(0, 1e6), st.just(float("nan")), st.just(float("inf"))))
        value = pl.lit(drawn, pl.Float64)
    which = data.draw(st.integers(1, 500))
    hit = later & (pl.int_range(pl.len()) % which == 0)
    changed = table.with_columns(
        pl.when(hit).then(value.cast(HISTORY_SCHEMA[column])).otherwise(pl.col(column)).alias(column)
    )
    before, after = History.from_table(table), History.from_table(changed)
    np.testing.assert_array_equal(before.features(ORIGIN, horizon), after.features(ORIGIN, horizon))
    np.testing.assert_array_equal(before.known(ORIGIN), after.known(ORIGIN))


@pytest.mark.parametrize("horizon", [LONGEST_HORIZON + 1, 2 * LONGEST_HORIZON, 0, -1])
def test_a_horizon_whose_features_would_read_after_the_origin_is_refused(table, horizon):
    at = History.from_table(table).at(MONTHS[20])
    for features in (at.features, at.season_features):
        with pytest.raises(HousingError, match=rf"horizon={horizon} is not 1 to {LONGEST_HORIZON}.*: choose"):
            features(horizon)


def test_growth_reads_back_never_ahead(table):
    at = History.from_table(table).at(ORIGIN)
    for growth in (at.growth, at.metro_growth):
        with pytest.raises(HousingError, match="months=-1 is below 0"):
            growth(-1)


@pytest.mark.parametrize("last", [ORIGIN, "2018-01"])
def test_a_history_that_ends_earlier_has_the_same_features(table, last):
    short = table.filter(pl.col("date") <= month_end(last))
    expected = History.from_table(table).features(ORIGIN, 3)
    np.testing.assert_array_equal(History.from_table(short).features(ORIGIN, 3), expected)


def test_a_later_zip_changes_nothing_of_the_others(table):
    new = table.filter(pl.col("zipcode") == "10000", pl.col("date") > month_end(ORIGIN))
    new = new.with_columns(zipcode=pl.lit("00001"))
    before, after = History.from_table(table), History.from_table(pl.concat([table, new]))
    assert after.zips[0] == "00001"
    np.testing.assert_array_equal(after.features(ORIGIN, 1)[1:], before.features(ORIGIN, 1))
    assert after.known(ORIGIN).tolist() == [False, *before.known(ORIGIN)]


def test_what_the_origin_and_the_months_before_it_say_does_change_features(table):
    for months_before in (0, 1, 11, 24):
        hit = pl.col("date") == month_end(add_months(ORIGIN, -months_before))
        changed = table.with_columns(price=pl.when(hit).then(pl.col("price") * 1.1).otherwise("price"))
        before, after = History.from_table(table), History.from_table(changed)
        assert (before.features(ORIGIN, 1) != after.features(ORIGIN, 1)).any()


def test_the_features_by_hand(table):
    history = History.from_table(table)
    features, at = history.features(ORIGIN, 3), history.column(ORIGIN)
    log = np.log(
        table.pivot(on="date", index="zipcode", values="price").sort("zipcode").drop("zipcode").to_numpy().astype(float)
    )
    monthly = np.diff(log, axis=1, prepend=np.nan)
    metro = np.array([history.metros.index("There" if i % 2 == 0 else "Here") for i in range(6)])
    assert history.metro.tolist() == metro.tolist()
    assert of(features, "own_growth_6") == pytest.approx(log[:, at] - log[:, at - 6], abs=1e-6)
    assert of(features, "nation_growth_3") == pytest.approx(
        np.full(6, monthly[:, at - 2 : at + 1].mean(axis=0).sum()), abs=1e-6
    )
    expected = [monthly[metro == k, at - 11 : at + 1].mean(axis=0).sum() for k in metro]
    assert of(features, "metro_growth_12") == pytest.approx(expected, abs=1e-6)
    assert of(features, "own_volatility_12") == pytest.approx(monthly[:, at - 11 : at + 1].std(axis=1), abs=1e-6)
    assert of(features, "own_above_mean_60") == pytest.approx(log[:, at] - log[:, : at + 1].mean(axis=1), abs=1e-6)
    assert of(features, "own_growth_year_ago") == pytest.approx(log[:, at - 9] - log[:, at - 12], abs=1e-6)
    assert of(features, "own_season_cos") == pytest.approx(np.full(6, np.cos(2 * np.pi * 11 / 12)), abs=1e-6)
    stock = np.log(table.filter(pl.col("zipcode") == "10002")["inventory"].to_numpy())
    assert of(features, "own_inventory")[2] == pytest.approx(stock[at], abs=1e-5)
    assert of(features, "own_inventory_change_12")[2] == pytest.approx(stock[at] - stock[at - 12], abs=1e-5)


def test_origins_in_any_order_have_the_features_they_have_alone(table):
    history = History.from_table(table)
    for origin in ("2017-09", "2016-04", "2017-09", "2018-06"):
        alone = History.from_table(table).features(origin, 3)
        for _ in range(2):
            np.testing.assert_array_equal(history.features(origin, 3), alone)
    with pytest.raises(ValueError, match="read-only"):
        history.at("2018-06").origin_features[:] = 0


def test_features_are_float32_of_every_zip_and_named_once(table):
    features = History.from_table(table).features(ORIGIN, 12)
    assert features.shape == (6, len(HISTORY_FEATURES))
    assert features.dtype == np.float32
    assert len(set(HISTORY_FEATURES)) == len(HISTORY_FEATURES)
    assert all(f"own_{name}" in HISTORY_FEATURES for name in SIGNALS)


def test_a_gap_has_the_price_before_it_for_six_months_and_no_longer(table):
    gone = month_range(add_months(ORIGIN, -CARRIED_MONTHS), ORIGIN)
    hit = (pl.col("zipcode") == "10003") & pl.col("date").is_in([month_end(m) for m in gone])
    history = History.from_table(table.with_columns(price=pl.when(hit).then(None).otherwise("price")))
    known = [bool(history.known(m)[3]) for m in gone]
    assert known == [True] * CARRIED_MONTHS + [False]
    assert of(history.features(gone[0], 1), "own_growth_1")[3] == 0
    assert not history.priced[3, history.column(gone[0])]
    assert history.known(ORIGIN)[[0, 1, 2, 4, 5]].all()


def test_a_zip_needs_a_year_of_its_own_past(table):
    history = History.from_table(table)
    assert [bool(history.known(m).any()) for m in MONTHS[: LEAST_MONTHS + 1]] == [False] * LEAST_MONTHS + [True]


def only(table: pl.DataFrame, kept: list[str]) -> History:
    """The history where one zip has prices in these months alone."""
    gone = (pl.col("zipcode") == "10003") & ~pl.col("date").is_in([month_end(m) for m in kept])
    return History.from_table(table.with_columns(price=pl.when(gone).then(None).otherwise("price")))


def test_two_prices_a_year_apart_are_no_history(table):
    history = only(table, [add_months(ORIGIN, -LEAST_MONTHS), ORIGIN])
    for later in range(CARRIED_MONTHS + 1):
        assert history.known(add_months(ORIGIN, later)).tolist() == [True, True, True, False, True, True]


def test_a_year_of_prices_may_have_gaps_that_older_prices_fill(table):
    """12 of the 18 months to the origin: which is as many as are left when the last price stands for six."""
    window = month_range(add_months(ORIGIN, 1 - LEAST_MONTHS - CARRIED_MONTHS), ORIGIN)
    every_third_gone = [month for i, month in enumerate(window) if i % 3]
    assert len(every_third_gone) == LEAST_MONTHS
    assert only(table, every_third_gone).known(ORIGIN)[3]
    for one in every_third_gone:
        assert not only(table, [m for m in every_third_gone if m != one]).known(ORIGIN)[3]
    assert not only(table, [m for m in MONTHS if m < window[0]] + window[7:]).known(ORIGIN)[3]


def test_what_is_needed_is_told_in_words():
    told = history_needed("2017-09")
    assert told == (
        "a price in 2017-09 and one 12 months before, at most 6 months old each, and 12 prices of its own from "
        "2016-04 to 2017-09"
    )


def test_months_that_are_not_there_are_named(table):
    history = History.from_table(table)
    for month in ("2014-12", "2018-07"):
        with pytest.raises(HousingError, match=f"{month} is outside the history, which is 2015-01 to 2018-06"):
            history.features(month, 1)
    with pytest.raises(HousingError, match="there is no history: no row has a price"):
        History.from_table(table.with_columns(price=pl.lit(None, pl.Float64)))


def test_a_month_without_rows_is_a_gap_of_all(table):
    history = History.from_table(table.filter(pl.col("date") != date(2017, 5, 31)))
    assert history.log_price.shape == (6, len(MONTHS))
    assert not history.priced[:, history.column("2017-05")].any()
    assert np.isfinite(history.features(ORIGIN, 1)).all()
