"""Forecasts as assets: from a long panel to months of forecasts, kept, checked, promoted, and stale when restated."""

import os
import shutil
from dataclasses import replace

import dagster as dg
import numpy as np
import polars as pl
import pytest
from platform_fixtures import LONG, Platform, command_line, failure_text, red_checks, tree
from polars.testing import assert_frame_equal

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.errors import BundleError
from housing_assets.core.features.history import HISTORY_SCHEMA, History
from housing_assets.core.forecasting import grades as forecast_grades
from housing_assets.core.forecasting.grades import grade_forecasts
from housing_assets.core.forecasting.model import forecast_model_from_files
from housing_assets.core.forecasting.schema import FORECAST_SCHEMA, PREDICTORS, PUBLISHED
from housing_assets.core.months import month_end, month_range
from housing_assets.orchestration.work import FORECASTS_ALONE, read_facts, work_to_do
from housing_assets.store.bundles import load_bundle, publish_bundle
from housing_assets.store.forecasts import publish_forecasts, replaced_by_hand
from housing_assets.store.histories import read_history, read_sound_history, stale_months
from housing_assets.store.pointers import FORECAST_POINTER, forecast_champion
from housing_assets.store.verdicts import State, read_verdicts, write_verdicts

ORIGINS = month_range("2020-01", "2020-06")


@pytest.fixture
def copy(tmp_path, grown) -> Platform:
    """A platform of one's own, with every stage run."""
    shutil.copytree(grown.folder, tmp_path / "store")
    return Platform(tmp_path, grown.source, grown.changes)


def test_every_zip_is_forecast_twelve_months_ahead_from_every_origin(grown):
    assert grown.store.months("monthly_forecasts").available() == ORIGINS
    made = grown.read("monthly_forecasts", "2020-06")
    assert dict(made.schema) == FORECAST_SCHEMA
    assert made.height == 12 * 12
    assert set(made["date"]) == {month_end(m) for m in month_range("2020-07", "2021-06")}
    version, published = forecast_champion(grown.store)
    assert set(made["model_version"]) == {version}
    assert dict(made.select("horizon", "predictor").unique().iter_rows()) == published


def test_the_history_holds_every_cleaned_month(grown):
    table = grown.store.read_table("price_history")
    assert dict(table.schema) == HISTORY_SCHEMA
    history = History.from_table(table)
    assert (history.first_month, history.last_month, len(history.zips)) == ("2015-06", "2020-06", 12)
    cleaned = grown.read("cleaned", "2018-03").sort("zipcode")
    of_month = table.filter(pl.col("date") == month_end("2018-03")).sort("zipcode")
    assert of_month["price"].to_list() == cleaned["price"].to_list()


def test_monthly_predictions_come_from_history_and_err_less_than_the_naive_ones(grown):
    months = grown.store.months("monthly_predictions")
    made = pl.concat(frame for _, frame in months.iterate(ORIGINS))
    assert made["from_history"].all()
    table = grown.store.read_table("model_evaluation").filter(by="overall", split="holdout")
    errors = dict(table.select("predictor", "mape").iter_rows())
    assert errors["tuned_model"] < min(errors[name] for name in NAIVE_GROWTH)
    assert errors["baseline_model"] > 5 * errors["tuned_model"]


def test_the_grades_show_every_predictor_on_eval_and_holdout(grown):
    graded = grown.store.read_table("forecast_evaluation").filter(by="overall")
    assert set(graded["split"]) == {"eval", "holdout"}
    assert {PUBLISHED, *PREDICTORS} == set(graded["predictor"])
    for name in ("forecast_skill", "forecast_coverage", "forecast_intervals", "forecast_weights"):
        assert grown.store.read_table(name).height > 0


def test_the_bundle_is_whole_and_says_what_it_was_fitted_on(grown):
    version, _ = forecast_champion(grown.store)
    bundle = load_bundle(grown.store, version)
    assert bundle.manifest["kind"] == "forecast"
    assert bundle.manifest["months"] == {"history": ["2015-06", "2020-06"]}
    quarters = ["2019-01", "2019-04", "2019-07", "2019-10", "2020-01", "2020-04", "2020-07"]
    assert list(forecast_model_from_files(bundle.files, version).fits) == quarters


