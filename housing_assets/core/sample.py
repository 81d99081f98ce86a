"""A synthetic panel in the HouseTS layout: any number of zips and months, the same for the same spec.

It stands in for the real source where that cannot be had. What it keeps of the real panel are shape and
dynamics: levels by metro, a price that is a smoothed index with persistent growth, market columns that
follow the price with noise, census columns that change by the year, and what the source does with gaps
(a 0, never a null). Its zips look real and are not: no value speaks of a real place.

Every array is drawn month by month from a generator of its own, so a later `end` only adds rows.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.metros import METROS, Metro
from housing_assets.core.months import (
    PANEL_END,
    PANEL_START,
    month_end,
    month_index,
    month_range,
    parse_month,
)
from housing_assets.core.schema import COLUMN_NAMES, RAW_SCHEMA

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Bools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

BLOCK_ZIPS = 500
"""Zips made at a time: bounds memory to some 100 MB whatever the size of the panel."""


@dataclass(frozen=True)
class _Profile:
    """How one metro looks in the sample.

    Attributes:
        share: of all zips (relative weight), as in the real panel.
        price: typical price over 2012-2023, in US dollars.
        spread: standard deviation of the zips' log prices.
        people: population of its zips, relative to all zips.
        states: suffix the Census writes after the name.
        prefixes: first three digits of its zips; no prefix belongs to two metros.
    """

    share: float
    price: float
    spread: float
    people: float
    states: str
    prefixes: str


# Shares, levels and spreads: rounded figures of the real panel, smoothed where a metro has few zips.
_PROFILES: dict[str, _Profile] = {
    "ATL": _Profile(30, 200e3, 0.52, 1.15, "GA", "300 301 302 303 305 306"),
    "ATX": _Profile(10, 340e3, 0.47, 1.05, "TX", "765 787 789"),
    "BOS": _Profile(46, 447e3, 0.50, 0.90, "MA-NH", "014 017 018 019 020 021 022 023 024 027 030 038"),
    "BWI": _Profile(21, 330e3, 0.52, 0.80, "MD", "210 211 212 216"),
    "CHI": _Profile(67, 205e3, 0.48, 1.20, "IL-IN", "463 464 600 601 602 603 604 605 606 607"),
    "CIN": _Profile(28, 158e3, 0.43, 0.75, "OH-KY-IN", "410 450 451 452 470"),
    "CLT": _Profile(17, 175e3, 0.55, 1.00, "NC-SC", "280 281 282 297"),
    "DAL": _Profile(39, 225e3, 0.52, 1.20, "TX", "750 751 752 754 760 761 762"),
    "DC": _Profile(45, 420e3, 0.42, 1.05, "DC-VA-MD-WV", "200 201 206 207 208 209 217 220 221 222 223 226"),
    "DEN": _Profile(19, 365e3, 0.43, 1.15, "CO", "800 801 802 804 806"),
    "DET": _Profile(34, 145e3, 0.78, 1.05, "MI", "480 481 482 483 484"),
    "HOU": _Profile(25, 198e3, 0.48, 1.30, "TX", "770 773 774 775 776"),
    "LA": _Profile(72, 655e3, 0.55, 1.50, "CA",
                   "900 902 904 906 907 908 910 911 912 913 914 915 916 917 926 927 928 935"),
    "LV": _Profile(11, 235e3, 0.33, 1.40, "NV", "889 890 891"),
    "MIA": _Profile(33, 310e3, 0.62, 1.40, "FL", "330 331 333 334"),
    "MSP": _Profile(31, 265e3, 0.36, 0.80, "MN-WI", "540 550 551 553 554 563"),
    "NY": _Profile(131, 490e3, 0.56, 1.05, "NY-NJ",
                   "070 071 072 073 074 075 076 077 078 079 085 086 087 088 "
                   "100 103 104 105 106 107 108 109 110 111 112 113 114 115 117 119"),
    "ORL": _Profile(18, 225e3, 0.42, 1.20, "FL", "321 327 328 347"),
    "PDX": _Profile(14, 350e3, 0.35, 0.95, "OR-WA", "970 972 986"),
    "PGH": _Profile(50, 132e3, 0.52, 0.45, "PA", "150 151 152 153 154 156 160"),
    "PHL": _Profile(55, 240e3, 0.55, 0.90, "PA-NJ-DE-MD", "080 081 083 189 190 191 193 194 197 198 219"),
    "PHX": _Profile(23, 280e3, 0.50, 1.30, "AZ", "850 851 852 853"),
    "RIV": _Profile(22, 270e3, 0.50, 1.30, "CA", "922 923 924 925"),
    "SA": _Profile(22, 190e3, 0.52, 1.00, "TX", "780 781 782 788"),
    "SAC": _Profile(23, 375e3, 0.48, 0.90, "CA", "956 957 958"),
    "SD": _Profile(17, 640e3, 0.45, 1.45, "CA", "919 920 921"),
    "SEA": _Profile(17, 440e3, 0.42, 1.05, "WA", "980 981 983 984"),
    "SF": _Profile(29, 900e3, 0.50, 1.15, "CA", "940 941 944 945 946 949"),
    "STL": _Profile(32, 150e3, 0.55, 0.60, "MO-IL", "620 622 630 631 633"),
    "TPA": _Profile(21, 200e3, 0.48, 1.05, "FL", "335 336 337 346"),
}  # fmt: skip

_ZIPS_PER_PREFIX = 100
_SUFFIX_STEP = 37  # coprime to 100: walks over all suffixes of a prefix once
MOST_ZIPS = sum(_ZIPS_PER_PREFIX * len(p.prefixes.split()) for p in _PROFILES.values())
"""Zips the table of prefixes has room for."""

# National log growth in per cent a month, by month: the recovery of 2012-19, the run-up of 2020-22, the turn
# of late 2022 and the mild recovery of 2023. Held flat outside.
_CYCLE: tuple[tuple[str, float], ...] = (
    ("2012-01", 0.30), ("2013-05", 0.52), ("2014-09", 0.28), ("2016-06", 0.30), ("2018-03", 0.36),
    ("2019-03", 0.20), ("2020-05", 0.20), ("2020-10", 0.85), ("2021-06", 1.34), ("2022-04", 1.18),
    ("2022-09", -0.55), ("2023-01", -0.36), ("2023-05", 0.36), ("2023-10", 0.28), ("2024-06", 0.25),
)  # fmt: skip
_ANCHOR = "2017-06"
"""Month at which a zip's price is its level: the middle of the panel, where the level equals the mean."""

