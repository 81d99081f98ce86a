"""Forecasts as assets: from a long panel to months of forecasts, kept, checked, promoted, and stale when restated."""

import shutil

import dagster as dg
import polars as pl
import pytest
from platform_fixtures import Platform, failure_text, red_checks

from housing_assets.core.forecasting import FORECAST_SCHEMA, MODEL, PUBLISHED, forecast_model_from_files
from housing_assets.core.growth import NAIVE_GROWTH
from housing_assets.core.history import HISTORY_SCHEMA, History
from housing_assets.core.months import month_end, month_range
from housing_assets.store.bundles import forecast_champion, load_bundle
from housing_assets.store.histories import read_history, stale_months

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
    assert {MODEL, PUBLISHED, *NAIVE_GROWTH} == set(graded["predictor"])
    for name in ("forecast_skill", "forecast_coverage", "forecast_intervals"):
        assert grown.store.read_table(name).height > 0


def test_the_bundle_is_whole_and_says_what_it_was_fitted_on(grown):
    version, _ = forecast_champion(grown.store)
    bundle = load_bundle(grown.store, version)
    assert bundle.manifest["kind"] == "forecast"
    assert bundle.manifest["months"] == {"train": ["2015-06", "2019-12"]}
    assert list(forecast_model_from_files(bundle.files, version).fits) == ["2019-01", "2020-01"]


def test_the_forecast_model_depends_on_the_months_before_the_holdout_alone(grown):
    graph = grown.definitions.resolve_asset_graph()
    (spec,) = [s for s in grown.definitions.resolve_all_asset_specs() if s.key == dg.AssetKey("forecast_model")]
    (dep,) = spec.deps
    assert graph.has(dep.asset_key)
    assert dep.partition_mapping.partition_keys == month_range("2015-06", "2019-12")


def test_the_same_again_is_the_same_version_and_byte_for_byte_the_same(copy):
    before = {p.name: p.read_bytes() for p in (copy.folder / "monthly_forecasts").iterdir()}
    version, _ = forecast_champion(copy.store)
    result = copy.job("forecast_job", ORIGINS)
    assert result.success, failure_text(result)
    assert forecast_champion(copy.store)[0] == version
    assert {p.name: p.read_bytes() for p in (copy.folder / "monthly_forecasts").iterdir()} == before
    assert red_checks(result).keys() <= {"every_horizon_is_graded", "forecasts_have_intervals"}


def test_a_damaged_forecast_champion_is_replaced_and_the_reason_kept(copy):
    version, _ = forecast_champion(copy.store)
    (copy.folder / f"models/{version}/growth-2020-01.ubj").write_bytes(b"no trees")
    alone = copy.select(dg.AssetSelection.assets("monthly_forecasts").without_checks(), ORIGINS[-1:])
    assert not alone.success
    assert "growth-2020-01.ubj is damaged" in failure_text(alone)
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
    assert history is not None
    assert history.last_month == "2020-06"


def test_a_month_that_checks_do_not_vouch_for_is_no_history(copy):
    copy.store.blobs.delete("checks/cleaned/2018-03.json")
    assert copy.select(dg.AssetSelection.assets("price_history")).success
    history = read_history(copy.store)
    assert history is not None
    assert not history.priced[:, history.column("2018-03")].any()
    assert history.known("2020-06").all()