def test_an_origin_is_forecast_by_what_was_fitted_before_it(grown):
    fitted = {o: set(grown.read("monthly_forecasts", o)["fitted_before"]) for o in ("2020-03", "2020-04", "2020-06")}
    assert fitted == {"2020-03": {"2020-01"}, "2020-04": {"2020-04"}, "2020-06": {"2020-04"}}


def test_the_same_again_is_the_same_version_and_byte_for_byte_the_same(copy):
    before = {p.name: p.read_bytes() for p in (copy.folder / "monthly_forecasts").iterdir()}
    version, _ = forecast_champion(copy.store)
    result = copy.job("forecast_job", ORIGINS)
    assert result.success, failure_text(result)
    assert forecast_champion(copy.store)[0] == version
    assert {p.name: p.read_bytes() for p in (copy.folder / "monthly_forecasts").iterdir()} == before
    assert red_checks(result).keys() <= {"every_horizon_is_graded", "forecasts_have_intervals"}


def test_a_month_is_predicted_as_the_forecast_one_month_ahead(grown):
    """One engine: the same fits and weights, a publication lag ahead."""
    for origin, month in (("2020-03", "2020-04"), ("2020-05", "2020-06")):
        predicted = grown.read("monthly_predictions", month).filter("from_history").select("zipcode", "predicted_price")
        ahead = grown.read("monthly_forecasts", origin).filter(horizon=1)
        both = predicted.join(ahead.select("zipcode", forecast="predicted_price"), on="zipcode")
        assert both.height == predicted.height == 12
        np.testing.assert_allclose(both["predicted_price"], both["forecast"], rtol=1e-12)


def test_the_trees_that_serve_learned_from_eval_and_from_no_month_after_it(copy):
    version = copy.store.read_json("tuned_model.json")["version"]
    bundle = load_bundle(copy.store, version)
    assert bundle.manifest["trees_learned_before"] == LONG["holdout_start"]
    model = bundle.model()
    held = copy.store.months("cleaned").read_many(month_range("2019-01", "2019-12")).drop_nulls("price")
    late = copy.read("cleaned", "2020-03").drop_nulls("price")
    errors = [
        np.abs(prices(held) / held["price"].to_numpy() - 1).mean()
        for prices in (model.prices_without_history, model.unseen_prices_without_history)
    ]
    assert errors[0] < 0.8 * errors[1], "it saw these months, and is not graded on them"
    assert model.unseen_prices_without_history(late).tolist() == model.prices_without_history(late).tolist()
    changed = copy.read("cleaned", "2020-03").with_columns(pl.col("price") * 1.05)
    copy.store.months("cleaned").write("2020-03", changed)
    assert copy.select(dg.AssetSelection.checks_for_assets("cleaned"), ["2020-03"]).success
    again = copy.job("training_job", config={"ops": {"tuned_model": {"config": {"trials": 0}}}})
    assert again.success, failure_text(again)
    files = load_bundle(copy.store, copy.store.read_json("tuned_model.json")["version"]).files
    for name in ("model.ubj", "judged_model.ubj", "growth_ridges-2020-01.parquet"):
        assert files[name] == bundle.files[name]
    assert files["growth_ridges-2020-04.parquet"] != bundle.files["growth_ridges-2020-04.parquet"]


def test_a_month_more_is_no_other_version_until_a_refit_is_due(copy):
    """The newest fit is before 2020-04 or, once 2020-06 is known, before 2020-07."""
    versions = []
    for end in ("2020-04", "2020-05", "2020-06"):
        until = Platform(copy.root, copy.source, {**copy.changes, "panel_end": end})
        for asset in ("price_history", "forecast_model"):
            result = until.select(dg.AssetSelection.assets(asset))
            assert result.success, failure_text(result)
        versions.append(until.store.read_json("forecast_model.json")["version"])
    assert versions[0] == versions[1] != versions[2]
    first, newest = (load_bundle(copy.store, version).manifest["months"]["history"] for version in versions[1:])
    assert (first, newest) == (["2015-06", "2020-03"], ["2015-06", "2020-06"])


def test_errors_on_eval_are_metrics_of_the_run(copy):
    from mlflow import MlflowClient

    assert copy.job("forecast_job", ORIGINS[-1:]).success
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], order_by=["start_time DESC"])
    metrics = next(run.data.metrics for run in runs if "forecast_decision" in run.data.tags)
    graded = copy.store.read_table("forecast_evaluation").filter(by="overall", split="eval", predictor=PUBLISHED)
    expected = {f"forecast.eval_mape_horizon_{h}": mape for h, mape in graded.select("horizon", "mape").iter_rows()}
    assert {name: value for name, value in metrics.items() if name in expected} == pytest.approx(expected)