# Lag-1 and lag-2 autocorrelation of the stochastic growth. The cycle lifts the total to the real 0.87.
_LAG_1, _LAG_2 = 0.825, 0.51
_BURN_IN = 48
_AHEAD = 3  # months beyond the end that leading market columns already know of
_METRO_SD, _ZIP_SD = 0.0027, 0.0040  # a month
# Places that grow faster than others do so for years, and each has a season of its own: in the real panel a zip's
# growth beside its metro's keeps 0.26 of itself over 12 months, and that of a year 0.64 over the next.
_METRO_TREND_SD, _ZIP_TREND_SD, _TREND_KEPT = 0.0005, 0.0017, 0.985  # a month
_METRO_SEASON, _ZIP_SEASON = 0.0015, 0.0009  # log growth a month, at the height of the season (spring)
_MAX_GROWTH = 0.045  # a month: an index as smooth as this never jumps further

# Population of a zip over all zips: the quantiles of the real panel.
_PEOPLE_Q = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_PEOPLE = (120, 249, 719, 6_500, 20_000, 34_500, 60_000, 80_000, 110_000)

# Seasons, January to December, relative to the year's mean.
_SEASON_SOLD = (0.74, 0.78, 0.96, 1.00, 1.12, 1.20, 1.17, 1.15, 1.03, 1.01, 0.92, 0.92)
_SEASON_LISTED = (0.82, 0.88, 1.15, 1.22, 1.28, 1.20, 1.14, 1.06, 0.98, 0.94, 0.74, 0.59)
_SEASON_STOCK = (0.91, 0.90, 0.94, 0.99, 1.03, 1.07, 1.09, 1.09, 1.07, 1.04, 0.98, 0.89)
_SEASON_DOM = (1.22, 1.24, 1.10, 0.97, 0.91, 0.86, 0.86, 0.90, 0.93, 0.96, 1.00, 1.10)

