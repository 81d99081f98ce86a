"""What the pages show, from the store: read month by month, and kept for as long as the files are the same.

Every frame is cached under the stamp of its file, so that a month or a champion that was materialized anew appears at
the next look, and nothing else is read again.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import streamlit as st

from housing_assets.core.environment import read_environment
from housing_assets.core.errors import HousingError, StoreError
from housing_assets.core.months import add_months, month_range
from housing_assets.store.bundles import Bundle, champion_version, list_versions, load_bundle
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import State, Verdict, read_verdicts, state_of
from housing_dashboard.settings import DashboardSettings

_LOOK_AGAIN = 2.0
"""Seconds for which the list of files is believed: a click makes several looks."""


@st.cache_resource
def _settings(environment: tuple[tuple[str, str], ...]) -> DashboardSettings:
    del environment  # a key: another environment is another dashboard
    return read_environment(DashboardSettings)


def settings() -> DashboardSettings:
    """The settings of this process.

    Raises:
        HousingError: a value of the environment makes no sense; the message names its variable.
    """
    return _settings(tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("HOUSING_"))))


@st.cache_resource
def _open(uri: str) -> Store:
    return Store.open(uri)


def store() -> Store:
    """The store that is shown."""
    return _open(settings().store_uri)


@st.cache_data(ttl=_LOOK_AGAIN, show_spinner=False)
def _stamps(uri: str, prefix: str) -> dict[str, str]:
    return _open(uri).blobs.stamps(prefix)


def stamps(prefix: str) -> dict[str, str]:
    """Stamp of every file under a prefix."""
    return _stamps(settings().store_uri, prefix)


@st.cache_resource(max_entries=1_000, show_spinner=False)
def _month(uri: str, asset: str, month: str, stamp: str, columns: tuple[str, ...] | None) -> pl.DataFrame:
    del stamp  # a key
    return _open(uri).months(asset).read(month, columns)


@st.cache_resource(max_entries=20, show_spinner=False)
def _table(uri: str, asset: str, stamp: str) -> pl.DataFrame:
    del stamp  # a key
    return _open(uri).read_table(asset)


@dataclass(frozen=True)
class Read:
    """Rows of several months, and what could not be read of them: month and reason."""

    frame: pl.DataFrame
    damaged: dict[str, str]


def months_of(asset: str) -> list[str]:
    """Months of an asset that are there, in order."""
    stems = (key.removeprefix(f"{asset}/").removesuffix(".parquet") for key in stamps(f"{asset}/") if "parquet" in key)
    return sorted(stems)


def read_months(asset: str, months: Sequence[str], columns: Sequence[str] | None = None) -> Read:
    """Some months as one frame; a damaged one is left out and named."""
    known, uri = stamps(f"{asset}/"), settings().store_uri
    frames, damaged = [], {}
    for month in months:
        stamp = known.get(f"{asset}/{month}.parquet")
        if stamp is None:
            continue
        try:
            frames.append(_month(uri, asset, month, stamp, tuple(columns) if columns else None))
        except StoreError as error:
            damaged[month] = str(error).replace(uri, "the store")
    return Read(pl.concat(frames) if frames else pl.DataFrame(), damaged)


def read_table(asset: str) -> pl.DataFrame | None:
    """A table without months; None if it was never materialized."""
    stamp = stamps(f"{asset}.parquet").get(f"{asset}.parquet")
    return _table(settings().store_uri, asset, stamp) if stamp else None


def predictions(months: Sequence[str]) -> Read:
    """Rows of `monthly_predictions` with `month`, and `naive_price`: the zip's actual price of the month before."""
    found = read_months("monthly_predictions", months)
    if found.frame.is_empty():
        return found
    before = read_months("cleaned", [add_months(m, -1) for m in months], ("date", "zipcode", "price"))
    month = pl.col("date").dt.strftime("%Y-%m")
    frame = found.frame.with_columns(month.alias("month"))
    if before.frame.is_empty():
        return Read(frame.with_columns(pl.lit(None, pl.Float64).alias("naive_price")), found.damaged)
    known = before.frame.select(
        pl.col("date").dt.offset_by("1d").dt.strftime("%Y-%m").alias("month"),
        "zipcode",
        pl.col("price").alias("naive_price"),
    )
    return Read(frame.join(known, on=["month", "zipcode"], how="left", maintain_order="left"), found.damaged)