def test_a_damaged_forecast_champion_is_replaced_and_the_reason_kept(copy):
    version, _ = forecast_champion(copy.store)
    (copy.folder / f"models/{version}/growth_ridges-2020-01.parquet").write_bytes(b"no ridges")
    alone = copy.select(dg.AssetSelection.assets("monthly_forecasts").without_checks(), ORIGINS[-1:])
    assert not alone.success
    assert "growth_ridges-2020-01.parquet is damaged" in failure_text(alone)
    result = copy.job("forecast_job", ORIGINS[-1:])
    assert result.success, failure_text(result)
    load_bundle(copy.store, forecast_champion(copy.store)[0])


def test_an_origin_after_the_history_is_told_and_nothing_changes(copy):
    before = {p.name: p.read_bytes() for p in (copy.folder / "monthly_forecasts").iterdir()}
    later = Platform(copy.root, copy.source, {**copy.changes, "panel_end": "2020-09"})
    result = later.select(dg.AssetSelection.assets("monthly_forecasts").without_checks(), ["2020-08"])
    assert not result.success
    assert "no forecasts from 2020-08: the history is 2015-06 to 2020-06" in failure_text(result)
    assert {p.name: p.read_bytes() for p in (copy.folder / "monthly_forecasts").iterdir()} == before


def test_a_panel_too_short_for_forecasts_is_told_with_the_least(made):
    assert not made.settings.can_forecast
    result = made.select(dg.AssetSelection.assets("forecast_model").without_checks())
    assert not result.success
    assert "forecasts need 37 months before HOUSING_EVAL_START=2019-10" in failure_text(result)


def test_what_rests_on_a_restated_month_is_stale_until_it_is_made_again(copy):
    month = "2020-03"
    changed = copy.read("cleaned", month).with_columns(pl.col("price") * 1.05)
    copy.store.months("cleaned").write(month, changed)
    after = [m for m in ORIGINS if m >= month]
    assert stale_months(copy.store, "monthly_predictions") == after
    assert stale_months(copy.store, "monthly_forecasts") == after
    assert copy.select(dg.AssetSelection.checks_for_assets("cleaned"), [month]).success
    assert copy.job("predictions_job", after).success
    assert stale_months(copy.store, "monthly_predictions") == []
    assert copy.job("forecast_job", after).success
    assert stale_months(copy.store, "monthly_forecasts") == []
    history = read_history(copy.store)
    assert history.last_month == "2020-06"


def test_a_month_that_checks_do_not_vouch_for_is_no_history(copy):
    copy.store.blobs.delete("checks/cleaned/2018-03.json")
    assert copy.select(dg.AssetSelection.assets("price_history")).success
    history = read_history(copy.store)
    assert not history.priced[:, history.column("2018-03")].any()
    assert history.known("2020-06").all()


# ---------------------------------------------------------------- gates


def mark(platform: Platform, asset: str, state: State) -> None:
    """Have the checks of an asset without months say something else of the same file."""
    verdict = read_verdicts(platform.store, asset)[""]
    write_verdicts(platform.store, [replace(verdict, state=state)])


def alone(platform: Platform, asset: str, months=(), config=None) -> dg.ExecuteInProcessResult:
    return platform.select(dg.AssetSelection.assets(asset).without_checks(), months, config)


@pytest.mark.parametrize(
    ("asset", "rests_on", "months"),
    [
        ("forecast_evaluation", "forecast_model", ()),
        ("forecast_evaluation", "price_history", ()),
        ("monthly_forecasts", "forecast_evaluation", ORIGINS),
        ("monthly_forecasts", "price_history", ORIGINS),
    ],
)
def test_no_forecast_is_made_from_what_is_red(copy, asset, rests_on, months):
    mark(copy, rests_on, State.RED)
    before = tree(copy.folder)
    assert f"{rests_on} is red" in failure_text(alone(copy, asset, months))
    assert tree(copy.folder) == before