# Levels at mid-year: months of supply, days on market, log-odds of being sold within two weeks.
_LEVEL_YEARS = (2012, 2014, 2016, 2018, 2020, 2021, 2022, 2023)
_SUPPLY = (1.62, 1.36, 1.24, 1.02, 0.84, 0.56, 0.60, 0.80)
_DOM = (78.0, 66.0, 57.0, 49.0, 43.0, 31.0, 30.0, 39.0)
_QUICK = (-1.75, -1.45, -1.05, -0.78, -0.45, -0.10, -0.10, -0.38)

# Amenities: number per 1,000 people and spread of its log between zips.
_AMENITIES: dict[str, tuple[float, float]] = {
    "bank": (0.36, 1.2), "bus": (0.022, 1.2), "hospital": (0.07, 1.3), "mall": (0.045, 1.0),
    "park": (1.5, 1.0), "restaurant": (1.0, 1.4), "school": (1.5, 0.8), "station": (0.06, 1.8),
    "supermarket": (0.30, 1.1),
}  # fmt: skip

_MARKET = COLUMN_NAMES[1:13]
_CENSUS = COLUMN_NAMES[25:37]
_COUNTS = ("homes_sold", "pending_sales", "new_listings", "inventory")
_GAPS = ("median_list_price", "median_sale_price", "median_ppsf", "median_list_ppsf", "median_dom",
         "avg_sale_to_list")  # fmt: skip

DIRT_RATES: dict[str, float] = {
    "repeated_month": 0.010,
    "metro_spelling": 0.004,
    "exact_duplicate": 0.003,
    "conflicting_duplicate": 0.002,
    "list_price_outlier": 0.0004,
    "negative_price": 0.0002,
    "zero_price": 0.0002,
    "negative_count": 0.0002,
    "share_above_one": 0.0002,
    "zero_gap": 0.003,
}
"""Kinds of dirt and their share of all rows (`repeated_month`: of the rows before `TRAINING_END`)."""
DIRT_LIMIT = 0.03
"""Most rows, of all, that dirt may touch."""
TRAINING_END = "2020-01"
"""Months before this one hold the repeated months, as in the real panel."""
LIST_PRICE_OUTLIER = 19_000_000.0
"""US dollars: planted median list prices lie above this."""


