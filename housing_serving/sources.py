"""The sources that what is published rests on, with the attribution that their terms ask for."""

import logging
from functools import lru_cache

from housing_assets.core.catalogue import MONTHLY_PREDICTIONS
from housing_assets.core.errors import HousingError
from housing_assets.core.vintages.first_prices import parse_vintages
from housing_assets.store.gates import Gate
from housing_assets.store.layout import Store
from housing_assets.store.vintages import list_vintages
from housing_serving.decoded_months import DecodedMonths
from housing_serving.schemas import Source

log = logging.getLogger("housing_serving")


class PublishedSources:
    """The sources of the newest predictions. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        """Begin without reading.

        Args:
            store: of predictions and vintages.
        """
        self._store = store
        self._predictions = DecodedMonths(store.months(MONTHLY_PREDICTIONS))
        # A vintage never changes: what was read of a text stays true.
        self._sources_of = lru_cache(4)(lambda text: _sources(store, text))
        self._last: list[Source] = []

    def read(self) -> list[Source]:
        """Each source of the newest sound month, in the order of their addresses.

        Returns:
            What was read last while the store cannot be read; an empty list where the month names no vintage.
        """
        try:
            gate = Gate(self._store, "GET /predictions", MONTHLY_PREDICTIONS)
            month = gate.newest()
            rows = self._predictions.read(month, gate.stamps[month]) if month else None
            is_named = rows is not None and "vintage" in rows.columns and rows.height
            text = rows["vintage"][0] if rows is not None and is_named else None
            self._last = self._sources_of(text) if text else []
        except HousingError as error:
            log.warning("the sources cannot be read: %s", error)
        return self._last


def _sources(store: Store, text: str) -> list[Source]:
    """The sources that a text of `describe_vintages` names; those whose manifest is gone have no attribution."""
    sources = []
    for name, time in parse_vintages(text).items():
        vintage = next((v for v in list_vintages(store, name) if v.time == time), None)
        publisher, attribution = (vintage.publisher, vintage.attribution) if vintage else (name, "")
        sources.append(Source(name, publisher, time, attribution))
    return sources
