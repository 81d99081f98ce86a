"""What is asked for by the calendar."""

from collections.abc import Iterable, Iterator

import dagster as dg

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import FORECAST_JOB, PREDICTIONS_JOB, TRAINING_JOB
from housing_assets.core.errors import UnknownPanelError
from housing_assets.core.models.combination import LEAST_FORECAST_MONTHS
from housing_assets.core.run_tags import month_tags
from housing_assets.ingestion.panel_split import known_split
from housing_assets.orchestration.work import Task, read_facts, work_to_do
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version


def all_schedules(settings: Settings, store: Store) -> list[dg.ScheduleDefinition]:
    """`monthly_predictions_schedule`, `monthly_forecasts_schedule` and `quarterly_training_schedule`."""

    def tasks_of(job: str) -> list[Task]:
        return [task for task in work_to_do(read_facts(settings, store)) if task.job == job]

    @dg.schedule(
        cron_schedule="0 6 5 * *",
        job_name=PREDICTIONS_JOB,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Predicts cleaned months that the champion has not predicted yet, or whose history was restated",
    )
    def monthly_predictions_schedule(
        context: dg.ScheduleEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        version = champion_version(store)
        if version is None:
            yield dg.SkipReason("there is no champion: run training_job first")
            return
        try:
            tasks = tasks_of(PREDICTIONS_JOB)
        except UnknownPanelError as error:
            yield dg.SkipReason(str(error))
            return
        if not tasks:
            yield dg.SkipReason(f"every month is predicted by {version}")
        yield from _requests(tasks, context)

    @dg.schedule(
        cron_schedule="0 7 5 * *",
        job_name=FORECAST_JOB,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Fits and grades the forecast model, and forecasts from cleaned months that have no forecasts yet, "
        "or whose history was restated",
    )
    def monthly_forecasts_schedule(
        context: dg.ScheduleEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        try:
            if not known_split(settings, store).can_forecast:
                yield dg.SkipReason(f"forecasts need {LEAST_FORECAST_MONTHS} months before eval")
            elif not (tasks := tasks_of(FORECAST_JOB)):
                yield dg.SkipReason("every month has its forecasts")
            else:
                yield from _requests(tasks, context)
        except UnknownPanelError as error:
            yield dg.SkipReason(str(error))

    @dg.schedule(
        cron_schedule="0 4 1 1,4,7,10 *",
        job_name=TRAINING_JOB,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Trains each quarter, if months of train or eval changed or a refit is due; the champion changes "
        "only if a better or a later model comes of it",
    )
    def quarterly_training_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            if not tasks_of(TRAINING_JOB):
                return dg.SkipReason("the models know all that there is to train on")
        except UnknownPanelError as error:
            return dg.SkipReason(str(error))
        return dg.RunRequest(run_key=f"quarter {context.scheduled_execution_time:%Y-%m}")

    return [monthly_predictions_schedule, monthly_forecasts_schedule, quarterly_training_schedule]


def _requests(tasks: Iterable[Task], context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """A run for each task, however often it failed since the calendar last asked."""
    day = f"{context.scheduled_execution_time:%Y-%m-%d}"
    for task in tasks:
        key = f"{task.job} {task.months[0]} {task.months[-1]} {task.content} {day}"
        yield dg.RunRequest(
            run_key=key,
            job_name=task.job,
            tags=month_tags(task.months),
            asset_selection=[dg.AssetKey(asset) for asset in task.assets] or None,
        )