@dataclass(frozen=True)
class SampleSpec:
    """What to generate.

    Attributes:
        zips: number of zips, 1 to `MOST_ZIPS`. The real panel has 6,226.
        start, end: first and last month, both included.
        seed: of every random draw, 0 or more.
        dirt: plant the faults of real deliveries?
    """

    zips: int = 300
    start: str = PANEL_START
    end: str = PANEL_END
    seed: int = 7
    dirt: bool = False

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            HousingError: a field is out of its limits.
        """
        if not 1 <= self.zips <= MOST_ZIPS:
            raise HousingError(
                f"zips={self.zips} is out of range: a sample has 1 to {MOST_ZIPS} zips; "
                f"choose a number in that range, for example 300"
            )
        for name in ("start", "end"):
            try:
                parse_month(getattr(self, name))
            except HousingError as error:
                raise HousingError(f"{name}: {error}") from None
        if self.start > self.end:
            raise HousingError(
                f"start={self.start} comes after end={self.end}: start may be {self.end} at the latest; "
                f"swap the two or choose an earlier start"
            )
        if self.seed < 0:
            raise HousingError(f"seed={self.seed} is negative: the least seed is 0; choose 0 or more")


@dataclass(frozen=True)
class SampleReport:
    """What was generated.

    Attributes:
        rows: in all, duplicates included.
        planted: rows of each kind of dirt; empty for clean data.
    """

    rows: int
    planted: dict[str, int] = field(default_factory=dict)


class _Draws:
    """Random generators of one part of the sample, one per call, in the order of the calls."""

    def __init__(self, seed: int, *part: int) -> None:
        self._seed, self._part, self._count = seed, part, 0

    def next(self) -> np.random.Generator:
        """A fresh generator, independent of all others."""
        self._count += 1
        return np.random.Generator(
            np.random.SFC64(np.random.SeedSequence(self._seed, spawn_key=(*self._part, self._count)))
        )

    def normal(self, *shape: int, sd: float = 1.0) -> Floats:
        """Normal numbers; a further month (axis 0) leaves the earlier ones as they are."""
        return self.next().standard_normal(shape) * sd


@dataclass(frozen=True)
class _World:
    """What all zips share: the calendar, and growth by metro.

    Arrays of growth run over the months plus `_AHEAD` (axis 0) and, if by metro, over METROS (axis 1).
    """

    months: list[str]
    season: Ints
    years: Ints
    clock: Floats
    cycle: Floats
    cycle_sum: Floats
    beta: Floats
    metro: Floats
    metro_before: Floats
    drift: Floats


def _smooth(draws: _Draws, months: int, width: int) -> Floats:
    """Smooth stationary series of unit variance: second order, rising and mean-reverting as the index does."""
    first = _LAG_1 * (1 - _LAG_2) / (1 - _LAG_1**2)
    second = (_LAG_2 - _LAG_1**2) / (1 - _LAG_1**2)
    noise = draws.normal(_BURN_IN + months, width, sd=np.sqrt(1 - first * _LAG_1 - second * _LAG_2))
    for t in range(2, len(noise)):
        noise[t] += first * noise[t - 1] + second * noise[t - 2]
    return noise[_BURN_IN:]


def _wander(draws: _Draws, months: int, width: int, keep: float) -> Floats:
    """First-order series of unit variance that keeps the share `keep` of itself from month to month."""
    values = draws.normal(months, width)
    values[1:] *= np.sqrt(1 - keep**2)
    for t in range(1, months):
        values[t] += keep * values[t - 1]
    return values


def _season(season: Ints, phase: Floats) -> Floats:
    """A yearly wave of height one, (months, len(phase)): its height is in April, `phase` months earlier."""
    return np.cos(2 * np.pi * (season[:, None] - 3 + phase) / 12)


def _cycle(months: Ints) -> Floats:
    """National log growth in the months of these indices."""
    knots = np.array([month_index(m) for m, _ in _CYCLE], dtype=float)
    wide = np.interp(months[:, None] + np.arange(-2, 3), knots, [v for _, v in _CYCLE])
    return wide.mean(axis=1) / 100  # averaged over five months, since the index turns no corner sharply


def _world(spec: SampleSpec) -> _World:
    months = month_range(spec.start, spec.end)
    draws = _Draws(spec.seed, 0)
    first, anchor = month_index(spec.start), month_index(_ANCHOR)
    index = first + np.arange(len(months) + _AHEAD)
    calendar = np.arange(min(first, anchor), max(int(index[-1]), anchor) + 1)
    total = np.cumsum(_cycle(calendar))
    total -= total[anchor - calendar[0]]
    season = index % 12
    count = len(METROS)
    beta = np.clip(1 + draws.normal(count, sd=0.22), 0.55, 1.5)
    wave = _METRO_SEASON * _season(season, draws.normal(count, sd=0.6))
    path = _METRO_SD * _smooth(draws, len(index) + 1, count)
    path += _METRO_TREND_SD * _wander(draws, len(index) + 1, count, _TREND_KEPT)
    return _World(
        months=months,
        season=season,
        years=index // 12,
        clock=(index + 0.5) / 12,
        cycle=_cycle(index),
        cycle_sum=total[index - calendar[0]],
        beta=beta,
        metro=path[1:] + wave,
        metro_before=path[:-1] + wave,
        drift=_wander(draws, len(index), count, 0.985) * 0.05,
    )


def _allocate(zips: int) -> list[int]:
    """Zips of each metro: by share, largest remainder first, never more than its prefixes hold."""
    share = np.array([_PROFILES[m.code].share for m in METROS])
    room = np.array([_ZIPS_PER_PREFIX * len(_PROFILES[m.code].prefixes.split()) for m in METROS])
    counts = np.zeros(len(METROS), dtype=int)
    while (left := zips - int(counts.sum())) > 0:
        quota = np.where(counts < room, share, 0)
        quota = quota / quota.sum() * left
        step = np.floor(quota).astype(int)
        ahead = np.argsort(step - quota, kind="stable")[: left - int(step.sum())]
        step[ahead] += 1
        counts = np.minimum(counts + step, room)
    return counts.tolist()


def _zip_table(zips: int) -> tuple[list[str], Ints]:
    """All zips in order, and the place in METROS of each one's metro."""
    pairs: list[tuple[str, int]] = []
    for place, (metro, count) in enumerate(zip(METROS, _allocate(zips), strict=True)):
        prefixes = _PROFILES[metro.code].prefixes.split()
        for i in range(count):
            suffix = (i // len(prefixes) * _SUFFIX_STEP + 1) % _ZIPS_PER_PREFIX
            pairs.append((f"{prefixes[i % len(prefixes)]}{suffix:02d}", place))
    pairs.sort()
    return [p[0] for p in pairs], np.array([p[1] for p in pairs], dtype=np.int64)


def _levels(values: tuple[float, ...], clock: Floats) -> Floats:
    """Values given at mid-year, at the months of `clock`, as a column."""
    return np.interp(clock, np.array(_LEVEL_YEARS) + 0.5, values)[:, None]


def _logistic(odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-odds))


