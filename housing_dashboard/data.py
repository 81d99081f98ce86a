"""What the pages show, from the store: read month by month, and kept for as long as the files are the same.

Every frame is cached under the stamp of its file, so that a month or a champion that was materialized anew appears at
the next look, and nothing else is read again.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import streamlit as st

from housing_assets.config.environment import read_environment
from housing_assets.core.errors import HousingError, StoreError
from housing_assets.core.models.publication import PUBLICATION_FILE, Publication, publication_from_file
from housing_assets.core.months import add_months, month_range
from housing_assets.store.bundles import Bundle, list_versions, load_bundle
from housing_assets.store.histories import stale_months
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, POINTER, champion_pointer, forecast_champion
from housing_assets.store.verdicts import State, Verdict, data_stamps, read_verdicts, state_of
from housing_dashboard.api import Api
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
    return _settings(_environment())


def _environment() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("HOUSING_")))


@st.cache_resource(max_entries=2, show_spinner=False, on_release=Api.close)
def _api(environment: tuple[tuple[str, str], ...]) -> Api:
    return Api(_settings(environment))


def api() -> Api:
    """The API that is asked: one client for all sessions, safe to share between threads; errors as of `settings`."""
    return _api(_environment())


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
    uri, kept = settings().store_uri, tuple(columns) if columns else None
    return _read_each(asset, months, lambda month, stamp: _month(uri, asset, month, stamp, kept))


def _read_each(asset: str, months: Sequence[str], read: Callable[[str, str], pl.DataFrame]) -> Read:
    """What `read` gives of each month that is there and its stamp; a damaged one is left out and named."""
    known, uri = stamps(f"{asset}/"), settings().store_uri
    frames, damaged = [], {}
    for month in months:
        stamp = known.get(f"{asset}/{month}.parquet")
        if stamp is None:
            continue
        try:
            frames.append(read(month, stamp))
        except StoreError as error:
            damaged[month] = str(error).replace(uri, "the store")
    # Months of an earlier version of the platform may lack a column.
    return Read(pl.concat(frames, how="diagonal") if frames else pl.DataFrame(), damaged)


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


@st.cache_resource(max_entries=1, show_spinner=False)
def _price_history(uri: str, stamp: str) -> pl.DataFrame:
    del stamp  # a key
    table = _open(uri).read_table("price_history", ("date", "zipcode", "city_full", "price"))
    # As categories the full panel takes a third of the memory, and a zip is found in milliseconds.
    return table.drop_nulls("price").with_columns(pl.col("zipcode", "city_full").cast(pl.Categorical))


def _known_prices(chosen: pl.Expr) -> pl.DataFrame | None:
    stamp = stamps("price_history.parquet").get("price_history.parquet")
    if stamp is None:
        return None
    found = _price_history(settings().store_uri, stamp).filter(chosen).sort("date")
    return found.with_columns(pl.col("zipcode", "city_full").cast(pl.String))


def zip_history(zipcode: str) -> pl.DataFrame | None:
    """Known prices of a zip by month: `date`, `zipcode`, `city_full`, `price`; None before there is a `price_history`.

    Raises:
        StoreError: `price_history` is damaged.
    """
    return _known_prices(pl.col("zipcode") == zipcode)


def metro_history(metro: str) -> pl.DataFrame | None:
    """Median known price of the zips of a metro by month: `date`, `price`; None and errors as in `zip_history`."""
    found = _known_prices(pl.col("city_full") == metro)
    return None if found is None else found.group_by("date").agg(pl.col("price").median()).sort("date")


FORECAST_COLUMNS = (
    "origin",
    "date",
    "horizon",
    "zipcode",
    "city_full",
    "predicted_price",
    "predicted_low",
    "predicted_high",
    "predictor",
    "last_known_price",
)
"""What the pages show of `monthly_forecasts`."""


@st.cache_resource(max_entries=2_000, show_spinner=False)
def _forecasts_of_zip(uri: str, origin: str, zipcode: str, stamp: str) -> pl.DataFrame:
    del stamp  # a key
    return _open(uri).months("monthly_forecasts").read(origin, FORECAST_COLUMNS).filter(zipcode=zipcode)


def forecasts_of_zip(zipcode: str) -> Read:
    """Forecasts of a zip from every origin; only its own rows are kept, since an origin has those of every zip."""
    uri = settings().store_uri
    return _read_each(
        "monthly_forecasts",
        months_of("monthly_forecasts"),
        lambda origin, stamp: _forecasts_of_zip(uri, origin, zipcode, stamp),
    )


@st.cache_resource(max_entries=50, show_spinner=False)
def _forecasts_at(uri: str, origin: str, horizon: int, stamp: str) -> pl.DataFrame:
    del stamp  # a key
    return _open(uri).months("monthly_forecasts").read(origin, FORECAST_COLUMNS).filter(horizon=horizon)


def forecasts_at(origin: str, horizon: int) -> Read:
    """Forecasts of every zip from one origin at one horizon."""
    uri = settings().store_uri
    return _read_each("monthly_forecasts", [origin], lambda month, stamp: _forecasts_at(uri, month, horizon, stamp))


def published_forecasts() -> tuple[str, dict[int, str]] | None:
    """The version that forecasts, and whose forecast is published by horizon; None before there is one.

    Raises:
        HousingError: the pointer is damaged.
    """
    stamp = stamps(FORECAST_POINTER).get(FORECAST_POINTER)
    return _published_forecasts(settings().store_uri, stamp) if stamp else None


@st.cache_resource(max_entries=2, show_spinner=False)
def _published_forecasts(uri: str, stamp: str) -> tuple[str, dict[int, str]]:
    del stamp  # a key
    return forecast_champion(_open(uri))


@st.cache_resource(max_entries=2, show_spinner=False)
def _champion_pointer(uri: str, stamp: str) -> tuple[str | None, str]:
    del stamp  # a key
    return champion_pointer(_open(uri))


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
    """The champion's bundle, and the promotion decisions about every version of its kind, the newest first.

    `provisional` says why it serves for want of a better one; it is empty if it is sound.
    """

    bundle: Bundle
    decisions: list[dict[str, Any]]
    provisional: str = ""

    @property
    def publication(self) -> Publication:
        """Whose numbers it publishes, and how much its intervals are widened."""
        return publication_from_file(self.bundle.files.get(PUBLICATION_FILE))


@st.cache_resource(max_entries=2, show_spinner=False)
def _bundle(uri: str, version: str, stamp: tuple) -> Bundle:
    del stamp  # a key
    return load_bundle(_open(uri), version)


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
    found = _bundle(settings().store_uri, version, _bundle_stamp(version))
    decisions = [d for d in _decisions() if not _forecasts(d.get("candidate", ""))]
    return Champion(found, decisions, provisional)


def forecast_decisions() -> list[dict[str, Any]]:
    """The promotion decisions about forecast models, the newest first."""
    return [d for d in _decisions() if _forecasts(d.get("candidate", ""))]


@st.cache_resource(max_entries=1_000, show_spinner=False)
def _decision(uri: str, key: str, stamp: str) -> dict[str, Any]:
    del stamp  # a key
    return json.loads(_open(uri).blobs.read(key))


def _decisions() -> list[dict[str, Any]]:
    uri = settings().store_uri
    decisions = [_decision(uri, key, stamp) for key, stamp in stamps("models/").items() if "/decisions/" in key]
    return sorted(decisions, key=lambda d: d.get("decided", ""), reverse=True)


def _forecasts(version: str) -> bool:
    return version.rpartition("-")[0] == "forecast"


@st.cache_resource(max_entries=200, show_spinner=False)
def _eval_figures(uri: str, version: str, stamp: str) -> dict[str, dict[str, float]]:
    del stamp  # a key
    return _open(uri).read_json(f"models/{version}/metrics.json")["eval"]


def eval_figures(version: str) -> dict[str, float]:
    """What a price model's bundle says of its errors on eval: figures of `price_metrics`."""
    key = f"models/{version}/metrics.json"
    return _eval_figures(settings().store_uri, version, stamps(key)[key])[_predictor(version)]


