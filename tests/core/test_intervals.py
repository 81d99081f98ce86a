"""Prediction intervals: the conformal quantile by hand, its fallback, and that it covers."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.errors import HousingError
from housing_assets.core.intervals import COVERAGE, MIN_ROWS, calibrate, interval


def prices(residuals) -> tuple[np.ndarray, np.ndarray]:
    """Actual and predicted prices whose log residuals are these."""
    predicted = np.full(len(residuals), 250_000.0)
    return predicted * np.exp(np.asarray(residuals, dtype=float)), predicted


def widths(cities: list[str | None], residuals) -> dict[str | None, tuple[int, float]]:
    table = calibrate(pl.Series(cities, dtype=pl.String), *prices(residuals))
    return {metro: (rows, width) for metro, rows, width in table.iter_rows()}


@pytest.mark.parametrize(
    ("n", "rank"),
    [(1, 1), (5, 5), (8, 8), (9, 9), (10, 10), (18, 18), (19, 18), (20, 19), (99, 90), (199, 180)],
)
def test_the_half_width_is_the_finite_sample_quantile(n, rank):
    residuals = [(-1) ** i * i / 1000 for i in range(1, n + 1)]
    found = widths(["A"] * n, residuals)
    assert found[None] == (n, pytest.approx(rank / 1000))
    assert rank == min(math.ceil((n + 1) * COVERAGE), n)


@given(st.permutations([i / 50 for i in range(40)]))
def test_the_order_of_residuals_does_not_matter(residuals):
    assert widths(["A"] * 40, residuals)[None][1] == pytest.approx(36 / 50)


def test_a_metro_with_enough_rows_has_its_own_width_and_the_others_the_pooled_one():
    cities = ["Few"] * (MIN_ROWS - 1) + ["Enough"] * MIN_ROWS
    residuals = [0.5] * (MIN_ROWS - 1) + [0.1] * MIN_ROWS
    found = widths(cities, residuals)
    assert found == {None: (199, pytest.approx(0.5)), "Enough": (100, pytest.approx(0.1))}


def test_rows_without_a_metro_are_pooled_and_are_no_metro_of_their_own():
    found = calibrate(pl.Series([None] * 150 + ["A"] * 150), *prices([0.01] * 150 + [0.4] * 150))
    assert found["city_full"].to_list() == [None, "A"]
    assert found["rows"].to_list() == [300, 150]
    assert found["half_width"].to_list() == pytest.approx([0.4, 0.4])


def test_an_interval_by_hand():
    table = pl.DataFrame({"city_full": [None, "A"], "rows": [300, 150], "half_width": [0.5, 0.1]})
    low, high = interval(pl.Series(["A", "B", None]), np.array([100.0, 100.0, 100.0]), table)
    assert low == pytest.approx(100 * np.exp([-0.1, -0.5, -0.5]))
    assert high == pytest.approx(100 * np.exp([0.1, 0.5, 0.5]))


@given(st.lists(st.floats(1_000, 1e8), max_size=10), st.floats(0, 3))
def test_an_interval_holds_its_price_at_the_geometric_middle(predicted, width):
    table = pl.DataFrame({"city_full": [None], "rows": [1], "half_width": [width]}, schema_overrides={"city_full": str})
    low, high = interval(pl.Series(["A"] * len(predicted), dtype=pl.String), np.array(predicted), table)
    assert (low <= predicted).all()
    assert (predicted <= high).all()
    assert np.sqrt(low * high) == pytest.approx(predicted)


def test_exchangeable_rows_are_covered_about_as_often_as_promised():
    dice = np.random.default_rng(5)
    metros = pl.Series(np.repeat(["Calm", "Wild", "Tiny"], [2_000, 2_000, 50]))
    spread = np.repeat([0.05, 0.4, 0.2], [2_000, 2_000, 50])
    actual, predicted = prices(spread * dice.standard_t(4, 4_050))
    table = calibrate(metros, actual, predicted)
    assert set(table["city_full"]) == {None, "Calm", "Wild"}
    fresh, said = prices(spread * dice.standard_t(4, 4_050))
    low, high = interval(metros, said, table)
    inside = (low <= fresh) & (fresh <= high)
    assert inside.mean() == pytest.approx(COVERAGE, abs=0.015)
    for metro in ("Calm", "Wild"):
        assert inside[(metros == metro).to_numpy()].mean() == pytest.approx(COVERAGE, abs=0.025)


def test_few_rows_are_covered_on_average():
    dice = np.random.default_rng(6)
    hits = []
    for _ in range(400):
        residuals = dice.normal(0, 0.1, 20)
        width = widths(["A"] * 19, residuals[:19])[None][1]
        hits.append(abs(residuals[19]) <= width)
    assert np.mean(hits) == pytest.approx(0.9, abs=0.04)


def test_no_rows_are_refused():
    with pytest.raises(HousingError, match="no rows to calibrate intervals on"):
        calibrate(pl.Series([], dtype=pl.String), np.empty(0), np.empty(0))
