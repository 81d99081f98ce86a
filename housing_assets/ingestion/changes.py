"""Which months the vintages in use change, found without a run."""

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import RAW_SPLITS
from housing_assets.core.errors import StoreError
from housing_assets.ingestion.panel import vintage_panel
from housing_assets.ingestion.panel_split import begin_split
from housing_assets.store.layout import Store


def changed_months(settings: Settings, store: Store) -> list[str]:
    """Months of the panel whose rows in the vintages in use are not those that were ingested, in order.

    The order of rows, and the file that they are in, does not matter.

    Raises:
        StoreError: there is no sound vintage.
        HousingError: the source begins so late that train has no months.
    """
    ingested = store.months(RAW_SPLITS)
    there = set(ingested.available())
    changed = []
    panel = vintage_panel(settings, store)
    in_panel = set(begin_split(settings, store, panel).months)
    for month, rows in panel.iterate([m for m in panel.months if m in in_panel]):
        try:
            known = ingested.read(month).drop("split") if month in there else None
        except StoreError:
            known = None
        if known is None or not rows.sort(rows.columns).equals(known.sort(known.columns)):
            changed.append(month)
    return changed
