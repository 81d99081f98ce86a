"""Which months a schedule or sensor asks for, and the runs that do."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from housing_assets.assets.common import month_tags
from housing_assets.core.months import consecutive
from housing_assets.settings import Settings
from housing_assets.store.histories import stale_months
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import SOUND, states


def predictable_months(settings: Settings, store: Store) -> list[str]:
    """Cleaned months from the holdout start on that their checks vouch for."""
    months = [m for m in store.months("cleaned").available() if m >= settings.holdout_start]
    return [month for month, state in states(store, "cleaned", months).items() if state in SOUND]


def is_predicted_by(store: Store, month: str, version: str) -> bool:
    """Was a month predicted by a model version?"""
    months = store.months("monthly_predictions")
    if month not in months.available():
        return False
    return months.read(month, ("model_version",))["model_version"].to_list()[:1] == [version]


def months_to_predict(settings: Settings, store: Store, version: str) -> list[str]:
    """Predictable months that a model version has not predicted, or from a history that is no more."""
    stale = set(stale_months(store, "monthly_predictions"))
    return [m for m in predictable_months(settings, store) if m in stale or not is_predicted_by(store, m, version)]


def requests_of(
    months: Sequence[str], job: str, key: str, config: dict[str, Any] | None = None
) -> Iterator[dg.RunRequest]:
    """One run for each stretch of months without a gap."""
    for part in consecutive(months):
        yield dg.RunRequest(
            run_key=f"{job} {part[0]} {part[-1]} {key}", job_name=job, tags=month_tags(part), run_config=config or {}
        )
