"""What follows a job that succeeded. `housing run` goes on by itself, so that its runs are passed over."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from housing_assets.assets.common import OWNER_TAG, tagged_months
from housing_assets.automation.months import months_to_predict, predictable_months, requests_of
from housing_assets.settings import Settings
from housing_assets.store.bundles import champion_version
from housing_assets.store.layout import Store

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def chain_sensors(
    settings: Settings, store: Store, jobs: Sequence["UnresolvedAssetJobDefinition"]
) -> list[dg.SensorDefinition]:
    """`after_ingest`, `after_training`, `after_predictions`."""
    ingest, training, predictions, monitoring, forecasts = jobs

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[ingest],
        request_jobs=[training, predictions, forecasts],
        minimum_interval_seconds=settings.follow_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Predictions of the months and of all after them, whose history they are, and forecasts from them; "
        "training too, if months of train or eval are among them",
    )
    def after_ingest(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        run = context.dagster_run
        months = tagged_months(run.tags)
        if OWNER_TAG in run.tags or not months:
            yield dg.SkipReason("housing run goes on by itself")
        else:
            if months[0] < settings.holdout_start:
                yield dg.RunRequest(run_key=run.run_id, job_name="training_job")
            if champion_version(store):
                # The champion that is there predicts them now: training may well leave it in its place.
                affected = [m for m in predictable_months(settings, store) if months[0] <= m]
                yield from requests_of(affected, "predictions_job", run.run_id)
                if settings.can_forecast:
                    yield from requests_of(affected, "forecast_job", run.run_id)

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[training],
        request_job=predictions,
        minimum_interval_seconds=settings.follow_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Months that the champion has not predicted yet: all of them, if it is new",
    )
    def after_training(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        run, version = context.dagster_run, champion_version(store)
        if OWNER_TAG in run.tags:
            yield dg.SkipReason("housing run goes on by itself")
        elif version:
            months = months_to_predict(settings, store, version)
            yield from requests_of(months, "predictions_job", run.run_id)

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[predictions],
        request_job=monitoring,
        minimum_interval_seconds=settings.follow_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Drift and errors of the months that were predicted",
    )
    def after_predictions(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        run = context.dagster_run
        if OWNER_TAG in run.tags:
            yield dg.SkipReason("housing run goes on by itself")
        else:
            yield from requests_of(tagged_months(run.tags), "monitoring_job", run.run_id)

    return [after_ingest, after_training, after_predictions]
