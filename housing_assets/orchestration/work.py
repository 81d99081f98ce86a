"""What is to be done, told from the store alone: whoever starts runs asks here, and how runs ended does not matter.

A month that is there and that its checks vouch for is carried on, unless what comes of it was made from this very
content. A month that its own checks stopped is no work until what it was made from changes.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import (
    CHAMPION_MODEL,
    CLEANED,
    FORECAST_JOB,
    INGEST_JOB,
    INTERVAL_CALIBRATION,
    MONITORING_JOB,
    MONTHLY,
    MONTHLY_FORECASTS,
    MONTHLY_PREDICTIONS,
    PREDICTED,
    PREDICTIONS_JOB,
    RAW_SPLITS,
    REPORTS,
    TRAINING_JOB,
)
from housing_assets.core.models.refitted import months_from_eval
from housing_assets.core.months import TimeSplit, add_months, consecutive
from housing_assets.ingestion.panel_split import known_split
from housing_assets.store.histories import stale_months
from housing_assets.store.layout import Store
from housing_assets.store.months import Months
from housing_assets.store.pointers import FORECAST_POINTER, champion_version
from housing_assets.store.verdicts import PASSING, State, Verdict, data_stamps, read_verdicts, state_of

FORECASTS_ALONE: tuple[str, ...] = (MONTHLY_FORECASTS,)
"""The assets of a task for months whose forecasts are of another version than the one that forecasts now."""
_UNCHECKED = (State.ABSENT, State.STALE)
_NOT_SOUND = "-"


@dataclass(frozen=True)
class Task:
    """A run that is to be started.

    Attributes:
        job: its name.
        months: without a gap; none for a job without months.
        content: digest of what the outputs will rest on: while it is the same, so is the task.
        assets: of the job, if not all of them.
    """

    job: str
    months: tuple[str, ...]
    content: str
    assets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What the store says of a monthly asset: the stamp of each month's file, and the verdicts."""

    stamps: Mapping[str, str]
    verdicts: Mapping[str, Verdict]

    def state(self, month: str) -> State:
        """What is known of a month."""
        return state_of(self.verdicts.get(month), self.stamps.get(month))

    def is_sound(self, month: str) -> bool:
        """Is a month there, and do its checks vouch for it?"""
        return month in self.stamps and self.state(month) in PASSING

    def rests_on(self, month: str) -> str:
        """What a month was made from; empty where that is not known."""
        verdict = self.verdicts.get(month)
        return verdict.rests_on if verdict else ""

    def lacks(self, month: str) -> bool:
        """Is a month not there, or did no check see the file that is there?"""
        return month not in self.stamps or self.state(month) in _UNCHECKED


@dataclass(frozen=True)
class Facts:
    """What the store says.

    Attributes:
        months: of the panel.
        refit_months: months between fits of the forecasters from eval on.
        split: the time split. Months before its holdout keep the predictions that they have.
        counted_from: the newest month of the panel, if the split counts from it; else empty.
        can_forecast: are there months enough for a forecast model?
        assets: the monthly ones by name.
        champion: its version; None before there is one.
        forecaster: the version that forecasts; None before there is one.
        trained_on: what `champion_model` rests on; empty where that is not known.
        versions: of the models that made months, by asset and month.
        stale: months by asset whose history is another one by now.
    """

    months: Sequence[str]
    refit_months: int
    split: TimeSplit
    counted_from: str
    can_forecast: bool
    assets: Mapping[str, Seen]
    champion: str | None
    forecaster: str | None
    trained_on: str
    versions: Mapping[str, Mapping[str, str]]
    stale: Mapping[str, frozenset[str]]