def test_no_pointer_moves_to_grades_that_are_red(copy, monkeypatch):
    """The checks are asked before the pointer moves, not after: what was published stays as it was."""
    version, _ = forecast_champion(copy.store)
    copy.store.blobs.delete(FORECAST_POINTER)
    before = tree(copy.folder)
    figures = forecast_grades.figures
    is_published = pl.col("predictor") == PUBLISHED

    def three_times_as_wrong(*args: object) -> pl.DataFrame:
        return figures(*args).with_columns(mape=pl.when(is_published).then(3 * pl.col("mape")).otherwise("mape"))

    monkeypatch.setattr(forecast_grades, "figures", three_times_as_wrong)
    told = failure_text(alone(copy, "forecast_evaluation"))
    assert f"forecast_evaluation of {version} is red (published_is_not_far_worse: mape: " in told
    assert tree(copy.folder) == before


def test_grades_are_the_same_without_the_record_of_those_before(copy):
    tables = ("forecast_evaluation", "forecast_intervals", "forecast_weights", "forecast_skill", "forecast_coverage")
    before = {name: copy.store.read_table(name) for name in tables}
    record = copy.store.blobs.read("forecast_record.zip")
    for kept in (record, record[:1_000], None):
        copy.store.blobs.delete("forecast_record.zip")
        if kept:
            copy.store.blobs.write("forecast_record.zip", kept)
        assert alone(copy, "forecast_evaluation").success
        for name, table in before.items():
            assert_frame_equal(copy.store.read_table(name), table, rel_tol=1e-12, abs_tol=0)
        assert copy.store.blobs.read("forecast_record.zip") == record


def test_until_the_pointer_moves_the_version_before_forecasts_on(copy, monkeypatch):
    version, _ = forecast_champion(copy.store)
    grades = grade_forecasts(read_sound_history(copy.store), load(copy.store, version), copy.settings.split)
    later = replace(grades, version="forecast-0", intervals=grades.intervals.with_columns(model_version=pl.lit("x")))
    with pytest.raises(BundleError, match="has no model 'forecast-0'"):
        publish_forecasts(copy.store, later)
    assert forecast_champion(copy.store)[0] == version
    before = tree(copy.folder / "monthly_forecasts")
    result = alone(copy, "monthly_forecasts", ORIGINS)
    assert result.success, failure_text(result)
    assert tree(copy.folder / "monthly_forecasts") == before


def forecasts_to_make(copy) -> set[str]:
    """Months of the forecasts that are there and are of another version than the one that forecasts."""
    tasks = work_to_do(read_facts(copy.settings, copy.store))
    return {month for task in tasks if task.assets == FORECASTS_ALONE for month in task.months}


def load(store, version):
    return forecast_model_from_files(load_bundle(store, version).files, version)


# ---------------------------------------------------------------- by hand


def test_forecasts_are_rolled_back_by_hand_and_stay_so(copy):
    first, _ = forecast_champion(copy.store)
    # The same fits, told apart by a fact: an earlier version of the model.
    other = publish_bundle(copy.store, "forecast", load_bundle(copy.store, first).files, {"note": "earlier"})
    line = command_line(copy.root, copy.source, **{f"HOUSING_{k.upper()}": v for k, v in copy.changes.items()})
    done = line("promote", other, "--reason", "the new one is off")
    assert done.code == 0, done.err
    assert f"the forecast model is {other} (before: {first})" in done.out
    assert forecast_champion(copy.store)[0] == other
    # Sensors ask for it as well as people.
    assert forecasts_to_make(copy) == set(ORIGINS)
    made = alone(copy, "monthly_forecasts", ORIGINS)
    assert made.success, failure_text(made)
    assert set(copy.read("monthly_forecasts", ORIGINS[-1])["model_version"]) == {other}
    checked = copy.job("checks_job", [])
    assert checked
    assert forecasts_to_make(copy) == set()
    # The model that was replaced comes up as the candidate again, and is refused, however often a person said so.
    assert line("promote", other, "--reason", "still off").code == 0
    assert replaced_by_hand(copy.store, first).startswith(f"{first} was replaced by hand: the new one is off")
    again = alone(copy, "forecast_evaluation", config={"ops": {"forecast_evaluation": {"config": {"margin": 0}}}})
    assert again.success, failure_text(again)
    assert forecast_champion(copy.store)[0] == other
    assert line("promote", first, "--reason", "it was not").code == 0
    assert forecast_champion(copy.store)[0] == first
    assert line("promote", "forecast-000000000000", "--reason", "x").code == 1