@dataclass(frozen=True)
class _Zips:
    """One block of zips: what is fixed of each (axis 0 or 1), and its price and growth (months, zips)."""

    codes: list[str]
    metro: Ints
    level: Floats
    people: Floats
    price: Floats
    growth: Floats


def _make_zips(world: _World, draws: _Draws, codes: list[str], metro: Ints) -> _Zips:
    """Levels, population and prices of a block. `growth` and `price` hold `_AHEAD` further months."""
    width, months = len(codes), len(world.clock)
    profiles = [_PROFILES[m.code] for m in METROS]
    price = np.log([p.price for p in profiles])[metro]
    spread = np.array([p.spread for p in profiles])[metro]
    tails = draws.next().standard_t(5, width) / np.sqrt(5 / 3)
    tails = np.clip(np.where(tails < -1.3, 1.5 * tails + 0.82, 0.83 * tails), -4.2, 2.9)  # cheap zips go far
    quality = tails * spread
    people = np.interp(draws.next().random(width), _PEOPLE_Q, _PEOPLE)
    people *= np.array([p.people for p in profiles])[metro]

    beta = world.beta[metro] * np.clip(1 + draws.normal(width, sd=0.12), 0.6, 1.4)
    late = draws.next().random(width)  # share of the metro's growth that reaches the zip a month later
    lively = np.exp(np.clip(draws.normal(width, sd=0.30), -0.7, 0.7) - 0.045)
    own = _smooth(draws, months, width) * (_ZIP_SD * lively)
    own += _wander(draws, months, width, _TREND_KEPT) * _ZIP_TREND_SD
    own += _season(world.season, draws.normal(width, sd=2.0)) * _ZIP_SEASON
    common = (1 - late) * world.metro[:, metro] + late * world.metro_before[:, metro]
    random = common + own
    growth = np.clip(beta * world.cycle[:, None] + random, -_MAX_GROWTH, _MAX_GROWTH)
    start = price + quality + beta * (world.cycle_sum[0] - world.cycle[0])
    return _Zips(codes, metro, price + quality, people, np.exp(start + np.cumsum(growth, axis=0)), growth)


