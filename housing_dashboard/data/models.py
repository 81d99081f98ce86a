"""Champions, their bundles and the decisions about them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import streamlit as st

from housing_assets.core.errors import HousingError
from housing_assets.core.models.publication import PUBLICATION_FILE, Publication, publication_from_file
from housing_assets.store.bundles import Bundle, list_versions, load_bundle
from housing_assets.store.pointers import FORECAST_POINTER, POINTER, champion_pointer, forecast_champion
from housing_dashboard.data.access import SECONDS_BETWEEN_LISTINGS, open_store, settings, stamps


def published_forecasts() -> tuple[str, dict[int, str]] | None:
    """The forecast model in use and the predictor that is published at each horizon; None before there is one.

    Raises:
        HousingError: the pointer is damaged.
    """
    stamp = stamps(FORECAST_POINTER).get(FORECAST_POINTER)
    return _published_forecasts(settings().store_uri, stamp) if stamp else None


@st.cache_resource(max_entries=2, show_spinner=False)
def _published_forecasts(uri: str, stamp: str) -> tuple[str, dict[int, str]]:
    del stamp  # a key
    return forecast_champion(open_store(uri))


@st.cache_resource(max_entries=2, show_spinner=False)
def _champion_pointer(uri: str, stamp: str) -> tuple[str | None, str]:
    del stamp  # a key
    return champion_pointer(open_store(uri))


def _pointer() -> tuple[str | None, str]:
    stamp = stamps(POINTER).get(POINTER)
    return _champion_pointer(settings().store_uri, stamp) if stamp else (None, "")


def champion_name() -> str | None:
    """The champion's version; None if none was promoted.

    Raises:
        HousingError: the pointer is damaged.
    """
    return _pointer()[0]


@dataclass(frozen=True)
class Champion:
    """The champion and how it came to be that.

    Attributes:
        bundle: its files and manifest.
        decisions: promotion decisions about price models, the newest first.
        provisional: why it serves although it did not pass promotion; empty if it passed.
    """

    bundle: Bundle
    decisions: list[dict[str, Any]]
    provisional: str = ""

    @property
    def publication(self) -> Publication:
        """The predictor whose numbers it publishes, and how much its intervals are widened."""
        return publication_from_file(self.bundle.files.get(PUBLICATION_FILE))


@st.cache_resource(max_entries=2, show_spinner=False)
def _bundle(uri: str, version: str, stamp: tuple) -> Bundle:
    del stamp  # a key
    return load_bundle(open_store(uri), version)


@st.cache_resource(max_entries=2, show_spinner=False)
def _importance(uri: str, version: str, stamp: tuple) -> pl.DataFrame:
    from housing_assets.core.models.trees import feature_importance

    return feature_importance(_bundle(uri, version, stamp).model().trees.booster)


def _bundle_stamp(version: str) -> tuple:
    # Decisions are added beside a bundle, which stays as it is.
    return tuple(sorted(item for item in stamps(f"models/{version}/").items() if "/decisions/" not in item[0]))


def champion() -> Champion | None:
    """The champion; None if none was promoted.

    Raises:
        HousingError: the pointer or the bundle is damaged.
    """
    version, provisional = _pointer()
    if version is None:
        return None
    bundle = _bundle(settings().store_uri, version, _bundle_stamp(version))
    decisions = [d for d in _decisions() if not _is_forecast_model(d.get("candidate", ""))]
    return Champion(bundle, decisions, provisional)


def forecast_decisions() -> list[dict[str, Any]]:
    """The promotion decisions about forecast models, the newest first."""
    return [d for d in _decisions() if _is_forecast_model(d.get("candidate", ""))]


@st.cache_resource(max_entries=1_000, show_spinner=False)
def _decision(uri: str, key: str, stamp: str) -> dict[str, Any]:
    del stamp  # a key
    return json.loads(open_store(uri).blobs.read(key))


def _decisions() -> list[dict[str, Any]]:
    uri = settings().store_uri
    decisions = [_decision(uri, key, stamp) for key, stamp in stamps("models/").items() if "/decisions/" in key]
    return sorted(decisions, key=lambda d: d.get("decided", ""), reverse=True)


def _is_forecast_model(version: str) -> bool:
    return version.rpartition("-")[0] == "forecast"


@st.cache_resource(max_entries=200, show_spinner=False)
def _eval_figures(uri: str, version: str, stamp: str) -> dict[str, dict[str, float]]:
    del stamp  # a key
    return open_store(uri).read_json(f"models/{version}/metrics.json")["eval"]


def eval_figures(version: str) -> dict[str, float]:
    """Errors of a price model on eval as its bundle records them: figures of `price_metrics`."""
    key = f"models/{version}/metrics.json"
    return _eval_figures(settings().store_uri, version, stamps(key)[key])[_predictor(version)]


def eval_figures_without_history(version: str) -> dict[str, float] | None:
    """The same with no row predicted from its history; None if the bundle does not record it."""
    key = f"models/{version}/metrics.json"
    by_predictor = _eval_figures(settings().store_uri, version, stamps(key)[key])
    return by_predictor.get(f"{_predictor(version)} without history")


def _predictor(version: str) -> str:
    return f"{version.rpartition('-')[0]}_model"


def champions(champion: Champion) -> pl.DataFrame:
    """Every version that was ever the champion, the newest first: what `_promotion` says of each promotion, and the
    `mae`, `rmse`, `mape` on eval as its bundle records them."""
    rows = []
    keys = stamps("models/")
    for decision in champion.decisions:
        row = _promotion(decision)
        if row is None or f"models/{row['version']}/metrics.json" not in keys:
            continue
        figures = eval_figures(row["version"])
        rows.append(row | {name: figures[name] for name in ("mae", "rmse", "mape")})
    return pl.DataFrame(rows, infer_schema_length=None)


def forecast_champions() -> pl.DataFrame:
    """What `_promotion` says of every promotion of a forecast model, the newest first."""
    rows = [row for decision in forecast_decisions() if (row := _promotion(decision))]
    return pl.DataFrame(rows, infer_schema_length=None)


def _promotion(decision: Mapping[str, Any]) -> dict[str, Any] | None:
    """`version`, `serves since`, `promoted by`, `reason`, and the ids of the runs `dagster_run` and `mlflow_run`, null
    where they are not recorded; None for a decision that promoted nothing."""
    version = decision.get("champion") or decision.get("candidate", "")
    if decision.get("outcome") != "promoted":
        return None
    runs = {name: decision.get(name) for name in ("dagster_run", "mlflow_run")}
    if not any(runs.values()):
        # By hand: the run that trained it.
        origin = _origin(version)
        runs = {name: origin.get(name) for name in runs}
    since = decision["decided"][:16].replace("T", " ")
    reason = str(decision.get("reason", ""))
    return {"version": version, "serves since": since, "promoted by": who_decided(decision), "reason": reason, **runs}


def who_decided(decision: Mapping[str, Any]) -> str:
    """Who took a promotion decision, in a few words: the tests, or a person."""
    from housing_assets.store.forecasts import BY_HAND  # loads what grades forecasts, which no other page needs

    if str(decision.get("reason", "")).startswith(BY_HAND):
        return "a person, with `housing promote`"
    override = (decision.get("evidence") or {}).get("override")
    return "a person, with `override`" if override else "its tests"


def _origin(version: str) -> dict[str, Any]:
    """Where a version was made: `origin` of its manifest; empty where that cannot be read."""
    key = f"models/{version}/manifest.json"
    stamp = stamps(key).get(key)
    try:
        return _manifest(settings().store_uri, key, stamp).get("origin") or {} if stamp else {}
    except HousingError:
        return {}


@st.cache_resource(max_entries=200, show_spinner=False)
def _manifest(uri: str, key: str, stamp: str) -> dict[str, Any]:
    del stamp  # a key
    return open_store(uri).read_json(key)


def importance(version: str) -> pl.DataFrame:
    """`feature` and `share` (percent of the total gain), the largest first."""
    return _importance(settings().store_uri, version, _bundle_stamp(version))


def versions() -> list[str]:
    """Every model version in the store."""
    return _versions(settings().store_uri)


@st.cache_data(ttl=SECONDS_BETWEEN_LISTINGS, show_spinner=False)
def _versions(uri: str) -> list[str]:
    return list_versions(open_store(uri))
