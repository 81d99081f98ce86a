"""The price history as the steps of a run read it, one after the other in one process: parsed once."""

from collections.abc import Callable
from functools import lru_cache

from housing_assets.core.features.history import History
from housing_assets.store import histories
from housing_assets.store.layout import Store

_parse_once = lru_cache(maxsize=1)(histories.parse_history)


def read_history(store: Store) -> History:
    """See `housing_assets.store.histories.read_history`. What it returns is shared, and not to be changed."""
    return histories.read_history(store, _parse_once)


def open_sound_history(store: Store) -> tuple[History, Callable[[str], str]]:
    """See `housing_assets.store.histories.open_sound_history`. The history is shared, and not to be changed."""
    return histories.open_sound_history(store, _parse_once)
