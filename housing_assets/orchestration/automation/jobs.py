"""Jobs: each stage over a range of months in one run."""

from typing import TYPE_CHECKING

import dagster as dg

from housing_assets.core.catalogue import JOBS, assets_of

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


JOB_TAG = "housing/job"
"""Tag by which `dagster.yaml` lets one run of a job wait for another."""
CHECKS_JOB = "checks_job"


def all_jobs() -> list["UnresolvedAssetJobDefinition"]:
    """The jobs of `core.catalogue.JOBS`, in the order they are run.

    They run in process: a step in a process of its own costs seconds.
    """
    return [
        dg.define_asset_job(
            name,
            selection=dg.AssetSelection.assets(*assets_of(name)),
            executor_def=dg.in_process_executor,
            description=description,
            tags={JOB_TAG: name},
        )
        for name, description in JOBS.items()
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