def _market(world: _World, draws: _Draws, zips: _Zips) -> dict[str, Floats]:
    """Market columns of a block, each (months, zips), a 0 where there was no market."""
    months, width = len(world.months), len(zips.codes)
    shape = (months, width)
    season, clock = world.season[:months], world.clock[:months]
    price, growth = zips.price[:months], zips.growth
    # What buyers do now shows in the index of the next months: that is why these columns can foretell it.
    heat = (growth[:months] + growth[1 : months + 1] + growth[2 : months + 2]) / 3
    heat = np.clip((heat - 0.0041) / 0.0062, -3, 3) + 0.5 * _wander(draws, months, width, 0.8)
    drift = world.drift[:months, zips.metro]

    def seasonal(values: tuple[float, ...]) -> Floats:
        return np.array(values)[season][:, None]

    turnover = np.exp(draws.normal(width, sd=0.35))
    volume = np.exp(0.10 * np.clip(heat, -2, 2) + 0.10 * draws.normal(*shape))
    rate = 0.0031 * zips.people * turnover * volume
    sold = np.maximum(draws.next().poisson(rate * seasonal(_SEASON_SOLD)), 1).astype(float)
    pending = draws.next().poisson(rate * 1.07 * seasonal(_SEASON_SOLD)).astype(float)
    pending[draws.next().random(shape) < 0.035] = 0  # months the listing service did not report
    listed = np.maximum(draws.next().poisson(rate * 1.17 * seasonal(_SEASON_LISTED)), 1).astype(float)
    supply = _levels(_SUPPLY, clock) * np.exp(-0.13 * heat + draws.normal(width, sd=0.30))
    stock = draws.next().poisson(rate * supply * seasonal(_SEASON_STOCK)).astype(float)

    # A median of few sales is a noisy one; what a zip sells is not what the index values, and that gap
    # stays for years, drifts with the market, and differs with the price level.
    few = 1 / np.sqrt(sold)
    lean = draws.normal(width, sd=0.09) - 0.03 * np.clip(zips.level - 12.6, -1.5, 1.5)
    slow = _wander(draws, months, width, 0.97) * 0.09
    base = np.log(price) + lean + slow + drift
    sale = np.exp(base - 0.02 + 0.012 * heat + (0.055 + 0.32 * few) * draws.normal(*shape))
    asked = draws.normal(width, sd=0.07) + 0.045 + 0.5 * drift
    asked = np.exp(base + asked + 0.02 * heat + (0.055 + 0.32 * few) * draws.normal(*shape))
    size = np.exp(7.45 - 0.12 * np.clip(zips.level - 12.6, -1.5, 1.5) + draws.normal(width, sd=0.22))
    dom = _levels(_DOM, clock) * seasonal(_SEASON_DOM) * np.exp(draws.normal(width, sd=0.35))
    dom *= np.exp(-0.14 * heat + (0.08 + 0.6 * few) * draws.normal(*shape))
    ratio = 0.979 + 0.009 * heat + draws.normal(width, sd=0.010) + 0.004 * seasonal(_SEASON_SOLD)
    above = _logistic(-1.40 + 0.42 * heat + draws.normal(width, sd=0.75))
    quick = _logistic(_levels(_QUICK, clock) + 0.30 * heat + draws.normal(width, sd=0.85))
    columns = {
        "median_sale_price": np.maximum(np.round(sale * 2) / 2, 1_000),
        "median_list_price": np.maximum(np.round(asked / 50) * 50, 1_000),
        "median_ppsf": np.round(sale / size * np.exp(0.07 * draws.normal(*shape)), 4),
        "median_list_ppsf": np.round(asked / size * np.exp(0.06 * draws.normal(*shape)), 4),
        "homes_sold": sold,
        "pending_sales": pending,
        "new_listings": listed,
        "inventory": stock,
        "median_dom": np.clip(np.round(dom * 2) / 2, 1, 3_000),
        "avg_sale_to_list": np.round(np.clip(ratio + (0.006 + 0.05 * few) * draws.normal(*shape), 0.6, 1.6), 6),
        "sold_above_list": np.round(draws.next().binomial(sold.astype(np.int64), above) / sold, 6),
        "off_market_in_two_weeks": np.round(
            draws.next().binomial(pending.astype(np.int64), quick) / np.maximum(pending, 1), 6
        ),
    }
    # Small zips have months with no market at all: 0.3% of all rows.
    none = draws.next().random(shape) < np.minimum(0.04 / (0.0031 * zips.people * turnover), 0.06)
    return {name: np.where(none, 0.0, values) for name, values in columns.items()}


def _amenities(draws: _Draws, zips: _Zips) -> dict[str, Floats]:
    """Amenity counts of each zip: they do not change with time."""
    width = len(zips.codes)
    town = 0.35 * np.clip(zips.level - 12.6, -1.5, 1.5) + draws.normal(width, sd=0.8)
    counts: dict[str, Floats] = {}
    for name, (rate, spread) in _AMENITIES.items():
        odds = spread * (0.6 * town + 0.6 * draws.normal(width)) - spread**2 * 0.2
        mean = rate / 1000 * zips.people * np.exp(np.clip(odds, -4, 3))
        counts[name] = draws.next().poisson(np.minimum(mean, 20_000)).astype(float)
    return counts


