"""The checks of a month: silent on a sound one, and each kind of broken month is named."""

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from housing_assets.core.quality import (
    RAW_SPLITS_SCHEMA,
    clean_month_problems,
    encoder_problems,
    prediction_month_problems,
    raw_month_problems,
    training_feature_problems,
)
from housing_assets.core.schema import BY_NAME, NUMBERS

MONTH = "2021-06"
HOLDOUT_START = "2022-01"
Breaker = Callable[[pl.DataFrame], pl.DataFrame]


def put(value: object, column: str, rows: int = 1) -> Breaker:
    """Break a frame: a value into the first rows of a column."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        hit = pl.int_range(pl.len()) < rows
        literal = pl.lit(value, frame.schema[column])
        return frame.with_columns(pl.when(hit).then(literal).otherwise(pl.col(column)).alias(column))

    return change


def repeat_a_zip(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame, frame.head(1)])


SCHEMA_BREAKERS = [
    (lambda f: f.drop("date"), "date: missing"),
    (lambda f: f.with_columns(surprise=pl.lit(1)), "surprise: not in the contract"),
    (lambda f: f.with_columns(pl.col("date").cast(pl.String)), "date: is String, should be Date"),
]
SHARED = [
    *SCHEMA_BREAKERS,
    (lambda f: f.clear(), "no rows"),
    (put(date(2021, 5, 31), "date", 2), "date: 2 rows not in 2021-06, for example 2021-05-31"),
    (put(date(2021, 6, 15), "date"), "date: 1 rows not in 2021-06, for example 2021-06-15"),
    (put(None, "date"), "date: 1 rows not in 2021-06, for example None"),
    (put(None, "zipcode"), "zipcode: 1 rows missing, for example None"),
]


# ---------------------------------------------------------------- raw_splits


@pytest.fixture
def raw(raw_month) -> pl.DataFrame:
    return raw_month.with_columns(split=pl.lit("eval"))


def test_a_sound_raw_month_has_no_problems(raw):
    assert dict(raw.schema) == RAW_SPLITS_SCHEMA
    assert raw_month_problems(raw, MONTH) == []
    assert raw_month_problems(repeat_a_zip(raw), MONTH) == []  # a matter of cleaning


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        *SHARED,
        (put("2139", "zipcode", 3), "zipcode: 3 rows not 5 digits, for example 2139"),
        (put("0213\u0669", "zipcode"), "zipcode: 1 rows not 5 digits, for example 0213\u0669"),
        (put(None, "price", 45), "price: only 25% of rows have one"),
    ],
)
def test_a_broken_raw_month_is_named(raw, broken, problem):
    assert raw_month_problems(broken(raw), MONTH) == [problem]


def test_half_of_the_prices_are_enough(raw):
    assert raw.height == 60
    assert raw_month_problems(put(None, "price", 30)(raw), MONTH) == []
    assert len(raw_month_problems(put(None, "price", 31)(raw), MONTH)) == 1


def test_every_problem_is_told(raw):
    broken = put("x", "zipcode")(put(None, "price", 60)(raw))
    assert len(raw_month_problems(broken, "2021-07")) == 3


# ---------------------------------------------------------------- cleaned


@pytest.fixture
def cleaned(panel) -> pl.DataFrame:
    return panel.filter(pl.col("date") == pl.date(2021, 6, 30))


def test_a_sound_cleaned_month_has_no_problems(cleaned):
    assert clean_month_problems(cleaned, MONTH) == []


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        *SHARED,
        (repeat_a_zip, "zipcode: 2 rows more than once in the month, for example "),
        (put(None, "price", 45), "price: only 25% of rows have one"),
        (lambda f: f.drop("latitude", "split"), "split: missing"),
    ],
)
def test_a_broken_cleaned_month_is_named(cleaned, broken, problem):
    assert clean_month_problems(broken(cleaned), MONTH)[0].startswith(problem)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_value_outside_its_range_is_named(cleaned, name):
    column = BY_NAME[name]
    broken = cleaned
    for rows, bad in enumerate([column.high * 1.01, float("nan"), float("inf"), column.low - 1]):
        broken = put(bad, name, 4 - rows)(broken)
    problem = f"{name}: 4 rows outside {column.low:g} to {column.high:g}, for example {float(column.low - 1)}"
    assert clean_month_problems(broken, MONTH) == [problem]
    assert clean_month_problems(put(column.low, name)(put(column.high, name, 2)(cleaned)), MONTH) == []


def test_a_missing_value_is_no_problem(cleaned):
    gaps = cleaned.with_columns(pl.lit(None, pl.Float64).alias(n) for n in NUMBERS if n != "price")
    assert clean_month_problems(gaps, MONTH) == []


# ---------------------------------------------------------------- monthly_predictions


@pytest.fixture
def predicted(model, cleaned) -> pl.DataFrame:
    return model.predict(cleaned)


def test_a_sound_month_of_predictions_has_no_problems(predicted):
    assert prediction_month_problems(predicted, MONTH) == []
    assert prediction_month_problems(put(None, "actual_price", 60)(predicted), MONTH) == []


LACKS = "predicted_low: 1 rows the interval lacks the price"


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        *SHARED,
        (repeat_a_zip, "zipcode: 2 rows more than once in the month"),
        (put(None, "predicted_price"), "predicted_price: 1 rows no price, for example None"),
        (put(float("nan"), "predicted_price"), "predicted_price: 1 rows no price, for example nan"),
        (put(float("inf"), "predicted_price"), "predicted_price: 1 rows no price, for example inf"),
        (put(0.0, "predicted_price"), "predicted_price: 1 rows no price, for example 0.0"),
        (put(-5.0, "predicted_price"), "predicted_price: 1 rows no price, for example -5.0"),
        (put(1e12, "predicted_low"), LACKS),
        (put(1.0, "predicted_high"), LACKS),
        (put(None, "predicted_low"), LACKS),
        (put(None, "predicted_high"), LACKS),
        (put(float("nan"), "predicted_low"), LACKS),
    ],
)
def test_a_broken_month_of_predictions_is_named(predicted, broken, problem):
    assert prediction_month_problems(broken(predicted), MONTH)[0].startswith(problem)


# ---------------------------------------------------------------- training_features


def test_sound_training_features_have_no_problems(features):
    assert training_feature_problems(features, HOLDOUT_START) == []


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        *SCHEMA_BREAKERS,
        (
            lambda f: f.with_columns(pl.col("median_ppsf").cast(pl.Float64)),
            "median_ppsf: is Float64, should be Float32",
        ),
        (lambda f: f.with_columns(median_sale_price=pl.lit(1.0)), "median_sale_price: not in the contract"),
        (lambda f: f.clear(), "no rows"),
        (put("holdout", "split"), "split: 1 rows in the holdout, for example holdout"),
        (put(date(2022, 1, 1), "date", 2), "date: 2 rows in the holdout, for example 2022-01-01"),
        (put(None, "price"), "price: 1 rows no price, for example None"),
        (put(0.0, "price"), "price: 1 rows no price, for example 0.0"),
        (put(float("nan"), "price"), "price: 1 rows no price, for example nan"),
    ],
)
def test_broken_training_features_are_named(features, broken, problem):
    assert training_feature_problems(broken(features), HOLDOUT_START) == [problem]


def test_the_day_before_the_holdout_may_be_trained_on(features):
    assert training_feature_problems(put(date(2021, 12, 31), "date")(features), HOLDOUT_START) == []


# ---------------------------------------------------------------- encoders


def test_a_sound_encoder_table_has_no_problems(encoders):
    assert encoder_problems(encoders.table) == []


@pytest.mark.parametrize(
    ("broken", "problems"),
    [
        (lambda t: t.filter(pl.col("value").is_null()), ["no rows"]),
        (put(float("inf"), "encoding"), ["encoding: 1 rows not finite, for example inf"]),
        (put(float("nan"), "encoding", 2), ["encoding: 2 rows not finite, for example nan"]),
        (put(None, "encoding"), ["encoding: 1 rows not finite, for example None"]),
        (
            lambda t: t.filter(pl.col("value").is_not_null()),
            [
                "city_full_target: no encoding for what was never seen",
                "zipcode_frequency: no encoding for what was never seen",
            ],
        ),
    ],
)
def test_a_broken_encoder_table_is_named(encoders, broken, problems):
    assert encoder_problems(broken(encoders.table)) == problems


def test_a_value_encoded_twice_is_named(encoders):
    table = pl.concat([encoders.table, encoders.table.head(1)])
    zipcode = encoders.table["value"][0]
    assert encoder_problems(table) == [f"value: 2 rows more than once, for example {zipcode}"]
