"""A look at the sources without reading them: what a sensor may do every few minutes."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from housing_assets.config.settings import Settings
from housing_assets.core.errors import HousingError, SourceError
from housing_assets.ingestion.addresses import addresses_of, current_stamp
from housing_assets.ingestion.sources import find_vintage
from housing_assets.store.layout import Store
from housing_assets.store.sources import read_record
from housing_assets.store.vintages import verify


@dataclass(frozen=True)
class Look:
    """What a look found.

    Attributes:
        changed: True if the files at some address are not those that were read last.
        stamp: of all addresses, for as long as their files are the same; 16 characters.
        problems: of addresses that could not be looked at.
    """

    changed: bool
    stamp: str
    problems: tuple[str, ...] = ()


def look_at_sources(settings: Settings, store: Store) -> Look:
    """Listings of files, and the headers of what is on the web.

    A server that tells neither ETag nor Last-Modified is taken to have a new file each day.

    Raises:
        SourceError: no address can be looked at.
    """
    record = read_record(store)
    changed, stamps, problems = record.label != settings.source_label, [], []
    for address in addresses_of(settings):
        try:
            stamp = current_stamp(address)
        except SourceError as error:
            problems.append(str(error))
            continue
        if stamp:
            changed = changed or record.stamp(address.text) != stamp
        else:
            stamp, changed = f"{datetime.now(UTC):%Y-%m-%d}", True
        stamps.append(f"{address.text} {stamp}")
    if problems and not stamps:
        raise SourceError("; ".join(problems))
    return Look(changed, hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:16], tuple(problems))


def is_current(settings: Settings, store: Store) -> bool:
    """True if the vintages in use are sound and of the files at the addresses, so that there is nothing to publish."""
    record = read_record(store)
    try:
        if look_at_sources(settings, store).changed:
            return False
        for kind, source in record.sources.items():
            vintage = find_vintage(store, kind, source.time)
            if vintage is None or source.refused:
                return False
            verify(store, vintage)
    except HousingError:
        return False
    return bool(record.sources)
