"""What Dagster loads: the assets as a table, and the commands that Dagster itself brings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from platform_fixtures import END, MONTHS, WINDOW, Outcome, write_source

from housing_assets.config.settings import Settings
from housing_assets.orchestration.build import build_definitions
from housing_assets.store.layout import Store

PROJECT = Path(__file__).parent.parent

ASSETS = """
zillow_home_values   ingest       once     data  parquet+polars   <- nothing
redfin_market        ingest       once     data  parquet+polars   <- nothing
housets_panel        ingest       once     data  parquet+polars   <- nothing
revisions            ingest       once     data  parquet+polars   <- housets_panel, redfin_market, zillow_home_values
raw_splits           ingest       monthly  data  parquet+polars   <- housets_panel, redfin_market, zillow_home_values
cleaned              ingest       monthly  data  parquet+polars   <- raw_splits
encoders             features     once     ml      parquet+polars   <- cleaned
training_features    features     once     ml      parquet+polars   <- cleaned, encoders
baseline_model       models       once     ml      mlflow+xgboost   <- cleaned, encoders, training_features
tuned_model          models       once     ml      mlflow+optuna+xgboost  <- cleaned, encoders, training_features
model_evaluation     models       once     ml      mlflow+polars    <- baseline_model, cleaned, tuned_model
champion_model       models       once     ml      mlflow+xgboost   <- baseline_model, model_evaluation, tuned_model
price_history        predictions  once     data    parquet+polars   <- cleaned
interval_calibration  predictions  monthly  ml     parquet+polars   <- champion_model, cleaned, price_history
monthly_predictions  predictions  monthly  ml    parquet+xgboost  <- champion_model, cleaned, interval_calibration, \
price_history
forecast_model       forecasts    once     ml      mlflow+numpy     <- price_history
forecast_evaluation  forecasts    once     ml      mlflow+polars    <- forecast_model, price_history
monthly_forecasts    forecasts    monthly  ml      numpy+parquet    <- forecast_evaluation, price_history
drift_report         monitoring   monthly  ml    evidently+polars  <- champion_model, cleaned, monthly_predictions, \
price_history, training_features
prediction_accuracy  monitoring   monthly  ml    polars  <- champion_model, monthly_predictions, price_history, \
training_features
data_quality         monitoring   once     data  html  <- champion_model, cleaned, drift_report, monthly_predictions, \
prediction_accuracy, raw_splits
"""

JOBS = {
    "sources_job": {"zillow_home_values", "redfin_market", "housets_panel", "revisions"},
    "ingest_job": {"raw_splits", "cleaned"},
    "training_job": {
        "encoders",
        "training_features",
        "baseline_model",
        "tuned_model",
        "model_evaluation",
        "champion_model",
    },
    "predictions_job": {"price_history", "interval_calibration", "monthly_predictions"},
    "forecast_job": {"price_history", "forecast_model", "forecast_evaluation", "monthly_forecasts"},
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory) -> dg.Definitions:
    return build_definitions(Settings(store_uri=str(tmp_path_factory.mktemp("store"))))


def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def describe(spec: dg.AssetSpec) -> tuple[str, ...]:
    upstream = ", ".join(sorted(d.asset_key.to_user_string() for d in spec.deps)) or "nothing"
    return (
        spec.key.to_user_string(),
        spec.group_name or "",
        "monthly" if spec.partitions_def else "once",
        "+".join(o.removeprefix("team:").removesuffix("-platform") for o in spec.owners),
        "+".join(sorted(spec.kinds)),
        f"<- {upstream}",
    )


def test_the_assets_are_these(definitions):
    expected = {tuple(re.split(r"\s{2,}", line)) for line in ASSETS.strip().splitlines()}
    assert {tuple(describe(spec)) for spec in specs(definitions).values()} == expected


def test_what_writes_months_or_trains_has_a_pool_so_that_only_one_run_does_it_at_a_time(definitions):
    pools = {}
    for asset in definitions.resolve_asset_graph().assets_defs:
        for pool in asset.op.pools if asset.is_executable else ():
            pools.setdefault(pool, set()).update(key.to_user_string() for key in asset.keys)
    assert pools == {
        "ingest": {"raw_splits", "cleaned", "zillow_home_values", "redfin_market", "housets_panel"},
        "training": {"baseline_model", "tuned_model"},
        "predictions": {"interval_calibration", "monthly_predictions"},
        "forecasts": {"forecast_model", "monthly_forecasts"},
    }


def test_every_asset_says_what_it_is_and_has_a_code_version(definitions):
    for name, spec in specs(definitions).items():
        assert len(spec.description or "") > 40, name
        assert spec.code_version, name
    for name in ("raw_splits", "cleaned", "training_features", "monthly_predictions"):
        columns = specs(definitions)[name].metadata["dagster/column_schema"].columns
        assert {"date", "zipcode"} <= {c.name for c in columns}


def test_the_partitions_are_the_months_of_the_panel_and_of_the_holdout(definitions):
    by_name = specs(definitions)
    raw = by_name["raw_splits"].partitions_def.get_partition_keys()
    assert (raw[0], raw[-1], len(raw)) == ("2012-03", "2023-12", 142)
    assert by_name["cleaned"].partitions_def.get_partition_keys() == raw
    assert by_name["monthly_predictions"].partitions_def.get_partition_keys() == [m for m in raw if m >= "2022-01"]


def test_a_range_of_months_is_one_run(definitions):
    graph = definitions.resolve_asset_graph()
    for name in ("raw_splits", "cleaned", "interval_calibration", "monthly_predictions"):
        assert graph.get(dg.AssetKey(name)).backfill_policy == dg.BackfillPolicy.single_run()


@pytest.mark.parametrize(("name", "assets"), JOBS.items())
def test_the_jobs_hold_these_assets_and_their_checks(definitions, name, assets):
    job = definitions.resolve_job_def(name)
    selected = job.asset_layer.selected_asset_keys
    assert {k.to_user_string() for k in selected} == assets
    checks = definitions.resolve_asset_graph().asset_check_keys
    assert {k for k in checks if k.asset_key in selected} == set(job.asset_layer.asset_graph.asset_check_keys)


def test_two_definitions_share_nothing(tmp_path):
    first = build_definitions(Settings(store_uri=str(tmp_path / "a")))
    second = build_definitions(Settings(store_uri=str(tmp_path / "b")))
    assert first.resources["store"].uri != second.resources["store"].uri


# ---------------------------------------------------------------- Dagster's own commands


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with a source, a DAGSTER_HOME, and a store to come."""
    root = tmp_path_factory.mktemp("shell")
    write_source(root / "panel.csv")
    (root / "home").mkdir()
    (root / "home/dagster.yaml").write_bytes((PROJECT / "dagster.yaml").read_bytes())
    return root