def eval_figures_without_history(version: str) -> dict[str, float] | None:
    """The same with no row predicted from its history; None where the bundle does not tell."""
    key = f"models/{version}/metrics.json"
    known = _eval_figures(settings().store_uri, version, stamps(key)[key])
    return known.get(f"{_predictor(version)} without history")


def _predictor(version: str) -> str:
    return f"{version.rpartition('-')[0]}_model"


def champions(found: Champion) -> pl.DataFrame:
    """Every version that was made the champion, the newest first: `version`, `serves since`, and its `mae`, `rmse`,
    `mape` on eval as its bundle has them."""
    rows = []
    known = stamps("models/")
    for decision in found.decisions:
        version = decision.get("champion") or decision.get("candidate", "")
        key = f"models/{version}/metrics.json"
        if decision.get("outcome") != "promoted" or key not in known:
            continue
        figures = eval_figures(version)
        kept = {name: figures[name] for name in ("mae", "rmse", "mape")}
        rows.append({"version": version, "serves since": decision["decided"][:16].replace("T", " "), **kept})
    return pl.DataFrame(rows)


def importance(version: str) -> pl.DataFrame:
    """`feature` and `share` (percent of the total gain), the largest first."""
    return _importance(settings().store_uri, version, _bundle_stamp(version))


def versions() -> list[str]:
    """Every model version that is there."""
    return _versions(settings().store_uri)


@st.cache_data(ttl=_LOOK_AGAIN, show_spinner=False)
def _versions(uri: str) -> list[str]:
    return list_versions(_open(uri))


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


@st.cache_resource(max_entries=20, show_spinner=False)
def _stale(uri: str, asset: str, stamp: tuple) -> list[str]:
    del stamp  # a key
    return stale_months(_open(uri), asset)


def stale(asset: str) -> list[str]:
    """Months of an asset that were made from cleaned months which are others by now."""
    made_of = ("cleaned/", "price_history", f"checks/{asset}", f"{asset}/")
    stamp = tuple(sorted(item for prefix in made_of for item in stamps(prefix).items()))
    return _stale(settings().store_uri, asset, stamp)


@st.cache_data(ttl=_LOOK_AGAIN, show_spinner=False)
def _data_stamps(uri: str, asset: str) -> dict[str, str]:
    return data_stamps(_open(uri), asset)


def whole_state(asset: str) -> list[tuple[State, str]]:
    """What is known of an asset without months, and when it was checked; empty if it is not there."""
    found = _data_stamps(settings().store_uri, asset)
    if not found:
        return []
    verdict = verdicts(asset).get("")
    checked = f"{verdict.checked[:16].replace('T', ' ')} UTC" if verdict else ""
    return [(state_of(verdict, found.get("")), checked)]


def source_label() -> str:
    """What the panel comes from, as the newest cleaned month's checks noted it."""
    months = months_of("cleaned")
    found = verdicts("cleaned").get(months[-1]) if months else None
    return found.source if found and found.source else "unknown"


def expected_months() -> list[str]:
    """Every month from the first cleaned one to the newest."""
    months = months_of("cleaned")
    return month_range(months[0], months[-1]) if months else []
