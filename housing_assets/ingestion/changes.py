"""Which months the vintages in use change, found without a run."""

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import RAW_SPLITS
from housing_assets.core.errors import StoreError
from housing_assets.core.vintages.first_prices import parse_vintages
from housing_assets.ingestion.panel import VintagePanel, vintage_panel
from housing_assets.ingestion.panel_split import begin_split
from housing_assets.ingestion.sources import find_vintage
from housing_assets.store.layout import Store
from housing_assets.store.months import Months
from housing_assets.store.sources import read_labels
from housing_assets.store.vintages import Vintage


def changed_months(settings: Settings, store: Store) -> list[str]:
    """Months of the panel whose rows in the vintages in use are not those that were ingested, in order.

    The order of rows, and the file that they are in, does not matter.

    Raises:
        StoreError: there is no sound vintage.
        HousingError: the source begins so late that train has no months.
    """
    ingested = store.months(RAW_SPLITS)
    panel = vintage_panel(settings, store)
    in_panel = set(begin_split(settings, store, panel).months)
    months = [m for m in panel.months if m in in_panel]
    present = set(ingested.available())
    changed = {m for m in months if m not in present}
    by_origin: dict[str, list[str]] = {}
    for month in (m for m in months if m in present):
        by_origin.setdefault(_made_from(ingested, month), []).append(month)
    compared = []
    for origin, ingested_months in by_origin.items():
        if origin == panel.vintage:
            continue
        pairs = _comparable(store, panel, origin)
        if pairs is None:
            compared += ingested_months
        else:
            changed |= {m for m in ingested_months if any(a.digests.get(m) != b.digests.get(m) for a, b in pairs)}
    for month, rows in panel.iterate(compared):
        try:
            known = ingested.read(month).drop("split")
        except StoreError:
            changed.add(month)
            continue
        if not rows.sort(rows.columns).equals(known.sort(known.columns)):
            changed.add(month)
    return sorted(changed)


def _comparable(store: Store, panel: VintagePanel, origin: str) -> list[tuple[Vintage, Vintage]] | None:
    """Each vintage that months were made from beside the one in use, if digests of their rows tell what changed.

    To join a national panel for a comparison takes longer than a sensor may.

    Args:
        store: where the vintages are.
        panel: of the vintages in use.
        origin: the vintages of the months, as `raw_splits` has them.

    Returns:
        None if digests do not tell: of vintages that are gone, of other sources or of an earlier version; if what is
        said of zips differs; if values of earlier months are carried into a month; and of a panel of one's own, whose
        rows may come in another order.
    """
    times = parse_vintages(origin)
    if panel.is_own_layout or panel.is_carrying or list(times) != [v.source for v in panel.vintages]:
        return None
    pairs = []
    for new in panel.vintages:
        old = find_vintage(store, new.source, times[new.source])
        if old is None or not old.digests or not new.digests or not _same_labels(store, old, new):
            return None
        pairs.append((old, new))
    return pairs


def _same_labels(store: Store, old: Vintage, new: Vintage) -> bool:
    before, after = (read_labels(store, vintage) for vintage in (old, new))
    if before is None or after is None:
        return before is after
    return before.sort("zipcode").equals(after.sort("zipcode"))


def _made_from(ingested: Months, month: str) -> str:
    """The vintages of an ingested month; empty where its file does not tell, or is damaged."""
    try:
        return ingested.made_from(month)
    except StoreError:
        return ""