def _census(world: _World, draws: _Draws, zips: _Zips) -> dict[str, Floats]:
    """Census columns, (months, zips): one survey a year, and 0 throughout in New Jersey."""
    width = len(zips.codes)
    span = world.years[: len(world.months)]
    years, first, which = np.unique(span, return_index=True, return_inverse=True)
    # Ages of the survey count from a fixed year, so that a zip reads the same whatever the first month.
    age = (years - 2018)[:, None].astype(float)
    # The survey pools five years: its home value is that of two years ago.
    valued = np.log(zips.price[np.maximum(first - 24, 0)])
    rich = np.clip(zips.level - 12.6, -2.2, 2.2)

    def yearly(sd: float) -> Floats:
        return draws.normal(len(years), width, sd=sd)

    people = np.round(zips.people * np.exp((0.007 + draws.normal(width, sd=0.012)) * age + yearly(0.012)))
    house = np.exp(valued - 0.03 + draws.normal(width, sd=0.14) + yearly(0.03))
    income = 10.43 + 0.40 * rich + 0.033 * age + draws.normal(width, sd=0.20) + yearly(0.02)
    rent = 7.06 + 0.27 * rich + 0.034 * age + draws.normal(width, sd=0.17) + yearly(0.025)
    old = 39.5 + 1.0 * rich + 0.1 * age + draws.normal(width, sd=5.2) + yearly(0.4)
    jobless = 0.030 * np.exp(-0.05 * age - 0.15 * rich + draws.normal(width, sd=0.30) + yearly(0.12))

    def of_people(share: float, sd: float) -> Floats:
        return people * np.minimum(share * np.exp(draws.normal(width, sd=sd) + yearly(sd / 5)), 1)

    school = np.round(of_people(0.966, 0.008))
    columns = {
        "Total Population": people,
        "Median Age": np.round(np.clip(old, 21, 70), 1),
        "Per Capita Income": np.round(np.exp(income)),
        "Total Families Below Poverty": np.round(of_people(0.988, 0.008)),
        "Total Housing Units": np.round(of_people(0.405, 0.14)),
        "Median Rent": np.round(np.exp(np.minimum(rent, np.log(3_501)))),
        "Median Home Value": np.round(np.clip(house, 15e3, 2e6) / 100) * 100,
        "Total Labor Force": np.round(of_people(0.525, 0.08)),
        "Unemployed Population": np.round(people * np.minimum(jobless, 0.2)),
        "Total School Age Population": school,
        "Total School Enrollment": school,
        "Median Commute Time": np.round(of_people(0.435, 0.10)),
    }
    jersey = np.array([code[:2] in ("07", "08") for code in zips.codes])
    return {name: np.where(jersey, 0.0, values)[which] for name, values in columns.items()}


def _block(spec: SampleSpec, world: _World, block: int, codes: list[str], metro: Ints) -> pl.DataFrame:
    """Clean rows of one block of zips, by zip and then date."""
    draws = _Draws(spec.seed, 1, block)
    months, width = len(world.months), len(codes)
    zips = _make_zips(world, draws, codes, metro)
    by_month = {
        **_market(world, draws, zips),
        **_census(world, draws, zips),
        "price": zips.price[:months],
    }
    columns: dict[str, pl.Series] = {
        name: pl.Series(name, np.ascontiguousarray(v.T).ravel()) for name, v in by_month.items()
    }
    for name, values in _amenities(draws, zips).items():
        columns[name] = pl.Series(name, np.repeat(values, months))

    def of_zip(name: str, values: list[str]) -> pl.Series:
        return pl.Series(name, values).gather(np.repeat(np.arange(width), months))

    def of_month(name: str, values: list[object], dtype: pl.DataType) -> pl.Series:
        return pl.Series(name, values, dtype).gather(np.tile(np.arange(months), width))

    columns["zipcode"] = of_zip("zipcode", codes)
    columns["city"] = of_zip("city", [METROS[m].code for m in metro])
    columns["city_full"] = of_zip("city_full", [METROS[m].spellings[0] for m in metro])
    columns["date"] = of_month("date", [month_end(m) for m in world.months], pl.Date())
    columns["year"] = of_month("year", [float(m[:4]) for m in world.months], pl.Float64())
    return pl.DataFrame([columns[name] for name in COLUMN_NAMES])


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
        f"{name}, {_PROFILES[metro.code].states}",
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


