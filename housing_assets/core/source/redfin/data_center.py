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

from housing_assets.core.source.content import Content
from housing_assets.core.source.delimited import RawBlock
from housing_assets.core.source.formats import Reading
from housing_assets.core.source.parsing import FAST_NULLS, Spelling
from housing_assets.core.source.redfin.account import Account
from housing_assets.core.source.redfin.blocks import (
    ALL_RESIDENTIAL,
    Block,
    block_of,
    blocks_of,
    days_between,
    in_contract_order,
    levels_of,
    refuse_renamed,
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
        refuse_renamed(content, tuple(_MARKET), places, (*_KEYS, _PROPERTY_TYPE, *_LABELS, *_OTHERS, *_CHANGES))
        names = {**_KEYS, **{n: n for n in (_PROPERTY_TYPE, *_LABELS)}, **_MARKET}
        columns = {places[n]: name for n, name in names.items() if n in places}
        written = {name: content.header[i] for i, name in columns.items()}
        market = self.columns(content)

        def tidy(block: RawBlock) -> Block:
            return _tidy(block, market, reading.latest, written)

        blocks = blocks_of(content, columns, market, tidy, _NULLS)
        wanted = "of a ZIP code and of All Residential" if _PROPERTY_TYPE in places else "of a ZIP code"
        yield from Account(content.name, reading, wanted).frames(blocks, market)


def _tidy(block: RawBlock, market: tuple[str, ...], latest: str, written: dict[str, str]) -> Block:
    numbered = block.numbered()
    levels = numbered["level"].cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("")
    is_zip = levels.is_in(["zip", "zip code"])
    counts = is_zip
    if _PROPERTY_TYPE in numbered.columns:
        counts = is_zip & (numbered[_PROPERTY_TYPE].str.to_lowercase() == ALL_RESIDENTIAL).fill_null(False)
    dropped = {"not of a ZIP code": (~is_zip).sum(), "not of All Residential": (is_zip & ~counts).sum()}
    rows = numbered.filter(counts)
    tidied = block_of(rows, market, _LABELS, Spelling(), latest, written)
    frame, assumed = tidied.frame, tidied.assumed
    if "median_list_price" in market:
        no_price = frame["median_list_price"] == _NO_PRICE
        frame = frame.with_columns(frame["median_list_price"].set(no_price, None))
        assumed[f"column {written['median_list_price']!r}: {_NO_PRICE:,} read as empty"] += int(no_price.sum())
    durations = days_between(rows["period_begin"], rows["period_end"]) if "period_begin" in rows.columns else Counter()
    return replace(
        tidied,
        frame=frame,
        rows=block.rows,
        levels=levels_of(levels),
        dropped=Counter({reason: n for reason, n in dropped.items() if n}),
        durations=durations,
    )


def _plain(content: Content) -> dict[str, int]:
    """Position of each column by its plain name without its unit, so that `($)` and `(%)` may go or change."""
    places: dict[str, int] = {}
    for name, i in content.positions().items():
        places.setdefault(_UNIT.sub("", name), i)
    return places
