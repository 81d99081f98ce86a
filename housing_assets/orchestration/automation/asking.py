"""From work that is to be done to runs: each asked for once, and again where a run of it failed, a few times."""

import time
from collections.abc import Iterable, Sequence

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from housing_assets.core.months import describe_months
from housing_assets.core.processes import is_known_dead
from housing_assets.core.run_tags import month_tags, tagged_months
from housing_assets.orchestration.names import OWNER_TAG
from housing_assets.orchestration.work import Task

TASK_TAG = "housing/task"
"""Tag of a run that was asked for: what it is to be made from."""
MOST_TRIES = 4
"""Runs of one task while what it rests on stays the same: a fault that lasts is not tried for ever."""
_SLOWER = 10
_DAY = 86_400
_BY_HAND = "__ASSET_JOB"


def open_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that wait or go on; not those whose process was killed unseen, which nothing else ends."""
    records = instance.get_run_records(dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES)))
    return [r.dagster_run for r in records if not _is_dead(r)]


def is_busy(runs: Iterable[dg.DagsterRun], jobs: Sequence[str]) -> str:
    """What keeps tasks of some jobs from being asked for, in words; empty if nothing does.

    Args:
        runs: that are open.
        jobs: whose outputs the tasks rest on, or write.
    """
    for run in runs:
        if OWNER_TAG in run.tags:
            return "housing run is at it"
        if run.job_name in jobs:
            return f"{run.job_name} is at {describe_months(tagged_months(run.tags))}"
        if run.job_name.startswith(_BY_HAND):
            return "a run that was started by hand is at it"
    return ""


def requests_for(
    instance: dg.DagsterInstance, tasks: Iterable[Task], seconds: float
) -> tuple[list[dg.RunRequest], list[str]]:
    """Requests for those tasks that are due, and in words why others are not.

    A task is tried again `seconds` after its run failed, then after ten times as long, and so on, `MOST_TRIES` times in
    all. One that somebody canceled, or that succeeded and is there all the same, waits for other content.
    """
    requests, told = [], []
    for task in tasks:
        records = instance.get_run_records(dg.RunsFilter(tags={TASK_TAG: _name(task)}))
        if waits := _waits(records, seconds):
            told.append(f"{task.job} of {describe_months(list(task.months))}: {waits}")
            continue
        tags = {TASK_TAG: _name(task), **(month_tags(task.months) if task.months else {})}
        request = dg.RunRequest(
            run_key=f"{_name(task)} {len(records)}",
            job_name=task.job,
            tags=tags,
            asset_selection=[dg.AssetKey(asset) for asset in task.assets] or None,
        )
        requests.append(request)
    return requests, told


def is_spent(instance: dg.DagsterInstance, task: Task) -> bool:
    """Will nothing but other content have a task tried again?"""
    records = instance.get_run_records(dg.RunsFilter(tags={TASK_TAG: _name(task)}))
    return bool(records) and (len(records) >= MOST_TRIES or _is_closed(records[0].dagster_run))


def _waits(records: Sequence[dg.RunRecord], seconds: float) -> str:
    """Why a task with these runs, newest first, is not asked for now; empty if it is."""
    if not records:
        return ""
    newest = records[0]
    if newest.dagster_run.status in NOT_FINISHED_STATUSES:
        return "under way"
    if _is_closed(newest.dagster_run):
        return f"its run was {newest.dagster_run.status.value.lower()}: other content has it run again"
    if len(records) >= MOST_TRIES:
        return f"failed {len(records)} times: other content, or somebody, has it run again"
    since = time.time() - (newest.end_time or newest.update_timestamp.timestamp())
    left = seconds * _SLOWER ** (len(records) - 1) - since
    return f"failed, tried again in {left:.0f} s" if left > 0 else ""


def _is_closed(run: dg.DagsterRun) -> bool:
    return run.status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED)


def _is_dead(record: dg.RunRecord) -> bool:
    # Of another machine, or of a command of Dagster's own, nobody can tell; no run takes a day.
    is_old = time.time() - record.create_timestamp.timestamp() > _DAY
    return is_old or is_known_dead(record.dagster_run.tags.get(OWNER_TAG, ""))


def _name(task: Task) -> str:
    ends = f"{task.months[0]} {task.months[-1]} " if task.months else ""
    return f"{task.job} {ends}{' '.join((*task.assets, task.content))}"
