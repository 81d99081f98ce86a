"""What a model publishes: its number or that of a better baseline, with intervals that hold on what is known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from platform_fixtures import turning_panel

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.baselines.prices import history_naive_predictions
from housing_assets.core.errors import BundleError
from housing_assets.core.evaluation.models import ITSELF, decide_publication, evaluate_models
from housing_assets.core.features.history import History, history_table
from housing_assets.core.intervals.conformal import calibrate
from housing_assets.core.models.price import PriceModel, model_files, model_from_files
from housing_assets.core.models.publication import (
    AS_IT_IS,
    MODEL,
    Publication,
    Widening,
    choose_predictor,
    measure_widening,
    widen,
)
from housing_assets.core.models.refitted import fit_refitted
from housing_assets.core.months import Split, TimeSplit, month_end, month_of
from housing_assets.core.panel.cleaning import clean_month

SPLIT = TimeSplit()
MONTH = "2022-02"


@pytest.fixture(scope="module")
def steady() -> pl.DataFrame:
    """A panel that turns before eval, where momentum cannot be beaten, and grows ever less certain; cleaned."""
    raw = turning_panel(40, "2016-01", "2022-03", SPLIT.eval_start, 1.15)
    return pl.concat(
        clean_month(rows.with_columns(split=pl.lit(SPLIT.of(month_of(day)).value))).frame
        for (day,), rows in raw.group_by("date", maintain_order=True)
    )


@pytest.fixture(scope="module")
def history(steady) -> History:
    return History.from_table(history_table([steady]))


@pytest.fixture(scope="module")
def unpublished(model, history) -> PriceModel:
    """A model with a growth model of the panel, before it is decided what it publishes."""
    return replace(model, growth=fit_refitted(history, [1], SPLIT.eval_start))


def held(panel: pl.DataFrame) -> pl.DataFrame:
    return panel.filter(split=Split.EVAL).drop_nulls("price")


@pytest.fixture(scope="module")
def publication(unpublished, steady, history) -> Publication:
    rows = held(steady)
    return decide_publication(unpublished, rows, unpublished.prices_without_history(rows), history)


@pytest.fixture(scope="module")
def published(unpublished, publication) -> PriceModel:
    return replace(unpublished, publication=publication)


def test_a_model_that_a_baseline_beats_publishes_the_baseline(publication, unpublished, steady, history):
    rows = held(steady)
    own = np.abs(unpublished.history_prices(rows, history) - rows["price"].to_numpy()).mean()
    assert publication.predictor in ("momentum_3", "momentum_12")
    assert publication.rows == rows.height
    assert publication.mae[MODEL] == pytest.approx(own)
    assert publication.mae[publication.predictor] == min(publication.mae.values()) < own
    assert f"rows with a history get the number of {publication.predictor}" in publication.words()


def test_rows_with_a_history_get_its_number_under_its_name(published, steady, history):
    rows = steady.filter(pl.col("date") == month_end(MONTH))
    name = published.publication.predictor
    new = rows.head(1).with_columns(zipcode=pl.lit("00000"))
    made = published.predict(pl.concat([rows, new]), history)
    said = history_naive_predictions(rows, history, 1, np.full(rows.height, np.nan))[name]
    np.testing.assert_allclose(made["predicted_price"].head(rows.height), said, rtol=1e-12)
    assert made["predictor"].to_list() == [name] * rows.height + [MODEL]
    assert made["predicted_price"][-1] == published.prices_without_history(new)[0]
    assert set(published.itself().predict(rows, history)["predictor"]) == {MODEL}


def test_its_intervals_rest_on_its_own_errors(published, steady, history):
    rows = held(steady)
    said = published.residuals(rows, history).filter("from_history")
    expected = history_naive_predictions(rows, history, 1, np.full(rows.height, np.nan))
    np.testing.assert_allclose(said["predicted"], expected[published.publication.predictor])


def test_intervals_that_miss_are_widened_until_they_hold_on_eval(publication):
    told = publication.with_history
    assert told.coverage < 0.85
    assert told.factor > 1
    assert 0.9 <= told.widened < 0.92
    assert f"held {told.coverage:.1%} of eval and are widened by {told.factor:.2f}" in publication.words()


def test_the_evaluation_grades_what_is_published_with_the_model_s_own_beside_it(published, steady, history):
    rows = steady.filter(pl.col("split") != Split.TRAIN)
    found = evaluate_models(rows, {"m": published}, steady.filter(split=Split.TRAIN), history)
    by = {row["predictor"]: row for row in found.table.filter(by="overall", split="eval").to_dicts()}
    name = published.publication.predictor
    assert by["m"]["mae"] == pytest.approx(by[name]["mae"])
    assert by[f"m{ITSELF}"]["mae"] == pytest.approx(published.publication.mae[MODEL])
    assert by["m"]["coverage"] >= 90 > by[f"m{ITSELF}"]["coverage"]


def test_no_price_of_the_holdout_has_a_say(unpublished, steady, history, publication):
    later = pl.col("date") >= month_end(SPLIT.holdout_start)
    changed = steady.with_columns(price=pl.when(later).then(pl.col("price") * 3).otherwise(pl.col("price")))
    other = History.from_table(history_table([changed]))
    rows = held(changed)
    assert decide_publication(unpublished, rows, unpublished.prices_without_history(rows), other) == publication


def test_without_a_growth_model_the_best_baseline_is_published(unpublished, steady, history):
    rows = held(steady)
    bare = replace(unpublished, growth=None)
    told = decide_publication(bare, rows, bare.prices_without_history(rows), history)
    assert told.predictor in NAIVE_GROWTH
    assert MODEL not in told.mae
    assert "no growth model could be fitted" in told.words()
    made = replace(bare, publication=told)
    assert made.uses_history
    assert np.isfinite(made.history_prices(rows, history)).all()


def test_a_model_that_uses_no_history_publishes_its_own(unpublished, steady):
    rows = held(steady)
    bare = replace(unpublished, growth=None)
    told = decide_publication(bare, rows, bare.prices_without_history(rows), None)
    assert (told.predictor, told.rows, told.with_history) == (MODEL, 0, Widening())


def test_the_baseline_has_to_be_as_good_on_rows_that_all_of_them_know():
    actual = np.array([100.0, 100.0, 100.0])
    said = {name: np.array([110.0, 110.0, np.nan]) for name in NAIVE_GROWTH}
    assert choose_predictor(actual, {MODEL: np.array([109.0, 109.0, 500.0]), **said})[:2] == (MODEL, 2)
    assert choose_predictor(actual, {MODEL: np.array([110.0, 110.0, 100.0]), **said})[0] == NAIVE_GROWTH[0]
    assert choose_predictor(actual, {MODEL: np.full(3, np.nan), **said}) == (MODEL, 0, {})


# ---------------------------------------------------------------- widening


def month(logs: np.ndarray, kind: bool = True) -> pl.DataFrame:
    return pl.DataFrame(
        {"city_full": "A", "actual": 100 * np.exp(logs), "predicted": 100.0, "from_history": kind},
    )


def test_intervals_that_hold_are_left_as_they_are():
    draws = np.random.default_rng(1)
    told = measure_widening({m: month(draws.normal(0, 0.1, 300)) for m in ("2020-01", "2020-02", "2020-03")})
    assert (told[True].factor, told[True].rows) == (1.0, 600)
    assert told[False] == Widening()


def test_few_rows_do_not_widen():
    draws = np.random.default_rng(1)
    sizes = {"2020-01": 0.01, "2020-02": 0.2}
    few = measure_widening({m: month(draws.normal(0, s, 199)) for m, s in sizes.items()})[True]
    assert (few.factor, few.rows) == (1.0, 199)
    assert few.coverage < 0.85
    assert measure_widening({m: month(draws.normal(0, s, 200)) for m, s in sizes.items()})[True].factor > 5


def test_an_interval_without_a_width_is_not_widened_to_infinity():
    told = measure_widening({m: month(np.full(300, r)) for m, r in (("2020-01", 0.0), ("2020-02", 0.1))})[True]
    assert (told.coverage, told.factor) == (0.0, pytest.approx(1.0))


def test_both_ends_move_away_from_their_middle():
    logs = np.random.default_rng(2).normal(0.05, 0.1, 400)
    table = calibrate(pl.Series(["A"] * 400), 100 * np.exp(logs), np.full(400, 100.0))
    wide = widen(table, {False: 1.5, True: 1.0})
    width, before = (t["log_high"] - t["log_low"] for t in (wide, table))
    assert (width / before).to_list() == pytest.approx([1.5] * table.height)
    middle, was = (t["log_high"] + t["log_low"] for t in (wide, table))
    assert middle.to_list() == pytest.approx(was.to_list())
    assert widen(table, {False: 1.0, True: 1.5}).equals(table)


# ---------------------------------------------------------------- the bundle


def test_a_bundle_keeps_what_is_published(published, steady, history):
    kept = replace(published, max_list_price=5e6)
    again = model_from_files(model_files(kept, steady.filter(split=Split.EVAL), {}), "v")
    assert (again.publication, again.max_list_price) == (kept.publication, 5e6)
    rows = steady.filter(pl.col("date") == month_end(MONTH))
    assert again.predict(rows, history).drop("model_version").equals(kept.predict(rows, history).drop("model_version"))


def test_a_bundle_of_before_publishes_the_model_s_number(unpublished, steady):
    files = model_files(unpublished, steady.filter(split=Split.EVAL), {})
    del files["publication.json"]
    files["features.json"] = files["features.json"].replace(b',\n  "max_list_price": null', b"")
    again = model_from_files(files, "v")
    assert (again.publication, again.max_list_price) == (AS_IT_IS, None)


def test_a_predictor_that_this_version_does_not_know_is_refused(published, steady):
    other = replace(published, publication=replace(published.publication, predictor="moon_phase"))
    files = model_files(other, steady.filter(split=Split.EVAL), {})
    with pytest.raises(BundleError, match="publishes the number of 'moon_phase', which this version"):
        model_from_files(files, "v")
