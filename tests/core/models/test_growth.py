"""Growth models: what they learn, what they must not see, and that they come back from their files."""

import io
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS, reference_growth
from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import HISTORY_FEATURES, LEAST_MONTHS, LONGEST_HORIZON, History, history_table
from housing_assets.core.models.growth import (
    LEAST_TRAIN_MONTHS,
    fit_growth,
    growth_files,
    growth_from_files,
    shrinkage_weight,
)
from housing_assets.core.models.ridge import fit_ridge
from housing_assets.core.months import add_months, month_range
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame

BEFORE = "2019-07"


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return history_table([sample_frame(SampleSpec(zips=40, start="2014-01", end="2020-06"))])


@pytest.fixture(scope="module")
def history(table) -> History:
    return History.from_table(table)


@pytest.fixture(scope="module")
def model(history):
    return fit_growth(history, [1, 3, 12], BEFORE)


def mape(history: History, horizon: int, said) -> float:
    """Mean absolute error over the origins from `BEFORE` on, in percent."""
    errors = []
    for origin in month_range(BEFORE, add_months(history.last_month, -horizon)):
        errors.append(np.abs(np.exp(said(origin) - history.outcome(origin, horizon)) - 1))
    return 100 * float(np.nanmean(np.concatenate(errors)))


def test_nothing_from_the_month_on_is_learned_from(table, history, model):
    later = pl.col("date").dt.strftime("%Y-%m") >= BEFORE
    changed = table.with_columns(
        price=pl.when(later).then(pl.col("price") * (1 + pl.int_range(pl.len()) % 7)).otherwise("price"),
        inventory=pl.when(later).then(None).otherwise("inventory"),
    )
    again = fit_growth(History.from_table(changed), [1, 3, 12], BEFORE)
    assert growth_files(again) == growth_files(model)
    origin = add_months(BEFORE, -1)
    np.testing.assert_array_equal(
        again.log_growth(History.from_table(changed).at(origin), 1), model.log_growth(history.at(origin), 1)
    )


def test_what_comes_before_it_is(table, model):
    earlier = pl.col("date").dt.strftime("%Y-%m") == add_months(BEFORE, -1)
    changed = table.with_columns(price=pl.when(earlier).then(pl.col("price") * 1.05).otherwise("price"))
    assert growth_files(fit_growth(History.from_table(changed), [1, 3, 12], BEFORE)) != growth_files(model)


def test_one_month_ahead_it_errs_less_than_every_naive_baseline(history, model):
    own = mape(history, 1, lambda origin: model.log_growth(history.at(origin), 1))
    for naive in NAIVE_FORECASTERS.values():
        assert own < 0.75 * mape(history, 1, lambda origin, naive=naive: naive.log_growth(history.at(origin), 1))


def test_the_models_say_shrinks_with_the_horizon():
    shares = [shrinkage_weight(h) for h in range(1, 13)]
    assert shares[0] == 1
    assert shares[-1] == pytest.approx(0.5)
    assert shares == sorted(shares, reverse=True)


def test_a_model_is_an_average_of_its_parts_and_the_centre(history, model):
    origin, horizon = "2019-09", 12
    features = history.features(origin, horizon)
    from housing_assets.core.models.growth import tree_matrix

    ridge = model.ridges[horizon].predict(features)
    trees = horizon * model.trees.inplace_predict(tree_matrix(features, horizon), validate_features=False)
    base = reference_growth(history.at(origin), horizon)
    expected = base + 0.5 * ((ridge + trees) / 2 - base)
    assert model.log_growth(history.at(origin), horizon) == pytest.approx(expected)
    parts = model.ridges[horizon].parts(features)
    assert model.ridges[horizon].intercept + parts.sum(axis=1) == pytest.approx(ridge)


def test_a_zip_without_history_has_no_growth(table, model):
    young = (pl.col("zipcode") == table["zipcode"][0]) & (pl.col("date").dt.year() < 2019)
    history = History.from_table(table.filter(~young))
    place = history.zip_index[table["zipcode"][0]]
    said = model.log_growth(history.at("2019-09"), 1)
    assert np.isnan(said[place])
    assert np.isfinite(np.delete(said, place)).all()


def test_the_ridge_finds_a_linear_rule_and_a_missing_feature_counts_as_its_mean():
    rng = np.random.default_rng(3)
    features = rng.standard_normal((4_000, len(HISTORY_FEATURES))).astype(np.float32)
    growth = 0.01 + 0.5 * features[:, 0] - 0.2 * features[:, 5]
    ridge = fit_ridge(features, growth, 1, zips=40, metros=10)
    assert ridge.predict(features) == pytest.approx(growth, abs=0.1)
    missing = np.full((1, len(HISTORY_FEATURES)), np.nan, np.float32)
    assert ridge.predict(missing) == pytest.approx([growth.mean()])
    wild = np.full((1, len(HISTORY_FEATURES)), 1e9, np.float32)
    assert np.abs(ridge.predict(wild)).max() < 4 * np.abs(ridge.weights).sum() + 1


def test_horizons_with_too_few_origins_are_left_out(history):
    before = add_months(history.first_month, LEAST_MONTHS + LEAST_TRAIN_MONTHS + 3)
    assert fit_growth(history, range(1, 13), before).horizons == (1, 2, 3)


def test_a_panel_too_short_says_what_is_the_least(history):
    with pytest.raises(
        HousingError, match=r"23 months before 2017-01 have a year of history and an outcome.* needs 24"
    ):
        fit_growth(history, [1, 2], "2017-01")


def test_a_horizon_that_is_not_modelled_is_named(history, model):
    with pytest.raises(HousingError, match="horizon=2 is not modelled: choose one of 1, 3, 12"):
        model.log_growth(history.at("2019-09"), 2)


@pytest.mark.parametrize("horizon", [0, LONGEST_HORIZON + 1])
def test_no_model_and_no_baseline_looks_further_than_the_features_allow(history, horizon):
    told = f"horizon={horizon} is not 1 to {LONGEST_HORIZON}"
    with pytest.raises(HousingError, match=told):
        fit_growth(history, [1, horizon], BEFORE)
    for naive in NAIVE_FORECASTERS.values():
        with pytest.raises(HousingError, match=told):
            naive.log_growth(history.at("2019-03"), horizon)


# ---------------------------------------------------------------- files


def test_a_model_comes_back_from_its_files_to_the_last_bit(history, model):
    files = growth_files(model, "-2019")
    again = growth_from_files(files, "-2019")
    assert again is not None
    for horizon in model.horizons:
        expected = model.log_growth(history.at("2019-09"), horizon)
        np.testing.assert_array_equal(again.log_growth(history.at("2019-09"), horizon), expected)
    assert growth_from_files(files) is None


def test_its_ridges_are_a_table_one_can_read(model):
    files = growth_files(model)
    table = pl.read_parquet(io.BytesIO(files["growth_ridges.parquet"]))
    assert table.columns == ["feature", "horizon", "mean", "scale", "weight", "intercept"]
    assert table.height == 3 * len(HISTORY_FEATURES)


def test_files_that_do_not_belong_together_are_refused(model):
    files = growth_files(model)
    ridge = model.ridges[1]
    other = growth_files(replace(model, ridges={**model.ridges, 1: replace(ridge, weights=ridge.weights * 1.1)}))
    with pytest.raises(BundleError, match="gives its golden rows other growth"):
        growth_from_files(files | {"growth_ridges.parquet": other["growth_ridges.parquet"]})
    with pytest.raises(BundleError, match="lacks 'growth_golden.json'"):
        growth_from_files({n: d for n, d in files.items() if n != "growth_golden.json"})
