"""What changed in the source, by month, found without a run."""

import hashlib
from pathlib import Path

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import RAW_SPLITS
from housing_assets.core.errors import SourceError, StoreError
from housing_assets.core.source.files import list_files
from housing_assets.core.source.panel import open_panel
from housing_assets.ingestion.panel_start import begin_panel
from housing_assets.store.layout import Store


def files_stamp(uri: str) -> str:
    """Digest of the source's listing: names, sizes, and modification times (S3: ETags). Cheap to ask for often.

    Raises:
        SourceError: the source cannot be found.
    """
    try:
        stamps = [
            f"{file.name}\0{file.size}\0{file.etag or Path(file.location).stat().st_mtime_ns}\n"
            for file in list_files(uri)[0]
        ]
    except FileNotFoundError as error:
        raise SourceError(f"{uri}: {error.filename} went away while it was looked at") from error
    return hashlib.sha256("".join(stamps).encode()).hexdigest()


def changed_months(settings: Settings, store: Store) -> list[str]:
    """Months of the panel whose rows in the source are not those that were ingested, in order.

    The order of rows, and the file that they are in, does not matter.

    Raises:
        SourceError: the source cannot be found or read, or is no panel.
        HousingError: the source begins so late that train has no months.
    """
    ingested = store.months(RAW_SPLITS)
    there = set(ingested.available())
    changed = []
    with open_panel(settings.source_uri) as panel:
        panel_months = set(begin_panel(settings, store, panel.months[0]).months)
        for month in panel.months:
            if month not in panel_months:
                continue
            rows = panel.month(month)
            try:
                known = ingested.read(month).drop("split") if month in there else None
            except StoreError:
                known = None
            if known is None or not rows.sort(rows.columns).equals(known.sort(known.columns)):
                changed.append(month)
    return changed
