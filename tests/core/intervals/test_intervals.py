"""Prediction intervals: the conformal quantiles by hand, their fallback, what they may rest on, and that they cover."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.errors import HousingError
from housing_assets.core.intervals.conformal import (
    CALIBRATION_SCHEMA,
    COVERAGE,
    HALF_LIFE,
    MIN_ROWS,
    calibrate,
    calibrate_month,
    calibration_window,
    conformal_quantile,
    interval,
    rolling_calibrations,
)
from housing_assets.core.months import add_months, month_range

TAIL = (1 + COVERAGE) / 2


def prices(logs) -> tuple[np.ndarray, np.ndarray]:
    """Actual and predicted prices whose log residuals are these."""
    predicted = np.full(len(logs), 250_000.0)
    return predicted * np.exp(np.asarray(logs, dtype=float)), predicted


def ends(cities: list[str | None], logs, weights=None) -> dict[str | None, tuple[int, float, float]]:
    table = calibrate(pl.Series(cities, dtype=pl.String), *prices(logs), weights)
    return {metro: (rows, low, high) for metro, rows, low, high, _ in table.iter_rows()}


@pytest.mark.parametrize(("n", "rank"), [(1, 1), (10, 10), (19, 19), (20, 20), (39, 38), (99, 95), (199, 190)])
def test_each_end_is_the_finite_sample_quantile_of_its_tail(n, rank):
    assert rank == min(math.ceil((n + 1) * TAIL - 1e-9), n)
    logs = [i / 1000 for i in range(-n, n + 1) if i]
    high = [x for x in logs if x > 0]
    assert ends(["A"] * n, high)[None] == (n, 0, pytest.approx(rank / 1000))
    low = [-x for x in high]
    assert ends(["A"] * n, low)[None] == (n, pytest.approx(-rank / 1000), 0)


@given(st.permutations([i / 50 for i in range(-20, 20)]))
def test_the_order_of_residuals_does_not_matter(logs):
    assert ends(["A"] * 40, logs)[None] == ends(["A"] * 40, sorted(logs))[None]


@given(st.data())
def test_the_quantile_is_the_very_same_for_any_order_of_rows(data):
    pairs = data.draw(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3]), st.floats(0.01, 1)), min_size=1))
    other = data.draw(st.permutations(pairs))
    share = data.draw(st.sampled_from([0.5, COVERAGE, TAIL]))
    first, second = (conformal_quantile(*np.array(rows).T, share) for rows in (pairs, other))
    assert first == second


@pytest.mark.parametrize("half_life", [1e9, 12.0])
@pytest.mark.parametrize("n", [9, 30, 100])
def test_scores_that_could_come_in_any_order_are_covered_at_least_as_often_as_promised(n, half_life):
    """Uniform scores, whose quantile is its own coverage, over 20,000 calibrations."""
    weights = 0.5 ** (np.arange(n) / half_life)
    scores = np.random.default_rng(4).random((20_000, n))
    covered = np.mean([min(conformal_quantile(row, weights, COVERAGE), 1.0) for row in scores])
    assert covered >= COVERAGE
    assert covered <= COVERAGE + 1.2 / weights.sum()


@pytest.mark.slow
@pytest.mark.parametrize("from_history", [False, True])
def test_thirty_rows_are_enough_for_intervals_that_hold(from_history):
    """Log residuals even between -1 and 1, over 2,000 calibrations: what is covered is half the interval's width."""
    dice = np.random.default_rng(6)
    covered = []
    for _ in range(2_000):
        actual, predicted = prices(dice.uniform(-1, 1, 30))
        table = calibrate(pl.Series(["A"] * 30), actual, predicted, from_history=np.full(30, from_history))
        covered.append((table["log_high"][0] - table["log_low"][0]) / 2)
    assert np.mean(covered) >= COVERAGE


def test_too_few_scores_for_a_share_have_no_quantile():
    assert conformal_quantile(np.arange(8.0), np.ones(8), COVERAGE) == math.inf
    assert conformal_quantile(np.arange(9.0), np.ones(9), COVERAGE) == 8


def test_equal_weights_of_one_are_no_weights():
    logs = np.random.default_rng(1).normal(size=300)
    assert ends(["A"] * 300, logs, np.ones(300)) == ends(["A"] * 300, logs)


def test_rows_that_weigh_little_hardly_matter():
    logs = [0.5] * 200 + [0.1] * 200
    weights = np.repeat([0.01, 1.0], 200)
    assert ends(["A"] * 400, logs)[None][2] == pytest.approx(0.5)
    assert ends(["A"] * 400, logs, weights)[None][2] == pytest.approx(0.1)