def read_facts(settings: Settings, store: Store) -> Facts:
    """What the store says now.

    Raises:
        StoreError: it cannot be read, or a file that tells a version is damaged.
        UnknownPanelError: the split counts from the newest month of the panel, and the source was not read yet.
    """
    settings = known_split(settings, store)
    assets_seen = {asset: Seen(data_stamps(store, asset), read_verdicts(store, asset)) for asset in MONTHLY}
    decided = read_verdicts(store, CHAMPION_MODEL, [""]).get("")
    return Facts(
        settings.months,
        settings.refit_months,
        settings.split,
        settings.newest_month if settings.moves else "",
        settings.can_forecast,
        assets_seen,
        champion_version(store),
        champion_version(store, FORECAST_POINTER),
        decided.rests_on if decided else "",
        {asset: _versions(store, asset, assets_seen[asset]) for asset in PREDICTED},
        {asset: frozenset(stale_months(store, asset)) for asset in PREDICTED},
    )


def work_to_do(facts: Facts) -> list[Task]:
    """Runs that are to be started, one for each stretch of months without a gap, in the order of the stages.

    Those of a later stage rest on what the earlier ones will have made: they are worth starting once these have ended.
    """
    raw, cleaned = facts.assets[RAW_SPLITS], facts.assets[CLEANED]
    predicted = facts.assets[MONTHLY_PREDICTIONS]
    unchecked = [m for m in facts.months if m in raw.stamps and raw.lacks(m)]
    unclean = [m for m in facts.months if raw.is_sound(m) and _is_unclean(raw, cleaned, m)]

    # What is to be replaced counts too: content that comes back after another is to be carried on once more.
    def raw_rows(part: Sequence[str]) -> str:
        return _digest([*(_rests_on_raw(raw, m) for m in part), *_replaced(cleaned, part)])

    tasks = _tasks(INGEST_JOB, unchecked, lambda part: _digest(raw.stamps[m] for m in part))
    tasks += _tasks(INGEST_JOB, unclean, raw_rows, (CLEANED,))
    held = [m for m in facts.months if m >= facts.split.holdout_start and cleaned.is_sound(m)]
    before = [m for m in facts.months if m < facts.split.holdout_start]
    is_whole = all(cleaned.is_sound(m) for m in before)
    newest = next((month for month in sorted(cleaned.stamps, reverse=True) if cleaned.is_sound(month)), None)
    known = training_digest(cleaned.stamps, newest, facts.split, facts.refit_months)
    # The split moves as soon as a vintage has a month more. What else the vintage changes is ingested first.
    has_arrived = not facts.counted_from or facts.counted_from in raw.stamps
    if is_whole and has_arrived and (facts.champion is None or facts.trained_on not in ("", known)):
        tasks.append(Task(TRAINING_JOB, (), _digest([known, facts.trained_on])))

    def history(output: str, version: str | None) -> Callable[[Sequence[str]], str]:
        def content(part: Sequence[str]) -> str:
            stamps = [s for m, s in sorted(cleaned.stamps.items()) if m <= part[-1]]
            return _digest([version or "", *stamps, *_replaced(facts.assets[output], part)])

        return content

    def predictions(part: Sequence[str]) -> str:
        reports = (facts.assets[asset] for asset in REPORTS)
        return _digest([*(predicted.stamps[m] for m in part), *(s for seen in reports for s in _replaced(seen, part))])

    if facts.champion:
        tasks += _tasks(
            PREDICTIONS_JOB,
            [m for m in held if _is_unpredicted(facts, m)],
            history(MONTHLY_PREDICTIONS, facts.champion),
        )
        unmeasured = [m for m in held if predicted.is_sound(m) and _is_unmeasured(facts, m)]
        tasks += _tasks(MONITORING_JOB, unmeasured, predictions)
    if facts.can_forecast and is_whole:
        forecasts, stale = facts.assets[MONTHLY_FORECASTS], facts.stale[MONTHLY_FORECASTS]
        undone = [m for m in held if forecasts.lacks(m) or m in stale]
        tasks += _tasks(FORECAST_JOB, undone, history(MONTHLY_FORECASTS, facts.champion))
        by, content = facts.versions[MONTHLY_FORECASTS], history(MONTHLY_FORECASTS, facts.forecaster)
        by_another = [m for m in held if m not in undone and by.get(m) not in (None, facts.forecaster)]
        tasks += _tasks(FORECAST_JOB, by_another, content, FORECASTS_ALONE)
    return tasks


