"""The sample's census and amenity columns."""

import numpy as np

from housing_assets.core.sample.draws import Draws, Floats
from housing_assets.core.sample.world import World, Zips

# Amenities: number per 1,000 people and spread of its log between zips.
_AMENITIES: dict[str, tuple[float, float]] = {
    "bank": (0.36, 1.2), "bus": (0.022, 1.2), "hospital": (0.07, 1.3), "mall": (0.045, 1.0),
    "park": (1.5, 1.0), "restaurant": (1.0, 1.4), "school": (1.5, 0.8), "station": (0.06, 1.8),
    "supermarket": (0.30, 1.1),
}  # fmt: skip


def make_amenities(draws: Draws, zips: Zips) -> dict[str, Floats]:
    """Amenity counts of each zip: they do not change with time."""
    width = len(zips.codes)
    town = 0.35 * np.clip(zips.level - 12.6, -1.5, 1.5) + draws.normal(width, sd=0.8)
    counts: dict[str, Floats] = {}
    for name, (rate, spread) in _AMENITIES.items():
        odds = spread * (0.6 * town + 0.6 * draws.normal(width)) - spread**2 * 0.2
        mean = rate / 1000 * zips.people * np.exp(np.clip(odds, -4, 3))
        counts[name] = draws.next().poisson(np.minimum(mean, 20_000)).astype(float)
    return counts


def make_census(world: World, draws: Draws, zips: Zips) -> dict[str, Floats]:
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