def test_a_model_that_falls_behind_gets_an_interval_that_reaches_up():
    _, low, high = ends(["A"] * 500, np.random.default_rng(2).normal(0.2, 0.05, 500))[None]
    assert low == 0
    assert high == pytest.approx(0.2 + 1.645 * 0.05, abs=0.015)


def test_a_metro_with_enough_rows_has_its_own_interval_and_the_others_the_pooled_one():
    found = ends(["Few"] * (MIN_ROWS - 1) + ["Enough"] * MIN_ROWS, [0.5] * (MIN_ROWS - 1) + [0.1] * MIN_ROWS)
    assert found == {None: (199, 0, pytest.approx(0.5)), "Enough": (100, 0, pytest.approx(0.1))}


def test_rows_without_a_metro_are_pooled_and_are_no_metro_of_their_own():
    found = ends([None] * 150 + ["A"] * 150, [0.01] * 150 + [0.4] * 150)
    assert found == {None: (300, 0, pytest.approx(0.4)), "A": (150, 0, pytest.approx(0.4))}


def test_an_interval_by_hand():
    table = pl.DataFrame(
        {
            "city_full": [None, "A"],
            "rows": [300, 150],
            "log_low": [-0.5, -0.1],
            "log_high": [0.6, 0.2],
            "from_history": False,
        }
    )
    low, high = interval(pl.Series(["A", "B", None]), np.array([100.0, 100.0, 100.0]), table)
    assert low == pytest.approx(100 * np.exp([-0.1, -0.5, -0.5]))
    assert high == pytest.approx(100 * np.exp([0.2, 0.6, 0.6]))


@given(
    st.lists(st.floats(1_000, 1e8), max_size=10),
    st.lists(st.floats(-1, 1), min_size=1, max_size=30),
)
def test_an_interval_holds_its_prediction(predicted, logs):
    table = calibrate(pl.Series(["A"] * len(logs)), *prices(logs))
    low, high = interval(pl.Series(["A"] * len(predicted), dtype=pl.String), np.array(predicted), table)
    assert (low <= predicted).all()
    assert (predicted <= high).all()


def test_exchangeable_rows_are_covered_about_as_often_as_promised():
    dice = np.random.default_rng(5)
    metros = pl.Series(np.repeat(["Calm", "Wild", "Tiny"], [2_000, 2_000, 50]))
    spread = np.repeat([0.05, 0.4, 0.2], [2_000, 2_000, 50])
    table = calibrate(metros, *prices(spread * dice.standard_t(4, 4_050)))
    assert set(table["city_full"]) == {None, "Calm", "Wild"}
    fresh, said = prices(spread * dice.standard_t(4, 4_050))
    low, high = interval(metros, said, table)
    inside = (low <= fresh) & (fresh <= high)
    assert inside.mean() == pytest.approx(COVERAGE, abs=0.015)
    for metro in ("Calm", "Wild"):
        assert inside[(metros == metro).to_numpy()].mean() == pytest.approx(COVERAGE, abs=0.025)


def test_no_rows_are_refused():
    with pytest.raises(HousingError, match="no rows to calibrate intervals on"):
        calibrate(pl.Series([], dtype=pl.String), np.empty(0), np.empty(0))


def test_of_rows_with_a_history_a_tenth_of_a_month_is_allowed_for_beyond_all_known_ones():
    logs = np.arange(1, 1_201) / 1_200
    known = np.ones(1_200, dtype=bool)
    alone = calibrate(pl.Series(["A"] * 1_200), *prices(logs), from_history=known)
    together = calibrate(pl.Series(["A"] * 1_200), *prices(logs), from_history=known, months=12)
    assert alone["log_high"][0] == pytest.approx(math.ceil(COVERAGE * 1_201) / 1_200)
    assert together["log_high"][0] == pytest.approx(COVERAGE * 1_210 / 1_200)


# ---------------------------------------------------------------- by month


def month(logs, city: str = "A", from_history: bool = False) -> pl.DataFrame:
    actual, predicted = prices(logs)
    columns = {"city_full": [city] * len(actual), "actual": actual, "predicted": predicted}
    return pl.DataFrame(columns).with_columns(from_history=pl.lit(from_history))


def test_rows_with_a_history_have_intervals_of_their_own():
    by_month = {
        m: pl.concat([month([-0.2, 0.2] * 100), month([-0.01, 0.01] * 100, from_history=True)])
        for m in calibration_window("2022-01")
    }
    table = calibrate_month("2022-01", by_month, "v")
    said = np.full(3, 100.0)
    _, high = interval(pl.Series(["A", "A", "elsewhere"]), said, table, np.array([False, True, True]))
    assert high == pytest.approx(100 * np.exp([0.2, 0.01, 0.01]))
    assert table.filter("from_history")["log_low"].to_list() == pytest.approx([-0.01, -0.01])


