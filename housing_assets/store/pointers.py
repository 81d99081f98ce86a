"""Which published bundle is in use, and the decisions about it.

A pointer moves after its bundle is whole and checked.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from housing_assets.core.errors import BundleError
from housing_assets.core.models.price import twin_problem
from housing_assets.store.bundles import Bundle, list_versions, load_bundle
from housing_assets.store.gates import Gate
from housing_assets.store.layout import Store, encode_json
from housing_assets.store.stamps import content_stamp
from housing_assets.store.verdicts import PASSING, State, Verdict, write_verdicts

POINTER = "models/champion.json"
"""To the price model that predicts."""

FORECAST_POINTER = "models/forecast_champion.json"
"""To the forecast model that forecasts, with whose forecast each horizon publishes."""


def champion_pointer(store: Store, pointer: str = POINTER) -> tuple[str | None, str]:
    """What a pointer says, from one read of it: it may be swapped between two.

    Returns:
        The version that it names, None before the first promotion; and why that one serves for want of a better one,
        empty if it is sound.

    Raises:
        BundleError: it names no version.
        StoreError: the store cannot be read.
    """
    try:
        content = store.read_json(pointer)
    except FileNotFoundError:
        return None, ""
    return _version_named(store, pointer, content), str(content.get("provisional", ""))


def champion_version(store: Store, pointer: str = POINTER) -> str | None:
    """The version a pointer names; None before the first promotion. Raises as `champion_pointer`."""
    return champion_pointer(store, pointer)[0]


def _version_named(store: Store, pointer: str, content: Mapping[str, Any]) -> str:
    version = content.get("version")
    if not isinstance(version, str) or not version:
        raise BundleError(f"{store.uri}/{pointer} names no version: point it at one of {list_versions(store)}")
    return version


def forecast_champion(store: Store) -> tuple[str, dict[int, str]]:
    """The version that forecasts, and by horizon whose forecast is published.

    Raises:
        BundleError: none yet, or its pointer is damaged.
    """
    try:
        content = store.read_json(FORECAST_POINTER)  # once: it may be swapped between two looks
    except FileNotFoundError as error:
        raise BundleError(f"{store.uri} has no forecast model: run forecast_job (or `housing run`) first") from error
    version = _version_named(store, FORECAST_POINTER, content)
    try:
        published = {int(horizon): str(name) for horizon, name in content["published"].items()}
    except (KeyError, ValueError, AttributeError) as error:
        raise BundleError(
            f"{store.uri}/{FORECAST_POINTER} is damaged: materialize forecast_evaluation again"
        ) from error
    return version, dict(sorted(published.items()))


def point_forecasts_to(store: Store, version: str, published: Mapping[int, str]) -> None:
    """Make a complete, verified version the one that forecasts, with whose forecast is published by horizon.

    Raises:
        BundleError: the version is missing or damaged; the pointer stays as it was.
    """
    load_bundle(store, version)
    names = {str(horizon): name for horizon, name in published.items()}
    store.write_json(FORECAST_POINTER, {"version": version, "published": names})


def load_champion(store: Store) -> Bundle:
    """The champion's bundle.

    Raises:
        BundleError: no champion yet, or it is damaged.
    """
    version = champion_version(store)
    if version is None:
        raise BundleError(f"{store.uri} has no champion model: run training_job (or `housing run`) first")
    return load_bundle(store, version)


def newest_intervals(store: Store, version: str) -> pl.DataFrame | None:
    """The newest month of `interval_calibration` that is of a version and that its checks vouch for; None before there
    is one."""
    gate = Gate(store, "POST /predict", "interval_calibration")
    for month in reversed(gate.months):
        if gate.state(month) in PASSING:
            table = store.months("interval_calibration").read(month)
            if set(table["model_version"]) == {version}:
                return table
    return None


def point_to(store: Store, version: str, provisional: str = "") -> None:
    """Make a complete version the champion once it passes the checks of `champion_model`, and keep their verdict.

    Args:
        store: where it is.
        version: of the bundle.
        provisional: why it serves for want of a better one; empty if it is sound.

    Raises:
        BundleError: the version is missing or damaged, or its ONNX twin is another model; the pointer stays as it was.
    """
    bundle = load_bundle(store, version)
    if problem := twin_problem(bundle.files, bundle.model()):
        raise BundleError(f"{version} cannot be the champion: {problem}. Train again, or choose another version")
    pointer = pointer_to(version, provisional)
    write_verdicts(store, [Verdict("champion_model", "", State.GREEN, content_stamp(encode_json(pointer)), 1)])
    store.write_json(POINTER, pointer)


def pointer_to(version: str, provisional: str = "") -> dict[str, str]:
    """What the pointer to a champion says."""
    return {"version": version, **({"provisional": provisional} if provisional else {})}


def provisional_reason(store: Store, version: str) -> str:
    """Why a version serves for want of a better one, as the pointer says it; empty if it is sound, or no champion.

    Raises as `champion_pointer`.
    """
    champion, reason = champion_pointer(store)
    return reason if champion == version else ""


def record_decision(store: Store, version: str, record: Mapping[str, Any]) -> str:
    """Keep a promotion decision beside the bundle it is about; returns where.

    Args:
        store: where to.
        version: of the candidate.
        record: what `housing_assets.core.evaluation.promotion.Decision.record` gives.
    """
    now = datetime.now(UTC)
    key = f"models/{version}/decisions/{now:%Y%m%dT%H%M%S%f}.json"
    store.write_json(key, {"decided": now.isoformat(timespec="seconds"), "candidate": version, **record})
    return f"{store.uri}/{key}"
