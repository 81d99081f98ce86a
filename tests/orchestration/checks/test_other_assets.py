"""The checks of everything after cleaning: green on what is sound, red with the reason on what is not."""

import math
from datetime import date

import numpy as np
import polars as pl
import pytest

from housing_assets.core.features.encoding import fit_encoders
from housing_assets.core.features.monthly import make_training_features
from housing_assets.core.intervals.conformal import CALIBRATION_SCHEMA
from housing_assets.core.models.price import PREDICTION_SCHEMA
from housing_assets.core.months import TimeSplit
from housing_assets.core.panel.cleaning import clean_month
from housing_assets.core.quality.predictions import measure_calibration_month, measure_prediction_month
from housing_assets.core.quality.rules import CHECKED, RULES, rule_table, rules_of
from housing_assets.core.quality.training import measure_encoders, measure_evaluation, measure_matrix, measure_model
from housing_assets.orchestration.checks.suites import judge

HOLDOUT = "2021-09"
MONTH = "2021-06"
first_row = pl.int_range(pl.len()) == 0


def broken(asset: str, measurements) -> dict[str, str]:
    return {f.rule.name: str(f) for f in judge(asset, measurements)}


def put(value, column: str):
    return lambda f: f.with_columns(
        pl.when(first_row).then(pl.lit(value, f.schema[column])).otherwise(column).alias(column)
    )


# ---------------------------------------------------------------- predictions


@pytest.fixture
def predictions(clean) -> pl.DataFrame:
    price = pl.col("price")
    return clean.select(
        "date", "zipcode", "city_full", predicted_price=price * 1.1, predicted_low=price * 0.8,
        predicted_high=price * 1.3, actual_price=price, model_version=pl.lit("v1"), from_history=pl.lit(True),
        predictor=pl.lit("model"), vintage=pl.lit("zillow 2024-01-20T10-00-00Z"), first_price=price,
    ).cast(PREDICTION_SCHEMA)  # fmt: skip


def prediction_problems(frame, clean) -> dict[str, str]:
    before = clean.select("zipcode", "price")
    return broken("monthly_predictions", measure_prediction_month(frame, MONTH, clean["zipcode"], before))


def test_predictions_of_earlier_versions_have_no_vintage(predictions, clean):
    assert prediction_problems(predictions.drop("vintage", "first_price"), clean) == {}
    assert "columns_are_declared" in prediction_problems(predictions.drop("vintage"), clean)


