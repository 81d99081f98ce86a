"""Which months a schedule or sensor asks for, and the runs that do."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import dagster as dg

from housing_assets.assets.common import month_tags
from housing_assets.core.months import consecutive
from housing_assets.settings import Settings
from housing_assets.store.histories import stale_months
from housing_assets.store.layout import Months, Store
from housing_assets.store.verdicts import SOUND, states


def predictable_months(settings: Settings, store: Store) -> list[str]:
    """Cleaned months from the holdout start on that their checks vouch for."""
    months = [m for m in store.months("cleaned").available() if m >= settings.holdout_start]
    return [month for month, state in states(store, "cleaned", months).items() if state in SOUND]


# A stamp is of the contents: a file is read once, however often a schedule looks.
@lru_cache(maxsize=1_000)
def _version_in(months: Months, month: str, _stamp: str) -> str | None:
    return next(iter(months.read(month, ("model_version",))["model_version"]), None)


def predicting_versions(store: Store) -> dict[str, str | None]:
    """By predicted month, the version of the model that predicted it; None where it has no rows."""
    months = store.months("monthly_predictions")
    return {month: _version_in(months, month, stamp) for month, stamp in months.stamps().items()}


def months_to_predict(settings: Settings, store: Store, version: str) -> list[str]:
    """Predictable months that a model version has not predicted, or from a history that is no more."""
    stale, by = set(stale_months(store, "monthly_predictions")), predicting_versions(store)
    return [m for m in predictable_months(settings, store) if m in stale or by.get(m) != version]


def requests_of(
    months: Sequence[str], job: str, key: str, config: dict[str, Any] | None = None
) -> Iterator[dg.RunRequest]:
    """One run for each stretch of months without a gap."""
    for part in consecutive(months):
        yield dg.RunRequest(
            run_key=f"{job} {part[0]} {part[-1]} {key}", job_name=job, tags=month_tags(part), run_config=config or {}
        )
