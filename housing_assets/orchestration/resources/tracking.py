"""Experiment tracking: one MLflow run for each training run, through dagster-mlflow.

Training never depends on tracking: a server that is down, refuses, or dies half-way is reported, once, and
training goes on.
"""

import os
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from housing_assets.core.addresses import without_password
from housing_assets.core.interrupts import interrupts_held
from housing_assets.core.text import first_line

EXPERIMENT = "housing-prices"
REGISTERED_MODEL = "housing-price"
CHAMPION_ALIAS = "champion"
_SQLITE = "sqlite:///"
_STEP_FAILED = (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE)
_ENDED = {
    dg.DagsterRunStatus.SUCCESS: "FINISHED",
    dg.DagsterRunStatus.FAILURE: "FAILED",
    dg.DagsterRunStatus.CANCELED: "KILLED",
}

_T = TypeVar("_T")


class Tracker:
    """What assets log through. Every method is safe to call: after a failure it does nothing.

    Attributes:
        run_id: of the MLflow run; None where tracking could not begin.
        problem: why tracking is missing or incomplete; None while all is well.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._models: dict[str, str] = {}
        self.run_id: str | None = None
        self.problem: str | None = None

    def attempt(self, what: str, action: Callable[[], _T]) -> _T | None:
        """Run an MLflow call; its failure is reported and ends tracking for this run. Ctrl-C is heeded after it."""
        if self.problem:
            return None
        try:
            with warnings.catch_warnings(), interrupts_held():
                warnings.simplefilter("ignore")
                return action()
        except Exception as error:
            reason = first_line(error)[:300]
            self.problem = without_password(f"tracking is missing from here on: {what} failed ({reason})")
            self._log(f"{self.problem}. Training goes on; check MLFLOW_TRACKING_URI")
            return None

    def origin(self) -> dict[str, str]:
        """What a record of this run says of where it is tracked: `mlflow_run`; empty where it is not."""
        return {"mlflow_run": self.run_id} if self.run_id else {}

    def metadata(self) -> dict[str, str]:
        """What an asset says of its tracking."""
        links = {"mlflow run": self.run_id} if self.run_id else {}
        return links | ({"tracking problem": self.problem} if self.problem else {})

    def tags(self, values: Mapping[str, str]) -> None:
        """Tag the run."""
        self._on_run("tags", lambda client, run: [client.set_tag(run, k, v) for k, v in values.items()])

    def params(self, values: Mapping[str, object], prefix: str = "") -> None:
        """Log parameters of the run."""
        from mlflow.entities import Param

        listed = [Param(f"{prefix}{name}", str(value)) for name, value in values.items()]
        self._on_run("parameters", lambda client, run: client.log_batch(run, params=listed))

    def metrics(self, values: Mapping[str, float], prefix: str = "") -> None:
        """Log metrics of the run."""
        self._on_run("metrics", lambda client, run: client.log_batch(run, metrics=_metrics(values, prefix)))

    def files(self, files: Mapping[str, bytes], folder: str) -> None:
        """Log files as artifacts of the run."""

        def log(client: Any, run: str) -> None:
            with tempfile.TemporaryDirectory() as aside:
                for name, data in files.items():
                    (Path(aside) / name).write_bytes(data)
                client.log_artifacts(run, aside, folder)

        self._on_run("artifacts", log)

    def trial(self, name: str, state: str, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Log a trial as a nested run, begun and ended."""
        from mlflow.entities import Param, RunTag

        def log(client: Any, parent: str) -> None:
            experiment = client.get_run(parent).info.experiment_id
            run = client.create_run(experiment, run_name=name, tags={"mlflow.parentRunId": parent})
            client.log_batch(
                run.info.run_id,
                metrics=_metrics(metrics),
                params=[Param(k, str(v)) for k, v in params.items()],
                tags=[RunTag("state", state)],
            )
            client.set_terminated(run.info.run_id, "FINISHED")

        self._on_run("a trial", log)

    def model(self, booster: Any, name: str, example: Any, predicted: Any) -> None:
        """Log a model with its signature.

        Args:
            booster: XGBoost's.
            name: to register it by later.
            example: a few rows of the matrix.
            predicted: what the booster says of them.
        """

        def log(_client: Any, _run: str) -> None:
            from mlflow import xgboost
            from mlflow.models import infer_signature

            info = xgboost.log_model(
                booster,
                name=name,
                signature=infer_signature(example, predicted),
                pip_requirements=["xgboost-cpu"],  # naming them keeps MLflow from spending seconds to infer them
                model_format="ubj",
            )
            self._models[name] = info.model_uri

        self._on_run("the model", log)

    def register_champion(self, version: str, name: str, reason: str) -> None:
        """Register a promoted model, unless it is registered, and point the alias `champion` to it.

        Args:
            version: of its bundle.
            name: as given to `model` in this run.
            reason: of the promotion.
        """

        def register(client: Any, _: str) -> None:
            import mlflow

            registered = client.search_model_versions(f"name='{REGISTERED_MODEL}'")
            mine = next((m for m in registered if m.tags.get("bundle") == version), None)
            if mine is None and name in self._models:
                mine = mlflow.register_model(self._models[name], REGISTERED_MODEL, tags={"bundle": version})
            if mine is not None:
                client.update_model_version(REGISTERED_MODEL, mine.version, description=reason[:4_000])
                client.set_registered_model_alias(REGISTERED_MODEL, CHAMPION_ALIAS, mine.version)

        self._on_run("the registry", register)

    def _on_run(self, what: str, action: Callable[[Any, str], Any]) -> None:
        run = self.run_id
        if run is None:
            return
        from mlflow import MlflowClient

        self.attempt(what, lambda: action(MlflowClient(), run))


