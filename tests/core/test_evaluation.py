"""Error figures and naive baselines, by hand."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation import compare, naive_predictions, price_metrics

ACTUAL = np.array([100.0, 200.0, 400.0, 800.0])
PREDICTED = np.array([110.0, 190.0, 300.0, 800.0])
PRICES = st.lists(st.tuples(st.floats(1_000, 1e7), st.floats(1_000, 1e7)), min_size=2, max_size=30)

TRAIN = pl.DataFrame(
    {
        "date": [date(2019, 3, 31), date(2019, 1, 31), date(2019, 2, 28), date(2019, 1, 31), date(2019, 2, 28)],
        "zipcode": ["00001", "00001", "00001", "00002", "00003"],
        "city_full": ["A", "A", "A", "A", "B"],
        "price": [130.0, 110.0, 120.0, 900.0, 500.0],
    }
)


def test_the_figures_by_hand():
    assert price_metrics(ACTUAL, PREDICTED) == pytest.approx(
        {
            "rows": 4,
            "mae": 120 / 4,
            "rmse": (10_200 / 4) ** 0.5,
            "bias": -100 / 4,
            "r2": 1 - 10_200 / 287_500,
            "mape": 100 * (0.1 + 0.05 + 0.25 + 0) / 4,
            "mdape": 100 * (0.05 + 0.1) / 2,
            "within_5": 50,
            "within_10": 75,
            "within_20": 75,
        }
    )


@given(PRICES)
def test_what_holds_of_any_figures(pairs):
    actual, predicted = np.array(pairs).T
    m = price_metrics(actual, predicted)
    assert abs(m["bias"]) <= m["mae"] * (1 + 1e-9)
    assert m["mae"] <= m["rmse"] * (1 + 1e-9)
    assert 0 <= m["within_5"] <= m["within_10"] <= m["within_20"] <= 100
    doubled = price_metrics(2 * actual, 2 * predicted)
    assert doubled["mae"] == pytest.approx(2 * m["mae"])
    assert doubled["mape"] == pytest.approx(m["mape"])


@given(PRICES)
def test_a_perfect_predictor_makes_no_error(pairs):
    actual = np.array(pairs)[:, 0]
    m = price_metrics(actual, actual)
    assert [m[k] for k in ("mae", "rmse", "bias", "mape", "mdape")] == [0] * 5
    assert [m[f"within_{p}"] for p in (5, 10, 20)] == [100] * 3


def test_r2_is_not_defined_where_all_prices_are_the_same():
    m = price_metrics(np.array([5.0, 5.0]), np.array([5.0, 6.0]))
    assert np.isnan(m["r2"])
    assert m["mae"] == 0.5


def test_no_rows_are_refused():
    with pytest.raises(HousingError, match=r"no rows to evaluate: the split is empty. Check the cut-offs"):
        price_metrics(np.empty(0), np.empty(0))


# ---------------------------------------------------------------- naive baselines


def test_the_baselines_by_hand():
    rows = pl.DataFrame(
        {
            "zipcode": ["00001", "00003", "00009", "00009", "00002"],
            "city_full": ["A", "B", "B", "Nowhere", "Nowhere"],
        }
    )
    said = naive_predictions(TRAIN, rows)
    assert list(said) == ["train_median", "metro_median", "last_known_price"]
    assert said["train_median"].tolist() == [130] * 5
    assert said["metro_median"].tolist() == [125, 500, 500, 130, 130]
    assert said["last_known_price"].tolist() == [130, 500, 500, 130, 900]


def test_the_order_of_train_rows_does_not_matter():
    rows = TRAIN.select("zipcode", "city_full")
    one, other = naive_predictions(TRAIN, rows), naive_predictions(TRAIN.reverse(), rows)
    assert {k: v.tolist() for k, v in one.items()} == {k: v.tolist() for k, v in other.items()}


def test_a_row_without_a_metro_takes_the_overall_median():
    rows = pl.DataFrame({"zipcode": ["00009"], "city_full": [None]}, schema_overrides={"city_full": pl.String})
    assert {k: v.tolist() for k, v in naive_predictions(TRAIN, rows).items()} == {
        "train_median": [130],
        "metro_median": [130],
        "last_known_price": [130],
    }


def test_the_prices_of_the_rows_themselves_are_not_looked_at():
    rows = TRAIN.select("zipcode", "city_full")
    dear = rows.with_columns(price=pl.lit(1e9), date=pl.lit(date(2030, 1, 31)))
    assert naive_predictions(TRAIN, dear)["last_known_price"].tolist() == [130, 130, 130, 900, 500]


def test_predictors_are_compared_on_the_same_rows_in_the_order_given():
    table = compare(ACTUAL, {"model": PREDICTED, "perfect": ACTUAL, "half": ACTUAL / 2})
    assert table["predictor"].to_list() == ["model", "perfect", "half"]
    assert table["mae"].to_list() == [30, 0, 187.5]
    assert table["mape"].to_list() == pytest.approx([10, 0, 50])
    assert table["rows"].to_list() == [4, 4, 4]
