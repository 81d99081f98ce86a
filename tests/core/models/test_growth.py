"""Combined growth models: what they learn, what they must not see, and that they come back from their files."""

import io
import json

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
    combination_from_files,
    combine,
    fit_files,
    fit_growth,
    learn_weights,
)
from housing_assets.core.models.growth import shrinkage_weight
from housing_assets.core.models.refitted import RefittedCombination, fit_refitted, refitted_files, refitted_from_files
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
    return fit_refitted(history, [1, 3, 12], BEFORE)


def known_before(model: RefittedCombination, month: str) -> dict[str, bytes]:
    """The files of what was fitted and weighed before a month."""
    fits = {before: fit for before, fit in model.fits.items() if before <= month}
    return refitted_files(RefittedCombination(fits, model.weights.filter(pl.col("origin") < month)))


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
    again = fit_refitted(History.from_table(changed), [1, 3, 12], BEFORE)
    assert known_before(again, BEFORE) == known_before(model, BEFORE)
    assert refitted_files(again) != refitted_files(model), "the refits saw what was changed"
    origin = add_months(BEFORE, -1)
    np.testing.assert_array_equal(
        again.log_growth(History.from_table(changed).at(origin), 1), model.log_growth(history.at(origin), 1)
    )


def test_what_comes_before_it_is(table, model):
    earlier = pl.col("date").dt.strftime("%Y-%m") == add_months(BEFORE, -1)
    changed = table.with_columns(price=pl.when(earlier).then(pl.col("price") * 1.05).otherwise("price"))
    again = fit_refitted(History.from_table(changed), [1, 3, 12], BEFORE)
    assert known_before(again, BEFORE) != known_before(model, BEFORE)


def test_each_origin_is_forecast_by_the_newest_fit_before_it(history, model):
    """A fit a year before eval, as far as the history goes, and one each quarter from then on."""
    assert list(model.fits) == ["2017-07", "2018-07", "2019-07", "2019-10", "2020-01", "2020-04", "2020-07"]
    by_origin = {
        "2016-01": "2017-07",
        "2018-06": "2017-07",
        "2019-06": "2018-07",
        "2019-07": "2019-07",
        "2019-09": "2019-07",
        "2020-03": "2020-01",
    }
    for origin, before in by_origin.items():
        assert model.at(origin).fit is model.fits[before]


def test_an_origin_after_the_last_known_has_the_weights_of_that_one(history, model):
    assert model.at("2020-09").weights == model.at(history.last_month).weights
    assert model.at("2017-06").weights[1]["ridge"] == pytest.approx(1 / len(model.at("2017-06").fit.members))


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
    combined = model.at(origin)
    members = {name: f.log_growth(at, horizon) for name, f in combined.fit.members.items()}
    weights = combined.weights[horizon]
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
    again = refitted_from_files(refitted_files(model))
    for horizon in model.horizons:
        expected = model.log_growth(history.at("2019-09"), horizon)
        np.testing.assert_array_equal(again.log_growth(history.at("2019-09"), horizon), expected)
    assert refitted_from_files({}) is None


def test_the_one_fit_of_an_earlier_bundle_is_read(history, model):
    kept = model.at("2019-09")
    weights = {str(horizon): of_member for horizon, of_member in kept.weights.items()}
    files = fit_files(kept.fit) | {"growth_weights.json": json.dumps(weights).encode()}
    again = combination_from_files(files)
    assert isinstance(again, Combination)
    np.testing.assert_array_equal(
        again.log_growth(history.at("2019-09"), 3), model.log_growth(history.at("2019-09"), 3)
    )
    del files["growth_weights.json"]
    with pytest.raises(BundleError, match=r"lacks 'growth_weights\.json': publish it again"):
        combination_from_files(files)
    assert combination_from_files({}) is None


def test_its_coefficients_are_tables_one_can_read(model):
    files = refitted_files(model)
    ridges = pl.read_parquet(io.BytesIO(files["growth_ridges-2019-07.parquet"]))
    assert ridges.columns == ["feature", "horizon", "mean", "scale", "weight", "intercept"]
    assert ridges.height == 3 * len(HISTORY_FEATURES)
    lags = pl.read_parquet(io.BytesIO(files["growth_autoregressions-2019-07.parquet"]))
    assert lags.columns == ["name", "level", "lag", "coefficient", "usual"]
    assert lags.height == 3 * 3 * LAGS


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("growth_autoregressions-2019-07.parquet", "'growth_autoregressions-2019-07.parquet'"),
        ("growth_ridges-2019-10.parquet", "the fit of 2019-10"),
        ("growth_weights.parquet", "'growth_weights.parquet'"),
    ],
)
def test_a_file_that_is_missing_is_named(model, name, told):
    files = {n: content for n, content in refitted_files(model).items() if n != name}
    with pytest.raises(BundleError, match=f"lacks {told}: publish it again"):
        refitted_from_files(files)