def _metrics(values: Mapping[str, float | None], prefix: str = "") -> list[Any]:
    import math
    import time

    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    finite = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    return [Metric(f"{prefix}{name}", float(value), now, 0) for name, value in finite.items()]


def artifact_root(tracking_uri: str) -> Path | None:
    """Where artifacts of an embedded database go: beside it. None for a server, which decides itself."""
    if not tracking_uri.startswith(_SQLITE):
        return None
    return Path(tracking_uri.removeprefix(_SQLITE)).absolute().parent / "artifacts"


def tracking_resource(tracking_uri: str, artifacts: Path | None) -> dg.ResourceDefinition:
    """The resource `mlflow`: a `Tracker` whose MLflow run ends as its Dagster run does.

    dagster-mlflow's own end-of-run hook sees step events alone, so that a cancelled run would stay RUNNING.

    Args:
        tracking_uri: of MLflow.
        artifacts: where artifacts go; None: the server decides.
    """

    @dg.resource(description="One MLflow run for each Dagster run; training goes on without it")
    def mlflow_tracking(context: dg.InitResourceContext) -> Iterator[Tracker]:
        log = context.log
        tracker = Tracker(log.warning if log else lambda _: None)
        tracker.attempt(f"connecting to {tracking_uri}", lambda: _begin(context, tracker, tracking_uri, artifacts))
        try:
            yield tracker
        finally:
            if tracker.run_id:
                status = _status_at_end(context)
                tracker.problem = None
                tracker.attempt("ending the run", lambda: _end(status))

    return mlflow_tracking


def _begin(context: dg.InitResourceContext, tracker: Tracker, uri: str, artifacts: Path | None) -> None:
    # MLflow's own defaults keep trying a dead server for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow
    from dagster_mlflow.resources import MlFlow

    if uri.startswith(_SQLITE):
        Path(uri.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    while mlflow.active_run():
        mlflow.end_run("FAILED")
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    if artifacts is not None and client.get_experiment_by_name(EXPERIMENT) is None:
        client.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())
    if context.instance and (experiment := client.get_experiment_by_name(EXPERIMENT)):
        _close_dead_runs(client, experiment.experiment_id, context.instance)
    config = {"experiment_name": EXPERIMENT, "mlflow_tracking_uri": uri, "extra_tags": {"git_commit": git_commit()}}
    MlFlow(context.replace_config(config))
    active = mlflow.active_run()
    tracker.run_id = active.info.run_id if active else None


def _close_dead_runs(client: Any, experiment: str, instance: dg.DagsterInstance) -> None:
    """End MLflow runs whose Dagster run is over: their process was killed before it could."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        dagster_run = instance.get_run_by_id(run.data.tags.get("dagster_run_id", ""))
        if dagster_run is not None and dagster_run.status in _ENDED:
            client.set_terminated(run.info.run_id, _ENDED[dagster_run.status])


def _status_at_end(context: dg.InitResourceContext) -> str:
    run, instance = context.dagster_run, context.instance
    if run is None or instance is None:
        return "FINISHED"
    now = instance.get_run_by_id(run.run_id)
    if now and now.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
        return "KILLED"
    failures = [record.dagster_event for record in instance.all_logs(run.run_id, of_type=set(_STEP_FAILED))]
    if any(_is_interrupt(event) for event in failures if event):
        return "KILLED"
    return "FAILED" if failures else "FINISHED"


def _is_interrupt(event: dg.DagsterEvent) -> bool:
    """Did Ctrl-C or a termination end the step? The run is marked as cancelled only after its resources end."""
    if event.event_type != dg.DagsterEventType.STEP_FAILURE:
        return False
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterExecutionInterruptedError"


def _end(status: str) -> None:
    import mlflow

    mlflow.end_run(status)


def git_commit() -> str:
    """The commit of the running code: `GIT_COMMIT`, or the checkout's, or `unknown`."""
    if given := os.environ.get("GIT_COMMIT"):
        return given
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ("git", "rev-parse", "HEAD"), cwd=here, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
