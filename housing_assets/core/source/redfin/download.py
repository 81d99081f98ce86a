"""A table saved by the download button of the Data Center: UTF-16, tabs, numbers written for people."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from housing_assets.core.errors import SourceError
from housing_assets.core.source.content import Content
from housing_assets.core.source.delimited import RawBlock
from housing_assets.core.source.formats import Reading
from housing_assets.core.source.parsing import Spelling
from housing_assets.core.source.redfin.account import Account
from housing_assets.core.source.redfin.blocks import Block, block_of, blocks_of, in_contract_order
from housing_assets.core.source.values import read_zips

_MARKET = {
    "median sale price": "median_sale_price",
    "median list price": "median_list_price",
    "median ppsf": "median_ppsf",
    "homes sold": "homes_sold",
    "pending sales": "pending_sales",
    "new listings": "new_listings",
    "inventory": "inventory",
    "days on market": "median_dom",
    "average sale to list": "avg_sale_to_list",
}


class RedfinDownload:
    """A table saved by the download button of the Data Center: UTF-16, tabs, numbers written for people."""

    kind = "redfin"
    title = "a table from Redfin's download button (one row for each region and month)"
    telling_columns = ("Region", "Month of Period End", "Median Sale Price")

    def recognizes(self, content: Content) -> bool:
        """True if regions and the month of each period's end are named."""
        return {"region", "month of period end"} <= set(content.positions())

    def columns(self, content: Content) -> tuple[str, ...]:
        """Market columns of the contract that the file has."""
        return in_contract_order({_MARKET.get(name) for name in content.positions()})

    def read(self, content: Content, reading: Reading) -> Iterator[pl.DataFrame]:
        """Rows of ZIP codes. Prices written as `$159K` are rounded to thousands."""
        places = content.positions()
        columns = {places["region"]: "region", places["month of period end"]: "period_end"}
        columns |= {places[written]: name for written, name in _MARKET.items() if written in places}
        market = self.columns(content)
        if not market:
            raise SourceError(
                f"{content.name}: has none of the columns {', '.join(_MARKET)}: choose them at the download"
            )

        def tidy(block: RawBlock) -> Block:
            return _tidy(block, market, reading.latest)

        yield from Account(content.name, reading).frames(blocks_of(content, columns, (), tidy), market)


def _tidy(block: RawBlock, market: tuple[str, ...], latest: str) -> Block:
    numbered = block.numbered()
    region = numbered["region"].cast(pl.String).fill_null("").str.strip_chars()
    is_zip = read_zips(region, Counter()).is_not_null()
    levels = Counter(_level_of(text) for text in region.filter(~is_zip))
    if is_zip.any():
        levels["zip code"] = int(is_zip.sum())
    rows = numbered.filter(is_zip)
    dropped = Counter({"not of a ZIP code": block.rows - rows.height}) if rows.height < block.rows else Counter()
    tidied = block_of(rows, market, {}, Spelling(), latest, {"period_end": "Month of Period End"})
    return replace(tidied, rows=block.rows, levels=levels, dropped=dropped)


def _level_of(region: str) -> str:
    """The level of a region of the download, by its name."""
    plain = region.casefold()
    if plain in ("national", "united states"):
        return "national"
    if plain.endswith("metro area"):
        return "metro"
    return "county" if plain.endswith((" county", " county, ")) or " county," in plain else "city or state"
