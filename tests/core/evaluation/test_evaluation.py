"""Error figures and naive baselines, by hand."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.baselines.prices import NAIVE, naive_predictions
from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.bootstrap import compare_paired
from housing_assets.core.evaluation.metrics import compare, price_metrics
from housing_assets.core.evaluation.models import Evaluation, evaluate_models
from housing_assets.core.months import Split

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


# ---------------------------------------------------------------- by group, and models


@pytest.fixture(scope="module")
def evaluation(panel, model) -> Evaluation:
    train = panel.filter(split=Split.TRAIN)
    return evaluate_models(panel.filter(pl.col("split") != Split.TRAIN), {"model": model}, train)


def test_every_group_of_a_split_adds_up_to_the_whole(evaluation):
    table = evaluation.table
    for split, rows in evaluation.rows.group_by("split"):
        for by in ("overall", "metro", "month", "price_decile"):
            part = table.filter(pl.col("split") == split[0], pl.col("by") == by, pl.col("predictor") == "model")
            assert part["rows"].sum() == rows.height
            whole = table.filter(split=split[0], by="overall", predictor="model")["mae"][0]
            assert (part["mae"] * part["rows"]).sum() / rows.height == pytest.approx(whole)
    assert set(table["by"]) == {"overall", "metro", "month", "price_decile"}
    assert set(table.filter(by="price_decile")["group"]) == {f"{d:02d}" for d in range(1, 11)}


def test_figures_of_a_month_are_those_of_its_rows(evaluation):
    at = (evaluation.rows["date"] == date(2021, 6, 30)).to_numpy()
    by_hand = price_metrics(evaluation.rows["price"].to_numpy()[at], evaluation.predicted["model"][at])
    found = evaluation.table.filter(by="month", group="2021-06", predictor="model").row(0, named=True)
    assert {name: found[name] for name in by_hand} == pytest.approx(by_hand)


def test_skill_is_the_share_of_the_others_error_that_is_saved(evaluation):
    overall = evaluation.table.filter(by="overall", split="eval")
    mae = dict(overall.select("predictor", "mae").iter_rows())
    row = overall.filter(predictor="model").row(0, named=True)
    for name in NAIVE:
        assert row[f"skill_vs_{name}"] == pytest.approx(100 * (1 - mae["model"] / mae[name]))


def test_coverage_is_of_intervals_from_the_months_before(evaluation):
    months = evaluation.table.filter(by="month", predictor="model").sort("group")
    assert months["coverage"].is_null().to_list() == [True] * 6 + [False] * (months.height - 6)
    assert months["coverage"].mean() == pytest.approx(90, abs=8)
    assert (months["width"].drop_nulls() > 0).all()
    assert evaluation.table.filter(predictor="train_median")["coverage"].null_count() > 0


def test_later_prices_change_no_earlier_figure(panel, model):
    rows = panel.filter(pl.col("split") != Split.TRAIN)
    late = pl.col("date") >= date(2021, 9, 1)
    dearer = rows.with_columns(pl.when(late).then(pl.col("price") * 3).otherwise("price").alias("price"))
    train = panel.filter(split=Split.TRAIN)
    one, other = (
        evaluate_models(frame, {"model": model}, train).table.filter(
            pl.col("by") == "month", pl.col("group") < "2021-09"
        )
        for frame in (rows, dearer)
    )
    assert one.equals(other)


def test_a_paired_difference_says_who_is_better_and_how_sure_that_is():
    dice = np.random.default_rng(3)
    zips = np.repeat([f"{i:05d}" for i in range(60)], 10)
    price = dice.uniform(1e5, 1e6, 600)
    rows = pl.DataFrame({"split": "eval", "zipcode": zips, "price": price})
    good, bad = price + dice.normal(0, 1_000, 600), price + dice.normal(0, 9_000, 600)
    table = compare_paired(rows, {"good": good, "bad": bad, "same": good.copy()}, ["good"])
    found = {row["against"]: row for row in table.to_dicts()}
    assert found["bad"]["mae_saved"] == pytest.approx(np.abs(bad - price).mean() - np.abs(good - price).mean())
    assert 0 < found["bad"]["saved_low"] < found["bad"]["mae_saved"] < found["bad"]["saved_high"]
    assert (found["same"]["saved_low"], found["same"]["saved_high"]) == (0, 0)
    assert (found["bad"]["rows"], found["bad"]["zips"]) == (600, 60)
    against = compare_paired(rows, {"good": good, "bad": bad}, ["bad"]).row(0, named=True)
    assert against["saved_high"] < 0


def test_errors_that_go_together_in_a_zip_make_the_interval_wider():
    dice = np.random.default_rng(4)
    price = np.full(1_000, 1e5)
    by_zip = np.repeat(dice.normal(0, 5_000, 20), 50)
    rows = pl.DataFrame({"split": "eval", "price": price, "zipcode": np.repeat([f"{i:05d}" for i in range(20)], 50)})
    shuffled = rows.with_columns(pl.Series("zipcode", [f"{i:05d}" for i in range(1_000)]))
    widths = []
    for frame in (rows, shuffled):
        row = compare_paired(frame, {"a": price + by_zip, "b": price + 5_000}, ["a"]).row(0, named=True)
        widths.append(row["saved_high"] - row["saved_low"])
    assert widths[0] > 3 * widths[1]


def test_rows_without_any_price_are_refused(panel, model):
    rows = panel.filter(split=Split.EVAL).with_columns(price=pl.lit(None, pl.Float64))
    with pytest.raises(HousingError, match="no rows to evaluate: no row of eval has a price"):
        evaluate_models(rows, {"model": model}, panel.filter(split=Split.TRAIN))
