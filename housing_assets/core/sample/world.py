"""Prices of the sample: the nation's cycle, and how metros and zips depart from it."""

from dataclasses import dataclass

import numpy as np

from housing_assets.core.months import (
    month_index,
    month_range,
)
from housing_assets.core.panel.metros import METROS
from housing_assets.core.sample.draws import Draws, Floats, Ints
from housing_assets.core.sample.profiles import PROFILES
from housing_assets.core.sample.spec import SampleSpec

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

# Levels at mid-year: months of supply, days on market, log-odds of being sold within two weeks.
_LEVEL_YEARS = (2012, 2014, 2016, 2018, 2020, 2021, 2022, 2023)


@dataclass(frozen=True)
class World:
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


def _smooth(draws: Draws, months: int, width: int) -> Floats:
    """Smooth stationary series of unit variance: second order, rising and mean-reverting as the index does."""
    first = _LAG_1 * (1 - _LAG_2) / (1 - _LAG_1**2)
    second = (_LAG_2 - _LAG_1**2) / (1 - _LAG_1**2)
    noise = draws.normal(_BURN_IN + months, width, sd=np.sqrt(1 - first * _LAG_1 - second * _LAG_2))
    for t in range(2, len(noise)):
        noise[t] += first * noise[t - 1] + second * noise[t - 2]
    return noise[_BURN_IN:]


def first_order_series(draws: Draws, months: int, width: int, keep: float) -> Floats:
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


def make_world(spec: SampleSpec) -> World:
    """The months of a sample, with the growth of the nation and of each metro."""
    months = month_range(spec.start, spec.end)
    draws = Draws(spec.seed, 0)
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
    path += _METRO_TREND_SD * first_order_series(draws, len(index) + 1, count, _TREND_KEPT)
    return World(
        months=months,
        season=season,
        years=index // 12,
        clock=(index + 0.5) / 12,
        cycle=_cycle(index),
        cycle_sum=total[index - calendar[0]],
        beta=beta,
        metro=path[1:] + wave,
        metro_before=path[:-1] + wave,
        drift=first_order_series(draws, len(index), count, 0.985) * 0.05,
    )


def yearly_values(values: tuple[float, ...], clock: Floats) -> Floats:
    """Values given at mid-year, at the months of `clock`, as a column."""
    return np.interp(clock, np.array(_LEVEL_YEARS) + 0.5, values)[:, None]


def logistic(odds: Floats) -> Floats:
    """The share that belongs to log odds."""
    return 1 / (1 + np.exp(-odds))


@dataclass(frozen=True)
class Zips:
    """One block of zips: what is fixed of each (axis 0 or 1), and its price and growth (months, zips)."""

    codes: list[str]
    metro: Ints
    level: Floats
    people: Floats
    price: Floats
    growth: Floats


def make_zips(world: World, draws: Draws, codes: list[str], metro: Ints) -> Zips:
    """Levels, population and prices of a block. `growth` and `price` hold `_AHEAD` further months."""
    width, months = len(codes), len(world.clock)
    profiles = [PROFILES[m.code] for m in METROS]
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
    own += first_order_series(draws, months, width, _TREND_KEPT) * _ZIP_TREND_SD
    own += _season(world.season, draws.normal(width, sd=2.0)) * _ZIP_SEASON
    common = (1 - late) * world.metro[:, metro] + late * world.metro_before[:, metro]
    random = common + own
    growth = np.clip(beta * world.cycle[:, None] + random, -_MAX_GROWTH, _MAX_GROWTH)
    start = price + quality + beta * (world.cycle_sum[0] - world.cycle[0])
    return Zips(codes, metro, price + quality, people, np.exp(start + np.cumsum(growth, axis=0)), growth)
