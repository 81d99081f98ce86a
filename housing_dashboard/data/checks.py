"""What the checks said of each asset, and what is stale or missing."""

from collections.abc import Sequence

import streamlit as st

from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.judged import Judged
from housing_assets.core.months import month_range
from housing_assets.store.histories import stale_months
from housing_assets.store.verdicts import State, Verdict, data_stamps, read_verdicts, state_of
from housing_dashboard.data.access import SECONDS_BETWEEN_LISTINGS, open_store, settings, stamps
from housing_dashboard.data.files import months_of
from housing_dashboard.data.models import champion


@st.cache_resource(max_entries=20, show_spinner=False)
def _verdicts(uri: str, asset: str, stamp: tuple) -> dict[str, Verdict]:
    del stamp  # a key
    return read_verdicts(open_store(uri), asset)


def verdicts(asset: str) -> dict[str, Verdict]:
    """The verdict on each month of an asset; of one without months, under the empty month."""
    stamp = tuple(sorted(stamps(f"checks/{asset}").items()))
    try:
        return _verdicts(settings().store_uri, asset, stamp)
    except HousingError:
        return {}


def check_states(asset: str, months: Sequence[str]) -> dict[str, State]:
    """The state of months of an asset, also whether they were written after their check."""
    by_month, files = verdicts(asset), stamps(f"{asset}/")
    return {m: state_of(by_month.get(m), files.get(f"{asset}/{m}.parquet")) for m in months}


@st.cache_resource(max_entries=20, show_spinner=False)
def _stale(uri: str, asset: str, stamp: tuple) -> list[str]:
    del stamp  # a key
    return stale_months(open_store(uri), asset)


def stale(asset: str) -> list[str]:
    """Months of an asset that were made from cleaned months which have changed since, and are to be made again: not
    those from before the holdout that the champion was judged by."""
    inputs = ("cleaned/", "price_history", f"checks/{asset}", f"{asset}/")
    stamp = tuple(sorted(item for prefix in inputs for item in stamps(prefix).items()))
    first = _holdout_start()
    return [month for month in _stale(settings().store_uri, asset, stamp) if month >= first]


def _holdout_start() -> str:
    """First month of the holdout that the champion was judged by; empty where there is none that tells."""
    try:
        serving = champion()
        return Judged.from_manifest(serving.bundle.manifest).holdout_start if serving else ""
    except HousingError:
        return ""


@st.cache_data(ttl=SECONDS_BETWEEN_LISTINGS, show_spinner=False)
def _data_stamps(uri: str, asset: str) -> dict[str, str]:
    return data_stamps(open_store(uri), asset)


def unpartitioned_state(asset: str) -> tuple[State, str] | None:
    """The state of an asset without months, and when it was checked; None if it was never materialized."""
    stamp_by_month = _data_stamps(settings().store_uri, asset)
    if not stamp_by_month:
        return None
    verdict = verdicts(asset).get("")
    return state_of(verdict, stamp_by_month.get("")), minute_of(verdict.checked) if verdict else ""


def source_label() -> str:
    """The source of the panel, as recorded with the newest cleaned month; `unknown` if it is not."""
    months = months_of("cleaned")
    verdict = verdicts("cleaned").get(months[-1]) if months else None
    return verdict.source if verdict and verdict.source else "unknown"


def expected_months() -> list[str]:
    """Every month from the first cleaned one to the newest."""
    months = months_of("cleaned")
    return month_range(months[0], months[-1]) if months else []


def minute_of(time: str) -> str:
    """An ISO time in UTC as it is shown, to the minute."""
    return f"{time[:16].replace('T', ' ')} UTC"
