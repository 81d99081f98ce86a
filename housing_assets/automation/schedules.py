"""What is asked for by the calendar."""

from collections.abc import Iterator

import dagster as dg

from housing_assets.automation.months import months_to_predict, predictable_months, requests_of
from housing_assets.core.forecasting import LEAST_FORECAST_MONTHS
from housing_assets.settings import Settings
from housing_assets.store.bundles import champion_version
from housing_assets.store.histories import stale_months
from housing_assets.store.layout import Store


def all_schedules(settings: Settings, store: Store) -> list[dg.ScheduleDefinition]:
    """`monthly_predictions_schedule`, `monthly_forecasts_schedule` and `quarterly_training_schedule`."""

    @dg.schedule(
        cron_schedule="0 6 5 * *",
        job_name="predictions_job",
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
        months = months_to_predict(settings, store, version)
        if not months:
            yield dg.SkipReason(f"every month is predicted by {version}")
        yield from requests_of(months, "predictions_job", f"{version} {context.scheduled_execution_time:%Y-%m-%d}")

    @dg.schedule(
        cron_schedule="0 7 5 * *",
        job_name="forecast_job",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Fits and grades the forecast model, and forecasts from cleaned months that have no forecasts yet, "
        "or whose history was restated",
    )
    def monthly_forecasts_schedule(
        context: dg.ScheduleEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        fresh = set(store.months("monthly_forecasts").available()) - set(stale_months(store, "monthly_forecasts"))
        months = [m for m in predictable_months(settings, store) if m not in fresh]
        if not settings.can_forecast:
            yield dg.SkipReason(f"forecasts need {LEAST_FORECAST_MONTHS} months before eval")
        elif not months:
            yield dg.SkipReason("every month has its forecasts")
        else:
            yield from requests_of(months, "forecast_job", f"{context.scheduled_execution_time:%Y-%m-%d}")

    @dg.schedule(
        cron_schedule="0 4 1 1,4,7,10 *",
        job_name="training_job",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Trains each quarter; the champion changes only if a better model comes of it",
    )
    def quarterly_training_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"quarter {context.scheduled_execution_time:%Y-%m}")

    return [monthly_predictions_schedule, monthly_forecasts_schedule, quarterly_training_schedule]