def _plant(spec: SampleSpec, block: int, frame: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Plant every kind of dirt in a block, each in rows of its own.

    Returns:
        The dirty rows, duplicates right after their originals, and the rows planted of each kind.
    """
    rng = _Draws(spec.seed, 2, block).next()
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

    data = {name: frame[name].to_numpy().copy() for name in (*_MARKET, "price")}
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


def _chunks(spec: SampleSpec) -> Iterator[tuple[pl.DataFrame, dict[str, int]]]:
    world = _world(spec)
    codes, metro = _zip_table(spec.zips)
    for block, at in enumerate(range(0, len(codes), BLOCK_ZIPS)):
        part = slice(at, at + BLOCK_ZIPS)
        frame = _block(spec, world, block, codes[part], metro[part])
        yield _plant(spec, block, frame) if spec.dirt else (frame, {})


def sample_chunks(spec: SampleSpec) -> Iterator[pl.DataFrame]:
    """The sample, `BLOCK_ZIPS` zips at a time, by zip and then date, in the columns of the raw panel."""
    for frame, _ in _chunks(spec):
        yield frame


def sample_frame(spec: SampleSpec) -> pl.DataFrame:
    """The whole sample in memory."""
    return pl.concat(sample_chunks(spec))


class _Sink(Protocol):
    """Takes the sample chunk by chunk."""

    def add(self, frame: pl.DataFrame) -> None: ...
    def close(self) -> None: ...


class _CsvSink:
    """CSV as the real source has it: the zip is an integer, so its leading zeros are lost."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._header = file, True

    def add(self, frame: pl.DataFrame) -> None:
        frame = frame.with_columns(pl.col("zipcode").cast(pl.Int64))
        frame.write_csv(self._file, include_header=self._header)
        self._header = False

    def close(self) -> None:
        self._file.flush()


class _ParquetSink:
    """Parquet, one row group for each chunk; the zip is text and whole."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow.parquet as pq

        schema = pl.DataFrame(schema=RAW_SCHEMA).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def add(self, frame: pl.DataFrame) -> None:
        self._writer.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))

    def close(self) -> None:
        self._writer.close()


_SINKS: dict[str, Callable[[IO[bytes]], _Sink]] = {".csv": _CsvSink, ".parquet": _ParquetSink}


def write_sample(spec: SampleSpec, path: Path, progress: Callable[[int, int], None] | None = None) -> SampleReport:
    """Write the sample to one file, chunk by chunk. The file appears whole or not at all.

    Args:
        spec: what to generate.
        path: ends in `.csv` or `.parquet`; its directory is made if it is missing, a file there is replaced.
        progress: called with the zips done and the zips in all, after each chunk.

    Raises:
        HousingError: the suffix is another, or the file cannot be written.
    """
    if path.suffix not in _SINKS:
        raise HousingError(f"cannot write a sample to {path}: end its name in .csv or .parquet")
    rows, planted, temporary = 0, dict.fromkeys(DIRT_RATES, 0) if spec.dirt else {}, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as file:
            temporary = Path(file.name)
            sink = _SINKS[path.suffix](file)
            for block, (frame, found) in enumerate(_chunks(spec)):
                sink.add(frame)
                rows += len(frame)
                for kind, count in found.items():
                    planted[kind] += count
                if progress:
                    progress(min((block + 1) * BLOCK_ZIPS, spec.zips), spec.zips)
            sink.close()
        temporary.chmod(0o644)  # a temporary file is private; the sample is not
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        raise HousingError(f"cannot write the sample to {path}: {error}; choose a place with room") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return SampleReport(rows, planted)
