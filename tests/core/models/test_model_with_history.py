"""A price model that uses history: which rows it predicts from it, and that nothing from the month on has a say."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS, NAIVE_GROWTH
from housing_assets.core.baselines.prices import history_naive_predictions
from housing_assets.core.evaluation.models import evaluate_models
from housing_assets.core.features.history import History, history_table
from housing_assets.core.intervals.conformal import calibrate_month, calibration_window
from housing_assets.core.models.price import PREDICTED_SCHEMA, PriceModel, model_files, model_from_files
from housing_assets.core.models.refitted import fit_refitted
from housing_assets.core.months import Split, TimeSplit, add_months, month_end, month_of
from housing_assets.core.panel.cleaning import clean_month
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame

MONTH = "2021-06"


@pytest.fixture(scope="module")
def long_panel() -> pl.DataFrame:
    """The zips that the shared model was trained on, over months enough for a growth model; cleaned."""
    raw = sample_frame(SampleSpec(zips=60, start="2015-01", end="2022-03"))
    split = TimeSplit()
    return pl.concat(
        clean_month(rows.with_columns(split=pl.lit(split.of(month_of(day)).value))).frame
        for (day,), rows in raw.group_by("date", maintain_order=True)
    )


@pytest.fixture(scope="module")
def whole(long_panel) -> pl.DataFrame:
    return history_table([long_panel])


@pytest.fixture(scope="module")
def history(whole) -> History:
    return History.from_table(whole)


@pytest.fixture(scope="module")
def grown(model, history) -> PriceModel:
    return replace(model, growth=fit_refitted(history, [1], "2020-01"))


@pytest.fixture(scope="module")
def rows(long_panel) -> pl.DataFrame:
    return long_panel.filter(pl.col("date") == month_end(MONTH))


def test_a_zip_with_a_history_is_predicted_from_it(grown, history, rows):
    made = grown.predict(rows, history)
    assert dict(made.schema) == PREDICTED_SCHEMA
    assert made["from_history"].all()
    origin = add_months(MONTH, -1)
    last = np.exp(history.log_price[:, history.column(origin)])
    expected = dict(zip(history.zips, last * np.exp(grown.growth.log_growth(history.at(origin), 1)), strict=True))
    assert made["predicted_price"].to_list() == pytest.approx([expected[z] for z in made["zipcode"]])
    error = (made["predicted_price"] / made["actual_price"] - 1).abs().mean()
    assert error < 0.01


def test_a_zip_without_one_is_predicted_from_its_month_with_the_interval_of_such_rows(grown, history, long_panel, rows):
    new = rows.head(1).with_columns(zipcode=pl.lit("00000"))
    by_month = {
        m: grown.residuals(long_panel.filter(pl.col("date") == month_end(m)), history)
        for m in calibration_window(MONTH)
    }
    table = calibrate_month(MONTH, by_month, "v")
    assert set(table["from_history"]) == {True, False}
    both = grown.predict(pl.concat([rows.head(1), new]), history, table)
    assert both["from_history"].to_list() == [True, False]
    assert both["predicted_price"][1] == grown.prices_without_history(new)[0]
    width = both["predicted_high"] / both["predicted_low"]
    assert width[1] > 1 + 5 * (width[0] - 1)


def test_no_value_of_the_month_or_after_it_changes_a_prediction(grown, whole, rows):
    known = pl.col("date") < month_end(MONTH)
    changed = whole.with_columns(
        pl.when(known).then(pl.col(name)).otherwise(pl.col(name) * 3).alias(name)
        for name in ("price", "inventory", "median_dom")
    )
    other = rows.with_columns(price=pl.col("price") * 2, median_list_price=pl.lit(1.0))
    expected = grown.predict(rows, History.from_table(whole))["predicted_price"]
    revised = History.from_table(changed)
    assert grown.predict(other, revised)["predicted_price"].equals(expected)
    fitted_again = replace(grown, growth=fit_refitted(revised, [1], "2020-01"))
    assert fitted_again.predict(other, revised)["predicted_price"].equals(expected)


def test_a_longer_publication_lag_looks_no_later_than_it_may(model, history, rows):
    late = replace(model, growth=fit_refitted(history, [3], "2020-01"), lag=3)
    origin = add_months(MONTH, -3)
    growth = late.growth.log_growth(history.at(origin), 3)
    expected = np.exp(history.log_price[:, history.column(origin)] + growth)
    assert late.month_prices(history, MONTH) == pytest.approx(expected)


def test_intervals_on_eval_rest_on_no_price_that_a_longer_publication_lag_keeps_back(model, history, long_panel):
    """The coverage of the last month is the same, whatever came in the two months before it."""
    late = replace(model, growth=fit_refitted(history, [3], "2020-01"), lag=3)
    train, held = (long_panel.filter(part) for part in (pl.col("split") == "train", pl.col("split") == "eval"))
    unknown = pl.col("date").is_between(month_end("2021-10"), month_end("2021-11"))
    wild = held.with_columns(price=pl.when(unknown).then(pl.col("price") * 2).otherwise("price"))
    of_last = [
        evaluate_models(rows, {"late": late}, train, history).table.filter(
            by="month", group="2021-12", predictor="late"
        )
        for rows in (held, wild)
    ]
    columns = ["rows", "mae", "interval_rows", "coverage", "width"]
    assert_frame_equal(*(found.select(columns) for found in of_last), check_exact=True)
    assert of_last[0]["interval_rows"][0] > 0


def test_a_row_alone_is_predicted_as_in_a_batch(grown, history, long_panel):
    mixed = pl.concat(
        [long_panel.sample(40, seed=3), long_panel.sample(5, seed=4).with_columns(zipcode=pl.lit("00001"))]
    )
    whole = grown.predict(mixed, history)
    assert_frame_equal(pl.concat(grown.predict(row, history) for row in mixed.iter_slices(1)), whole, check_exact=True)


@pytest.mark.parametrize("month", ["2015-01", "2015-12", "2022-05", "2030-01"])
def test_a_month_that_the_history_does_not_reach_is_predicted_without(grown, history, rows, month):
    elsewhere = rows.with_columns(date=pl.lit(month_end(month)))
    made = grown.predict(elsewhere, history)
    assert not made["from_history"].any()
    assert made["predicted_price"].to_list() == grown.prices_without_history(elsewhere).tolist()


def test_a_model_without_a_growth_model_makes_no_use_of_history(model, history, rows):
    assert_frame_equal(model.predict(rows, history), model.predict(rows), check_exact=True)


def test_residuals_are_there_with_and_without_history(grown, history, rows):
    found = grown.residuals(rows, history)
    known = rows.filter(pl.col("price").is_not_null()).height
    assert found.group_by("from_history").len().sort("from_history")["len"].to_list() == [known, known]
    errors = (
        found.group_by("from_history")
        .agg((pl.col("predicted") / pl.col("actual") - 1).abs().mean())
        .sort("from_history")
    )
    assert errors["predicted"][0] > 5 * errors["predicted"][1]


def test_it_comes_back_from_its_files(grown, history, rows):
    again = model_from_files(model_files(grown, rows, {}), "test-1")
    assert_frame_equal(again.predict(rows, history), grown.predict(rows, history), check_exact=True)
    assert again.lag == 1


def test_it_is_graded_beside_baselines_that_know_the_last_price(grown, history, long_panel):
    train = long_panel.filter(split=Split.TRAIN)
    found = evaluate_models(long_panel.filter(pl.col("split") != Split.TRAIN), {"model": grown}, train, history)
    overall = found.table.filter(by="overall", split="eval")
    errors = dict(overall.select("predictor", "mape").iter_rows())
    assert set(NAIVE_GROWTH) < set(errors)
    assert errors["model"] < min(errors[name] for name in NAIVE_GROWTH)
    assert errors["flat"] < errors["last_known_price"]


def test_naive_predictions_from_history_by_hand(history, rows):
    some = pl.concat([rows.head(3), rows.head(1).with_columns(zipcode=pl.lit("00000"))])
    said = history_naive_predictions(some, history, 1, np.full(4, 7.0))
    origin = add_months(MONTH, -1)
    at, place = history.column(origin), [history.zip_index[z] for z in some["zipcode"][:3]]
    for name in NAIVE_GROWTH:
        grown = history.log_price[place, at] + NAIVE_FORECASTERS[name].log_growth(history.at(origin), 1)[place]
        assert said[name].tolist() == pytest.approx([*np.exp(grown), 7.0])