def dagster(home: Path, *args: str) -> Outcome:
    environment = {
        **os.environ,
        **WINDOW,
        "DAGSTER_HOME": str(home / "home"),
        "HOUSING_SOURCE_URI": str(home / "panel.csv"),
        "HOUSING_STORE_URI": str(home / "store"),
    }
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dagster"), *args],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_the_definitions_are_valid(home):
    done = dagster(home, "definitions", "validate", "-w", "workspace.yaml")
    assert done.code == 0, done.err
    assert "housing" in done.out + done.err


def test_a_range_of_months_from_the_shell(home):
    months = MONTHS[:3]
    done = dagster(
        home,
        "asset",
        "materialize",
        "--select",
        "raw_splits",
        "--partition-range",
        f"{months[0]}...{months[-1]}",
        "-m",
        "housing_assets.definitions",
    )
    assert done.code == 0, done.err
    assert Store.open(str(home / "store")).months("raw_splits").available() == months


def test_a_job_from_the_shell(home):
    tags = f'{{"dagster/asset_partition_range_start": "{MONTHS[0]}", "dagster/asset_partition_range_end": "{END}"}}'
    done = dagster(home, "job", "execute", "-m", "housing_assets.definitions", "-j", "ingest_job", "--tags", tags)
    assert done.code == 0, done.err
    assert Store.open(str(home / "store")).months("cleaned").available() == MONTHS


def test_an_asset_that_fails_in_the_shell_has_an_exit_code_of_its_own(home):
    done = dagster(
        home, "asset", "materialize", "--select", "monthly_predictions", "--partition", END,
        "-m", "housing_assets.definitions",
    )  # fmt: skip
    assert done.code != 0
    assert "has no champion model: run training_job (or `housing run`) first" in done.out + done.err


def test_the_instance_queues_runs_one_of_a_job_at_a_time(tmp_path, definitions):
    (tmp_path / "dagster.yaml").write_bytes((PROJECT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue
        assert queue.max_concurrent_runs == 4
        (limit,) = queue.tag_concurrency_limits
        assert (limit["limit"], limit["value"]) == (1, {"applyLimitPerUniqueValue": True})
        assert instance.run_monitoring_enabled
        assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 2)
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
    for job in JOBS:
        assert definitions.resolve_job_def(job).tags[limit["key"]] == job


def test_every_schedule_and_sensor_says_what_it_is_for(definitions):
    unattended = [*(definitions.schedules or ()), *(definitions.sensors or ())]
    assert {u.name for u in unattended} == {
        "source_sensor",
        "after_ingest",
        "after_predictions",
        "retraining_sensor",
        "failure_notices",
        "monthly_forecasts_schedule",
        "monthly_predictions_schedule",
        "quarterly_training_schedule",
    }
    for one in unattended:
        assert len(one.description or "") > 40, one.name
