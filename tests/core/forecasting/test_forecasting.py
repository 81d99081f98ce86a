"""Forecasts: graded on what a model never saw, published by the better, with intervals from known outcomes."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from housing_assets.core.baselines.growth import METRO_GROWTH
from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import History, history_table
from housing_assets.core.forecasting.backtest import Backtest
from housing_assets.core.forecasting.grades import ForecastGrades, eval_error, grade_forecasts
from housing_assets.core.forecasting.grading import (
    FIRST_PUBLISHED,
    best_naive,
    coverage_table,
    covered,
    figures,
    first_outcomes,
    skill_table,
    skill_totals,
    tally,
    with_outcome,
)
from housing_assets.core.forecasting.intervals import log_widths, noise
from housing_assets.core.forecasting.model import (
    ForecastModel,
    fit_forecast_model,
    forecast_files,
    forecast_model_from_files,
)
from housing_assets.core.forecasting.publishing import forecast
from housing_assets.core.forecasting.record import ForecastRecord
from housing_assets.core.forecasting.schema import (
    FITTED,
    FORECAST_SCHEMA,
    HORIZONS,
    INTERVAL_SCHEMA,
    MODEL,
    PREDICTORS,
    PUBLISHED,
)
from housing_assets.core.models.combination import COMBINED_NAIVE, GrowthFit
from housing_assets.core.models.refitted import refit_months
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


def walk(history: History, model: ForecastModel) -> tuple[Backtest, pl.DataFrame]:
    """A walk to the end of a history, and all rows from 2018 on."""
    walked = Backtest.begin(model)
    return walked, pl.concat(walked.advance(history, model, SPLIT.eval_start))


@pytest.fixture(scope="module")
def walk_and_rows(history, model) -> tuple[Backtest, pl.DataFrame]:
    return walk(history, model)


@pytest.fixture(scope="module")
def walked(walk_and_rows) -> Backtest:
    return walk_and_rows[0]


@pytest.fixture(scope="module")
def rows(walk_and_rows) -> pl.DataFrame:
    """As float64, so that what tests compute from them is as exact as what the code does."""
    return walk_and_rows[1].with_columns(pl.col(pl.Float32).cast(pl.Float64))


@pytest.fixture(scope="module")
def weights(walked) -> pl.DataFrame:
    return walked.weight_table


@pytest.fixture(scope="module")
def published() -> dict[int, str]:
    return dict.fromkeys(HORIZONS, MODEL)


@pytest.fixture(scope="module")
def widths(walked) -> pl.DataFrame:
    return walked.intervals()


def grade(
    history: History, rows: pl.DataFrame, published: dict[int, str], log_first: np.ndarray | None = None
) -> pl.DataFrame:
    return figures(tally(history, with_outcome(rows, SPLIT), log_first), published)


# ---------------------------------------------------------------- fits and backtest


def test_a_walk_has_a_fit_a_year_before_eval_and_one_each_quarter_from_then_on(history):
    months = refit_months(history, SPLIT.eval_start)
    assert months[:3] == ["2016-01", "2017-01", "2018-01"]
    assert months[2:] == month_range("2018-01", "2021-01")[::3]
    assert refit_months(history, SPLIT.eval_start, 12)[2:] == ["2018-01", "2019-01", "2020-01", "2021-01"]


@pytest.mark.slow
def test_fits_are_made_again_only_if_what_they_were_made_from_has_changed(table, history, model):
    shorter = History.from_table(table.filter(pl.col("date") <= month_end("2020-06")))
    former = fit_forecast_model(shorter, SPLIT)
    reports: list[str] = []
    later = fit_forecast_model(history, SPLIT, reports.append, former=replace(former, version="forecast-1"))
    assert [m for m in later.fits if later.fits[m] is former.fits.get(m)] == list(former.fits)
    assert reports[-1] == f"{len(former.fits)} fits are those of forecast-1: no month before them has changed"
    assert forecast_files(later, {}) == forecast_files(model, {})
    revised = pl.when(pl.col("date") == month_end("2013-03")).then(pl.col("price") * 1.001).otherwise("price")
    again = fit_forecast_model(History.from_table(table.with_columns(price=revised)), SPLIT, former=former)
    assert not any(again.fits[m] is former.fits.get(m) for m in again.fits)


def test_an_origin_is_forecast_by_a_fit_whose_targets_all_lie_before_it(model):
    assert model.at("2018-03") is model.fits["2018-01"]
    assert model.at("2018-04") is model.fits["2018-04"]
    assert model.newest is model.fits["2021-01"]
    with pytest.raises(HousingError, match="no fit lies before 2015-12: the first is 2016-01"):
        model.at("2015-12")


@pytest.mark.slow
def test_no_month_after_an_origin_changes_its_forecast(table, walk_and_rows):
    """Fits, features, weights and intervals together: the whole walk up to a month is blind to what comes after it."""
    origin = "2019-06"
    walked, rows = walk_and_rows
    later = pl.col("date") > month_end(origin)
    changed = table.with_columns(price=pl.when(later).then(pl.col("price") * 3).otherwise("price"))
    upto = pl.col("origin") <= origin
    for other in (changed, table.filter(~later)):
        again = History.from_table(other)
        blind, blind_rows = walk(again, fit_forecast_model(again, SPLIT))
        keys = ["origin", "month", "horizon", "zip", *PREDICTORS]
        for mine, theirs in (
            (rows.select(keys).filter(pl.col("month") <= blind_rows["month"].max()), blind_rows.select(keys)),
            (walked.weight_table, blind.weight_table),
            (walked.intervals(), blind.intervals()),
        ):
            assert_frame_equal(theirs.filter(upto), mine.filter(upto), check_exact=True)


def test_weights_add_up_to_one_at_every_origin(weights):
    sums = weights.group_by("origin", "horizon").agg(pl.col("weight").sum())
    assert sums["weight"].to_list() == pytest.approx([1.0] * sums.height)
    assert set(weights["predictor"]) == {*FITTED, *COMBINED_NAIVE}


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
    graded = grade(history, rows, published)
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
            "zipcode": [*(history.zips[i] for i in (0, 1)), "00000"],
            "first_price": [*(1.1 * np.exp(history.log_price[:2, column])), 1.0],
        },
        schema=FIRST_SCHEMA,
    )
    log_first = first_outcomes(history, first)
    assert first_outcomes(history, first.clear()) is None
    assert log_first is not None
    assert np.argwhere(np.isfinite(log_first)).tolist() == [[0, column], [1, column]]
    graded = grade(history, rows, published, log_first)
    assert_frame_equal(graded.filter(pl.col("by") != FIRST_PUBLISHED), grade(history, rows, published))
    against = graded.filter(by=FIRST_PUBLISHED, predictor="flat", horizon=1)
    assert against["rows"].to_list() == [2]
    of = rows.filter((pl.col("month") == month) & (pl.col("horizon") == 1) & pl.col("zip").is_in([0, 1]))
    errors = np.exp(of["flat"].to_numpy() - of["growth"].to_numpy()) / 1.1 - 1
    assert against["mape"].item() == pytest.approx(100 * np.abs(errors).mean())


def test_a_horizon_without_a_known_outcome_has_no_grades(history, rows, published):
    nothing = rows.head(100).with_columns(growth=pl.lit(None, pl.Float64))
    assert grade(history, nothing, published, np.array(history.log_price)).is_empty()


def test_a_price_decile_has_the_same_zips_at_every_horizon(history, rows, published):
    """30 zips, 3 in each decile of an origin, also where some outcomes are still to come or were never known."""
    one = rows.filter(pl.col("origin") == "2018-03").sort("last_known_price", "zip", "horizon")
    cheapest = one["zip"].unique(maintain_order=True)[:3]
    gone = pl.col("zip").is_in(cheapest.implode()) & (pl.col("horizon") > 6)
    for seed in (1, 2):
        one = one.with_columns(growth=pl.when(gone).then(None).otherwise("growth")).sample(
            fraction=1, shuffle=True, seed=seed
        )
        graded = grade(history, one, published).filter(by="price_decile", predictor="flat")
        assert set(graded["rows"]) == {3}
        assert graded.filter(group="01")["horizon"].sort().to_list() == [1, 2, 3, 4, 5, 6]
        assert graded.filter(pl.col("group") > "01").height == 9 * 12


def test_the_weighted_forecast_is_published_at_every_horizon(history, rows, published):
    assert published == dict.fromkeys(HORIZONS, MODEL)
    graded = grade(history, rows, published).filter(by="overall", split="eval")
    for horizon in (1, 3):
        errors = dict(graded.filter(horizon=horizon).select("predictor", "mape").iter_rows())
        assert errors[PUBLISHED] == errors[MODEL]
        assert errors[PUBLISHED] < errors[best_naive(errors)]


def test_the_error_on_eval_alone_is_that_of_all_grades(history, model, rows, published):
    graded = grade(history, rows, published).filter(by="overall", split="eval", predictor=PUBLISHED)
    assert eval_error(history, model, SPLIT) == pytest.approx(np.exp(np.log(graded["mape"]).mean()))


def test_a_panel_without_an_outcome_in_eval_cannot_be_graded(history, model):
    later = TimeSplit("2024-01", "2025-01")
    for graded in (grade_forecasts, eval_error):
        with pytest.raises(HousingError, match="no forecast of eval has an outcome"):
            graded(history, model, later)


def test_skill_is_what_is_saved_with_an_interval_over_months(rows):
    skill = skill_table(skill_totals(with_outcome(rows, SPLIT)))
    row = skill.filter(split="eval", horizon=1, against="flat").row(0, named=True)
    errors = [graded_by_hand(rows, 1, name, "2018-01", "2019-12") for name in (MODEL, "flat")]
    assert row["skill"] == pytest.approx(100 * (1 - errors[0] / errors[1]))
    assert row["skill_low"] < row["skill"] < row["skill_high"]
    assert row["origins"] == 24
    assert_frame_equal(skill_table(skill_totals(with_outcome(rows, SPLIT))), skill)


# ---------------------------------------------------------------- months that are added


def until(table: pl.DataFrame, last: str) -> History:
    return History.from_table(table.filter(pl.col("date") <= month_end(last)))


@dataclass
class First:
    """First published prices of a frame, as if they were of some vintages of Zillow."""

    prices: pl.DataFrame
    times: tuple[str, ...] = ("2020-06", "2020-08")
    damaged: tuple[str, ...] = ()

    @property
    def vintages(self) -> dict[str, tuple[str, ...]]:
        return {"zillow": self.times}

    def since(self, month: str) -> pl.DataFrame:
        return self.prices.filter(pl.col("date") >= month_end(month))


@pytest.fixture(scope="module")
def first_prices(table) -> First:
    """First published prices of some months, a little below the newest."""
    of_months = table.filter(pl.col("date") >= month_end("2020-03")).drop_nulls("price")
    return First(of_months.select("date", "zipcode", (pl.col("price") * 0.99).alias("first_price")))


@pytest.fixture(scope="module")
def former(table, first_prices) -> ForecastRecord:
    """The record of grades up to a month before the last fits, as a store has kept it."""
    shorter = until(table, "2020-08")
    record = grade_forecasts(shorter, fit_forecast_model(shorter, SPLIT), SPLIT, first_prices).record
    assert record.is_complete
    kept = ForecastRecord.from_bytes(record.to_bytes())
    assert kept is not None
    return kept


def assert_same_grades(made: ForecastGrades, expected: ForecastGrades) -> None:
    for name in ("intervals", "weights", "skill"):
        assert_frame_equal(getattr(made, name), getattr(expected, name), check_exact=True)
    for name in ("graded", "coverage"):
        assert_frame_equal(getattr(made, name), getattr(expected, name), rel_tol=1e-12, abs_tol=0)


@pytest.mark.slow
def test_grades_go_on_from_those_of_the_months_before(history, model, first_prices, former):
    expected = grade_forecasts(history, model, SPLIT, first_prices)
    made = grade_forecasts(history, model, SPLIT, first_prices, former)
    assert_same_grades(made, expected)
    assert former.walked.through == "2020-08"
    assert made.record.walked.through == LAST
    assert_same_grades(grade_forecasts(history, model, SPLIT, first_prices, made.record), expected)


@pytest.mark.slow
def test_a_record_walks_no_origin_again_whose_outcomes_are_known(history, model, first_prices, former, monkeypatch):
    walked: list[str] = []
    prepared_at = History.prepared_at
    monkeypatch.setattr(History, "prepared_at", lambda self, at: walked.append(at) or prepared_at(self, at))
    grade_forecasts(history, model, SPLIT, first_prices, former)
    assert sorted(walked) == month_range("2019-09", LAST)


@pytest.mark.slow
def test_a_record_of_something_else_is_not_used(table, history, model, first_prices, former):
    restated = pl.when(pl.col("date") == month_end("2014-05")).then(pl.col("price") * 1.0001).otherwise("price")
    refitted = replace(model, fits={**model.fits, "2019-01": model.fits["2018-10"]})
    others = (
        (History.from_table(table.with_columns(price=restated)), model, SPLIT, first_prices),
        (until(table, "2020-07"), model, SPLIT, first_prices),
        (history, refitted, SPLIT, first_prices),
        (history, model, TimeSplit("2018-01", "2020-02"), first_prices),
        (history, model, SPLIT, replace(first_prices, times=("2020-05", "2020-06", "2020-08"))),
        (history, model, SPLIT, replace(first_prices, times=("2020-06",))),
        (history, model, SPLIT, None),
    )
    for other in others:
        assert not former.holds(*other)
    assert_same_grades(grade_forecasts(*others[2], former), grade_forecasts(*others[2]))
    assert former.holds(history, model, SPLIT, replace(first_prices, times=("2020-06", "2020-08", "2021-01")))


def test_a_record_without_some_first_prices_is_not_used_again(history, model, first_prices, former):
    lacking = former.made_from(history, model, SPLIT, replace(first_prices, damaged=("zillow 2020-06 is damaged",)))
    assert lacking.digest == former.digest
    kept = ForecastRecord.from_bytes(lacking.to_bytes())
    assert kept is not None
    assert not kept.holds(history, model, SPLIT, first_prices)


def test_a_model_of_an_earlier_bundle_is_graded_and_leaves_no_record(history, model):
    """Its fits are read alone: there is no file to tell them by."""
    earlier = replace(model, fits={month: GrowthFit({"ridge_and_trees": METRO_GROWTH}) for month in model.fits})
    grades = grade_forecasts(history, earlier, SPLIT)
    assert grades.graded.filter(by="overall", predictor=PUBLISHED).height == 2 * len(HORIZONS)
    assert not grades.record.is_complete
    assert not grades.record.holds(history, earlier, SPLIT, None)


def test_a_record_that_cannot_be_read_is_none(former):
    data = former.to_bytes()
    for damaged in (b"", data[:-100], data.replace(b"record.json", b"retold.json"), data[:2_000] + data[2_100:]):
        assert ForecastRecord.from_bytes(damaged) is None


# ---------------------------------------------------------------- intervals


def test_intervals_widen_at_least_in_proportion_to_the_horizon(widths):
    assert dict(widths.schema) == INTERVAL_SCHEMA
    for _, of_origin in widths.sort("origin", "horizon").group_by("origin"):
        a_month = of_origin["log_width"] / of_origin["horizon"]
        assert (a_month.diff().drop_nulls() >= -1e-12).all()


def test_a_usual_width_is_at_most_the_largest_error_known(walked, widths):
    known = walked.errors.by_horizon[1]
    for origin, width in widths.filter(horizon=1).select("origin", "log_width").iter_rows():
        assert width <= max(e.largest for past, e in known.items() if add_months(past, 1) <= origin) * (1 + 1e-9)


def test_a_noisy_place_has_the_wider_interval(table):
    noisy = table["zipcode"].unique().sort()[0]
    swing = 1 + 0.02 * (pl.col("date").dt.month() % 2)
    swung = pl.when(pl.col("zipcode") == noisy).then(pl.col("price") * swing).otherwise("price")
    history = History.from_table(table.with_columns(price=swung))
    of_zip = noise(history.at(LAST))
    assert of_zip[0] > 2 * np.median(of_zip[1:])
    parts = pl.DataFrame([("2020-12", 1, 0.02, 99, 0.01, 2.0)], schema=INTERVAL_SCHEMA, orient="row")
    assert log_widths(parts, of_zip)[1] == pytest.approx(np.hypot(0.01, 2.0 * of_zip))


def test_widths_of_an_earlier_version_are_the_same_for_every_zip():
    former = pl.DataFrame({"horizon": [1, 2], "log_width": [0.02, 0.05]})
    assert log_widths(former, np.array([0.001, 0.01]))[2].tolist() == [0.05, 0.05]


def test_coverage_is_counted_by_hand(rows, widths, published):
    table = coverage_table(covered(with_outcome(rows, SPLIT), widths, published))
    row = table.filter(split="holdout", year="2020", horizon=1).row(0, named=True)
    of = rows.filter(pl.col("month").str.starts_with("2020"), pl.col("horizon") == 1).drop_nulls("growth")
    joined = of.join(widths, on=["origin", "horizon"])
    width = np.hypot(joined["log_common"].to_numpy(), joined["log_own"].to_numpy() * joined["noise"].to_numpy())
    inside = np.abs(joined[MODEL].to_numpy() - joined["growth"].to_numpy()) <= width
    assert (row["rows"], row["coverage"]) == (joined.height, pytest.approx(100 * inside.mean()))
    assert 60 < row["coverage"] <= 100


# ---------------------------------------------------------------- forecasts


def test_a_forecast_has_every_zip_and_horizon_with_an_interval(history, model, published, widths, weights):
    made = forecast(history, LAST, model, published, widths, weights)
    assert dict(made.schema) == FORECAST_SCHEMA
    assert made.height == 30 * 12
    assert made.filter(pl.col("horizon") == 2)["date"].unique().to_list() == [month_end("2021-02")]
    assert made.select(pl.col("predicted_price").is_between("predicted_low", "predicted_high").all()).item()
    of_zip = made.filter(zipcode=history.zips[4])
    last = np.exp(history.log_price[4, history.column(LAST)])
    assert of_zip["last_known_price"].to_list() == pytest.approx([last] * 12)
    assert (of_zip["predicted_high"] / of_zip["predicted_low"]).is_sorted()


def test_a_naive_forecast_is_published_under_its_own_name(history, model, widths, weights):
    made = forecast(history, LAST, model, {1: MODEL, 2: "flat"}, widths, weights)
    assert dict(made.select("horizon", "predictor").unique().iter_rows()) == {1: MODEL, 2: "flat"}
    unchanged = made.filter(horizon=2)
    assert unchanged["predicted_price"].to_list() == pytest.approx(unchanged["last_known_price"].to_list())


def test_an_origin_forecasts_what_it_would_have_said_then(table, model, published, widths, weights):
    origin = "2020-04"
    then = History.from_table(table.filter(pl.col("date") <= month_end(origin)))
    expected = forecast(then, origin, model, published, widths, weights)
    assert_frame_equal(
        forecast(History.from_table(table), origin, model, published, widths, weights), expected, check_exact=True
    )


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ("2012-08", "no forecasts from 2012-08: no zip has a price in 2012-08 and one 12 months before"),
        ("2021-01", "2021-01 is outside the history, which is 2012-06 to 2020-12"),
    ],
)
def test_an_origin_too_early_or_too_late_is_told(history, model, published, widths, weights, origin, told):
    with pytest.raises(HousingError, match=told):
        forecast(history, origin, model, published, widths, weights)


def test_an_origin_without_outcomes_has_forecasts_without_intervals(history, model, published, widths, weights):
    made = forecast(history, "2016-01", model, published, widths, weights)
    assert made["predicted_low"].null_count() == made.height
    assert made["predicted_price"].is_finite().all()


# ---------------------------------------------------------------- files


def test_a_model_comes_back_from_its_files(history, model, published, widths, weights):
    files = forecast_files(model, {"eval": {}})
    again = forecast_model_from_files(files, "forecast-1")
    assert list(again.fits) == list(model.fits)
    expected = forecast(history, LAST, model, published, widths, weights).drop("model_version")
    made = forecast(history, LAST, again, published, widths, weights)
    assert set(made["model_version"]) == {"forecast-1"}
    assert_frame_equal(made.drop("model_version"), expected, check_exact=True)
    assert not any(name.endswith((".pkl", ".pickle")) for name in files)


def test_what_is_no_forecast_model_is_refused(model):
    files = forecast_files(model, {})
    with pytest.raises(BundleError, match="model tuned-1 is no forecast model"):
        forecast_model_from_files({"model.ubj": b""}, "tuned-1")
    with pytest.raises(BundleError, match="model forecast-1 lacks the fit of 2019-01"):
        forecast_model_from_files(
            {n: d for n, d in files.items() if n != "growth_ridges-2019-01.parquet"}, "forecast-1"
        )
