"""Jobs: each stage over a range of months in one run. Sensors: what asks for them."""

from typing import TYPE_CHECKING

import dagster as dg

from housing_assets.store.bundles import champion_version
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import State, states

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def all_jobs() -> list["UnresolvedAssetJobDefinition"]:
    """`ingest_job`, `training_job`, `predictions_job`, `monitoring_job`, in the order they are run.

    They run in process: a step in a process of its own costs seconds.
    """
    return [
        dg.define_asset_job(
            name,
            selection=dg.AssetSelection.assets(*assets),
            executor_def=dg.in_process_executor,
            description=description,
        )
        for name, assets, description in (
            ("ingest_job", ("raw_splits", "cleaned"), "The source to cleaned months"),
            (
                "training_job",
                (
                    "encoders",
                    "training_features",
                    "baseline_model",
                    "tuned_model",
                    "model_evaluation",
                    "champion_model",
                ),
                "Encoders, features, models, evaluation, promotion",
            ),
            (
                "predictions_job",
                ("interval_calibration", "monthly_predictions"),
                "Intervals from the months before, and months through the champion",
            ),
            (
                "monitoring_job",
                ("drift_report", "prediction_accuracy", "data_quality"),
                "Drift and errors of predicted months, and the data quality page",
            ),
        )
    ]


PERSISTENT = 3
"""Months in a row that have to warn before training is asked for: one odd month is no trend."""


def all_sensors(store: Store) -> list[dg.SensorDefinition]:
    """`retraining_sensor`."""

    @dg.sensor(
        job_name="training_job",
        minimum_interval_seconds=3_600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks for training when the newest {PERSISTENT} months all warn of drift, or all of errors",
    )
    def retraining_sensor() -> dg.RunRequest | dg.SkipReason:
        told = []
        for asset in ("drift_report", "prediction_accuracy"):
            newest = store.months(asset).available()[-PERSISTENT:]
            found = [str(state) for state in states(store, asset, newest).values()]
            if len(newest) == PERSISTENT and set(found) == {str(State.WARN)}:
                # One request for a month and champion, however often the sensor looks.
                key = f"{asset} {newest[-1]} {champion_version(store)}"
                return dg.RunRequest(run_key=key, tags={"housing/asked_by": f"{asset}: {newest[0]} to {newest[-1]}"})
            told.append(f"{asset}: {', '.join(found) or 'no months'}")
        return dg.SkipReason("; ".join(told))

    return [retraining_sensor]
