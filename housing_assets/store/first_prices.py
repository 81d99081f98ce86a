"""First published prices from the vintages that the store keeps.

What a first price is belongs in `housing_assets.core.vintages.first_prices`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import polars as pl

from housing_assets.core.catalogue import RAW_SPLITS
from housing_assets.core.errors import DamagedError
from housing_assets.core.features.history import History
from housing_assets.core.months import month_end, month_of, month_range
from housing_assets.core.vintages.first_prices import FIRST_SCHEMA, parse_vintages, prices_of_vintage, still_wanted
from housing_assets.store.layout import Store
from housing_assets.store.sources import read_record
from housing_assets.store.vintages import Vintage, list_vintages, read


@dataclass(frozen=True)
class FirstPrices:
    """First published prices of some zips and months.

    Attributes:
        prices: `FIRST_SCHEMA`; a zip and month that no vintage has a price of is not in it.
        damaged: of each vintage that cannot be read, what is wrong. First prices of its months are not known.
    """

    prices: pl.DataFrame
    damaged: tuple[str, ...] = ()


@dataclass
class FirstOutcomes:
    """First published prices of what a history has a price of: `housing_assets.core.forecasting.record.FirstPublished`.

    Their sources and latest vintages are those that the raw rows of the newest month rest on.

    Attributes:
        store: where the vintages are.
        history: of all zips.
        damaged: of each vintage that could not be read so far, what is wrong.
    """

    store: Store
    history: History
    damaged: tuple[str, ...] = ()

    @property
    def vintages(self) -> dict[str, list[str]]:
        """Times of the vintages that have prices, by source, the earliest first."""
        return {
            source: [vintage.time for vintage in self._reader.vintages(source, time)]
            for source, time in parse_vintages(self._newest).items()
        }

    def since(self, month: str) -> pl.DataFrame:
        """First published prices of every zip of a month and of later ones: `FIRST_SCHEMA`.

        Raises:
            StoreError: the store cannot be read.
        """
        history = self.history
        months = [m for m in month_range(history.first_month, history.last_month) if m >= month]
        begin = history.priced.shape[1] - len(months)
        zips, columns = np.nonzero(history.priced[:, begin:])
        days = pl.Series([month_end(m) for m in months], dtype=pl.Date)
        wanted = pl.DataFrame({"date": days.gather(columns), "zipcode": pl.Series(history.zips).gather(zips)})
        found = self._reader.read(wanted, self._newest)
        self.damaged += found.damaged
        return found.prices

    @cached_property
    def _newest(self) -> str:
        return raw_vintage(self.store, self.history.last_month)

    @cached_property
    def _reader(self) -> "FirstPriceReader":
        return FirstPriceReader(self.store)


def raw_vintage(store: Store, month: str) -> str:
    """The vintages that the raw rows of a month rest on, as `raw_splits` has them in its file; empty: not known."""
    told = store.months(RAW_SPLITS).made_from(month)
    return told if parse_vintages(told) else ""


class FirstPriceReader:
    """Finds the price of zips and months in the earliest vintage that has one.

    Only the wanted months are read, of no more vintages than it takes to have a price of each wanted zip. The source
    that is named first wins. Manifests are listed once in the life of a reader.
    """

    def __init__(self, store: Store, since: Mapping[str, str] | None = None) -> None:
        """Begin without reading.

        Args:
            store: where the vintages are.
            since: by source, the time of the earliest vintage that counts; of a source that it lacks all count. None:
                as the store's record of its sources says, since earlier vintages are of something else.
        """
        self._store, self._given = store, since
        self._listed = lru_cache(None)(lambda source: list_vintages(store, source))

    @cached_property
    def _since(self) -> Mapping[str, str]:
        if self._given is not None:
            return self._given
        return {kind: source.since for kind, source in read_record(self._store).sources.items()}

    def read(self, wanted: pl.DataFrame, vintage: str) -> FirstPrices:
        """First published prices.

        Args:
            wanted: `WANTED_SCHEMA`.
            vintage: as `raw_vintage` returns it: its sources are read, up to these vintages. Empty: no price is known.

        Raises:
            StoreError: the store cannot be read.
        """
        pieces = [pl.DataFrame(schema=FIRST_SCHEMA)]
        damaged: list[str] = []
        for source, time in parse_vintages(vintage).items():
            for published in self.vintages(source, time):
                first, last = month_end(published.first_month), month_end(published.last_month)
                of_vintage = wanted.filter(pl.col("date").is_between(first, last))
                if of_vintage.is_empty():
                    continue
                months = {month_of(day) for day in of_vintage["date"].unique()}
                try:
                    rows = read(self._store, published, months, ("date", "zipcode", "price"))
                except DamagedError as error:
                    damaged.append(str(error))
                    wanted = still_wanted(wanted, of_vintage)
                    continue
                pieces.append(prices_of_vintage(of_vintage, rows))
                wanted = still_wanted(wanted, pieces[-1])
        return FirstPrices(pl.concat(pieces), tuple(damaged))

    def vintages(self, source: str, last: str) -> list[Vintage]:
        """The vintages of a source with prices, oldest first, up to the one of a time; none if that one is gone."""
        vintages = self._listed(source)
        times = [vintage.time for vintage in vintages]
        if last not in times:
            return []
        first = self._since.get(source, "")
        return [v for v in vintages[: times.index(last) + 1] if v.time >= first and "price" in v.columns]
