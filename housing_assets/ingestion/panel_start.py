"""Where the panel begins: as HOUSING_PANEL_START says, or with the source, whose first month the store remembers.

Partitions are defined when definitions are loaded, in many processes, and reading a source for its first month takes as
long as ingesting it. So whoever reads the source leaves that month in the store, and whoever loads asks there.

Before the source was read, the panel begins with 2000-01. Processes that loaded definitions then have partitions for
every month that is found later: Dagster refuses a run over a partition that the process which starts it does not have.
"""

import logging

from housing_assets.config.settings import Settings
from housing_assets.core.errors import HousingError, StoreError
from housing_assets.core.months import SOURCE_START, parse_month
from housing_assets.store.layout import Store

KEY = "panel.json"
_NEVER = "9999-12"
"""A month after every other."""
_log = logging.getLogger(__name__)


def derives_start(settings: Settings) -> bool:
    """True if the panel begins with the source: not where HOUSING_PANEL_START is set, nor with the generated sample."""
    return "panel_start" not in settings.model_fields_set and not settings.uses_sample


def known_panel(settings: Settings, store: Store) -> Settings:
    """The settings with the first month of the panel; 2000-01 before the source was read, or if it begins earlier."""
    if not derives_start(settings):
        return settings
    first = SOURCE_START
    try:
        told = store.read_json(KEY)
        if told.get("source") == settings.source_label:
            first = parse_month(str(told.get("first_month")))
    except FileNotFoundError:
        pass
    except (StoreError, HousingError) as error:
        _log.warning("the panel begins with %s, since its beginning is not known: %s", first, error)
    return _beginning(settings, first)


def begin_panel(settings: Settings, store: Store, first: str) -> Settings:
    """The settings with the first month of the panel, which is kept for those who load definitions.

    Args:
        settings: of the platform.
        store: where it is kept.
        first: month of the source.

    Raises:
        HousingError: the source begins so late that train has no months.
    """
    if not derives_start(settings):
        return settings
    try:
        known = store.read_json(KEY)
    except (FileNotFoundError, StoreError):
        known = {}
    # A source may keep its newer files alone: the months that were taken from it before stay in the panel.
    if known.get("source") == settings.source_label:
        first = min(first, str(known.get("first_month", first)))
    if first >= (settings.eval_month or _NEVER):
        raise HousingError(
            f"the source begins with {first}, HOUSING_EVAL_START is {settings.eval_month}: set HOUSING_EVAL_START "
            "later, so that train has months"
        )
    told = {"source": settings.source_label, "first_month": first}
    if known != told:
        store.write_json(KEY, told)
    return _beginning(settings, first)


def _beginning(settings: Settings, first: str) -> Settings:
    begin = max(first, SOURCE_START)
    # One that leaves train no months is refused by whoever reads the source.
    is_before_eval = begin < (settings.eval_month or _NEVER)
    return settings.model_copy(update={"panel_start": begin}) if is_before_eval else settings
