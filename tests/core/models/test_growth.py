"""Combined growth models: what they learn, what they must not see, and that they come back from their files."""

import io

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import HISTORY_FEATURES, LEAST_MONTHS, LONGEST_HORIZON, History, history_table
from housing_assets.core.models.autoregression import LAGS
from housing_assets.core.models.combination import (
    LEAST_TRAIN_MONTHS,
    Combination,
    combination_files,
    combination_from_files,
    combine,
    fit_combination,
    fit_growth,
    learn_weights,
)
from housing_assets.core.models.growth import shrinkage_weight
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
    return fit_combination(history, [1, 3, 12], BEFORE)


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
    again = fit_combination(History.from_table(changed), [1, 3, 12], BEFORE)
    assert combination_files(again) == combination_files(model)
    origin = add_months(BEFORE, -1)
    np.testing.assert_array_equal(
        again.log_growth(History.from_table(changed).at(origin), 1), model.log_growth(history.at(origin), 1)
    )


def test_what_comes_before_it_is(table, model):
    earlier = pl.col("date").dt.strftime("%Y-%m") == add_months(BEFORE, -1)
    changed = table.with_columns(price=pl.when(earlier).then(pl.col("price") * 1.05).otherwise("price"))
    again = fit_combination(History.from_table(changed), [1, 3, 12], BEFORE)
    assert combination_files(again) != combination_files(model)


def test_one_month_ahead_it_errs_less_than_every_naive_baseline(history, model):
    own = mape(history, 1, lambda origin: model.log_growth(history.at(origin), 1))
    for naive in NAIVE_FORECASTERS.values():
        assert own < 0.75 * mape(history, 1, lambda origin, naive=naive: naive.log_growth(history.at(origin), 1))


def test_the_models_say_shrinks_with_the_horizon():
    shares = [shrinkage_weight(h) for h in range(1, 13)]
    assert shares[0] == 1
    assert shares[-1] == pytest.approx(0.5)
    assert shares == sorted(shares, reverse=True)


def test_a_forecast_and_its_explanation_are_the_weighted_sums_of_the_members(history, model):
    origin, horizon = "2019-09", 12
    at, rows = history.at(origin), np.arange(5)
    members = {name: f.log_growth(at, horizon) for name, f in model.fit.members.items()}
    weights = model.weights[horizon]
    assert sum(weights.values()) == pytest.approx(1)
    expected = sum(weights[name] * growth for name, growth in members.items())
    assert model.log_growth(at, horizon) == pytest.approx(expected)
    base, parts = model.contributions(at, horizon, rows)
    assert base + parts.sum(axis=1) == pytest.approx(expected[rows])


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


# ---------------------------------------------------------------- weights


@given(data=st.data())
def test_weights_add_up_to_one_and_order_members_as_their_losses(data):
    members, outcomes = data.draw(st.integers(1, 6)), data.draw(st.integers(0, 30))
    dice = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    losses = np.sort(dice.uniform(0.001, 0.1, (outcomes, members)), axis=1)
    weights = learn_weights(losses, dice.integers(0, 60, outcomes), data.draw(st.integers(1, 12)))
    assert weights.sum() == pytest.approx(1)
    assert (np.diff(weights) <= 1e-12).all(), "the first member lost least at every outcome"


def test_without_a_known_outcome_every_member_counts_the_same():
    assert learn_weights(np.empty((0, 4)), np.empty(0), 3).tolist() == [0.25] * 4


def test_the_same_losses_decide_less_at_a_long_horizon():
    losses, ages = np.tile([0.01, 0.012], (24, 1)), np.arange(24)
    near, far = (learn_weights(losses, ages, horizon) for horizon in (1, 12))
    assert near[0] > far[0] > 0.5


def test_a_member_that_gives_no_forecast_has_no_weight():
    losses = np.array([[0.01, np.nan, 0.02], [0.01, np.nan, 0.02]])
    weights = learn_weights(losses, np.array([1, 0]), 1)
    assert weights[1] == 0
    growth = np.array([[0.1, 0.2], [np.nan, np.nan], [0.3, 0.4]])
    assert combine(growth, weights) == pytest.approx(weights[0] * growth[0] + weights[2] * growth[2])


def test_a_member_that_begins_late_counts_as_the_mean_before_it_begins():
    """A ridge of long horizons needs more months than the first fits have."""
    late = learn_weights(np.array([[0.01, np.nan, 0.02], [0.01, 0.01, 0.02]]), np.array([1, 0]), 1)
    as_the_mean = learn_weights(np.array([[0.01, 0.015, 0.02], [0.01, 0.01, 0.02]]), np.array([1, 0]), 1)
    assert late == pytest.approx(as_the_mean)
    assert late[0] > late[1] > late[2]


def test_no_loss_at_all_is_no_division_by_zero():
    assert learn_weights(np.zeros((5, 3)), np.arange(5), 1) == pytest.approx([1 / 3] * 3)


# ---------------------------------------------------------------- files


def test_a_model_comes_back_from_its_files_to_the_last_bit(history, model):
    files = combination_files(model)
    again = combination_from_files(files)
    assert isinstance(again, Combination)
    for horizon in model.horizons:
        expected = model.log_growth(history.at("2019-09"), horizon)
        np.testing.assert_array_equal(again.log_growth(history.at("2019-09"), horizon), expected)
    assert combination_from_files({}) is None


def test_its_coefficients_are_tables_one_can_read(model):
    files = combination_files(model)
    ridges = pl.read_parquet(io.BytesIO(files["growth_ridges.parquet"]))
    assert ridges.columns == ["feature", "horizon", "mean", "scale", "weight", "intercept"]
    assert ridges.height == 3 * len(HISTORY_FEATURES)
    lags = pl.read_parquet(io.BytesIO(files["growth_autoregressions.parquet"]))
    assert lags.columns == ["name", "level", "lag", "coefficient", "usual"]
    assert lags.height == 3 * 3 * LAGS


@pytest.mark.parametrize("name", ["growth_autoregressions.parquet", "growth_weights.json"])
def test_a_file_that_is_missing_is_named(model, name):
    files = {n: content for n, content in combination_files(model).items() if n != name}
    with pytest.raises(BundleError, match=f"lacks '{name}': publish it again"):
        combination_from_files(files)
