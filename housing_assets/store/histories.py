"""The history of all zips as `price_history` keeps it, and which months were made from one that is no more.

A restated month changes the history of every month after it. What was made from the history is marked with a digest of
the cleaned months up to its own; once these are others, it is stale: still there, and shown as such.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from housing_assets.core.errors import StoreError
from housing_assets.core.history import History
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import data_stamps, read_verdicts, require_sound, verdict_key, write_verdicts

ASSET = "price_history"
KEY = f"{ASSET}.parquet"
Stamps = tuple[str | None, str | None]
"""Of the file, and of the verdict of its checks; None where there is none."""
_INPUTS = f"{ASSET}.json"
RESTS_ON_HISTORY: tuple[str, ...] = ("interval_calibration", "monthly_predictions", "monthly_forecasts")
"""Monthly assets that are made from the history."""


def read_history(store: Store) -> History | None:
    """The history of every zip; None before there is one.

    Raises:
        StoreError: the file is damaged.
    """
    if KEY not in store.blobs.keys(ASSET):
        return None
    return History.from_table(store.read_table(ASSET))


def history_stamps(store: Store) -> Stamps:
    """What tells one published history from another.

    Raises:
        StoreError: the store cannot be read.
    """
    verdict = verdict_key(ASSET)
    return store.blobs.stamps(KEY).get(KEY), store.blobs.stamps(verdict).get(verdict)


def read_sound_history(store: Store) -> History:
    """The history of every zip, if it is the very file that its checks vouch for: a flipped bit parses as well.

    Raises:
        UnsoundError: its checks are red, never ran, or are of another file.
        StoreError: there is none, it cannot be read, or it was written again meanwhile.
    """
    before = history_stamps(store)
    require_sound(store, ASSET)
    history = History.from_table(store.read_table(ASSET))
    if history_stamps(store) != before:
        raise StoreError(f"{store.uri}/{KEY} was written while it was read: read it again")
    return history


def copy_history(store: Store, there: Store, stamps: Stamps) -> None:
    """Copy a history that was read, with its verdict, which comes last: until then the copy is of no worth.

    Args:
        store: where it was read.
        there: where to.
        stamps: `history_stamps` of what was read.

    Raises:
        StoreError: one of the stores cannot be read or written, or the history is another one by now.
    """
    data, verdicts = store.blobs.read(KEY), read_verdicts(store, ASSET, [""])
    if history_stamps(store) != stamps:
        raise StoreError(f"{store.uri}/{KEY} was written again before it was copied: copy the new one")
    there.blobs.write(KEY, data)
    # A stamp is of its store: that of S3 is no MD5 where the bucket encrypts.
    stamp = there.blobs.stamps(KEY)[KEY]
    write_verdicts(there, [replace(verdict, stamp=stamp) for verdict in verdicts.values()])


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
