"""What is asked for by what happened: in the source, in the checks, in a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import INGEST_JOB, REPORTS, SOURCES_JOB, TRAINING_JOB
from housing_assets.core.errors import HousingError
from housing_assets.core.months import consecutive, describe_months
from housing_assets.core.run_tags import tagged_months
from housing_assets.ingestion.changes import changed_months
from housing_assets.ingestion.looks import look_at_sources
from housing_assets.ingestion.panel import vintage_panel
from housing_assets.orchestration.automation.asking import is_busy, is_spent, open_runs, requests_for
from housing_assets.orchestration.resources.webhook import Webhook
from housing_assets.orchestration.work import Task
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version
from housing_assets.store.sources import read_record
from housing_assets.store.verdicts import State, states

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_RETRAINING_SECONDS = 3_600
SOURCE_SENSOR = "source_sensor"
UNREADABLE = "the source cannot be read: "
"""How a look that could not read the source begins to say why."""
PERSISTENT = 3
"""Months in a row that have to warn before training is asked for: one odd month is no trend."""


def all_sensors(
    settings: Settings, store: Store, jobs: Sequence["UnresolvedAssetJobDefinition"]
) -> list[dg.SensorDefinition]:
    """`source_sensor`, `retraining_sensor`, `failure_notices`."""
    sources, ingest = jobs[:2]

    @dg.sensor(
        name=SOURCE_SENSOR,
        jobs=[sources, ingest],
        minimum_interval_seconds=settings.source_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for new vintages when the files at an address changed, then for the months that the vintages "
        "in use change",
    )
    def source_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        if settings.uses_sample:
            return dg.SensorResult(skip_reason=dg.SkipReason("the generated sample never changes"))
        if busy := is_busy(open_runs(context.instance), [SOURCES_JOB, INGEST_JOB]):
            return dg.SensorResult(skip_reason=dg.SkipReason(busy))
        try:
            look = look_at_sources(settings, store)
            cursor = f"{look.stamp} {read_record(store)}"
            if cursor == context.cursor:
                return dg.SensorResult(skip_reason=dg.SkipReason("no file of the source changed"))
            tasks = [Task(SOURCES_JOB, (), look.stamp)] if look.changed else []
            if not tasks or is_spent(context.instance, tasks[0]):
                # A source that cannot be read holds up no other: the vintages in use are carried on.
                tasks += _months_to_ingest(settings, store)
        except HousingError as error:
            # It may be half-way through an upload: the next look tells, since the cursor stays.
            return dg.SensorResult(skip_reason=dg.SkipReason(f"{UNREADABLE}{error}"))
        requests, told = requests_for(context.instance, tasks, settings.source_seconds)
        said = "; ".join(told) or "the source has the rows that were ingested"
        # What was asked for is looked at again until it is there, or is not tried any more.
        is_over = all(is_spent(context.instance, task) for task in tasks)
        return dg.SensorResult(
            requests,
            skip_reason=None if requests else dg.SkipReason(said),
            cursor=cursor if is_over else context.cursor,
        )

    @dg.sensor(
        job_name=TRAINING_JOB,
        minimum_interval_seconds=_RETRAINING_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks for training when the newest {PERSISTENT} months all warn of drift, or all of errors",
    )
    def retraining_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        told = []
        for asset in REPORTS:
            newest = store.months(asset).available()[-PERSISTENT:]
            found = [str(state) for state in states(store, asset, newest).values()]
            if len(newest) == PERSISTENT and set(found) == {str(State.WARN)}:
                # One task for a month and champion, however often the sensor looks.
                task = Task(TRAINING_JOB, (), f"{asset} {newest[-1]} {champion_version(store)}")
                requests, waits = requests_for(context.instance, [task], _RETRAINING_SECONDS)
                for request in requests:
                    why = {"housing/asked_by": f"{asset}: {newest[0]} to {newest[-1]}"}
                    return request.with_replaced_attrs(tags={**request.tags, **why})
                told += waits
            else:
                told.append(f"{asset}: {', '.join(found) or 'no months'}")
        return dg.SkipReason("; ".join(told))

    posts = bool(settings.webhook_url.get_secret_value())

    @dg.run_failure_sensor(
        minimum_interval_seconds=settings.follow_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if posts else dg.DefaultSensorStatus.STOPPED,
        description="Posts every failed run to HOUSING_WEBHOOK_URL; off without one",
    )
    def failure_notices(context: dg.RunFailureSensorContext, webhook: dg.ResourceParam[Webhook]) -> None:
        run, months = context.dagster_run, tagged_months(context.dagster_run.tags)
        over = f" of {describe_months(months)}" if months else ""
        error = (context.failure_event.message or "").strip()
        webhook.send(
            f"{run.job_name}{over} failed: {error}",
            job=run.job_name,
            months=months,
            run_id=run.run_id,
            error=error,
        )

    return [source_sensor, retraining_sensor, failure_notices]


def _months_to_ingest(settings: Settings, store: Store) -> list[Task]:
    """Runs over the months that the vintages in use change."""
    content = vintage_panel(settings, store).fingerprint[:16]
    return [Task(INGEST_JOB, tuple(part), content) for part in consecutive(changed_months(settings, store))]
