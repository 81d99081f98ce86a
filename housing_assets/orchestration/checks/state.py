"""What the last evaluation of each check said, for people."""

from collections.abc import Iterable

import dagster as dg


def last_evaluations(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]
) -> dict[str, dg.AssetCheckEvaluation]:
    """The newest evaluation of every check that has one, by `asset: check`."""
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(sorted(keys, key=str))
    evaluations: dict[str, dg.AssetCheckEvaluation] = {}
    for key, record in records.items():
        event = record.event.dagster_event if record.event else None
        if event and isinstance(event.event_specific_data, dg.AssetCheckEvaluation):
            evaluations[check_name(key)] = event.event_specific_data
    return evaluations


def check_name(key: dg.AssetCheckKey) -> str:
    """`asset: check`."""
    return f"{key.asset_key.to_user_string()}: {key.name}"
