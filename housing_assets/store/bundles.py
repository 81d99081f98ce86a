"""Model bundles: immutable versions under `models/`.

A version is named by what is in it, and its manifest is written last: who finds the manifest finds a whole bundle.
Hashes are verified before any parser sees a byte, since a flipped bit in a .ubj file can crash the process.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from typing import Any

from housing_assets.core.errors import BundleError
from housing_assets.core.models.price import PriceModel, model_from_files
from housing_assets.store.layout import Store

FORMAT = 3
"""Of a bundle that is written: 3 has several fits of growth, 2 had one."""
_READ_FORMATS = (2, 3)
"""A loader refuses a bundle of another format, such as a newer one."""

_LIBRARIES = ("numpy", "onnxmltools", "onnxruntime", "optuna", "polars", "xgboost-cpu")

_OWN = ("format", "version", "kind", "created", "files", "libraries", "origin")


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: what its manifest says, and its files."""

    version: str
    manifest: dict[str, Any]
    files: dict[str, bytes]

    def model(self, threads: int = 1) -> PriceModel:
        """The model, checked against its golden rows. Its trees predict with so many threads."""
        return model_from_files(self.files, self.version, threads)

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
        versions = ", ".join(list_versions(store)) or "none"
        raise BundleError(f"{store.uri} has no model {version!r}; it has {versions}") from error
    if manifest.get("format") not in _READ_FORMATS:
        raise BundleError(
            f"model {version} has format {manifest.get('format')!r}, this version of the platform reads "
            f"{' and '.join(map(str, _READ_FORMATS))}: upgrade the platform, or point models/champion.json at an "
            "earlier model"
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


def _version(kind: str, listed: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    return f"{kind}-{_sha256(json.dumps([listed, dict(facts)], sort_keys=True).encode())[:12]}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
