"""The history of all zips, as `price_history` keeps it."""

from housing_assets.core.history import History
from housing_assets.store.layout import Store

ASSET = "price_history"


def read_history(store: Store) -> History | None:
    """The history of every zip; None before there is one.

    Raises:
        StoreError: the file is damaged.
    """
    if f"{ASSET}.parquet" not in store.blobs.keys(ASSET):
        return None
    return History.from_table(store.read_table(ASSET))
