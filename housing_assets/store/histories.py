"""The history of all zips as `price_history` keeps it, and which months were made from one that is no more.

A restated month changes the history of every month after it. The history's own file says which cleaned months it was
made from, and what is made from the history has in its file a digest of those up to its own month. Once the sound
cleaned months are others, it is stale: still there, and shown as such.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from housing_assets.core.errors import StoreError
from housing_assets.core.features.history import History
from housing_assets.store.gates import sound_months
from housing_assets.store.layout import Store
from housing_assets.store.parquet import decode_parquet, made_from, made_from_file
from housing_assets.store.verdicts import read_verdicts, require_sound, unsound, verdict_key, write_verdicts

ASSET = "price_history"
KEY = f"{ASSET}.parquet"
Stamps = tuple[str | None, str | None]
"""Of the file, and of the verdict of its checks; None where there is none."""
Parse = Callable[[bytes, str], History]
"""Makes a history of the bytes and the name of its file."""
_UNKNOWN = "unknown"
"""Digest of a month whose file does not tell what it was made from."""


def parse_history(data: bytes, name: str) -> History:
    """The history of every zip, from its file.

    Args:
        data: of the file.
        name: of the file, for messages.

    Raises:
        StoreError: the file is damaged.
        HousingError: it has no row with a price.
    """
    return History.from_table(decode_parquet(data, name))


def read_history(store: Store, parse: Parse = parse_history) -> History:
    """The history of every zip, whatever its checks say of it.

    Args:
        store: where it is.
        parse: `parse_history`, or what remembers its answer.

    Raises:
        StoreError: there is none, or the file is damaged.
        HousingError: it has no row with a price.
    """
    return _read(store, parse)[0]


def _read(store: Store, parse: Parse) -> tuple[History, bytes]:
    """The history of every zip, and the file that it was read from. Raises as `read_history`."""
    try:
        data = store.blobs.read(KEY)
    except FileNotFoundError as error:
        raise StoreError(f"{store.uri}/{KEY} does not exist: materialize {ASSET} first") from error
    return parse(data, f"{store.uri}/{KEY}"), data


def history_stamps(store: Store) -> Stamps:
    """What tells one published history from another.

    Raises:
        StoreError: the store cannot be read.
    """
    verdict = verdict_key(ASSET)
    return store.blobs.stamps(KEY).get(KEY), store.blobs.stamps(verdict).get(verdict)


def read_sound_history(store: Store) -> History:
    """The history of every zip; see `open_sound_history`, also for what it raises."""
    return open_sound_history(store)[0]


def open_sound_history(store: Store, parse: Parse = parse_history) -> tuple[History, Callable[[str], str]]:
    """The history of every zip, if it is the very file that its checks vouch for: a flipped bit parses as well.

    Args:
        store: where it is.
        parse: as of `read_history`.

    Returns:
        The history, and for a month the digest of what this very history has up to it.

    Raises:
        UnsoundError: its checks are red, never ran, or are of another file.
        StoreError: there is none, it cannot be read, or it was written again meanwhile.
    """
    before = history_stamps(store)
    require_sound(store, ASSET)
    history, data = _read(store, parse)
    if history_stamps(store) != before:
        raise StoreError(f"{store.uri}/{KEY} was written while it was read: read it again")
    inputs = _Inputs.of(made_from(data, KEY))
    return history, lambda month: _digest(inputs.cleaned, month)


def is_current(store: Store, panel_start: str, months: Iterable[str]) -> bool:
    """True if the history is sound, and would be made again from the same cleaned months.

    Args:
        store: where it is.
        panel_start: the first month that it may have.
        months: that it may have.
    """
    stamps = sound_months(store, "cleaned", months)
    return not unsound(store, ASSET) and _told_by_history(store) == history_inputs(panel_start, stamps)


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


@dataclass(frozen=True)
class _Inputs:
    """What a history was made from: the first month that it might have had, and the stamp of each cleaned month."""

    panel_start: str = ""
    cleaned: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> "_Inputs":
        try:
            value = json.loads(text)
            return cls(str(value["panel_start"]), dict(value["cleaned"]))
        except (ValueError, KeyError, TypeError):
            return cls()  # written before the file told


def history_inputs(panel_start: str, stamps: Mapping[str, str]) -> str:
    """What a history is made from, to be kept in its file.

    Args:
        panel_start: the first month that it may have, whether or not that is there.
        stamps: of the file of each cleaned month that it has.
    """
    return json.dumps({"panel_start": panel_start, "cleaned": dict(sorted(stamps.items()))})


def made_from_history(asset: str) -> Callable[[Store], Callable[[str], str]]:
    """For a store and a month of an asset, the digest of the history that it was made from, as its own file tells."""
    return lambda store: lambda month: store.months(asset).made_from(month) or _UNKNOWN


def stale_months(store: Store, asset: str) -> list[str]:
    """Months of an asset that were made from cleaned months which are others by now, or are no longer sound."""
    verdicts = {m: v for m, v in sorted(read_verdicts(store, asset).items()) if v.rests_on}
    if not verdicts:
        return []
    start = _Inputs.of(_told_by_history(store)).panel_start
    stamps = {month: stamp for month, stamp in sound_months(store, "cleaned").items() if month >= start}
    return [m for m, v in verdicts.items() if v.rests_on != _digest(stamps, m)]


def _told_by_history(store: Store) -> str:
    try:
        with store.blobs.open(KEY) as file:
            return made_from_file(file, KEY)
    except (FileNotFoundError, StoreError):
        return ""


def _digest(stamps: Mapping[str, str], month: str) -> str:
    upto = sorted((m, stamp) for m, stamp in stamps.items() if m <= month)
    return hashlib.sha256(json.dumps(upto).encode()).hexdigest()[:16]
