"""The faults that are planted in a sample, as real files have them."""

import numpy as np
import polars as pl

from housing_assets.core.months import (
    month_range,
)
from housing_assets.core.panel.metros import METROS, Metro
from housing_assets.core.sample.draws import Bools, Draws, Ints
from housing_assets.core.sample.market import MARKET
from housing_assets.core.sample.profiles import PROFILES
from housing_assets.core.sample.spec import DIRT_LIMIT, DIRT_RATES, LIST_PRICE_OUTLIER, TRAINING_END, SampleSpec

_COUNTS = ("homes_sold", "pending_sales", "new_listings", "inventory")

_GAPS = ("median_list_price", "median_sale_price", "median_ppsf", "median_list_ppsf", "median_dom",
         "avg_sale_to_list")  # fmt: skip


def _respell(metro: Metro, style: int) -> str:
    """The source's name of a metro in one of the ways deliveries misspell it, never the name itself."""
    name = metro.spellings[0]
    dashed = "-" in name
    spaced = name.replace("-", " - ") if dashed else f"  {name} "
    ways = (
        name.upper(),
        name.lower(),
        spaced,
        name.replace("-", "\u2013") if dashed else name.upper(),  # en dash
        name.replace("-", "\u2014") if dashed else name.lower(),  # em dash
        name.replace("-", "\u2011") if dashed else spaced,  # non-breaking hyphen
        f"{name}, {PROFILES[metro.code].states}",
    )
    return ways[style % len(ways)]


def _dirt_counts(frame: pl.DataFrame, training: Bools, first: bool) -> dict[str, int]:
    """Rows of each kind to plant in a block: by rate, at least one in the first, within the limit."""
    rows = len(frame)
    counts = {
        kind: round(rate * (int(training.sum()) if kind == "repeated_month" else rows))
        for kind, rate in DIRT_RATES.items()
    }
    if first:
        counts = {kind: max(count, 1) for kind, count in counts.items()}
    budget = int(DIRT_LIMIT * rows)
    if sum(counts.values()) > budget:
        counts = {kind: int(i < budget) for i, kind in enumerate(counts)}
    return counts


def plant_dirt(spec: SampleSpec, block: int, frame: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Plant every kind of dirt in a block, each in rows of its own.

    Returns:
        The dirty rows, duplicates right after their originals, and the rows planted of each kind.
    """
    rng = Draws(spec.seed, 2, block).next()
    months = len(month_range(spec.start, spec.end))
    rows = np.arange(len(frame))
    month = frame["date"].dt.month().to_numpy()
    before = (frame["date"].dt.strftime("%Y-%m") < TRAINING_END).to_numpy()
    training = before if before.any() else np.ones(len(frame), dtype=np.bool_)
    wanted = _dirt_counts(frame, training, block == 0)
    free = np.ones(len(frame), dtype=np.bool_)
    planted: dict[str, int] = {}

    def take(kind: str, eligible: Bools) -> Ints:
        candidates = rows[eligible & free]
        chosen = np.sort(rng.choice(candidates, min(wanted[kind], len(candidates)), replace=False))
        free[chosen] = False
        planted[kind] = len(chosen)
        return chosen

    data = {name: frame[name].to_numpy().copy() for name in (*MARKET, "price")}
    # A repeated month needs a clean month before it of the same year (`year` is repeated too), and no chain.
    place = rows % months
    repeated = take("repeated_month", training & (place % 2 == 1) & (month != 1))
    free[repeated - 1] = False
    anywhere = np.ones(len(frame), dtype=np.bool_)
    market = data["median_sale_price"] > 0
    spelled = take("metro_spelling", anywhere)
    twice = take("exact_duplicate", anywhere)
    rival = take("conflicting_duplicate", market)
    outlier = take("list_price_outlier", market)
    data["median_list_price"][outlier] = np.round(LIST_PRICE_OUTLIER * rng.uniform(1.01, 5, len(outlier)))
    negative = take("negative_price", anywhere)
    data["price"][negative] *= -1
    data["price"][take("zero_price", anywhere)] = 0
    for row in take("negative_count", market):
        name = _COUNTS[rng.integers(len(_COUNTS))]
        data[name][row] = -max(data[name][row], 1)
    above = take("share_above_one", market)
    data["sold_above_list"][above] = np.round(rng.uniform(1.05, 60, len(above)), 4)
    complete = market & np.all([data[name] > 0 for name in _GAPS], axis=0)
    for row in take("zero_gap", complete):
        data[_GAPS[rng.integers(len(_GAPS))]][row] = 0

    names = frame["city_full"].to_list()
    by_name = {m.spellings[0]: m for m in METROS}
    for style, row in enumerate(spelled):
        names[row] = _respell(by_name[names[row]], style)
    dirty = frame.with_columns(
        *(pl.Series(name, values) for name, values in data.items()), pl.Series("city_full", names)
    )
    source = rows.copy()
    source[repeated] = repeated - 1
    dirty = dirty[source].with_columns(frame["date"])
    other = dirty[rival].with_columns(
        pl.col("price") * rng.uniform(1.01, 1.06, len(rival)),
        pl.col("median_sale_price") + 2_500,
    )
    merged = pl.concat([dirty, dirty[twice], other])
    return merged[np.argsort(np.concatenate([rows, twice, rival]), kind="stable")], planted
