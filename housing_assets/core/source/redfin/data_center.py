"""A file of the Data Center, which took the place of the market tracker in 2026: a row for each region and period.

There are no property types: a row is of all homes. Periods are named by `PERIOD BEGIN` and `PERIOD END`, newest first;
those of ZIP codes have three months. `NA` stands for no value. Each figure is followed by its changes since the month
and the year before. Prices are not seasonally adjusted. Ratios and shares are percent.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from housing_assets.core.source.content import Content, plain_name
from housing_assets.core.source.delimited import RawBlock
from housing_assets.core.source.formats import Reading
from housing_assets.core.source.parsing import FAST_NULLS, Spelling
from housing_assets.core.source.redfin.account import Account
from housing_assets.core.source.redfin.blocks import (
    ALL_RESIDENTIAL,
    ZIP_LEVELS,
    Block,
    block_of,
    blocks_of,
    in_contract_order,
    levels_of,
    lower,
    period_lengths,
    refuse_renamed,
    refuse_repeated,
    spelling_of_rows,
)

_MARKET = {
    "median sale price nsa": "median_sale_price",
    "median new listing price": "median_list_price",
    "median sale price per sq.ft.": "median_ppsf",
    "median new listing price per sq.ft.": "median_list_ppsf",
    "homes sold": "homes_sold",
    "pending sales": "pending_sales",
    "new listings": "new_listings",
    "inventory": "inventory",
    "median days on market": "median_dom",
    "average sale to list ratio": "avg_sale_to_list",
    "share sold above original list": "sold_above_list",
    "percent off market in two weeks": "off_market_in_two_weeks",
}
"""Columns of the contract by the file's names without their units."""

_KEYS = {"region name": "region", "period begin": "period_begin", "period end": "period_end", "region type": "level"}
_PROPERTY_TYPE = "property type"
_LABELS = {"metro": "city_full"}
_OTHERS = ("last updated", "frequency", "region id", "active listings", "months of supply", "is seasonally adjusted")
_CHANGES = tuple(
    f"{name} {since}" for name in (*_MARKET, "active listings", "months of supply") for since in ("mom", "yoy")
)

_NULLS = (*FAST_NULLS, "NA")
_UNIT = re.compile(r" \([^)]*\)$")

_NO_PRICE = 999_999_999
"""What some list prices of past years hold instead of a price."""


class RedfinDataCenter:
    """The monthly file of all zips."""

    kind = "redfin"
    title = "Redfin's file of the Data Center (one row for each region and period)"
    telling_columns = ("PERIOD END", "REGION TYPE", "REGION NAME", "MEDIAN SALE PRICE NSA ($)")

    def recognizes(self, content: Content) -> bool:
        """True if periods, levels and names of regions are columns, and at least one figure is."""
        names = set(_plain(content))
        return {"period end", "region type", "region name"} <= names and bool(names & set(_MARKET))

    def columns(self, content: Content) -> tuple[str, ...]:
        """Market columns of the contract that the file has."""
        return in_contract_order({_MARKET.get(name) for name in _plain(content)})

    def read(self, content: Content, reading: Reading) -> Iterator[pl.DataFrame]:
        """Rows of ZIP codes by the month of their period's end."""
        places = _plain(content)
        names = {**_KEYS, **{n: n for n in (_PROPERTY_TYPE, *_LABELS)}, **_MARKET}
        refuse_repeated(content, map(_name, content.header), names)
        refuse_renamed(content, tuple(_MARKET), places, (*names, *_OTHERS, *_CHANGES))
        columns = {places[n]: name for n, name in names.items() if n in places}
        written = {name: content.header[i] for i, name in columns.items()}
        market = self.columns(content)
        spelling = spelling_of_rows(content, columns, market)

        def tidy(block: RawBlock) -> Block:
            return _tidy(block, market, spelling, reading.latest, written)

        numbers = () if spelling.decimal_comma else market
        blocks = blocks_of(content, columns, numbers, tidy, _NULLS)
        wanted = "of a ZIP code and of All Residential" if _PROPERTY_TYPE in places else "of a ZIP code"
        yield from Account(content.name, reading, wanted).frames(blocks, market)


def _tidy(block: RawBlock, market: tuple[str, ...], spelling: Spelling, latest: str, written: dict[str, str]) -> Block:
    numbered = block.numbered()
    levels = lower(numbered["level"])
    of_zips = numbered.filter(levels.is_in(ZIP_LEVELS))
    rows = of_zips
    if _PROPERTY_TYPE in numbered.columns:
        rows = of_zips.filter(lower(of_zips[_PROPERTY_TYPE]) == ALL_RESIDENTIAL)
    dropped = {
        "not of a ZIP code": block.rows - of_zips.height,
        "not of All Residential": of_zips.height - rows.height,
    }
    tidied = block_of(rows, market, _LABELS, spelling, latest, written)
    frame, assumed = tidied.frame, tidied.assumed
    if "median_list_price" in market:
        no_price = frame["median_list_price"] == _NO_PRICE
        frame = frame.with_columns(frame["median_list_price"].set(no_price, None))
        assumed[f"column {written['median_list_price']!r}: {_NO_PRICE:,} read as empty"] += int(no_price.sum())
    return replace(
        tidied,
        frame=frame,
        rows=block.rows,
        levels=levels_of(levels),
        dropped=Counter({reason: n for reason, n in dropped.items() if n}),
        durations=period_lengths(rows, spelling),
    )


def _plain(content: Content) -> dict[str, int]:
    """Position of each column by its plain name without its unit, so that `($)` and `(%)` may go or change."""
    places: dict[str, int] = {}
    for i, name in enumerate(content.header):
        places.setdefault(_name(name), i)
    return places


def _name(column: str) -> str:
    return _UNIT.sub("", plain_name(column))