PREDICTION_DEFECTS = {
    "a negative price": (put(-1.0, "predicted_price"), "predictions_are_prices", "price: 1 of 60 rows are no"),
    "no price": (put(None, "predicted_price"), "predictions_are_prices", "for example None"),
    "an infinite price": (put(math.inf, "predicted_price"), "predictions_are_prices", "for example inf"),
    "outside": (put(1e9, "predicted_low"), "interval_contains_prediction", "1 of 60 rows lie outside their interval"),
    "no interval": (put(None, "predicted_high"), "interval_contains_prediction", "1 of 60 rows"),
    "a zip twice": (lambda f: pl.concat([f, f.head(1)]), "one_row_a_zip", "2 of 61 rows share their zip"),
    "a zip missing": (lambda f: f.tail(59), "every_zip_is_predicted", "zipcode: 1 zips are in the month or in the"),
    "a zip of nowhere": (put("99999", "zipcode"), "every_zip_is_predicted", "zipcode: 2 zips"),
    "another month": (put(date(2021, 5, 31), "date"), "dates_are_in_their_month", "date: 1 of 60 rows"),
    "one far from its history": (
        lambda f: put(f["predicted_price"][0] * 4, "predicted_price")(f), "no_prediction_is_far", "beyond 3 times"),
    "all far from their history": (
        lambda f: f.with_columns(pl.selectors.starts_with("predicted") * 4), "predictions_fit_history",
        "60 of 60 zips are beyond 3 times what they cost in the months before"),
    "a column too few": (lambda f: f.drop("predicted_low"), "columns_are_declared", "predicted_low: is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("defect", "rule", "told"), PREDICTION_DEFECTS.values(), ids=PREDICTION_DEFECTS)
def test_a_broken_month_of_predictions(predictions, clean, defect, rule, told):
    assert prediction_problems(predictions, clean) == {}
    assert told in prediction_problems(defect(predictions), clean)[rule]


def test_the_first_month_has_no_history_to_be_far_from(predictions, clean):
    found = measure_prediction_month(predictions, MONTH, clean["zipcode"], None)
    assert broken("monthly_predictions", found) == {}


# ---------------------------------------------------------------- intervals

CALIBRATION = pl.DataFrame(
    {
        "city_full": [None, "Boston"], "rows": [500, 200], "log_low": [-0.2, -0.1], "log_high": [0.1, 0.2],
        "from_history": False, "first_month": "2020-06", "last_month": "2021-05", "model_version": "v1",
    },
    schema=CALIBRATION_SCHEMA,
)  # fmt: skip


@pytest.mark.parametrize(
    ("defect", "rule"),
    [
        (put(math.nan, "log_low"), "interval_ends_are_numbers"),
        (put(None, "log_high"), "interval_ends_are_numbers"),
        (put(0.1, "log_low"), "zero_is_inside"),
        (put(-0.1, "log_high"), "zero_is_inside"),
        (put("2021-06", "last_month"), "calibrated_on_the_past"),
        (lambda f: f.clear(), "has_rows"),
    ],
)
def test_a_broken_calibration(defect, rule):
    assert broken("interval_calibration", measure_calibration_month(CALIBRATION, MONTH)) == {}
    assert rule in broken("interval_calibration", measure_calibration_month(defect(CALIBRATION), MONTH))


# ---------------------------------------------------------------- encoders


@pytest.fixture(scope="module")
def panel(months) -> dict[str, pl.DataFrame]:
    def of(month: str) -> str:
        return "train" if month < MONTH else "eval" if month < HOLDOUT else "holdout"

    return {m: clean_month(f.with_columns(split=pl.lit(of(m)))).frame for m, f in months.items()}


@pytest.fixture(scope="module")
def train(panel) -> list[pl.DataFrame]:
    return [f for m, f in panel.items() if m < MONTH]


@pytest.fixture(scope="module")
def held(panel) -> list[pl.DataFrame]:
    return [f for m, f in panel.items() if MONTH <= m < HOLDOUT]


ENCODER_DEFECTS = {
    "infinite": (put(math.inf, "encoding"), "encodings_are_numbers"),
    "missing": (put(None, "encoding"), "encodings_are_numbers"),
    "twice": (lambda f: pl.concat([f, f.head(1)]), "each_value_is_encoded_once"),
    "nothing for the unseen": (lambda f: f.drop_nulls("value"), "unseen_values_have_an_encoding"),
    "off by little": (lambda f: f.with_columns(pl.col("encoding") * 1.0001), "encodings_are_of_train"),
    "a zip that train has not": (put("99999", "value"), "encodings_are_of_train"),
    "empty": (lambda f: f.clear(), "has_rows"),
}


@pytest.mark.parametrize(("defect", "rule"), ENCODER_DEFECTS.values(), ids=ENCODER_DEFECTS)
def test_broken_encoders(train, held, defect, rule):
    table = fit_encoders(train).table
    assert broken("encoders", measure_encoders(table, train, held)) == {}
    assert rule in broken("encoders", measure_encoders(defect(table), train, held))


def test_encoders_fitted_on_a_later_month_too_are_a_leak(train, held):
    table = fit_encoders([*train, held[0]]).table
    assert (
        "rows are not those of the train months"
        in broken("encoders", measure_encoders(table, train, held))["encodings_are_of_train"]
    )


def test_encoders_that_know_few_of_the_zips_to_come_warn(train, held):
    table = fit_encoders([f.head(40) for f in train]).table
    found = broken("encoders", measure_encoders(table, [f.head(40) for f in train], held))
    assert found == {
        "encoders_cover_eval": "value: 60 of 180 rows (33.3%) of eval have a zip or metro that train never saw"
    }


# ---------------------------------------------------------------- the matrix


@pytest.fixture(scope="module")
def matrix(train, held) -> pl.DataFrame:
    return make_training_features(pl.concat([*train, *held]), fit_encoders(train))


def matrix_problems(matrix, panel) -> dict[str, str]:
    return broken("training_features", measure_matrix(matrix, [m for m in panel if m < HOLDOUT], HOLDOUT))


MATRIX_DEFECTS = {
    "the month's sale price as a feature": (
        lambda f: f.with_columns(median_sale_price=pl.col("price")), "no_barred_feature",
        "median_sale_price: is barred from the features by the schema"),
    "a feature that is the price": (
        lambda f: f.with_columns(bank=pl.col("price").cast(pl.Float32)), "no_feature_is_the_price",
        "bank: 540 rows of train correlate with the price by 1.0000"),
    "a feature that follows from the price": (
        lambda f: f.with_columns(bank=-(pl.col("price") ** 3).log1p().cast(pl.Float32)), "no_feature_is_the_price",
        "bank: 540 rows of train correlate with the price by 1.0000"),
    "a holdout row": (put("holdout", "split"), "no_row_of_the_holdout", "date: 1 of 720 rows are of the holdout"),
    "a date of the holdout": (put(date(2021, 9, 30), "date"), "no_row_of_the_holdout", "for example 2021-09-30"),
    "a month missing": (
        lambda f: f.filter(pl.col("date") != date(2021, 1, 31)), "every_month_is_in", "1 months have no row: 2021-01"),
    "no price": (put(None, "price"), "targets_are_prices", "price: 1 of 720 rows have no price"),
    "an infinite price": (put(math.inf, "price"), "targets_are_prices", "price: 1 of 720 rows"),
    "a feature missing": (lambda f: f.drop("inventory"), "columns_are_declared", "inventory: is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("defect", "rule", "told"), MATRIX_DEFECTS.values(), ids=MATRIX_DEFECTS)
def test_a_broken_matrix(matrix, panel, defect, rule, told):
    assert matrix_problems(matrix, panel) == {}
    assert told in matrix_problems(defect(matrix), panel)[rule]


# ---------------------------------------------------------------- models


def model_problems(**changes) -> dict[str, str]:
    actual = np.array([1e5, 2e5, 3e5])
    given = {
        "months": ["2019-11", "2019-12"], "split": TimeSplit(), "learned_before": "2022-01",
        "actual": actual, "predicted": actual * 1.05,
        "bundle_problem": None, "twin_difference": 1e-6,
    } | changes  # fmt: skip
    return broken("tuned_model", measure_model(**given))


@pytest.mark.parametrize(
    ("changes", "rule", "told"),
    [
        ({"months": ["2019-12", "2020-01"]}, "trained_on_train_alone", "date: 1 months from 2020-01 on: 2020-01"),
        ({"learned_before": "2022-03"}, "nothing_learned_from_holdout", "learned from months before 2022-03"),
        ({"predicted": np.array([1e5, np.nan, -1.0])}, "eval_is_predicted", "2 of 3 rows are no price"),
        ({"predicted": np.array([1e5, 2e5, 3e5])}, "error_is_believable", "the median error of 3 rows is 0.000%"),
        ({"bundle_problem": "model.ubj is damaged"}, "bundle_is_trusted", "bundle: model.ubj is damaged"),
        ({"twin_difference": 0.01}, "twin_agrees", "differs by 0.01 in log price"),
    ],
)
def test_a_model_that_cannot_be_trusted(changes, rule, told):
    assert model_problems() == {}
    assert told in model_problems(**changes)[rule]


def test_an_evaluation_without_a_predictor():
    table = pl.DataFrame(
        {"split": "eval", "by": "overall", "predictor": ["a", "b"], "mae": [1.0, math.nan], "rmse": 1.0}
    )
    assert broken("model_evaluation", measure_evaluation(table, ["a"])) == {}
    assert broken("model_evaluation", measure_evaluation(table, ["a", "b", "c"])) == {
        "every_predictor_is_graded": "mae: 2 predictors have no finite error on eval: b, c"
    }


# ---------------------------------------------------------------- the table of rules


def test_every_rule_has_a_limit_and_says_what_to_do():
    for rule in RULES:
        assert rule.low is not None or rule.high is not None, rule.name
        assert len(rule.protects) > 10, rule.name
        assert len(rule.remedy) > 10, rule.name
    for asset in CHECKED:
        names = [rule.name for rule in rules_of(asset)]
        assert len(names) == len(set(names)), asset


def test_the_documentation_is_that_of_the_code():
    from pathlib import Path

    import housing_assets.orchestration.checks

    page = Path(housing_assets.orchestration.checks.__file__).parent / "README.md"
    assert rule_table() in page.read_text("utf-8"), "run `make docs`"
