"""The sample's market columns."""

import numpy as np

from housing_assets.core.panel.schema import NAMES_BY_ROLE, Role
from housing_assets.core.sample.draws import Draws, Floats
from housing_assets.core.sample.world import World, Zips, first_order_series, logistic, yearly_values

# Seasons, January to December, relative to the year's mean.
_SEASON_SOLD = (0.74, 0.78, 0.96, 1.00, 1.12, 1.20, 1.17, 1.15, 1.03, 1.01, 0.92, 0.92)

_SEASON_LISTED = (0.82, 0.88, 1.15, 1.22, 1.28, 1.20, 1.14, 1.06, 0.98, 0.94, 0.74, 0.59)

_SEASON_STOCK = (0.91, 0.90, 0.94, 0.99, 1.03, 1.07, 1.09, 1.09, 1.07, 1.04, 0.98, 0.89)

_SEASON_DOM = (1.22, 1.24, 1.10, 0.97, 0.91, 0.86, 0.86, 0.90, 0.93, 0.96, 1.00, 1.10)

_SUPPLY = (1.62, 1.36, 1.24, 1.02, 0.84, 0.56, 0.60, 0.80)

_DOM = (78.0, 66.0, 57.0, 49.0, 43.0, 31.0, 30.0, 39.0)

_QUICK = (-1.75, -1.45, -1.05, -0.78, -0.45, -0.10, -0.10, -0.38)

MARKET = NAMES_BY_ROLE[Role.MARKET]


def make_market(world: World, draws: Draws, zips: Zips) -> dict[str, Floats]:
    """Market columns of a block, each (months, zips), a 0 where there was no market."""
    months, width = len(world.months), len(zips.codes)
    shape = (months, width)
    season, clock = world.season[:months], world.clock[:months]
    price, growth = zips.price[:months], zips.growth
    # What buyers do now shows in the index of the next months: that is why these columns can foretell it.
    heat = (growth[:months] + growth[1 : months + 1] + growth[2 : months + 2]) / 3
    heat = np.clip((heat - 0.0041) / 0.0062, -3, 3) + 0.5 * first_order_series(draws, months, width, 0.8)
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
    supply = yearly_values(_SUPPLY, clock) * np.exp(-0.13 * heat + draws.normal(width, sd=0.30))
    stock = draws.next().poisson(rate * supply * seasonal(_SEASON_STOCK)).astype(float)

    # A median of few sales is a noisy one; what a zip sells is not what the index values, and that gap
    # stays for years, drifts with the market, and differs with the price level.
    few = 1 / np.sqrt(sold)
    lean = draws.normal(width, sd=0.09) - 0.03 * np.clip(zips.level - 12.6, -1.5, 1.5)
    slow = first_order_series(draws, months, width, 0.97) * 0.09
    base = np.log(price) + lean + slow + drift
    sale = np.exp(base - 0.02 + 0.012 * heat + (0.055 + 0.32 * few) * draws.normal(*shape))
    premium = draws.normal(width, sd=0.07) + 0.045 + 0.5 * drift
    premium = np.exp(base + premium + 0.02 * heat + (0.055 + 0.32 * few) * draws.normal(*shape))
    size = np.exp(7.45 - 0.12 * np.clip(zips.level - 12.6, -1.5, 1.5) + draws.normal(width, sd=0.22))
    dom = yearly_values(_DOM, clock) * seasonal(_SEASON_DOM) * np.exp(draws.normal(width, sd=0.35))
    dom *= np.exp(-0.14 * heat + (0.08 + 0.6 * few) * draws.normal(*shape))
    ratio = 0.979 + 0.009 * heat + draws.normal(width, sd=0.010) + 0.004 * seasonal(_SEASON_SOLD)
    above = logistic(-1.40 + 0.42 * heat + draws.normal(width, sd=0.75))
    quick = logistic(yearly_values(_QUICK, clock) + 0.30 * heat + draws.normal(width, sd=0.85))
    columns = {
        "median_sale_price": np.maximum(np.round(sale * 2) / 2, 1_000),
        "median_list_price": np.maximum(np.round(premium / 50) * 50, 1_000),
        "median_ppsf": np.round(sale / size * np.exp(0.07 * draws.normal(*shape)), 4),
        "median_list_ppsf": np.round(premium / size * np.exp(0.06 * draws.normal(*shape)), 4),
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
