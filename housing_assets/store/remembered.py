"""Tables that are the same for every month: made once of their inputs, and kept beside the assets.

What is kept is used only while its inputs are the same, and is made again where it cannot be read. Nothing is lost
where the folder `remembered/` is removed.
"""

import hashlib
import json
from collections.abc import Callable, Sequence

import polars as pl

from housing_assets.core.errors import StoreError
from housing_assets.store.layout import Store
from housing_assets.store.parquet import decode_parquet, encode_parquet, made_from

_FOLDER = "remembered"


def remembered(store: Store, name: str, inputs: Sequence[str], make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """A table that is kept, if it was made from the same inputs; else it is made, and kept.

    Args:
        store: where it is kept.
        name: of the table.
        inputs: all that it depends on: stamps, versions and digests.
        make: makes it.

    Raises:
        StoreError: the store cannot be read or written.
    """
    key = f"{_FOLDER}/{name}.parquet"
    digest = hashlib.sha256(json.dumps(list(inputs)).encode()).hexdigest()
    try:
        data = store.blobs.read(key)
        if made_from(data, key) == digest:
            return decode_parquet(data, key)
    except (FileNotFoundError, StoreError):
        pass  # removed or damaged
    table = make()
    store.blobs.write(key, encode_parquet(table, digest))
    return table
