"""MLflow: one run for each training run, nested trials, the registry; and training without it."""

import contextlib
import http.server
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from platform_fixtures import (
    CommandLine,
    Platform,
    copy_of,
    failure_text,
    open_runs,
    wait_for,
)

from housing_assets.orchestration.resources.tracking import CHAMPION_ALIAS, EXPERIMENT, REGISTERED_MODEL, Tracker
from housing_assets.store.pointers import champion_version, load_champion

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONG_TUNING = {"HOUSING_TUNE_TRIALS": "60"}


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory) -> Path:
    """MLflow's tables, with nothing in them: to make them takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    tracking_client(f"sqlite:///{path}").search_experiments()
    return path


def tracked(root: Path, ingested: CommandLine, empty_database: Path, **env: str) -> CommandLine:
    """A platform that has its months, with databases of its own."""
    shutil.copy(empty_database, root / "mlflow.db")
    databases = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db",
        "HOUSING_STUDY_STORAGE": f"sqlite:///{root}/studies.db",
    }
    return copy_of(ingested, root, **databases, **env)


def tracking_client(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient  # a second, also where these tests are not run

    return MlflowClient(uri)


def client(line: CommandLine) -> "MlflowClient":
    return tracking_client(line.env["MLFLOW_TRACKING_URI"])


def runs(line: CommandLine, nested: bool = False) -> list:
    known = client(line)
    experiment = known.get_experiment_by_name(EXPERIMENT)
    found = known.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])
    return [run for run in found if ("mlflow.parentRunId" in run.data.tags) is nested]


@pytest.fixture(scope="module")
def ingested(ran, tmp_path_factory) -> CommandLine:
    """A platform whose months are ingested and which has trained nothing. Nothing may change it."""
    line = copy_of(ran, tmp_path_factory.mktemp("ingested"))
    sources = {"vintages", "revisions", "revisions.parquet", "zillow_home_values", "redfin_market", "housets_panel"}
    kept = {"raw_splits", "cleaned", "quarantined", "data_quality", "price_history.parquet", "checks", *sources}
    for path in line.folder.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (line.folder / "checks").iterdir():
        if path.stem not in kept | {"price_history"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return line


@pytest.fixture(scope="module")
def trained(tmp_path_factory, ingested, empty_database) -> CommandLine:
    line = tracked(tmp_path_factory.mktemp("trained"), ingested, empty_database)
    done = line("run")
    assert done.code == 0, done.err
    return line


def test_a_training_run_is_one_finished_run_with_its_origin(trained):
    (run,) = runs(trained)
    champion = load_champion(trained.store)
    assert run.info.status == "FINISHED"
    assert run.data.tags["dagster_run_id"] == champion.manifest["origin"]["dagster_run"]
    assert run.info.run_id == champion.manifest["origin"]["mlflow_run"]
    assert run.data.tags["git_commit"] == champion.manifest["origin"]["git_commit"]
    assert run.data.tags["source_fingerprint"] == champion.manifest["origin"]["source_fingerprint"]
    assert run.data.tags["train_months"] == "2019-01:2019-09"
    assert run.data.tags["tuned_model"] == champion.version
    assert run.data.tags["decision"] == "promoted"


def test_metrics_and_parameters_are_those_of_the_models(trained):
    (run,) = runs(trained)
    champion = load_champion(trained.store)
    assert run.data.metrics["tuned_model.eval_mae"] == champion.metrics()["eval"]["tuned_model"]["mae"]
    assert run.data.metrics["eval_mae"] == pytest.approx(run.data.metrics["tuned_model.eval_mae"])
    assert {"holdout_mae", "holdout_rmse", "baseline_model.eval_rmse"} <= set(run.data.metrics)
    for name, value in champion.manifest["parameters"].items():
        assert run.data.params[f"tuned_model.{name}"] == str(value)


def test_trials_are_nested_runs(trained):
    (parent,) = runs(trained)
    trials = runs(trained, nested=True)
    assert len(trials) == 2
    for trial in trials:
        assert trial.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert trial.info.status == "FINISHED"
        assert trial.data.tags["state"] in ("complete", "pruned")
        assert {"score", "fold 1", "trees"} <= set(trial.data.metrics)
        assert {"learning_rate", "target"} <= set(trial.data.params)


def test_plots_and_the_bundle_are_artifacts(trained):
    (run,) = runs(trained)
    known = client(trained)
    for model in ("baseline_model", "tuned_model"):
        names = {Path(a.path).name for a in known.list_artifacts(run.info.run_id, f"{model}/bundle")}
        assert {"model.ubj", "model.onnx", "features.json", "encoders.parquet"} <= names
        assert known.list_artifacts(run.info.run_id, f"{model}/plots")
    assert "model_evaluation.csv" in {Path(a.path).name for a in known.list_artifacts(run.info.run_id, "evaluation")}


def test_the_champion_is_registered_with_its_alias_and_signature(trained):
    from mlflow.models import get_model_info

    version = client(trained).get_model_version_by_alias(REGISTERED_MODEL, CHAMPION_ALIAS)
    assert version.tags["bundle"] == champion_version(trained.store)
    assert "eval MAE" in version.description
    import mlflow

    mlflow.set_tracking_uri(trained.env["MLFLOW_TRACKING_URI"])
    assert get_model_info(version.source).signature is not None


# ---------------------------------------------------------------- runs that do not end well


def finished_trials(line: CommandLine) -> dict[int, str]:
    """Scores by number of the trials that have ended, read beside the run and without touching anything."""
    path = line.env["HOUSING_STUDY_STORAGE"].removeprefix("sqlite:///")
    query = """select number, value_json from trials join trial_user_attributes using (trial_id)
        where state in ('COMPLETE', 'PRUNED') and key = 'fold_scores'"""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return dict(database.execute(query).fetchall())
    except sqlite3.OperationalError:
        return {}  # not made yet


def test_sigkill_during_tuning_loses_no_finished_trial(tmp_path, ingested, empty_database):
    line = tracked(tmp_path, ingested, empty_database, **LONG_TUNING)
    process = line.start("run")
    try:
        wait_for(lambda: len(finished_trials(line)) >= 3 or process.poll() is not None)
    finally:
        process.kill()
        process.communicate()
    before = finished_trials(line)
    assert 3 <= len(before) < 60
    assert [run.info.status for run in runs(line)] == ["RUNNING"]
    done = line("run", "--trials", len(before) + 2)
    assert done.code == 0, done.err
    after = finished_trials(line)
    assert len(after) == len(before) + 2
    assert before.items() <= after.items()
    assert [run.info.status for run in runs(line)] == ["FAILED", "FINISHED"]
    assert open_runs(line) == []


def test_an_interrupted_run_is_killed_in_mlflow_and_the_champion_stays(tmp_path, ingested, empty_database):
    line = tracked(tmp_path, ingested, empty_database, **LONG_TUNING)
    process = line.start("run")
    try:
        wait_for(lambda: len(finished_trials(line)) >= 1 or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode != 0
    assert [run.info.status for run in runs(line)] == ["KILLED"]
    assert champion_version(line.store) is None
    assert open_runs(line) == []


def test_ctrl_c_during_a_call_of_mlflow_takes_effect_after_it():
    told, logged = [], []

    def call() -> None:
        signal.raise_signal(signal.SIGINT)
        logged.append("a metric")

    tracker = Tracker(told.append)
    with pytest.raises(KeyboardInterrupt):
        tracker.attempt("metrics", call)
    assert logged
    assert not told
    assert tracker.problem is None


def test_a_failed_run_is_failed_in_mlflow(tmp_path, ingested, empty_database):
    line = tracked(tmp_path, ingested, empty_database)
    done = line.changed(HOUSING_STUDY_STORAGE="sqlite:////proc/nowhere/studies.db")("run")
    assert done.code == 1
    assert "the tuning study cannot be kept in sqlite:////proc/nowhere/studies.db" in done.err
    assert "set HOUSING_STUDY_STORAGE" in done.err
    assert [run.info.status for run in runs(line)] == ["FAILED"]


# ---------------------------------------------------------------- without MLflow


def test_training_goes_on_while_mlflow_is_down_and_says_so(tmp_path, ingested, unused_port):
    line = copy_of(ingested, tmp_path, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{unused_port}")
    done = line("run")
    assert done.code == 0, done.err
    told = done.err.replace("\n", " ")
    assert f"connecting to http://127.0.0.1:{unused_port} failed" in told
    assert "Training goes on; check MLFLOW_TRACKING_URI" in told
    assert champion_version(line.store)


class _Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"no access")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None: ...


def test_training_goes_on_while_mlflow_refuses_and_the_assets_say_that_tracking_is_missing(tmp_path, source):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        uri = f"http://127.0.0.1:{server.server_port}"
        platform = Platform(tmp_path, source, {"mlflow_tracking_uri": uri}).run_all()
    finally:
        server.shutdown()
    for asset in ("baseline_model", "tuned_model", "model_evaluation", "champion_model"):
        event = platform.instance.get_latest_materialization_event(asset_key(asset)).asset_materialization
        assert "403" in event.metadata["tracking problem"].value
        assert "mlflow run" not in event.metadata


def asset_key(name: str):
    import dagster as dg

    return dg.AssetKey(name)


def test_training_goes_on_when_mlflow_dies_half_way(tmp_path, source, empty_database, unused_port):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    uri = f"http://127.0.0.1:{unused_port}"
    command = [str(Path(sys.executable).parent / "mlflow"), "server", "--port", str(unused_port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", f"{tmp_path}/files"]
    server = subprocess.Popen(
        command + stores, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    platform = Platform(tmp_path, source, {"mlflow_tracking_uri": uri})
    try:
        wait_for(lambda: answers(uri), 90)
        assert platform.job("ingest_job", platform.settings.months).success
        baseline = {"ops": {"baseline_model": {"config": {"n_estimators": 60}}, "tuned_model": {"config": TWO_TRIALS}}}

        def stop_when_the_baseline_is_logged() -> None:
            direct = tracking_client(f"sqlite:///{tmp_path}/mlflow.db")
            wait_for(lambda: any("baseline_model.eval_mae" in r.data.metrics for r in all_runs(direct)))
            os.killpg(server.pid, signal.SIGKILL)

        watcher = threading.Thread(target=stop_when_the_baseline_is_logged)
        watcher.start()
        result = platform.job("training_job", config=baseline)
        watcher.join()
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert result.success, failure_text(result)
    assert champion_version(platform.store)
    event = platform.instance.get_latest_materialization_event(asset_key("champion_model")).asset_materialization
    assert "tracking is missing from here on" in event.metadata["tracking problem"].value


TWO_TRIALS = {"trials": 2, "folds": 1, "max_trees": 25}


def answers(uri: str) -> bool:
    import urllib.request

    try:
        return urllib.request.urlopen(f"{uri}/health", timeout=2).status == 200
    except OSError:
        return False


def all_runs(known: "MlflowClient") -> list:
    experiment = known.get_experiment_by_name(EXPERIMENT)
    return known.search_runs([experiment.experiment_id]) if experiment else []
