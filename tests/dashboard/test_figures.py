"""Figures of predicted rows, beside the same in plain Python."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_dashboard import figures

PRICES = st.floats(1_000, 5e6)


def rows_of(prices: list[tuple[float, float, float | None]], months: list[str] | None = None) -> pl.DataFrame:
    """Rows of (predicted, actual, naive) prices with intervals of 10% either way."""
    months = months or ["2023-01"] * len(prices)
    return pl.DataFrame(
        {
            "date": [date.fromisoformat(f"{m}-28") for m in months],
            "month": months,
            "zipcode": [f"{i:05d}" for i in range(len(prices))],
            "city_full": ["Boston" if i % 2 else "Miami" for i in range(len(prices))],
            "predicted_price": [p for p, _, _ in prices],
            "predicted_low": [0.9 * p for p, _, _ in prices],
            "predicted_high": [1.1 * p for p, _, _ in prices],
            "actual_price": [a for _, a, _ in prices],
            "naive_price": [n for _, _, n in prices],
        },
        schema_overrides=dict.fromkeys(("actual_price", "naive_price"), pl.Float64),
    )


@given(st.lists(st.tuples(PRICES, PRICES, PRICES | st.none()), min_size=1, max_size=30))
def test_the_headline_is_what_its_words_say(prices):
    found = figures.headline(rows_of(prices))
    off = [abs(p / a - 1) for p, a, _ in prices]
    assert found.rows == found.known == len(prices)
    assert found.model["mape"] == pytest.approx(100 * sum(off) / len(off))
    assert found.model["mae"] == pytest.approx(sum(abs(p - a) for p, a, _ in prices) / len(prices))
    inside = [0.9 * p <= a <= 1.1 * p for p, a, _ in prices]
    assert found.coverage == pytest.approx(100 * sum(inside) / len(inside))
    naive = [abs(n / a - 1) for _, a, n in prices if n is not None]
    assert bool(naive) == bool(found.naive)
    if naive:
        assert found.naive["mape"] == pytest.approx(100 * sum(naive) / len(naive))


def test_close_is_told_by_the_share_of_the_actual_price():
    # 105.1 is 4.9% of itself away from 100, and 5.1% of what the house was sold for.
    found = figures.headline(rows_of([(105.1, 100, None), (104.9, 100, None)]))
    assert {name: found.model[name] for name in ("within_0.5", "within_1", "within_5")} == {
        "within_0.5": 0, "within_1": 0, "within_5": 50
    }  # fmt: skip


def test_without_actual_prices_there_are_rows_and_no_figures():
    found = figures.headline(rows_of([(1e5, 1e5, None)]).with_columns(actual_price=pl.lit(None, pl.Float64)))
    assert (found.rows, found.known, found.model, found.coverage) == (1, 0, {}, None)
    assert figures.headline(rows_of([]).clear()).rows == 0


@given(st.lists(st.tuples(PRICES, PRICES, st.none()), min_size=1, max_size=20))
def test_errors_add_up_to_the_prices(prices):
    found = figures.with_errors(rows_of(prices))
    assert (found["actual_price"] + found["error"]).to_list() == pytest.approx(found["predicted_price"].to_list())
    back = (found["actual_price"] * (1 + found["percent"] / 100)).to_list()
    assert back == pytest.approx(found["predicted_price"].to_list())


def test_a_choice_keeps_the_rows_it_names():
    rows = rows_of([(1e5, 1e5, None)] * 6, ["2022-12", "2023-01", "2023-02"] * 2)
    assert figures.choose(rows).height == 6
    assert figures.choose(rows, year="2023").height == 4
    assert figures.choose(rows, year="2022", month="2023-01").height == 2
    assert figures.choose(rows, month="2023-01", region="Boston").height == 1


@pytest.mark.parametrize(
    ("year", "month", "before"),
    [
        ("all", "2023-01", ("all", "2022-12", "2022-12")),
        ("2023", "2023-01", ("all", "2022-12", "2022-12")),
        ("2023", "all", ("2022", "all", "2022")),
        ("all", "all", ("all", "all", "")),
    ],
)
def test_a_choice_is_compared_to_the_span_before(year, month, before):
    assert figures.span_before(year, month) == before


def test_months_and_metros_are_means_of_their_rows():
    rows = rows_of([(110, 100, 90), (80, 100, 100), (120, 100, None)], ["2023-01", "2023-01", "2023-02"])
    first, second = figures.by_month(rows).to_dicts()
    assert (first["month"], first["rows"], first["actual"], first["predicted"]) == ("2023-01", 2, 100, 95)
    assert (first["mape"], first["naive_mape"]) == (pytest.approx(15), pytest.approx(5))
    assert first["coverage"] == pytest.approx(50)
    assert second["naive_mape"] is None
    boston, miami = figures.by_metro(rows).to_dicts()
    assert (boston["city_full"], boston["zips"], boston["bias"]) == ("Boston", 1, pytest.approx(-20))
    assert (miami["zips"], miami["bias"], miami["mape"]) == (2, pytest.approx(15), pytest.approx(15))


def test_the_grid_has_a_column_for_each_month_in_order():
    rows = rows_of([(110, 100, None)] * 4, ["2023-02", "2023-02", "2023-01", "2022-12"])
    grid = figures.error_grid(rows)
    assert grid.columns == ["city_full", "2022-12", "2023-01", "2023-02"]
    assert grid.filter(city_full="Boston").row(0) == ("Boston", pytest.approx(10), None, pytest.approx(10))


@given(st.lists(st.tuples(PRICES, PRICES, st.none()), min_size=1, max_size=20))
def test_below_inside_and_above_are_everything(prices):
    for row in figures.calibration(rows_of(prices)).to_dicts():
        assert row["below"] + row["inside"] + row["above"] == pytest.approx(100)


@given(st.integers(1, 40), st.integers(1, 40))
def test_thinning_draws_rows_that_are_there_the_same_each_time(count, most):
    rows = rows_of([(1e5 + i, 1e5, None) for i in range(count)])
    thinned = figures.thin(rows, most)
    assert thinned.height == min(count, most)
    assert thinned["zipcode"].n_unique() == thinned.height
    assert thinned.equals(figures.thin(rows, most))
