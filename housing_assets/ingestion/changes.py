"""Which months the vintages in use change, found without a run."""

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import RAW_SPLITS
from housing_assets.core.errors import StoreError
from housing_assets.ingestion.panel import vintage_panel
from housing_assets.ingestion.panel_start import begin_panel
from housing_assets.store.layout import Store
from housing_assets.store.months import Months


def changed_months(settings: Settings, store: Store) -> list[str]:
    """Months of the panel whose rows in the vintages in use are not those that were ingested, in order.

    The order of rows, and the file that they are in, does not matter.

    Raises:
        StoreError: there is no sound vintage.
        HousingError: the source begins so late that train has no months.
    """
    ingested = store.months(RAW_SPLITS)
    panel = vintage_panel(settings, store)
    in_panel = set(begin_panel(settings, store, panel.months[0]).months)
    months = [m for m in panel.months if m in in_panel]
    present = set(ingested.available())
    # A month that was ingested from these very vintages has their rows: it takes a look at its file, not a join.
    compared = [m for m in months if m in present and _made_from(ingested, m) != panel.vintage]
    changed = {m for m in months if m not in present}
    for month, rows in panel.iterate(compared):
        try:
            known = ingested.read(month).drop("split")
        except StoreError:
            changed.add(month)
            continue
        if not rows.sort(rows.columns).equals(known.sort(known.columns)):
            changed.add(month)
    return sorted(changed)


def _made_from(ingested: Months, month: str) -> str:
    """The vintages of an ingested month; empty where its file does not tell, or is damaged."""
    try:
        return ingested.made_from(month)
    except StoreError:
        return ""
