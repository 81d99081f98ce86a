"""Forecasts: graded on what a model never saw, published by the better, with intervals from known outcomes."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from housing_assets.core.forecasting.record import RecordedForecasts
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import History, history_table
from housing_assets.core.forecasting.backtest import backtest
from housing_assets.core.forecasting.grading import (
    FIRST_PUBLISHED,
    best_naive,
    choose_published,
    coverage_table,
    grade,
    skill_table,
)
from housing_assets.core.forecasting.intervals import forecast_intervals
from housing_assets.core.forecasting.model import (
    backtest_fits,
    fit_forecast_model,
    forecast_files,
    forecast_model_from_files,
)
from housing_assets.core.forecasting.publishing import forecast
from housing_assets.core.forecasting.schema import (
    FALLBACK_PREDICTOR,
    FORECAST_SCHEMA,
    HORIZONS,
    INTERVAL_SCHEMA,
    MODEL,
    PREDICTORS,
    PUBLISHED,
)
from housing_assets.core.models.growth import GrowthModel
from housing_assets.core.months import TimeSplit, add_months, month_end, month_range
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame
from housing_assets.core.vintages.first_prices import FIRST_SCHEMA

SPLIT = TimeSplit("2018-01", "2020-01")
LAST = "2020-12"


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return history_table([sample_frame(SampleSpec(zips=30, start="2012-06", end=LAST))])


@pytest.fixture(scope="module")
def history(table) -> History:
    return History.from_table(table)


@pytest.fixture(scope="module")
def model(history):
    return fit_forecast_model(history, SPLIT)


@pytest.fixture(scope="module")
def rows(history, model) -> pl.DataFrame:
    return backtest(history, model)


@pytest.fixture(scope="module")
def published(rows) -> dict[int, str]:
    return choose_published(rows, SPLIT)


@pytest.fixture(scope="module")
def widths(rows, published) -> pl.DataFrame:
    return forecast_intervals(rows, published, LAST)


# ---------------------------------------------------------------- fits and backtest


def test_a_backtest_has_a_fit_for_each_year_and_one_that_is_published():
    assert backtest_fits(TimeSplit()) == ["2019-01", "2020-01", "2021-01", "2022-01"]
    assert backtest_fits(TimeSplit("2018-01", "2018-07")) == ["2017-01", "2018-01", "2018-07"]


def test_an_origin_is_forecast_by_a_model_whose_targets_all_lie_before_it(model):
    assert list(model.fits) == ["2017-01", "2018-01", "2019-01", "2020-01"]
    assert model.at("2018-12") is model.fits["2018-01"]
    assert model.at("2019-01") is model.fits["2019-01"]
    assert model.newest is model.fits["2020-01"]


def test_no_month_after_an_origin_changes_its_forecast(table, rows):
    """Fits, features and baselines together: the whole backtest up to a month is blind to what comes after it."""
    origin = "2019-06"
    later = pl.col("date") > month_end(origin)
    changed = table.with_columns(price=pl.when(later).then(pl.col("price") * 3).otherwise("price"))
    again = History.from_table(changed)
    blind = backtest(again, fit_forecast_model(again, SPLIT))
    upto = pl.col("origin") <= origin
    assert_frame_equal(
        blind.filter(upto).select("origin", "horizon", "zip", *PREDICTORS),
        rows.filter(upto).select("origin", "horizon", "zip", *PREDICTORS),
        check_exact=True,
    )


def test_forecasts_on_record_are_those_that_would_be_made_again(table, model, rows, monkeypatch):
    """Those of the months before the holdout, as `forecast_model` sees them; later origins are forecast now."""
    known_then = History.from_table(table.filter(pl.col("date") <= month_end("2019-12")))
    record = RecordedForecasts.from_backtest(backtest(known_then, model), known_then)
    with_record = forecast_model_from_files(forecast_files(replace(model, record=record), {}), "forecast-1")
    calls: list[str] = []
    log_growth = GrowthModel.log_growth

    def counted(self, at, horizon):
        calls.append(at.origin)
        return log_growth(self, at, horizon)

    monkeypatch.setattr(GrowthModel, "log_growth", counted)
    assert_frame_equal(backtest(History.from_table(table), with_record), rows, check_exact=True)
    assert sorted(set(calls)) == month_range("2020-01", LAST)


def test_forecasts_on_record_of_another_history_are_made_again(table, history, model, rows):
    record = RecordedForecasts.from_backtest(rows.with_columns(pl.lit(9.0).alias(MODEL)), history)
    restated = pl.when(pl.col("date") == month_end("2018-03")).then(pl.col("price") * 1.01).otherwise("price")
    other = History.from_table(table.with_columns(price=restated))
    assert record.agrees_with(history)
    assert not record.agrees_with(other)
    assert not record.agrees_with(History.from_table(table.filter(pl.col("date") < month_end(LAST))))
    assert_frame_equal(backtest(other, replace(model, record=record)), backtest(other, model), check_exact=True)


def test_a_panel_too_short_says_what_is_the_least(table):
    short = History.from_table(table.filter(pl.col("date") > month_end("2015-06")))
    with pytest.raises(HousingError, match=r"forecasts need 37 months before HOUSING_EVAL_START=2018-01.*2015-07"):
        fit_forecast_model(short, SPLIT)


def test_a_few_zips_are_enough(table):
    few = History.from_table(table.filter(pl.col("zipcode").is_in(table["zipcode"].unique().sort().head(2))))
    made = fit_forecast_model(few, SPLIT)
    assert made.newest.horizons == HORIZONS


# ---------------------------------------------------------------- grades


def graded_by_hand(rows: pl.DataFrame, horizon: int, name: str, first: str, last: str) -> float:
    of = rows.filter(pl.col("month").is_between(pl.lit(first), pl.lit(last)), pl.col("horizon") == horizon).drop_nulls(
        "growth"
    )
    return 100 * float(np.abs(np.exp(of[name].to_numpy() - of["growth"].to_numpy()) - 1).mean())


def test_grades_are_those_of_the_month_forecast(history, rows, published):
    graded = grade(history, rows, SPLIT, published)
    overall = graded.filter(pl.col("by") == "overall")
    for name, horizon in (("flat", 1), (MODEL, 3), ("metro_growth", 12)):
        found = overall.filter(split="eval", predictor=name, horizon=horizon)["mape"].item()
        assert found == pytest.approx(graded_by_hand(rows, horizon, name, "2018-01", "2019-12"))
        found = overall.filter(split="holdout", predictor=name, horizon=horizon)["mape"].item()
        assert found == pytest.approx(graded_by_hand(rows, horizon, name, "2020-01", LAST))
    assert set(graded["by"]) == {"overall", "year", "metro", "price_decile"}
    assert set(graded["predictor"]) == {*PREDICTORS, PUBLISHED}


def test_outcomes_are_graded_against_their_first_published_price_where_it_is_known(history, rows, published):
    month = rows.filter(pl.col("growth").is_not_null(), pl.col("month") >= SPLIT.eval_start)["month"].max()
    column = history.column(month)
    first = pl.DataFrame(
        {
            "date": month_end(month),
            "zipcode": [history.zips[i] for i in (0, 1)],
            "first_price": 1.1 * np.exp(history.log_price[:2, column]),
        },
        schema=FIRST_SCHEMA,
    )
    graded = grade(history, rows, SPLIT, published, first)
    assert_frame_equal(graded.filter(pl.col("by") != FIRST_PUBLISHED), grade(history, rows, SPLIT, published))
    against = graded.filter(by=FIRST_PUBLISHED, predictor="flat", horizon=1)
    assert against["rows"].to_list() == [2]
    of = rows.filter((pl.col("month") == month) & (pl.col("horizon") == 1) & pl.col("zip").is_in([0, 1]))
    errors = np.exp(of["flat"].to_numpy() - of["growth"].to_numpy()) / 1.1 - 1
    assert against["mape"].item() == pytest.approx(100 * np.abs(errors).mean())


def test_a_price_decile_has_the_same_zips_at_every_horizon(history, rows, published):
    """30 zips, 3 in each decile of an origin, also where some outcomes are still to come or were never known."""
    one = rows.filter(pl.col("origin") == "2018-03").sort("last_known_price", "zip", "horizon")
    cheapest = one["zip"].unique(maintain_order=True)[:3]
    gone = pl.col("zip").is_in(cheapest.implode()) & (pl.col("horizon") > 6)
    for seed in (1, 2):
        one = one.with_columns(growth=pl.when(gone).then(None).otherwise("growth")).sample(
            fraction=1, shuffle=True, seed=seed
        )
        graded = grade(history, one, SPLIT, published).filter(by="price_decile", predictor="flat")
        assert set(graded["rows"]) == {3}
        assert graded.filter(group="01")["horizon"].sort().to_list() == [1, 2, 3, 4, 5, 6]
        assert graded.filter(pl.col("group") > "01").height == 9 * 12


def test_what_is_published_is_the_best_on_eval(history, rows, published):
    graded = grade(history, rows, SPLIT, published).filter(by="overall", split="eval")
    for horizon in HORIZONS:
        errors = dict(graded.filter(horizon=horizon).select("predictor", "mape").iter_rows())
        assert errors[PUBLISHED] == min(errors[MODEL], errors[best_naive(errors)])


def test_a_model_that_does_not_beat_a_baseline_is_not_published(rows):
    worse = rows.with_columns(pl.when(pl.col("horizon") == 3).then(pl.col(MODEL) + 0.5).otherwise(MODEL).alias(MODEL))
    chosen = choose_published(worse, SPLIT)
    assert chosen[3] in NAIVE_GROWTH
    assert chosen[1] == MODEL


def test_a_horizon_that_eval_is_too_short_for_publishes_damped_momentum(rows):
    short = TimeSplit("2019-09", "2020-01")
    upto = rows.filter(pl.col("origin") >= "2019-09")
    chosen = choose_published(upto, short)
    assert chosen[1] == MODEL
    assert [chosen[h] for h in range(4, 13)] == [FALLBACK_PREDICTOR] * 9


def test_skill_is_what_is_saved_with_an_interval_over_months(rows):
    skill = skill_table(rows, SPLIT)
    row = skill.filter(split="eval", horizon=1, against="flat").row(0, named=True)
    errors = [graded_by_hand(rows, 1, name, "2018-01", "2019-12") for name in (MODEL, "flat")]
    assert row["skill"] == pytest.approx(100 * (1 - errors[0] / errors[1]))
    assert row["skill_low"] < row["skill"] < row["skill_high"]
    assert row["origins"] == 24
    assert_frame_equal(skill_table(rows, SPLIT), skill)


# ---------------------------------------------------------------- intervals


def test_intervals_rest_on_outcomes_known_at_the_origin(rows, published):
    origin = "2019-06"
    unknown = pl.col("month") > origin
    other = rows.with_columns(growth=pl.when(unknown).then(pl.lit(9.0)).otherwise("growth"))
    of_origin = pl.col("origin") == origin
    before = forecast_intervals(rows, published, origin).filter(of_origin)
    assert before.height > 0
    assert_frame_equal(forecast_intervals(other, published, origin).filter(of_origin), before)
    known = rows.with_columns(growth=pl.when(pl.col("month") == origin).then(pl.lit(9.0)).otherwise("growth"))
    assert (forecast_intervals(known, published, origin).filter(of_origin)["log_width"] > before["log_width"]).any()


def test_intervals_widen_at_least_in_proportion_to_the_horizon(widths):
    assert dict(widths.schema) == INTERVAL_SCHEMA
    for _, of_origin in widths.sort("origin", "horizon").group_by("origin"):
        a_month = of_origin["log_width"] / of_origin["horizon"]
        assert (a_month.diff().drop_nulls() >= -1e-12).all()


def outcomes(errors: dict[tuple[str, int], list[float]]) -> pl.DataFrame:
    """Rows of a backtest that forecast no growth and erred so much, by origin and horizon."""
    return pl.DataFrame(
        [
            {"origin": origin, "month": add_months(origin, h), "horizon": h, "zip": i, "flat": 0.0, "growth": error}
            for (origin, h), of in errors.items()
            for i, error in enumerate(of)
        ]
    )


def test_a_width_is_the_finite_sample_quantile_of_the_errors():
    """Of 30 the 28th: the next is inside it in 28 of 31 cases, inside the 27th in 27 only."""
    errors = list(np.random.default_rng(1).permutation(np.arange(1, 31) / 100))
    found = forecast_intervals(outcomes({("2020-01", 1): errors}), {1: "flat"}, "2020-02")
    assert found.filter(origin="2020-02").rows() == [("2020-02", 1, 0.28, 30)]


def test_outcomes_too_old_for_a_width_give_none():
    """The 30 must weigh 0.3 each, so that 90% of them and the one to come is theirs: until they are 5 months old."""
    rows = outcomes({("2020-01", 1): [0.01 * i for i in range(30)]})
    found = forecast_intervals(rows, {1: "flat"}, "2021-12")
    assert found["origin"].to_list() == month_range("2020-02", "2020-07")


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_widths_are_the_very_same_for_any_order_of_rows_and_of_what_is_published(data):
    dice = np.random.default_rng(2)
    origins = month_range("2019-01", "2019-12")
    rows = outcomes({(o, h): list(dice.normal(0, 0.01 * h, 15).round(3)) for o in origins for h in (1, 2, 10)})
    expected = forecast_intervals(rows, dict.fromkeys((1, 2, 10), "flat"), "2020-11")
    assert set(expected["horizon"]) == {1, 2, 10}
    shuffled = rows.sample(fraction=1, shuffle=True, seed=data.draw(st.integers(0, 2**32)))
    published = dict.fromkeys(data.draw(st.permutations([1, 2, 10])), "flat")
    assert_frame_equal(forecast_intervals(shuffled, published, "2020-11"), expected, check_exact=True)


def test_coverage_is_counted_by_hand(rows, widths, published):
    table = coverage_table(rows, widths, SPLIT, published)
    row = table.filter(split="holdout", year="2020", horizon=1).row(0, named=True)
    of = rows.filter(pl.col("month").str.starts_with("2020"), pl.col("horizon") == 1).drop_nulls("growth")
    joined = of.join(widths, on=["origin", "horizon"])
    inside = np.abs(joined[published[1]].to_numpy() - joined["growth"].to_numpy()) <= joined["log_width"].to_numpy()
    assert (row["rows"], row["coverage"]) == (joined.height, pytest.approx(100 * inside.mean()))
    assert 60 < row["coverage"] <= 100


# ---------------------------------------------------------------- forecasts


def test_a_forecast_has_every_zip_and_horizon_with_an_interval(history, model, published, widths):
    made = forecast(history, LAST, model, published, widths)
    assert dict(made.schema) == FORECAST_SCHEMA
    assert made.height == 30 * 12
    assert made.filter(pl.col("horizon") == 2)["date"].unique().to_list() == [month_end("2021-02")]
    assert made.select(pl.col("predicted_price").is_between("predicted_low", "predicted_high").all()).item()
    of_zip = made.filter(zipcode=history.zips[4])
    last = np.exp(history.log_price[4, history.column(LAST)])
    assert of_zip["last_known_price"].to_list() == pytest.approx([last] * 12)
    assert (of_zip["predicted_high"] / of_zip["predicted_low"]).is_sorted()


def test_a_naive_forecast_is_published_under_its_own_name(history, model, widths):
    made = forecast(history, LAST, model, {1: MODEL, 2: "flat"}, widths)
    assert dict(made.select("horizon", "predictor").unique().iter_rows()) == {1: MODEL, 2: "flat"}
    unchanged = made.filter(horizon=2)
    assert unchanged["predicted_price"].to_list() == pytest.approx(unchanged["last_known_price"].to_list())


def test_an_origin_forecasts_what_it_would_have_said_then(table, model, published, widths):
    origin = "2020-04"
    then = History.from_table(table.filter(pl.col("date") <= month_end(origin)))
    expected = forecast(then, origin, model, published, widths)
    assert_frame_equal(
        forecast(History.from_table(table), origin, model, published, widths), expected, check_exact=True
    )


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ("2012-08", "no forecasts from 2012-08: no zip has a price in 2012-08 and one 12 months before"),
        ("2021-01", "2021-01 is outside the history, which is 2012-06 to 2020-12"),
    ],
)
def test_an_origin_too_early_or_too_late_is_told(history, model, published, widths, origin, told):
    with pytest.raises(HousingError, match=told):
        forecast(history, origin, model, published, widths)


def test_an_origin_without_outcomes_has_forecasts_without_intervals(history, model, published, widths):
    made = forecast(history, "2016-12", model, published, widths)
    assert made["predicted_low"].null_count() == made.height
    assert made["predicted_price"].is_finite().all()


# ---------------------------------------------------------------- files


def test_a_model_comes_back_from_its_files(history, model, published, widths):
    files = forecast_files(model, {"eval": {}})
    again = forecast_model_from_files(files, "forecast-1")
    assert list(again.fits) == list(model.fits)
    expected = forecast(history, LAST, model, published, widths).drop("model_version")
    made = forecast(history, LAST, again, published, widths)
    assert set(made["model_version"]) == {"forecast-1"}
    assert_frame_equal(made.drop("model_version"), expected, check_exact=True)
    assert not any(name.endswith((".pkl", ".pickle")) for name in files)


def test_what_is_no_forecast_model_is_refused(model):
    files = forecast_files(model, {})
    with pytest.raises(BundleError, match="model tuned-1 is no forecast model"):
        forecast_model_from_files({"model.ubj": b""}, "tuned-1")
    with pytest.raises(BundleError, match="model forecast-1 lacks the trees of 2019-01"):
        forecast_model_from_files({n: d for n, d in files.items() if n != "growth-2019-01.ubj"}, "forecast-1")
