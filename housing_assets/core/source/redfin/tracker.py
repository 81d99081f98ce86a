"""The market tracker: a row for each region, period, property type and adjustment.

Header and values are quoted and in upper case in files of recent years. Its zip file has rolling periods of 90 days.
Shares are fractions in some releases and percent in others. Its address was last written in June 2026.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from housing_assets.core.source.content import Content
from housing_assets.core.source.delimited import RawBlock
from housing_assets.core.source.formats import Reading
from housing_assets.core.source.parsing import Spelling
from housing_assets.core.source.redfin.account import Account
from housing_assets.core.source.redfin.blocks import (
    ALL_RESIDENTIAL,
    Block,
    block_of,
    blocks_of,
    days_between,
    days_given,
    in_contract_order,
    levels_of,
    refuse_renamed,
)
from housing_assets.core.source.spelling import spelling_of
from housing_assets.core.source.values import map_distinct

_MARKET = (
    "median_sale_price",
    "median_list_price",
    "median_ppsf",
    "median_list_ppsf",
    "homes_sold",
    "pending_sales",
    "new_listings",
    "inventory",
    "median_dom",
    "avg_sale_to_list",
    "sold_above_list",
    "off_market_in_two_weeks",
)
_LABELS = {"state_code": "state", "parent_metro_region": "city_full", "city": "place"}
_KEYS = ("period_begin", "period_end", "period_duration", "region_type", "region", "property_type")
_ADJUSTED = "is_seasonally_adjusted"
_NOT_ADJUSTED = ("f", "false", "0", "n", "no")

_OTHERS = (
    "region_type_id",
    "table_id",
    "state",
    "property_type_id",
    "months_of_supply",
    "price_drops",
    "parent_metro_region_metro_code",
    "last_updated",
)

_DERIVED = tuple(f"{name}{end}" for name in (*_MARKET, "months_of_supply", "price_drops") for end in ("_mom", "_yoy"))


class RedfinTracker:
    """The market tracker."""

    kind = "redfin"
    title = "Redfin's market tracker (one row for each region, period and property type)"
    telling_columns = ("period_end", "region_type", "region", "property_type", "median_sale_price")

    def recognizes(self, content: Content) -> bool:
        """True if periods, regions and property types are named, and at least one market column."""
        names = set(_underscored(content))
        return {"period_end", "region_type", "region", "property_type"} <= names and bool(names & set(_MARKET))

    def columns(self, content: Content) -> tuple[str, ...]:
        """Market columns of the contract that the file has."""
        return in_contract_order(set(_underscored(content)) & set(_MARKET))

    def read(self, content: Content, reading: Reading) -> Iterator[pl.DataFrame]:
        """Rows of ZIP codes, all residential property, not seasonally adjusted, by the month of their period's end."""
        places = _underscored(content)
        refuse_renamed(content, _MARKET, places, (*_KEYS, _ADJUSTED, *_LABELS, *_DERIVED, *_OTHERS))
        market = self.columns(content)
        wanted = (*_KEYS, _ADJUSTED, *_LABELS, *market)
        columns = {places[n]: n for n in wanted if n in places}
        spelling = spelling_of(
            content,
            {i: n for i, n in columns.items() if n == "period_end"},
            {i: n for i, n in columns.items() if n in market},
        )

        def tidy(block: RawBlock) -> Block:
            return _tidy(block, market, spelling, reading.latest)

        numbers = () if spelling.decimal_comma else market
        blocks = blocks_of(content, columns, numbers, tidy, holding=ALL_RESIDENTIAL)
        wanted = "of a ZIP code, of All Residential, and not seasonally adjusted"
        account = Account(content.name, reading, wanted, leveled=" of All Residential")
        yield from account.frames(blocks, market)


def _tidy(block: RawBlock, market: tuple[str, ...], spelling: Spelling, latest: str) -> Block:
    numbered = block.numbered()
    of_all = numbered.filter(_lower(numbered["property_type"]) == ALL_RESIDENTIAL)
    level = _lower(of_all["region_type"])
    of_zips = of_all.filter(level.is_in(["zip code", "zip", "zipcode", "zip_code"]))
    rows = of_zips.filter(_lower(of_zips[_ADJUSTED]).is_in(_NOT_ADJUSTED)) if _ADJUSTED in of_zips.columns else of_zips
    dropped = {
        "not of All Residential": block.rows - of_all.height,
        "not of a ZIP code": of_all.height - of_zips.height,
        "seasonally adjusted": of_zips.height - rows.height,
    }
    durations: Counter[int] = Counter()
    if "period_duration" in rows.columns:
        durations = days_given(rows["period_duration"], spelling)
    elif "period_begin" in rows.columns:
        durations = days_between(rows["period_begin"], rows["period_end"])
    tidied = block_of(rows, market, _LABELS, spelling, latest)
    return replace(
        tidied,
        rows=block.rows,
        levels=levels_of(level),
        dropped=Counter({reason: n for reason, n in dropped.items() if n}),
        durations=durations,
    )


def _lower(raw: pl.Series) -> pl.Series:
    """Text in lower case without spaces around it; empty where there is none."""
    return map_distinct(raw, lambda text: text.strip().lower()).fill_null("")


def _underscored(content: Content) -> dict[str, int]:
    """Position of each column by its name in lower case with underscores."""
    return {name.replace(" ", "_"): i for name, i in content.positions().items()}
