"""What the last evaluation of each check said: what later stages ask before they rely on an asset."""

from collections.abc import Iterable

import dagster as dg

DATA_CHECKS: tuple[dg.AssetCheckKey, ...] = tuple(
    dg.AssetCheckKey(dg.AssetKey(asset), name)
    for asset, name in (
        ("raw_splits", "months_are_sound"),
        ("cleaned", "months_are_sound"),
        ("encoders", "encodings_are_sound"),
        ("training_features", "matrix_is_sound"),
    )
)
"""Checks of what a model rests on. Dagster's blocking checks stop their own run only, so promotion asks again."""


def last_evaluations(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]
) -> dict[str, dg.AssetCheckEvaluation]:
    """The newest evaluation of every check that has one, by `asset: check`."""
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(sorted(keys, key=str))
    found: dict[str, dg.AssetCheckEvaluation] = {}
    for key, record in records.items():
        event = record.event.dagster_event if record.event else None
        if event and isinstance(event.event_specific_data, dg.AssetCheckEvaluation):
            found[check_name(key)] = event.event_specific_data
    return found


def data_check_states(instance: dg.DagsterInstance) -> dict[str, bool | None]:
    """`DATA_CHECKS` by `asset: check`: passed, failed, or None where one never ran on this instance."""
    found = last_evaluations(instance, DATA_CHECKS)
    names = [check_name(key) for key in DATA_CHECKS]
    return {name: found[name].passed if name in found else None for name in names}


def check_name(key: dg.AssetCheckKey) -> str:
    """`asset: check`."""
    return f"{key.asset_key.to_user_string()}: {key.name}"
