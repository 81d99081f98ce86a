"""The history of all zips as `price_history` keeps it, and which months were made from one that is no more.

A restated month changes the history of every month after it. What was made from the history is marked with a digest of
the cleaned months up to its own; once these are others, it is stale: still there, and shown as such.
"""

import hashlib
import json
from collections.abc import Callable, Mapping

from housing_assets.core.history import History
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import data_stamps, read_verdicts

ASSET = "price_history"
_INPUTS = f"{ASSET}.json"
RESTS_ON_HISTORY: tuple[str, ...] = ("interval_calibration", "monthly_predictions", "monthly_forecasts")
"""Monthly assets that are made from the history."""


def read_history(store: Store) -> History | None:
    """The history of every zip; None before there is one.

    Raises:
        StoreError: the file is damaged.
    """
    if f"{ASSET}.parquet" not in store.blobs.keys(ASSET):
        return None
    return History.from_table(store.read_table(ASSET))


def record_inputs(store: Store, stamps: Mapping[str, str]) -> None:
    """Keep which cleaned months the history was made from.

    Args:
        store: where to.
        stamps: of the file of each month.
    """
    store.write_json(_INPUTS, {"cleaned": dict(stamps)})


def history_digests(store: Store) -> Callable[[str], str]:
    """For a month, the digest of what the present `price_history` has up to it."""
    try:
        stamps = store.read_json(_INPUTS)["cleaned"]
    except (FileNotFoundError, KeyError):
        stamps = {}
    return lambda month: _digest(stamps, month)


def stale_months(store: Store, asset: str) -> list[str]:
    """Months of an asset that were made from cleaned months which are others by now."""
    stamps = data_stamps(store, "cleaned")
    verdicts = read_verdicts(store, asset)
    return [m for m, v in sorted(verdicts.items()) if v.rests_on and v.rests_on != _digest(stamps, m)]


def _digest(stamps: Mapping[str, str], month: str) -> str:
    upto = sorted((m, stamp) for m, stamp in stamps.items() if m <= month)
    return hashlib.sha256(json.dumps(upto).encode()).hexdigest()[:16]
