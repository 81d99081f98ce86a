"""The time split in months: cut-offs that count back do so from the newest month of the panel, as its vintages say.

Definitions are loaded in many processes, so that month is taken from the manifests of the vintages in use: no row is
read. A process that runs for months asks anew whenever it needs the split.
"""

import logging
from collections.abc import Iterable

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import PREDICTED
from housing_assets.core.errors import StoreError, UnknownPanelError
from housing_assets.ingestion.panel import VintagePanel
from housing_assets.ingestion.panel_start import begin_panel, known_panel
from housing_assets.store import vintages
from housing_assets.store.layout import Store
from housing_assets.store.sources import SourceRecord, read_record
from housing_assets.store.vintages import Vintage

_log = logging.getLogger(__name__)


def known_split(settings: Settings, store: Store) -> Settings:
    """The settings with the first and newest month of the panel as far as they are known.

    `Settings.split` of what is returned raises UnknownPanelError where the source was not read yet.

    Raises:
        StoreError: the store cannot be read.
    """
    return known_panel(with_newest_month(settings, _vintages_in_use(settings, store)), store)


def begin_split(settings: Settings, store: Store, panel: VintagePanel) -> Settings:
    """The settings with the first and newest month of a panel that was read; `begin_panel` keeps the first.

    Raises:
        HousingError: the source begins so late that train has no months.
    """
    return begin_panel(with_newest_month(settings, panel.vintages), store, panel.months[0])


def definition_settings(settings: Settings, store: Store) -> Settings:
    """The settings that definitions are built from: those of `known_split`, with the first month of predictions.

    Before the newest month is known, the split is a placeholder and `Settings.split_problem` says so.

    Raises:
        HousingError: the panel has too few months for the split.
    """
    known = known_split(settings, store).with_first_predicted(_first_predicted(store))
    try:
        known.split  # noqa: B018  # raises
    except UnknownPanelError as error:
        return known.with_placeholder(str(error))
    return known


def with_newest_month(settings: Settings, in_use: Iterable[Vintage]) -> Settings:
    """The settings with the newest month of some vintages: of those that give prices, and no later than its last
    month. The settings as they are if there is none, if no cut-off counts back, or if they know that month."""
    if not settings.moves or settings.newest_month:
        return settings
    months = [min(v.last_month, settings.last_month) for v in in_use if "price" in v.columns]
    return settings.with_newest_month(max(months)) if months else settings


def _vintages_in_use(settings: Settings, store: Store) -> Iterable[Vintage]:
    """Manifests of the vintages in use, without a look at their data; none before the source was read."""
    if not settings.moves or settings.newest_month:
        return
    record = read_record(store)
    if record.label != settings.source_label:
        return
    for kind, source in record.sources.items():
        if vintage := _in_use(settings, store, kind, source):
            yield vintage


def _in_use(settings: Settings, store: Store, kind: str, source: SourceRecord) -> Vintage | None:
    by_time = None if settings.as_of else vintages.read_vintage(store, kind, source.time)
    return by_time or vintages.newest(store, kind, settings.as_of_day)


def _first_predicted(store: Store) -> str:
    """The first month that any monthly output of a model has, so that its partition stays when the split moves on."""
    try:
        months = [m for asset in PREDICTED for m in store.months(asset).available()[:1]]
    except StoreError as error:
        _log.warning(
            "the partitions of predictions begin with the holdout, since earlier months are not known: %s", error
        )
        return ""
    return min(months, default="")
