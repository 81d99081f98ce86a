"""Verdicts: what the checks said of each month of an asset, kept beside the data.

Dagster's blocking checks stop their own run only, and a run over many months stores one evaluation for all of them.
So the checks also leave a verdict for each month under `checks/`, with a stamp of the file they read, and whatever
relies on a month asks for its verdict first, whichever run and whichever instance it is in.
"""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from housing_assets.core.errors import HousingError
from housing_assets.core.months import describe_months
from housing_assets.store.layout import Store

_THREADS = 8


class State(StrEnum):
    """What is known of a month of an asset."""

    GREEN = "green"
    WARN = "warn"
    RED = "red"
    ABSENT = "never checked"
    STALE = "newer than its check"


PASSING = frozenset({State.GREEN, State.WARN})
"""States on which later stages may rest."""


class UnsoundError(HousingError):
    """A stage was asked to rest on data that is red, unchecked, or newer than its check."""


@dataclass(frozen=True)
class Problem:
    """A broken rule: its name, ERROR or WARN, the column, and what was found."""

    rule: str
    severity: str
    column: str
    told: str


@dataclass(frozen=True)
class Verdict:
    """What the checks said of one month of an asset.

    Attributes:
        asset: its name.
        month: `YYYY-MM`; empty for an asset without months.
        state: green, warn or red.
        stamp: of the file that was checked: of its contents, not of its place or age.
        rows: that it had.
        source: that the month came from, as the settings name it.
        run: Dagster run of the checks.
        problems: broken rules.
        checked: when, UTC.
        rests_on: digest of what it was made from, see `housing_assets.orchestration.work` and, for what rests on the
            history, `housing_assets.store.histories`; empty where that is not known.
    """

    asset: str
    month: str
    state: State
    stamp: str
    rows: int
    source: str = ""
    run: str = ""
    problems: tuple[Problem, ...] = ()
    checked: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    rests_on: str = ""


def verdict_key(asset: str, month: str = "") -> str:
    """Where a verdict is, under the store."""
    return f"checks/{asset}/{month}.json" if month else f"checks/{asset}.json"


def data_stamps(store: Store, asset: str) -> dict[str, str]:
    """The stamp of each month of an asset; of its one file under the empty month, if it has no months."""
    if months := store.months(asset).stamps():
        return months
    for key in (f"{asset}.parquet", f"{asset}.json", _POINTED.get(asset, "")):
        if key and (stamp := store.blobs.stamps(key).get(key)):
            return {"": stamp}
    return {}


_POINTED = {"champion_model": "models/champion.json"}
"""Assets whose file is not named after them."""


def write_verdicts(store: Store, verdicts: Sequence[Verdict]) -> None:
    """Keep verdicts, in place of earlier ones of the same months."""

    def write(verdict: Verdict) -> None:
        store.write_json(verdict_key(verdict.asset, verdict.month), asdict(verdict))

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="verdicts") as pool:
        list(pool.map(write, verdicts))


def read_verdicts(store: Store, asset: str, months: Iterable[str] | None = None) -> dict[str, Verdict]:
    """The verdicts of an asset by month; those of `months` alone, where they are given."""
    keys = set(store.blobs.keys(f"checks/{asset}"))
    keys_wanted = None if months is None else {verdict_key(asset, m) for m in months}
    wanted = sorted(
        k
        for k in keys
        if (k == verdict_key(asset) or k.startswith(f"checks/{asset}/")) and (keys_wanted is None or k in keys_wanted)
    )

    read = map(_decoded, store.blobs.read_all(wanted).values())
    return {verdict.month: verdict for verdict in read if verdict}


# A run asks for the same few hundred again and again.
@lru_cache(maxsize=10_000)
def _decoded(data: bytes) -> Verdict | None:
    """A verdict from the bytes of its file; None, as good as never checked, where they are damaged."""
    try:
        content = json.loads(data)
        problems = tuple(Problem(**_known(Problem, p)) for p in content["problems"])
        return Verdict(**_known(Verdict, content) | {"state": State(content["state"]), "problems": problems})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _known(kind: type[Problem] | type[Verdict], content: dict[str, Any]) -> dict[str, Any]:
    """Without what a newer version of the platform says beside: it must not make what it wrote unreadable."""
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in content.items() if name in names}


def states(store: Store, asset: str, months: Iterable[str] = ("",)) -> dict[str, State]:
    """What is known of each of these months; of the asset itself, under the empty month, if it has none."""
    months = list(months)
    stamps = data_stamps(store, asset)
    verdicts = read_verdicts(store, asset, months)
    return {month: state_of(verdicts.get(month), stamps.get(month)) for month in months}


def state_of(verdict: Verdict | None, stamp: str | None) -> State:
    """What a verdict says of the file that has a stamp now; None: there is no verdict, or no file."""
    if verdict is None:
        return State.ABSENT
    # A verdict of an earlier version of the platform has the ETag.
    is_same = verdict.stamp == stamp or (verdict.stamp.startswith('"') and verdict.stamp == getattr(stamp, "etag", ""))
    return verdict.state if is_same else State.STALE


def unsound(store: Store, asset: str, months: Iterable[str] = ("",)) -> str:
    """What keeps later stages from resting on an asset, in words; empty if nothing does."""
    by_state: dict[State, list[str]] = {}
    for month, state in states(store, asset, months).items():
        if state not in PASSING:
            by_state.setdefault(state, []).append(month)
    sentences = []
    for state, bad in by_state.items():
        which = f" for {describe_months(bad)}" if any(bad) else ""
        sentences.append(f"{asset} is {state}{which}")
    if State.RED in by_state:
        verdict = read_verdicts(store, asset, by_state[State.RED][:1])[by_state[State.RED][0]]
        first = next((p for p in verdict.problems if p.severity == "ERROR"), None)
        if first:
            sentences[-1] += f" ({first.rule}: {first.column}: {first.told})"
    return "; ".join(sentences)


def require_sound(store: Store, asset: str, months: Iterable[str] = ("",)) -> None:
    """Refuse to rest on an asset.

    Raises:
        UnsoundError: some month of it is red, was never checked, or was written after its check.
    """
    if problem := unsound(store, asset, months):
        raise UnsoundError(
            f"{problem}. Mend what is red and materialize {asset} again, or run the checks of {asset} if they are "
            "behind: nothing is made from data that its checks do not vouch for"
        )