def history(first: str | None = None) -> Read:
    """Actual prices of every cleaned month from `first` on: `date`, `zipcode`, `city_full`, `price`."""
    months = [m for m in months_of("cleaned") if first is None or m >= first]
    return read_months("cleaned", months, ("date", "zipcode", "city_full", "price"))


@dataclass(frozen=True)
class Champion:
    """The champion's bundle, and the promotion decisions about every version, the newest first."""

    bundle: Bundle
    decisions: list[dict[str, Any]]


@st.cache_resource(max_entries=2, show_spinner=False)
def _bundle(uri: str, version: str, stamp: tuple) -> Bundle:
    del stamp  # a key
    return load_bundle(_open(uri), version)


@st.cache_resource(max_entries=2, show_spinner=False)
def _importance(uri: str, version: str, stamp: tuple) -> pl.DataFrame:
    from housing_assets.core.training import feature_importance

    return feature_importance(_bundle(uri, version, stamp).model().trees.booster)


def champion() -> Champion | None:
    """The champion; None if none was promoted.

    Raises:
        HousingError: the pointer or the bundle is damaged.
    """
    there = store()
    version = champion_version(there)
    if version is None:
        return None
    found = _bundle(settings().store_uri, version, tuple(sorted(stamps(f"models/{version}/").items())))
    decided = [key for key in stamps("models/") if "/decisions/" in key]
    decisions = [json.loads(there.blobs.read(key)) for key in decided]
    return Champion(found, sorted(decisions, key=lambda d: d.get("decided", ""), reverse=True))


@st.cache_resource(max_entries=200, show_spinner=False)
def _eval_figures(uri: str, version: str, stamp: str) -> dict[str, float]:
    del stamp  # a key
    kind = version.rpartition("-")[0]
    return _open(uri).read_json(f"models/{version}/metrics.json")["eval"][f"{kind}_model"]


def champions(found: Champion) -> pl.DataFrame:
    """Every version that was made the champion, the newest first: `version`, `serves since`, and its `mae`, `rmse`,
    `mape` on eval as its bundle has them."""
    rows = []
    known = stamps("models/")
    for decision in found.decisions:
        version = decision.get("candidate", "")
        key = f"models/{version}/metrics.json"
        if decision.get("outcome") != "promoted" or key not in known:
            continue
        figures = _eval_figures(settings().store_uri, version, known[key])
        kept = {name: figures[name] for name in ("mae", "rmse", "mape")}
        rows.append({"version": version, "serves since": decision["decided"][:16].replace("T", " "), **kept})
    return pl.DataFrame(rows)


def importance(version: str) -> pl.DataFrame:
    """`feature` and `share` (percent of the total gain), the largest first."""
    return _importance(settings().store_uri, version, tuple(sorted(stamps(f"models/{version}/").items())))


def versions() -> list[str]:
    """Every model version that is there."""
    return list_versions(store())


@st.cache_resource(max_entries=20, show_spinner=False)
def _verdicts(uri: str, asset: str, stamp: tuple) -> dict[str, Verdict]:
    del stamp  # a key
    return read_verdicts(_open(uri), asset)


def verdicts(asset: str) -> dict[str, Verdict]:
    """What the checks said of each month of an asset; of one without months under the empty month."""
    known = tuple(sorted(stamps(f"checks/{asset}").items()))
    try:
        return _verdicts(settings().store_uri, asset, known)
    except HousingError:
        return {}


def check_states(asset: str, months: Sequence[str]) -> dict[str, State]:
    """What is known of months of an asset: also whether they were written after their check."""
    known, files = verdicts(asset), stamps(f"{asset}/")
    return {m: state_of(known.get(m), files.get(f"{asset}/{m}.parquet")) for m in months}


def source_label() -> str:
    """What the panel comes from, as the newest cleaned month's checks noted it."""
    months = months_of("cleaned")
    found = verdicts("cleaned").get(months[-1]) if months else None
    return found.source if found and found.source else "unknown"


def expected_months() -> list[str]:
    """Every month from the first cleaned one to the newest."""
    months = months_of("cleaned")
    return month_range(months[0], months[-1]) if months else []
