"""What the months that are there lack: asked for as long as they lack it, whichever run made them, and how it ended."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import (
    FORECAST_JOB,
    INGEST_JOB,
    MONITORING_JOB,
    MONTHLY,
    PREDICTIONS_JOB,
    TRAINING_JOB,
)
from housing_assets.core.errors import UnknownPanelError
from housing_assets.orchestration.automation.asking import is_busy, is_spent, open_runs, requests_for
from housing_assets.orchestration.work import Task, read_facts, work_to_do
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, POINTER

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_LOOKED_AT = (*(f"{asset}/" for asset in MONTHLY), "checks/", POINTER, FORECAST_POINTER)


def chain_sensors(
    settings: Settings, store: Store, jobs: Sequence["UnresolvedAssetJobDefinition"]
) -> list[dg.SensorDefinition]:
    """`after_ingest`, `after_predictions`."""
    _, ingest, training, predictions, monitoring, forecasts = jobs

    def look(context: dg.SensorEvaluationContext, names: Sequence[str], rest_on: Sequence[str]) -> dg.SensorResult:
        """Ask for the tasks of some jobs, unless runs that they rest on go on, or nothing changed since the last look.

        The cursor stands for a look that left nothing to ask for.
        """
        runs = open_runs(context.instance)
        if busy := is_busy(runs, rest_on):
            return dg.SensorResult(skip_reason=dg.SkipReason(busy))
        stamp = _stamp(store)
        if stamp == context.cursor:
            return dg.SensorResult(skip_reason=dg.SkipReason("nothing in the store changed"))
        try:
            tasks = [task for task in work_to_do(read_facts(settings, store)) if task.job in names]
        except UnknownPanelError as error:
            return dg.SensorResult(skip_reason=dg.SkipReason(str(error)))
        going_on = {run.job_name for run in runs}
        now = [task for task in _first_stage(context.instance, tasks) if task.job not in going_on]
        requests, messages = requests_for(context.instance, now, settings.follow_seconds)
        skipped = None if requests else dg.SkipReason("; ".join(messages) or _said(tasks))
        is_over = all(is_spent(context.instance, task) for task in tasks)
        return dg.SensorResult(requests, skip_reason=skipped, cursor=stamp if is_over else context.cursor)

    @dg.sensor(
        jobs=[ingest, training, predictions, forecasts],
        minimum_interval_seconds=settings.follow_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Cleaning of sound months that were not cleaned; then predictions of the months and of all after "
        "them, whose history they are, and forecasts from them, also once another version forecasts; training too, if "
        "months of train or eval changed",
    )
    def after_ingest(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return look(context, [INGEST_JOB, TRAINING_JOB, PREDICTIONS_JOB, FORECAST_JOB], [INGEST_JOB])

    @dg.sensor(
        job=monitoring,
        minimum_interval_seconds=settings.follow_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Drift and errors of predicted months whose predictions were not measured yet",
    )
    def after_predictions(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return look(context, [MONITORING_JOB], [INGEST_JOB, PREDICTIONS_JOB])

    return [after_ingest, after_predictions]


def _first_stage(instance: dg.DagsterInstance, tasks: Sequence[Task]) -> list[Task]:
    """The tasks of ingestion, as long as any of them is tried; then all others, which rest on cleaned months."""
    ingestion = [task for task in tasks if task.job == INGEST_JOB and not is_spent(instance, task)]
    return ingestion or [task for task in tasks if task.job != INGEST_JOB]


def _said(tasks: Sequence[Task]) -> str:
    """Why nothing is asked for, where no task says so itself."""
    jobs = sorted({task.job for task in tasks})
    return f"{', '.join(jobs)}: going on" if jobs else "every month is carried on"


def _stamp(store: Store) -> str:
    """Digest of what the work to do is told from, by listings alone (S3: and a look at each object that is new)."""
    stamps = {k: s for prefix in _LOOKED_AT for k, s in store.blobs.stamps(prefix).items()}
    return hashlib.sha256(repr(sorted(stamps.items())).encode()).hexdigest()
