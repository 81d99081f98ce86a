"""The history of all zips, as `price_history` keeps it."""

from dataclasses import replace

from housing_assets.core.errors import StoreError
from housing_assets.core.history import History
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import read_verdicts, require_sound, verdict_key, write_verdicts

ASSET = "price_history"
KEY = f"{ASSET}.parquet"
Stamps = tuple[str | None, str | None]
"""Of the file, and of the verdict of its checks; None where there is none."""


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