def test_until_errors_with_a_history_are_known_rows_with_one_have_the_intervals_of_rows_without():
    cities = pl.Series(["A"] * MIN_ROWS + ["B"] * 20)
    table = calibrate(cities, *prices([-0.2, 0.2] * 50 + [-0.4, 0.4] * 10))
    asked, said = pl.Series(["A", "B", None]), np.full(3, 100.0)
    with_history = interval(asked, said, table, np.ones(3, dtype=bool))
    np.testing.assert_array_equal(with_history, interval(asked, said, table))
    assert np.isfinite(with_history).all()
    assert with_history[1][0] < with_history[1][1]


def test_rows_without_a_history_never_have_the_narrow_intervals_of_rows_with_one():
    table = calibrate(pl.Series(["A"] * 200), *prices([-0.01, 0.01] * 100), from_history=np.ones(200, dtype=bool))
    low, high = interval(pl.Series(["A", "A"]), np.full(2, 100.0), table, np.array([False, True]))
    assert np.isnan([low[0], high[0]]).all()
    assert high[1] == pytest.approx(100 * np.exp(0.01))


def test_the_window_is_the_twelve_months_before():
    assert calibration_window("2022-01") == month_range("2021-01", "2021-12")


def test_with_a_longer_publication_lag_the_window_ends_with_the_last_known_price():
    assert calibration_window("2022-01", 3) == month_range("2020-11", "2021-10")
    by_month = {m: month([0.1] * 20) for m in month_range("2020-01", "2021-03")}
    found = rolling_calibrations(by_month, lag=3)
    assert list(found) == month_range("2020-09", "2021-03")
    for of, table in found.items():
        assert table["last_month"][0] == add_months(of, -3)


def test_a_month_rests_on_the_months_before_it_and_says_which():
    by_month = {m: month([0.1] * 200) for m in calibration_window("2022-01")}
    table = calibrate_month("2022-01", by_month, "tuned-1")
    assert dict(table.schema) == CALIBRATION_SCHEMA
    assert table.select("first_month", "last_month", "model_version").unique().row(0) == (
        "2021-01",
        "2021-12",
        "tuned-1",
    )
    assert table["rows"].to_list() == [2_400, 2_400]


def test_neither_the_month_itself_nor_a_later_or_too_old_one_has_a_say():
    by_month = {m: month([0.1] * 50) for m in calibration_window("2022-01")}
    others = {"2022-01": month([9.0] * 999), "2022-02": month([9.0] * 999), "2020-12": month([9.0] * 999)}
    assert calibrate_month("2022-01", by_month | others, "v").equals(calibrate_month("2022-01", by_month, "v"))


def test_a_window_that_reaches_into_the_month_is_refused():
    with pytest.raises(HousingError, match="intervals of 2022-01 can rest on months before it only"):
        calibrate_month("2022-01", {"2022-01": month([0.1])}, "v", ["2022-01"])
    with pytest.raises(HousingError, match="not on none"):
        calibrate_month("2022-01", {}, "v", [])


def test_a_window_without_prices_is_refused():
    with pytest.raises(HousingError, match="no row of 2021-01 to 2021-12 has a known price"):
        calibrate_month("2022-01", {"2021-05": month([])}, "v")


def test_newer_months_weigh_more():
    window = calibration_window("2022-01")
    rising = {m: month([0.01 * i] * 200) for i, m in enumerate(window)}
    falling = {m: month([0.01 * (11 - i)] * 200) for i, m in enumerate(window)}
    highs = [calibrate_month("2022-01", x, "v")["log_high"][0] for x in (rising, falling)]
    assert highs[0] > highs[1]
    assert len(window) > HALF_LIFE


def test_rolling_calibrations_begin_when_enough_months_are_known():
    by_month = {m: month([0.1] * 20) for m in month_range("2020-01", "2021-03")}
    found = rolling_calibrations(by_month)
    assert list(found) == month_range("2020-07", "2021-03")
    assert found["2021-03"]["first_month"][0] == "2020-03"
    assert found["2020-07"].equals(calibrate_month("2020-07", by_month, "", month_range("2020-01", "2020-06")))
    assert list(rolling_calibrations(by_month, 1)) == month_range("2020-02", "2021-03")


def test_residuals_are_of_rows_with_a_price(model, panel):
    rows = panel.head(20).with_columns(price=pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise("price"))
    found = model.residuals(rows)
    assert found.columns == ["city_full", "actual", "predicted", "from_history"]
    assert found["actual"].to_list() == rows["price"][5:].to_list()
    assert not found["from_history"].any()
