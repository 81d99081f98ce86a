"""Model bundles: immutable versions under `models/`, and the one pointer to the champion.

A version is named by what is in it, its manifest is written last, and the pointer after that: whoever
follows the pointer finds a whole bundle. Hashes are verified before any parser sees a byte, since a
flipped bit in a .ubj file can crash the process.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from typing import Any

import polars as pl

from housing_assets.core.errors import BundleError
from housing_assets.core.model import PriceModel, model_from_files, twin_problem
from housing_assets.store.blobs import content_stamp
from housing_assets.store.gates import Gate
from housing_assets.store.layout import Store, encode_json
from housing_assets.store.verdicts import SOUND, State, Verdict, write_verdicts

FORMAT = 2
"""Of the manifest. A loader refuses a bundle of a newer format."""
POINTER = "models/champion.json"
FORECAST_POINTER = "models/forecast_champion.json"
_LIBRARIES = ("numpy", "onnxmltools", "onnxruntime", "optuna", "polars", "xgboost-cpu")
_OWN = ("format", "version", "kind", "created", "files", "libraries", "origin")


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: what its manifest says, and its files."""

    version: str
    manifest: dict[str, Any]
    files: dict[str, bytes]

    def model(self) -> PriceModel:
        """The model, checked against its golden rows."""
        return model_from_files(self.files, self.version)

    def metrics(self) -> dict[str, Any]:
        """What evaluation found when the bundle was made."""
        return json.loads(self.files["metrics.json"])


def publish_bundle(
    store: Store,
    kind: str,
    files: Mapping[str, bytes],
    facts: Mapping[str, Any],
    origin: Mapping[str, str] | None = None,
) -> str:
    """Write a bundle; the same contents twice are the same version, written once.

    Args:
        store: where to.
        kind: what sort of model (`baseline`, …): the first word of the version.
        files: by name.
        facts: what the manifest says of what the model was made from (months, source, parameters).
        origin: where and by what it was made (commit, run). The version does not depend on it, so that the
            same model made twice is one version.

    Returns:
        The version.
    """
    listed = {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in sorted(files.items())}
    version = _version(kind, listed, facts)
    try:
        load_bundle(store, version)
        return version
    except BundleError:
        pass  # absent, or cut off before its manifest: write all of it
    for name, data in files.items():
        store.blobs.write(f"models/{version}/{name}", data)
    manifest = {
        "format": FORMAT,
        "version": version,
        "kind": kind,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": listed,
        "libraries": {name: library_version(name) for name in _LIBRARIES},
        "origin": dict(origin or {}),
        **facts,
    }
    store.write_json(f"models/{version}/manifest.json", manifest)
    return version


def load_bundle(store: Store, version: str) -> Bundle:
    """Read a version and verify every file of it.

    Raises:
        BundleError: there is no such version, or a file is missing or not what the manifest says.
    """
    try:
        manifest = store.read_json(f"models/{version}/manifest.json")
    except FileNotFoundError as error:
        known = ", ".join(list_versions(store)) or "none"
        raise BundleError(f"{store.uri} has no model {version!r}; it has {known}") from error
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"model {version} has format {manifest.get('format')!r}, this version of the platform reads "
            f"{FORMAT}: upgrade the platform, or point models/champion.json at an earlier model"
        )
    facts = {name: value for name, value in manifest.items() if name not in _OWN}
    listed = manifest.get("files")
    if not isinstance(listed, dict) or version != _version(version.rpartition("-")[0], listed, facts):
        raise BundleError(f"model {version}: manifest.json is damaged (the version is not that of what it lists)")
    files: dict[str, bytes] = {}
    for name, said in listed.items():
        try:
            data = store.blobs.read(f"models/{version}/{name}")
        except FileNotFoundError as error:
            raise BundleError(f"model {version} lacks {name}: publish it again") from error
        if _sha256(data) != said["sha256"]:
            raise BundleError(f"model {version}: {name} is damaged (its sha256 is not the manifest's)")
        files[name] = data
    return Bundle(version, manifest, files)


def list_versions(store: Store) -> list[str]:
    """Every complete version."""
    keys = store.blobs.keys("models/")
    return [k.split("/")[1] for k in keys if k.endswith("/manifest.json")]


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
        told = store.read_json(pointer)
    except FileNotFoundError:
        return None, ""
    return _version_named(store, pointer, told), str(told.get("provisional", ""))


def champion_version(store: Store, pointer: str = POINTER) -> str | None:
    """The version a pointer names; None before the first promotion. Raises as `champion_pointer`."""
    return champion_pointer(store, pointer)[0]


def _version_named(store: Store, pointer: str, told: Mapping[str, Any]) -> str:
    version = told.get("version")
    if not isinstance(version, str) or not version:
        raise BundleError(f"{store.uri}/{pointer} names no version: point it at one of {list_versions(store)}")
    return version


def forecast_champion(store: Store) -> tuple[str, dict[int, str]]:
    """The version that forecasts, and by horizon whose forecast is published.

    Raises:
        BundleError: none yet, or its pointer is damaged.
    """
    try:
        told = store.read_json(FORECAST_POINTER)  # once: it may be swapped between two looks
    except FileNotFoundError as error:
        raise BundleError(f"{store.uri} has no forecast model: run forecast_job (or `housing run`) first") from error
    version = _version_named(store, FORECAST_POINTER, told)
    try:
        published = {int(horizon): str(name) for horizon, name in told["published"].items()}
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
    told = {str(horizon): name for horizon, name in published.items()}
    store.write_json(FORECAST_POINTER, {"version": version, "published": told})


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
        if gate.state(month) in SOUND:
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
        record: what `housing_assets.core.promotion.Decision.record` gives.
    """
    now = datetime.now(UTC)
    key = f"models/{version}/decisions/{now:%Y%m%dT%H%M%S%f}.json"
    store.write_json(key, {"decided": now.isoformat(timespec="seconds"), "candidate": version, **record})
    return f"{store.uri}/{key}"


def _version(kind: str, listed: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    return f"{kind}-{_sha256(json.dumps([listed, dict(facts)], sort_keys=True).encode())[:12]}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
