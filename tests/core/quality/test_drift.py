"""Drift and accuracy: distances that Evidently gives too, and errors beside those of eval."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from housing_assets.core.models.price import PREDICTION_SCHEMA
from housing_assets.core.months import Split
from housing_assets.core.quality import drift
from housing_assets.core.quality.drift import (
    DRIFT_FEATURES,
    PREDICTION,
    accuracy_table,
    drift_html,
    drift_sample,
    drift_table,
    drifted_share,
    eval_errors,
    measure_accuracy_month,
    measure_drift_month,
    prediction_distance,
    reference_rows,
)


@pytest.fixture(scope="module")
def reference(panel, model) -> pl.DataFrame:
    train = panel.filter(split=Split.TRAIN)
    return drift_sample(reference_rows([train], train.height), model)


def test_train_is_sampled_alike_in_one_piece_and_by_month(panel, monkeypatch):
    monkeypatch.setattr(drift, "REFERENCE_ROWS", 100)
    train = panel.filter(split=Split.TRAIN).sort("date", "zipcode")
    sampled = reference_rows([train.sample(fraction=1, shuffle=True, seed=1)], train.height)
    assert_frame_equal(reference_rows(train.partition_by("date"), train.height), sampled)
    assert 50 < sampled.height <= 100


@pytest.fixture(scope="module")
def current(panel, model) -> pl.DataFrame:
    return drift_sample(panel.filter(split=Split.HOLDOUT), model)


def test_a_month_is_compared_in_every_feature_but_dates_and_in_its_prediction(reference, current):
    table = drift_table(reference, current)
    assert set(table["feature"]) == {*DRIFT_FEATURES, PREDICTION}
    assert not {"year", "quarter", "month"} & set(table["feature"])
    assert table["rows"].max() == current.height


def test_train_has_not_drifted_from_itself(reference):
    table = drift_table(reference, reference)
    assert table["distance"].drop_nulls().max() == 0
    assert drifted_share(table) == 0
    assert prediction_distance(table) == 0


@pytest.mark.slow
def test_the_distances_are_evidentlys(reference, current):
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    named = ["median_list_price", "inventory", "Median Rent", PREDICTION]
    definition = DataDefinition(numerical_columns=named)
    sets = [Dataset.from_pandas(f.select(named).to_pandas(), data_definition=definition) for f in (current, reference)]
    said = Report([ValueDrift(column=n, method="wasserstein") for n in named]).run(*sets).dict()["metrics"]
    ours = dict(drift_table(reference, current).select("feature", "distance").iter_rows())
    assert [float(m["value"]) for m in said] == pytest.approx([ours[n] for n in named], rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 4))
def test_a_shift_of_some_standard_deviations_is_that_distance(shift):
    values = np.random.default_rng(0).normal(size=500)
    before = pl.DataFrame({"a": values, PREDICTION: values})
    now = before.with_columns(a=pl.col("a") + shift * float(np.std(values)))
    found = dict(drift_table(before, now).select("feature", "distance").iter_rows())
    assert found == pytest.approx({"a": shift, PREDICTION: 0}, abs=1e-9)


def test_a_feature_that_is_gone_has_drifted_and_one_that_train_never_had_is_not_counted(reference, current):
    gone = current.with_columns(inventory=pl.lit(None, pl.Float64))
    row = drift_table(reference, gone).filter(feature="inventory").row(0, named=True)
    assert (row["drifted"], row["distance"], row["missing"]) == (True, None, 1.0)
    never = drift_table(reference.with_columns(inventory=pl.lit(None, pl.Float64)), current)
    assert never.filter(feature="inventory")["drifted"].to_list() == [False]


def test_a_feature_that_train_hardly_had_does_not_count(reference, current):
    few = pl.when(pl.int_range(pl.len()) < reference.height // 50).then("inventory")
    gone = current.with_columns(inventory=pl.lit(None, pl.Float64))
    table = drift_table(reference.with_columns(few.alias("inventory")), gone)
    assert table.filter(feature="inventory")["drifted"].to_list() == [False]
    assert drifted_share(table) == drifted_share(table.filter(pl.col("feature") != "inventory"))


def test_a_month_of_another_market_is_told(reference, current):
    moved = current.with_columns(pl.exclude(PREDICTION) * 3)
    found = {m.measure: m for m in measure_drift_month(drift_table(reference, moved), "2022-01")}
    assert found["drifted_share"].observed > 1 / 3
    assert "features have drifted, farthest" in found["drifted_share"].told


@pytest.mark.slow
def test_the_report_is_one_file_with_every_feature_that_has_values(reference, current):
    html = drift_html(reference, current).decode()
    assert html.lstrip().startswith("<!DOCTYPE html>") or "<html" in html[:500]
    for name in ("median_list_price", "Median Rent", PREDICTION):
        assert json.dumps(name)[1:-1] in html


# ---------------------------------------------------------------- accuracy


def predictions(known: list[float | None]) -> pl.DataFrame:
    n = len(known)
    return pl.DataFrame(
        {
            "date": None, "zipcode": [f"{i:05d}" for i in range(n)], "city_full": ["A", "B"] * (n // 2),
            "predicted_price": 110.0, "predicted_low": 100.0, "predicted_high": 120.0, "actual_price": known,
            "model_version": "v1", "from_history": True, "predictor": "model",
            "vintage": None, "first_price": None,
        },
        schema=PREDICTION_SCHEMA,
    )  # fmt: skip


def test_errors_are_overall_and_by_metro_beside_those_of_eval():
    table = accuracy_table(predictions([100.0, 55.0, 100.0, None]), {None: 20.0, "A": 5.0})
    assert table["city_full"].to_list() == [None, "A", "B"]
    assert table["rows"].to_list() == [3, 2, 1]
    assert table["mape"].to_list() == pytest.approx([40.0, 10.0, 100.0])
    assert table["bias"].to_list() == pytest.approx([25.0, 10.0, 55.0])
    assert table["coverage"].to_list() == pytest.approx([200 / 3, 100.0, 0.0])
    assert table["ratio"].to_list() == pytest.approx([2.0, 2.0, None])
    (told,) = measure_accuracy_month(table, "2022-01")
    assert told.observed == pytest.approx(2.0)
    assert told.told == "the mean absolute error of 3 rows is 40.00%, 2.00 times the 20.00% of eval"


def test_a_month_without_prices_is_not_judged():
    table = accuracy_table(predictions([None, None]), {None: 20.0})
    assert table.height == 1
    (told,) = measure_accuracy_month(table, "2022-01")
    assert np.isnan(told.observed)
    assert told.told == "no price is known yet"


def test_errors_on_eval_are_those_of_the_model(panel, model):
    rows = panel.filter(split=Split.EVAL)
    found = eval_errors(rows, model)
    share = np.abs(model.prices(rows) / rows["price"].to_numpy() - 1)
    assert found[None] == pytest.approx(100 * share.mean())
    assert set(found) == {None, *rows["city_full"].unique()}


def test_errors_against_first_published_prices_stand_beside_those_against_the_newest():
    first = pl.Series([110.0, 100.0, None, 100.0])
    table = accuracy_table(predictions([100.0, 55.0, 100.0, None]).with_columns(first_price=first), {None: 20.0})
    overall = table.row(0, named=True)
    assert (overall["rows"], overall["first_rows"]) == (3, 2)
    assert overall["mape"] == pytest.approx(40.0)
    assert overall["first_mape"] == pytest.approx(5.0)
    assert overall["first_coverage"] == 100.0


def test_predictions_of_earlier_versions_are_graded_against_the_newest_price_alone():
    rows = predictions([100.0, 55.0, 100.0, None])
    earlier = accuracy_table(rows.drop("vintage", "first_price"), {None: 20.0})
    assert earlier.equals(accuracy_table(rows, {None: 20.0}))
    assert earlier["first_rows"].to_list() == [0, 0, 0]
    assert earlier["first_mape"].null_count() == earlier.height
