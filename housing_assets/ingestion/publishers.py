"""The publishers that a word stands for: `zillow` and `redfin` as sources.

The one home of their addresses. Whatever is in their files is recognized by its content, not by these names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from housing_assets.core.errors import SourceError


@dataclass(frozen=True)
class Publisher:
    """Someone who publishes figures of every zip, each month.

    Attributes:
        word: that stands for it in HOUSING_SOURCE_URI; also the name of its vintages.
        name: for people.
        address: of the file of all zips.
        seen: day on which that address was last seen to give the newest figures.
        page: where the publisher offers its files, for when the address moves.
        variable: of the environment, which gives another address.
        attribution: that its terms ask for wherever its figures are shown.
    """

    word: str
    name: str
    address: str
    seen: date
    page: str
    variable: str
    attribution: str


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher(
        word="zillow",
        name="Zillow Research",
        # Home Value Index of zips: middle tier of all homes, smoothed, seasonally adjusted. 124 MB.
        address="https://files.zillowstatic.com/research/public_csvs/zhvi/"
        "Zip_zhvi_uc_sfrcondo_tier_0.33_0.67_sm_sa_month.csv",
        seen=date(2026, 9, 16),
        page="https://www.zillow.com/research/data/",
        variable="HOUSING_ZILLOW_URL",
        attribution="Home values: Zillow Home Value Index, Zillow Research (https://www.zillow.com/research/data/)",
    ),
    Publisher(
        word="redfin",
        name="Redfin Data Center",
        # The tracker `redfin_market_tracker/zip_code_market_tracker.tsv000.gz` still answers, but was last written on
        # 2026-06-02: this file took its place. 1.3 GB of CSV.
        address="https://redfin-public-data.s3.us-west-2.amazonaws.com/redfin_data_center/housing_market/monthly/"
        "all_zips.csv",
        seen=date(2026, 9, 2),
        page="https://www.redfin.com/news/data-center/",
        variable="HOUSING_REDFIN_URL",
        attribution="Market figures: Redfin, a national real estate brokerage "
        "(https://www.redfin.com/news/data-center/)",
    ),
)


def publisher_of(source: str, environment: Mapping[str, str]) -> Publisher | None:
    """The publisher that a source is of, with the address to read; None if it is of none that has a word.

    Args:
        source: a word, or an address: that of a publisher gets its attribution too.
        environment: where a publisher's variable may give another address.

    Raises:
        SourceError: the variable is no address.
    """
    for publisher in PUBLISHERS:
        if source.strip().lower() == publisher.word:
            address = environment.get(publisher.variable, "").strip() or publisher.address
            if "://" not in address and address.lower() == publisher.word:
                raise SourceError(f"{publisher.variable}={address!r} is no address: write https://… or a path")
            return replace(publisher, address=address)
        if source == publisher.address:
            return publisher
    return None