def raw_digests(store: Store) -> Callable[[str], str]:
    """For a month, the digest of the raw rows that `cleaned` is made from: its own, and those of the month before."""
    raw = Seen(data_stamps(store, RAW_SPLITS), read_verdicts(store, RAW_SPLITS))
    return lambda month: _rests_on_raw(raw, month)


def prediction_stamps(store: Store) -> Callable[[str], str]:
    """For a month, the digest of the predictions that its monitoring is made from."""
    stamps = data_stamps(store, MONTHLY_PREDICTIONS)
    return lambda month: _digest([stamps.get(month, "")])


def training_digest(cleaned: Mapping[str, str], newest: str | None, split: TimeSplit, refit_months: int) -> str:
    """The digest of what models are trained and judged on: the split, its cleaned months by their files' stamps, and
    the months before which fits of the forecasters are due.

    Args:
        cleaned: stamps by month.
        newest: the newest month that its checks vouch for; None without one.
        split: the time split.
        refit_months: months between fits from eval on.
    """
    months = (f"{month} {stamp}" for month, stamp in sorted(cleaned.items()) if month < split.holdout_start)
    fits = months_from_eval(split.eval_start, newest or split.eval_start, refit_months)
    return _digest([split.eval_start, " ".join(fits), *months])


def _tasks(
    job: str, months: Sequence[str], content: Callable[[Sequence[str]], str], assets: tuple[str, ...] = ()
) -> list[Task]:
    return [Task(job, tuple(part), content(part), assets) for part in consecutive(months)]


def _replaced(facts: Seen, months: Sequence[str]) -> list[str]:
    return [facts.stamps.get(month, "") for month in months]


def _rests_on_raw(raw: Seen, month: str) -> str:
    before = add_months(month, -1)
    kept = _digest([raw.stamps[before]]) if raw.is_sound(before) else _NOT_SOUND
    return f"{_digest([raw.stamps.get(month, '')])} {kept}"


def _is_unclean(raw: Seen, cleaned: Seen, month: str) -> bool:
    """Is a month to be cleaned? The month before counts while it is sound: a broken one is not compared with."""
    if cleaned.lacks(month):
        return True
    own, _, before = _rests_on_raw(raw, month).partition(" ")
    said, _, said_before = cleaned.rests_on(month).partition(" ")
    return bool(said) and (said != own or before not in (_NOT_SOUND, said_before))


def _is_unpredicted(facts: Facts, month: str) -> bool:
    """Is a month to be predicted? Not while its intervals are red, of this champion and this history."""
    intervals, predicted = facts.assets[INTERVAL_CALIBRATION], facts.assets[MONTHLY_PREDICTIONS]

    def is_fresh(asset: str) -> bool:
        return facts.versions[asset].get(month) == facts.champion and month not in facts.stale[asset]

    if is_fresh(INTERVAL_CALIBRATION) and month in intervals.stamps and intervals.state(month) is State.RED:
        return False
    return predicted.lacks(month) or not is_fresh(MONTHLY_PREDICTIONS)


def _is_unmeasured(facts: Facts, month: str) -> bool:
    made_from = _digest([facts.assets[MONTHLY_PREDICTIONS].stamps[month]])
    reports = [facts.assets[asset] for asset in REPORTS]
    return any(report.lacks(month) or report.rests_on(month) not in ("", made_from) for report in reports)


def _versions(store: Store, asset: str, facts: Seen) -> dict[str, str]:
    """The version of the model that made each month that was checked; another may be damaged, and is work anyway."""
    months = store.months(asset)
    by = {m: _version_in(months, m, stamp) for m, stamp in sorted(facts.stamps.items()) if not facts.lacks(m)}
    return {month: version for month, version in by.items() if version is not None}


# A stamp is of the contents: a file is read once, however often a sensor looks.
@lru_cache(maxsize=1_000)
def _version_in(months: Months, month: str, _stamp: str) -> str | None:
    return next(iter(months.read(month, ("model_version",))["model_version"]), None)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
