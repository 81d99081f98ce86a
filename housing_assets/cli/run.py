"""`housing run`: from source to predictions, doing what is not done yet."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError, DagsterExecutionInterruptedError
from rich.console import Console
from rich.markup import escape

from housing_assets.cli.status import last_checks, print_status
from housing_assets.config.instance import open_instance
from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import (
    CHAMPION_MODEL,
    CLEANED,
    DRIFT_REPORT,
    FORECAST_JOB,
    INGEST_JOB,
    MONITORING_JOB,
    PREDICTIONS_JOB,
    PRICE_HISTORY,
    REVISIONS,
    SOURCES_JOB,
    TRAINING_FEATURES,
    TRAINING_JOB,
    TUNED_MODEL,
    assets_of,
    monthly_assets_of,
)
from housing_assets.core.errors import HousingError
from housing_assets.core.models.combination import LEAST_FORECAST_MONTHS
from housing_assets.core.months import consecutive, describe_months, parse_month_range
from housing_assets.core.processes import is_known_dead, this_process
from housing_assets.core.run_tags import month_tags
from housing_assets.ingestion.changes import changed_months
from housing_assets.ingestion.looks import is_current
from housing_assets.ingestion.panel import VintagePanel, vintage_panel
from housing_assets.ingestion.panel_split import begin_split, known_split
from housing_assets.ingestion.panel_start import derives_start
from housing_assets.orchestration.build import build_definitions
from housing_assets.orchestration.checks.quick_import import import_great_expectations
from housing_assets.orchestration.names import CODE_VERSION, OWNER_TAG
from housing_assets.orchestration.work import FORECASTS_ALONE, read_facts, training_digest, work_to_do
from housing_assets.store.gates import Gate
from housing_assets.store.histories import is_current as is_current_history
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, champion_version, point_to, provisional_reason
from housing_assets.store.verdicts import PASSING, State, read_verdicts, states

_INPUTS_TAG = "housing/inputs"

IRRELEVANT_TO_RUN_INPUTS = {
    "store_uri",
    "tune_trials",
    "study_storage",
    "train_engine",
    "dask_address",
    "mlflow_tracking_uri",
    "source_seconds",
    "follow_seconds",
    "accept_restated",
    "zillow_url",
    "redfin_url",
    "webhook_url",
}
"""Settings that `raw_splits` and `cleaned` do not depend on."""


def run_platform(
    settings: Settings,
    home: Path,
    months: str | None,
    trials: int | None = None,
    force: bool = False,
    accept_restated: str = "",
) -> None:
    """Materialize the platform and print the summary.

    A month that the checks of its raw rows stop is left out, and the other months go on.

    Args:
        settings: of the platform.
        home: DAGSTER_HOME.
        months: `FIRST:LAST` to ingest and predict; None for the whole panel.
        trials: of tuning; None for HOUSING_TUNE_TRIALS.
        force: run stages that are up to date as well.
        accept_restated: why a vintage is accepted that cannot be a revision of the one before it; empty: it is
            refused.

    Raises:
        HousingError: a stage or a blocking check failed, for some month. What was materialized before stays.
    """
    console = Console(stderr=True)
    store = Store.open(settings.store_uri)
    with open_instance(home) as instance:
        _close_dead_runs(instance)
        before = _Stages(settings, store, instance, console, force)
        _publish(before, accept_restated)
        panel = vintage_panel(settings, store)
        for complaint in panel.passed_over:
            console.print(escape(complaint), soft_wrap=True, highlight=False)
        settings, first, last = _panel(settings, store, panel, months is None)
        run_months = _asked_months(settings, months, first, last)
        stages = _Stages(settings, store, instance, console, force)
        stages.errors += before.errors
        split = settings.split
        inputs = [settings.model_dump(mode="json", exclude=IRRELEVANT_TO_RUN_INPUTS) | asdict(split)]
        # A month that the panel lacks is asked for all the same: the run says which months there are.
        changed = {*changed_months(settings, store), *(m for m in run_months if m not in panel.months)}
        stages.run_months(INGEST_JOB, inputs, run_months, changed=changed)
        needed = [m for m in settings.months if m < split.holdout_start]
        if cut := sorted(set(needed) & stages.stopped):
            console.print(f"training_job: not run, since {describe_months(cut)} of train and eval are stopped")
        else:
            trials = settings.tune_trials if trials is None else trials
            config = {"ops": {TUNED_MODEL: {"config": {"trials": trials}}}}
            cleaned = Gate(store, TRAINING_FEATURES, CLEANED)
            trained_on = training_digest(cleaned.stamps, cleaned.newest(), split, settings.refit_months)
            stages.run(TRAINING_JOB, [*inputs, trained_on, trials], None, _trained(store), config)
        held = [m for m in run_months if m >= split.holdout_start and m not in stages.stopped]
        _predict(stages, inputs, held)
        if not settings.can_forecast:
            console.print(f"forecast_job: not run, since it needs {LEAST_FORECAST_MONTHS} months before eval")
        elif not cut:
            _forecast(stages, inputs, held)
        _report(stages, home)


def _predict(stages: "_Stages", inputs: Sequence[object], months: Sequence[str]) -> None:
    """Predictions of months by the champion, and their monitoring; nothing without a champion."""
    store = stages.store
    version = champion_version(store)
    if version is None:
        return
    if states(store, CHAMPION_MODEL)[""] is State.STALE:
        # Promoted by code that kept no verdict: the bundle is verified now.
        point_to(store, version, provisional_reason(store, version))
    stages.run_months(PREDICTIONS_JOB, [*inputs, version], months)
    config = {"ops": {DRIFT_REPORT: {"config": {"newest_report_only": True, "drifted_report_only": True}}}}
    measured = [m for m in months if m not in stages.stopped]
    stages.run_months(MONITORING_JOB, [*inputs, version], measured, config)


def _forecast(stages: "_Stages", inputs: Sequence[object], months: Sequence[str]) -> None:
    """Forecasts from months, by the version that forecasts."""
    store, settings = stages.store, stages.settings
    again = champion_version(store, FORECAST_POINTER) is None
    made = {PRICE_HISTORY} if is_current_history(store, settings.panel_start, settings.months) else set()
    stages.run_months(FORECAST_JOB, inputs, months, force=again, made=made)
    # After a roll-back by hand, months that are up to date are of the version before.
    left = [m for m in months if m not in stages.stopped]
    stages.run_months(FORECAST_JOB, inputs, left, assets=FORECASTS_ALONE)


def _report(stages: "_Stages", home: Path) -> None:
    """The summary, and what is not as it should be.

    Raises:
        HousingError: checks stopped some months, or a blocking check is red.
    """
    store, console = stages.store, stages.console
    checks = last_checks(stages.instance, stages.definitions)
    print_status(stages.settings, home, checks)
    version = champion_version(store)
    if version and (provisional := provisional_reason(store, version)):
        message = f"warning: the champion {version} is provisional, the best that there is: {provisional}"
        console.print(f"[yellow]{escape(message)}[/yellow]", soft_wrap=True, highlight=False)
    if stages.errors:
        raise HousingError("\n".join(stages.errors))
    red = [key for key, e in checks.items() if not e.passed and e.severity is dg.AssetCheckSeverity.ERROR]
    if red:
        raise HousingError(f"red checks: {', '.join(red)}. Their messages are in the table above")


def _publish(stages: "_Stages", accept: str) -> None:
    """Run `sources_job` if there is something to publish. What fails while earlier vintages are in use is an error of
    the whole run, and the stages after it go on with these.

    Raises:
        HousingError: a source cannot be read, and there is no vintage of it.
    """
    settings, store = stages.settings, stages.store
    is_done = is_current(settings, store) and bool(store.blobs.keys(f"{REVISIONS}.parquet"))
    config = {"ops": {"sources": {"config": {"accept_restated": accept}}}}
    ahead = Thread(target=_import_ahead, name="import")
    if not is_done:
        # Dagster's storage looks into whatever there is of it, also while another thread has imported half.
        import sqlalchemy.orm  # noqa: F401

        ahead.start()
    try:
        stages.run(SOURCES_JOB, settings.source_label, None, is_done, config)
    except HousingError as error:
        try:
            vintage_panel(settings, store)
        except HousingError:
            raise error from None
        stages.errors.append(str(error))
        stages.console.print("[red]sources_job failed[/red]; the last good vintages are used")
    finally:
        if not is_done:  # no other import is changed meanwhile, as XGBoost's is later
            ahead.join()


def _import_ahead() -> None:
    """Import what the jobs after `sources_job` need: reading sources leaves Python to another thread for seconds.

    MLflow cannot be imported by two threads at once: that job must not use it.
    """
    with suppress(ImportError):  # whoever needs it tells
        import_great_expectations()
        import dagster_mlflow  # noqa: F401


def _panel(settings: Settings, store: Store, panel: VintagePanel, whole: bool) -> tuple[Settings, str, str]:
    """The settings with the panel's first and newest month, and the first and last month that it has rows of.

    Args:
        settings: of the platform.
        store: where the first month of the source is kept.
        panel: the vintages in use.
        whole: True if the whole panel is asked for.
    """
    settled = known_split(settings, store)
    if settings.uses_sample:
        return settled, settled.panel_start, settled.last_month
    first, last = panel.months[0], panel.months[-1]
    settled = begin_split(settings, store, panel)
    if whole and not settings.panel_end and not derives_start(settings) and first > settled.panel_start:
        raise HousingError(
            f"the source begins with {first}, HOUSING_PANEL_START is {settled.panel_start}: "
            f"set HOUSING_PANEL_START={first}, or leave it unset"
        )
    return settled, first, settled.last_month if settings.panel_end else last


def _asked_months(settings: Settings, text: str | None, first_there: str, last_there: str) -> list[str]:
    if text is None:
        return [m for m in settings.months if first_there <= m <= last_there]
    first, last = parse_month_range(text)
    outside = [m for m in (first, last) if m not in settings.months]
    if outside:
        raise HousingError(
            f"--months {text}: {', '.join(outside)} is outside the panel, which is "
            f"{describe_months(settings.months)}: choose months of it, or set HOUSING_PANEL_START and "
            "HOUSING_PANEL_END"
        )
    return [m for m in settings.months if first <= m <= last]


class _Stages:
    """Runs jobs one after the other, each over its months in one run."""

    def __init__(
        self, settings: Settings, store: Store, instance: dg.DagsterInstance, console: Console, force: bool
    ) -> None:
        self.definitions = build_definitions(settings)
        self.settings, self.store, self.instance = settings, store, instance
        self.console, self.force = console, force
        self.stopped: set[str] = set()
        self.errors: list[str] = []

    def run_months(
        self,
        name: str,
        inputs: Sequence[object],
        months: Sequence[str],
        config: Mapping[str, Any] | None = None,
        force: bool = False,
        assets: tuple[str, ...] = (),
        changed: Collection[str] = (),
        made: Collection[str] = (),
    ) -> None:
        """Run a job over those months whose outputs are not there, not sound, or made from something else.

        Where checks stop some months of a run, these go into `stopped` and what was said into `errors`, and the others
        go on.

        Args:
            name: of the job.
            inputs: all that its outputs depend on, the months and what the store says of them apart.
            months: to have the outputs of.
            config: of the run.
            force: run it over all of them.
            assets: of the job, if not all of them: then only what the store says is work for these alone is run.
            changed: months that are made from something else by now, which the store does not tell.
            made: assets of the job that would be the same again, and are not made.

        Raises:
            HousingError: a run failed, and not because of the checks of some months.
        """
        is_forced = (force or self.force) and not assets
        undone = set(months if is_forced else self._undone(name, inputs, months, assets)) | ({*changed} & {*months})
        if months and not undone and not assets:
            self.console.print(f"[dim]{name}: up to date[/dim]")
        for part in consecutive(undone):
            left = tuple(asset for asset in assets_of(name) if asset not in made) if made and not assets else assets
            try:
                self.run(name, inputs, part, False, config, left)
            except HousingError as error:
                self._go_on(name, inputs, part, config, assets, error)

    def _go_on(
        self,
        name: str,
        inputs: Sequence[object],
        months: Sequence[str],
        config: Mapping[str, Any] | None,
        assets: tuple[str, ...],
        error: HousingError,
    ) -> None:
        """After a failed run: the months that its checks did not stop."""
        stopped = self._stopped_by_last_run(name, months)
        if not stopped:
            raise error
        self.stopped |= stopped
        self.errors.append(str(error))
        self.console.print(f"[red]{describe_months(sorted(stopped))} stopped[/red]; the other months go on")
        left = [m for m in self._undone(name, inputs, months, assets) if m not in stopped]
        if name == INGEST_JOB:  # their raw rows were read and checked: the source is not read again
            config, assets = None, (CLEANED,)
        for part in consecutive(left):
            try:
                self.run(name, inputs, part, False, config, assets)
            except HousingError as further:
                self._go_on(name, inputs, part, config, assets, further)

    def _stopped_by_last_run(self, name: str, months: Sequence[str]) -> set[str]:
        (last,) = self.instance.get_runs(dg.RunsFilter(job_name=name), limit=1)
        stopped: set[str] = set()
        for asset in monthly_assets_of(name):
            verdicts = read_verdicts(self.store, asset, months)
            stopped |= {m for m, v in verdicts.items() if v.run == last.run_id and v.state is State.RED}
        return stopped

    def _undone(self, name: str, inputs: Sequence[object], months: Sequence[str], assets: tuple[str, ...]) -> list[str]:
        """Months that the store says are work, or whose outputs no run with the same inputs made."""
        tasks = [task for task in work_to_do(read_facts(self.settings, self.store)) if task.job == name]
        alone = {month for task in tasks if task.assets == FORECASTS_ALONE for month in task.months}
        if assets == FORECASTS_ALONE:
            return [m for m in months if m in alone]
        undone = {month for task in tasks for month in task.months} - alone
        for asset in monthly_assets_of(name):
            month_states = states(self.store, asset, months)
            undone |= {m for m in months if month_states[m] not in PASSING}
            verdicts = read_verdicts(self.store, asset, months)
            current = self._with_inputs({v.run for v in verdicts.values()}, inputs)
            undone |= {m for m, verdict in verdicts.items() if verdict.run not in current}
        return [m for m in months if m in undone]

    def _with_inputs(self, runs: set[str], inputs: Sequence[object]) -> set[str]:
        """Those of some runs that had these inputs."""
        if not runs:
            return set()
        same = dg.RunsFilter(run_ids=list(runs), tags={_INPUTS_TAG: _digest(inputs)})
        return {run.run_id for run in self.instance.get_runs(same)}

    def run(
        self,
        name: str,
        inputs: object,
        months: Sequence[str] | None,
        outputs_exist: bool,
        config: Mapping[str, Any] | None = None,
        assets: Sequence[str] | None = None,
    ) -> None:
        """Run a job unless its last run had the same inputs, succeeded, and its outputs are there.

        Args:
            name: of the job.
            inputs: all that its outputs depend on.
            months: of the run; None for a job without months.
            outputs_exist: are its outputs there? If not, the last run does not matter.
            config: of the run.
            assets: of the job, if not all of them.

        Raises:
            HousingError: the run failed.
        """
        digest = _digest(inputs)
        if outputs_exist and not self.force and self._done(name, digest):
            self.console.print(f"[dim]{name}: up to date[/dim]")
            return
        span = f" {months[0]} to {months[-1]}" if months else ""
        self.console.print(f"[bold]{name}[/bold]{span}")
        tags = {_INPUTS_TAG: digest, OWNER_TAG: this_process()}
        if months:
            tags |= month_tags(months)
        try:
            result = self.definitions.resolve_job_def(name).execute_in_process(
                instance=self.instance,
                tags=tags,
                run_config={"loggers": {"progress": {}}, **(config or {})},
                raise_on_error=True,
                asset_selection=[dg.AssetKey(asset) for asset in assets] if assets else None,
            )
        except DagsterExecutionInterruptedError as error:
            raise KeyboardInterrupt from error
        except Exception as error:
            cause = known_cause(error, lambda: last_checks(self.instance, self.definitions))
            if cause is None:
                raise
            raise HousingError(f"{name}: {cause}") from error
        if not result.success:
            raise HousingError(f"{name} failed: see run {result.run_id} in the Dagster UI")

    def _done(self, name: str, digest: str) -> bool:
        last = self.instance.get_runs(dg.RunsFilter(job_name=name), limit=1)
        return bool(last) and last[0].tags.get(_INPUTS_TAG) == digest and last[0].is_success


def known_cause(error: BaseException | None, checks: Callable[[], Mapping[str, dg.AssetCheckEvaluation]]) -> str | None:
    """The message for people somewhere in an error's chain of causes."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:  # an error that was raised again can be among its own causes
        seen.append(error)
        if isinstance(error, HousingError):
            return str(error)
        if isinstance(error, dg.Failure):
            return error.description
        if isinstance(error, DagsterAssetCheckFailedError):
            red = [f"{key}: {e.description}" for key, e in checks().items() if not e.passed and key in str(error)]
            return "a blocking check is red: " + ("\n".join(red) or str(error))
        error = error.__cause__ or error.__context__
    return None


def _close_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs as failed whose process was killed: nothing else would ever end them."""
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]))
    for dead in started:
        if is_known_dead(dead.tags.get(OWNER_TAG, "")):
            instance.report_run_failed(dead, "The process of this run was killed")


def _digest(inputs: object) -> str:
    return hashlib.sha256(json.dumps([CODE_VERSION, inputs], sort_keys=True).encode()).hexdigest()[:32]


def _trained(store: Store) -> bool:
    outputs = {"encoders.parquet", "training_features.parquet", "baseline_model.json", "tuned_model.json"}
    return outputs | {"model_evaluation.parquet"} <= set(store.blobs.keys("")) and champion_version(store) is not None
