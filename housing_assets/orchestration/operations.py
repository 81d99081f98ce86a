"""How the platform's work stands: what succeeded when, how far behind each asset is, and what needs a person.

What belongs here: facts for monitoring, read from the store and from Dagster's instance, and what of them needs
attention. How they are printed or served belongs in `housing_assets.cli`. Models' errors are in `model_evaluation`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import ASSETS, JOBS, MONTHLY
from housing_assets.core.errors import StoreError
from housing_assets.core.months import add_months, month_index, month_of
from housing_assets.core.quality.rules import CHECKED
from housing_assets.core.vintages.schedule import is_late, next_expected
from housing_assets.ingestion.sources import SAMPLE
from housing_assets.orchestration.automation.sensors import SOURCE_SENSOR, UNREADABLE
from housing_assets.orchestration.checks.state import last_evaluations
from housing_assets.store import vintages
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, POINTER, champion_pointer
from housing_assets.store.sources import SourceRecord, SourcesRecord, read_record
from housing_assets.store.verdicts import State, Verdict, data_stamps, read_verdicts, state_of
from housing_assets.store.vintages import Vintage

OWN_FILES = (SAMPLE, "housets")
"""Sources that no publisher renews each month: they are never late."""
PRICES, FORECASTS = "prices", "forecasts"
"""Kinds of champions."""


@dataclass(frozen=True)
class JobState:
    """Runs of one job.

    Attributes:
        last_success, last_failure: when the newest run of that outcome ended; None before there is one.
        running, queued: runs that are going on, and that wait.
    """

    last_success: datetime | None
    last_failure: datetime | None
    running: int
    queued: int

    @property
    def is_failing(self) -> bool:
        """True if the newest run that ended failed."""
        return bool(self.last_failure and (not self.last_success or self.last_failure > self.last_success))


@dataclass(frozen=True)
class AssetState:
    """One asset.

    Attributes:
        last_success: when it was last materialized, as this instance of Dagster knows.
        months: how many it has; None for an asset without months.
        newest_month: `YYYY-MM`; empty without any.
        months_behind: of the panel that follow its newest month; None where either is not known.
        state: what the checks say of its newest month, or of the asset as a whole; empty without checks or data.
        failed: broken rules of that month by severity (ERROR, WARN).
    """

    last_success: datetime | None = None
    months: int | None = None
    newest_month: str = ""
    months_behind: int | None = None
    state: str = ""
    failed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceState:
    """One source in use.

    Attributes:
        publisher: for people.
        vintage: time of the vintage in use.
        known_at: since when its figures are known.
        age_days: since then.
        last_month: that it has rows of.
        months_behind: whole calendar months that ended since; None for the generated sample.
        next_expected: day of the next file, `YYYY-MM-DD`; empty for those of `OWN_FILES`.
        late: True if that is long past.
        refused: why the files that were read last are not used; empty if they are.
        warnings: what is unusual about the vintage.
    """

    publisher: str
    vintage: str
    known_at: datetime
    age_days: float
    last_month: str
    months_behind: int | None
    next_expected: str
    late: bool
    refused: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ChampionState:
    """The version that predicts or forecasts.

    Attributes:
        version: its name under `models/`.
        created: when it was made.
        promoted: when it was decided that it serves; None where no record says so.
        provisional: why it serves for want of a better one; empty if it is sound.
    """

    version: str
    created: datetime | None
    promoted: datetime | None
    provisional: str


@dataclass(frozen=True)
class FailedCheck:
    """A check whose newest evaluation did not pass."""

    asset: str
    check: str
    severity: str
    description: str


@dataclass(frozen=True)
class Operations:
    """Everything at one moment.

    Attributes:
        read_at: that moment.
        newest_month: of the panel; empty before a source was read.
        jobs, assets, sources, champions: by name, each that there is.
        checks_passed: checks whose newest evaluation passed.
        failed_checks: the others.
        unreadable: why `source_sensor` could not read the source at its last look; empty if it could.
        heartbeats: when each of Dagster's daemons last was alive, by its type.
    """

    read_at: datetime
    newest_month: str
    jobs: Mapping[str, JobState]
    assets: Mapping[str, AssetState]
    sources: Mapping[str, SourceState]
    champions: Mapping[str, ChampionState]
    checks_passed: int
    failed_checks: tuple[FailedCheck, ...]
    unreadable: str = ""
    heartbeats: Mapping[str, datetime] = field(default_factory=dict)

    def attention(self) -> list[str]:
        """What needs a person, a sentence each; empty if nothing does. Checks that only warn do not."""
        return list(_attention(self))


def read_operations(
    settings: Settings,
    store: Store,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    now: datetime | None = None,
) -> Operations:
    """Read how everything stands. It lists the store, and reads manifests and the newest verdicts, but no data.

    Args:
        settings: of the platform.
        store: where assets are.
        instance: that keeps the runs. With another one than that of the runs, jobs and checks are not known.
        definitions: whose checks are looked up.
        now: the moment, with its time zone; None: the clock's.

    Raises:
        StoreError: the store cannot be read.
        BundleError: a pointer names no version.
    """
    now = now or datetime.now(UTC)
    record = read_record(store)
    in_use = dict(_vintages_in_use(settings, store, record))
    priced = [min(v.last_month, settings.last_month) for v in in_use.values() if "price" in v.columns]
    newest_month = max(priced, default="")
    passed, failed = _checks(instance, definitions)
    return Operations(
        read_at=now,
        newest_month=newest_month,
        jobs={name: _job(instance, name) for name in JOBS},
        assets=_assets(store, instance, newest_month),
        sources={kind: _source(store, v, record.sources[kind], now) for kind, v in in_use.items()},
        champions=_champions(store),
        checks_passed=passed,
        failed_checks=failed,
        unreadable=_unreadable(instance),
        heartbeats={kind: _at(beat.timestamp) for kind, beat in instance.get_daemon_heartbeats().items()},
    )


def _vintages_in_use(settings: Settings, store: Store, record: SourcesRecord) -> Iterator[tuple[str, Vintage]]:
    """The vintage of each source in use, by its manifest alone."""
    if record.label != settings.source_label:
        return
    for kind, source in record.sources.items():
        by_time = None if settings.as_of else vintages.read_vintage(store, kind, source.time)
        if vintage := by_time or vintages.newest(store, kind, settings.as_of_day):
            yield kind, vintage


def _source(store: Store, vintage: Vintage, record: SourceRecord, now: datetime) -> SourceState:
    is_published = vintage.source not in OWN_FILES
    days = [v.known_at.date() for v in vintages.list_vintages(store, vintage.source)]
    behind = month_index(add_months(month_of(now.date()), -1)) - month_index(vintage.last_month)
    return SourceState(
        publisher=vintage.publisher,
        vintage=vintage.time,
        known_at=vintage.known_at,
        age_days=round((now - vintage.known_at).total_seconds() / 86_400, 2),
        last_month=vintage.last_month,
        months_behind=None if vintage.source == SAMPLE else max(0, behind),
        next_expected=next_expected(days).isoformat() if is_published and days else "",
        late=is_published and bool(days) and is_late(days, now.date()),
        refused=record.refused,
        warnings=tuple(record.warnings),
    )


def _job(instance: dg.DagsterInstance, name: str) -> JobState:
    def ended(status: dg.DagsterRunStatus) -> datetime | None:
        records = instance.get_run_records(dg.RunsFilter(job_name=name, statuses=[status]), limit=1)
        return _at(records[0].end_time) if records and records[0].end_time else None

    def count(*statuses: dg.DagsterRunStatus) -> int:
        return instance.get_runs_count(dg.RunsFilter(job_name=name, statuses=list(statuses)))

    status = dg.DagsterRunStatus
    return JobState(
        ended(status.SUCCESS),
        ended(status.FAILURE),
        count(status.STARTING, status.STARTED, status.CANCELING),
        count(status.QUEUED, status.NOT_STARTED),
    )


def _assets(store: Store, instance: dg.DagsterInstance, newest_month: str) -> dict[str, AssetState]:
    events = instance.get_latest_materialization_events([dg.AssetKey(key) for key in ASSETS])
    states = {}
    for key in ASSETS:
        event = events.get(dg.AssetKey(key))
        months = store.months(key).available() if key in MONTHLY else None
        newest = months[-1] if months else ""
        is_known = bool(newest and newest_month)
        verdict, state = _newest_verdict(store, key, newest)
        severities = [problem.severity for problem in verdict.problems] if verdict else []
        states[key] = AssetState(
            last_success=_at(event.timestamp) if event else None,
            months=None if months is None else len(months),
            newest_month=newest,
            months_behind=max(0, month_index(newest_month) - month_index(newest)) if is_known else None,
            state=state,
            failed={severity: severities.count(severity) for severity in ("ERROR", "WARN")} if state else {},
        )
    return states


def _newest_verdict(store: Store, key: str, month: str) -> tuple[Verdict | None, str]:
    """The verdict on the newest month of an asset, or on the asset, and what it is worth; empty without data."""
    if key not in CHECKED:
        return None, ""
    stamps = data_stamps(store, key)
    if month not in stamps:
        return None, ""
    verdict = read_verdicts(store, key, [month]).get(month)
    state = state_of(verdict, stamps[month])
    return (verdict if state is not State.STALE else None), str(state)


def _champions(store: Store) -> dict[str, ChampionState]:
    champions = {}
    for kind, pointer in ((PRICES, POINTER), (FORECASTS, FORECAST_POINTER)):
        version, provisional = champion_pointer(store, pointer)
        if version is not None:
            champions[kind] = ChampionState(version, *_days(store, version), provisional)
    return champions


def _days(store: Store, version: str) -> tuple[datetime | None, datetime | None]:
    """When a version was made, and when it was last promoted."""

    def moment(key: str, name: str, outcome: str = "") -> datetime | None:
        try:
            content = store.read_json(key)
            return datetime.fromisoformat(content[name]) if content.get("outcome", outcome) == outcome else None
        except (FileNotFoundError, StoreError, KeyError, TypeError, ValueError):
            return None

    records = sorted(store.blobs.keys(f"models/{version}/decisions/"), reverse=True)
    promoted = (moment(key, "decided", "promoted") for key in records)
    return moment(f"models/{version}/manifest.json", "created"), next(filter(None, promoted), None)


def _checks(instance: dg.DagsterInstance, definitions: dg.Definitions) -> tuple[int, tuple[FailedCheck, ...]]:
    evaluations = last_evaluations(instance, definitions.resolve_asset_graph().asset_check_keys)
    failed = []
    for name, evaluation in evaluations.items():
        if not evaluation.passed:
            asset, _, check = name.partition(": ")
            failed.append(FailedCheck(asset, check, evaluation.severity.value, evaluation.description or ""))
    return len(evaluations) - len(failed), tuple(sorted(failed, key=lambda f: (f.severity, f.asset, f.check)))


def _unreadable(instance: dg.DagsterInstance) -> str:
    """Why the last look of `source_sensor` could not read the source; empty if it could, or never looked."""
    for state in instance.all_instigator_state():
        if state.instigator_name != SOURCE_SENSOR:
            continue
        ended = [TickStatus.SKIPPED, TickStatus.SUCCESS, TickStatus.FAILURE]
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=ended):
            if tick.status is TickStatus.FAILURE:
                return tick.error.message.strip() if tick.error else f"{SOURCE_SENSOR} failed"
            reason = tick.skip_reason or ""
            return reason.removeprefix(UNREADABLE) if reason.startswith(UNREADABLE) else ""
    return ""


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _attention(operations: Operations) -> Iterator[str]:
    if PRICES not in operations.champions:
        yield "there is no champion: run training_job (or `housing run`)"
    for kind, champion in operations.champions.items():
        if champion.provisional:
            yield f"the champion of {kind}, {champion.version}, is provisional: {champion.provisional}"
    for name, job in operations.jobs.items():
        if job.is_failing:
            yield f"the newest run of {name} failed, {job.last_failure:%Y-%m-%d %H:%M} UTC"
    yield from _data_attention(operations.assets)
    for check in operations.failed_checks:
        if check.severity == "ERROR":
            yield f"{check.asset}: {check.check}: {check.description}"
    if operations.unreadable:
        yield f"the source cannot be read: {operations.unreadable}"
    for name, source in operations.sources.items():
        if source.refused:
            yield f"the newest files of {name} are refused: {source.refused}"
        if source.late:
            yield f"{name} is late: its next file was expected on {source.next_expected}"


def _data_attention(assets: Mapping[str, AssetState]) -> Iterator[str]:
    unsound: Sequence[str] = (State.RED, State.ABSENT, State.STALE)
    for name, asset in assets.items():
        if asset.state in unsound:
            yield f"{name}{f' of {asset.newest_month}' if asset.newest_month else ''} is {asset.state}"
        if asset.months_behind:
            yield f"{name} is {asset.months_behind} months behind the panel: its newest is {asset.newest_month}"
