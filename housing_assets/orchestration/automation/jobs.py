"""Jobs: each stage over a range of months in one run."""

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


JOB_TAG = "housing/job"
"""Tag by which `dagster.yaml` lets one run of a job wait for another."""
CHECKS_JOB = "checks_job"


def all_jobs() -> list["UnresolvedAssetJobDefinition"]:
    """`ingest_job`, `training_job`, `predictions_job`, `monitoring_job`, `forecast_job`, in the order they are run.

    They run in process: a step in a process of its own costs seconds.
    """
    return [
        dg.define_asset_job(
            name,
            selection=dg.AssetSelection.assets(*assets),
            executor_def=dg.in_process_executor,
            description=description,
            tags={JOB_TAG: name},
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
                ("price_history", "interval_calibration", "monthly_predictions"),
                "History and intervals from the months before, and months through the champion",
            ),
            (
                "monitoring_job",
                ("drift_report", "prediction_accuracy", "data_quality"),
                "Drift and errors of predicted months, and the data quality page",
            ),
            (
                "forecast_job",
                ("price_history", "forecast_model", "forecast_evaluation", "monthly_forecasts"),
                "The forecast model, its grades, and forecasts from the months as origins",
            ),
        )
    ]


def checks_job() -> "UnresolvedAssetJobDefinition":
    """`checks_job`: the checks alone. Which of them, and over which months, is chosen when it is launched."""
    return dg.define_asset_job(
        CHECKS_JOB,
        selection=dg.AssetSelection.all_asset_checks(),
        executor_def=dg.in_process_executor,
        description="Checks of what is there, without making it again: choose ops, and `months` in their config",
        tags={JOB_TAG: CHECKS_JOB},
    )
