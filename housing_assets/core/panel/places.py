"""Places of the United States: metros by any name they have had since 2000, zips, states and the nation.

The tables in `tables/` hold all metropolitan and micropolitan areas of the Census, and every zip. They are read at
the first question and kept. The 30 metros of HouseTS keep the names and coordinates of `metros.METROS`.
"""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files

import numpy as np
import polars as pl

from housing_assets.core.panel.metros import METRO_BY_KEY, METROS, metro_key
from housing_assets.core.panel.schema import ZIP_PATTERN

METRO, MICRO, STATE, NATION = "metro", "micro", "state", "nation"
NO_METRO = "{} (no metro)"
"""`city_full` of the zips of a state that lie in no metro, or in one that is not known."""
UNITED_STATES = "United States"


@dataclass(frozen=True)
class Area:
    """A metro, the part of a state that is in no metro, or the nation.

    Attributes:
        name: in `city_full` of cleaned rows.
        kind: `metro`, `micro`, `state` or `nation`.
        states: postal codes of its states, the principal city's first; empty for the nation.
        latitude, longitude: degrees north and east; None where there is no such place (armed forces abroad).
        cbsa: the Census's code of a metro; None for others.
        title: the Census's full name of a metro, with its states; the name of others.
    """

    name: str
    kind: str
    states: tuple[str, ...]
    latitude: float | None
    longitude: float | None
    cbsa: str | None
    title: str


@dataclass(frozen=True)
class ZipPlace:
    """Where a zip lies; None for what is not known.

    Attributes:
        zipcode: 5 digits.
        latitude, longitude: an inner point, degrees north and east.
        state: postal code.
        county, city: names; the city is the one that the post prefers.
        metro: the metro of most of its homes.
    """

    zipcode: str
    latitude: float | None
    longitude: float | None
    state: str | None
    county: str | None
    city: str | None
    metro: Area | None


_STATE_LIST = re.compile(r",\s*([a-z]{2}(?:[\s-]+[a-z]{2})*)$")
_SUFFIX = re.compile(r"\s+((metro|micro)(politan)?(\s+statistical)?\s+area|metro(politan)?|msa)\s*$")
_NOT_METRO = re.compile(r"\b(non\s*-?\s*metro(politan)?(\s+area)?|no metro)\b")


def find_metro(text: str) -> Area | None:
    """The metro of a name, as publishers and the Census wrote it since 2000; None if there is none or several.

    Case, accents, kinds of dash, `metro area` and codes of HouseTS are understood as by `metro_key`. With states
    (`Portland, ME`) the metro must lie in one of them. A name with states whose first city is that of one metro there
    (`Houston, TX metro area`, or a name from before a redefinition) means that metro. A name without states must be one
    that a metro has had, or its first city alone; one of the 30 metros of HouseTS goes first.
    """
    area = find_area(text)
    return area if area is not None and area.cbsa is not None else None


@lru_cache(maxsize=20_000)
def find_area(text: str) -> Area | None:
    """The metro, the state's part without a metro, or the nation that a name means; None if it is not known.

    A state's part goes by `Texas (no metro)`, which cleaning gives, or `Texas nonmetropolitan area`.
    """
    plain = _plain(text)
    key, states = _key(plain), _states_of(plain)
    if _NOT_METRO.search(plain):
        return _pools_by_key().get(_key(_NOT_METRO.sub("", plain)))
    if key in ("united states", "us", "usa", "national"):
        return nation()
    exact, first = _metros_by_key()
    famous = METRO_BY_KEY.get(key)
    if famous is not None:
        area = _famous()[famous.code]
        if not states or set(states) & set(area.states):
            return area
    return _one_of(exact.get(key, ()), states) or _one_of(first.get(_first_city(plain), ()) if states else (), states)


def is_unknown(city_full: str | None) -> bool:
    """True if a row names a metro and no area goes by that name; a row that names none is not unknown."""
    return bool(city_full and city_full.strip()) and find_area(city_full) is None


@lru_cache(maxsize=100_000)
def place_of(city_full: str | None, zipcode: str | None) -> Area | None:
    """Where a row belongs: the metro it names, else its state's part without a metro, else the nation.

    Args:
        city_full: the metro's name in the source; None or blank: the source names none.
        zipcode: 5 digits, by which the state is known.

    Returns:
        None if neither says anything.
    """
    area = find_area(city_full) if city_full and city_full.strip() else None
    if area is not None:
        return area
    return state_pool(state_of_zip(zipcode)) if zipcode else None


def nearest_name(text: str) -> str | None:
    """The name of a metro that is spelled most like a text; None if none is near."""
    exact, _ = _metros_by_key()
    near = get_close_matches(_key(_plain(text)), list(exact), n=1, cutoff=0.6)
    return exact[near[0]][0][0].title if near else None


def zip_place(zipcode: str) -> ZipPlace | None:
    """Where a zip lies; None if neither the table nor its first three digits say."""
    row = _zip_rows().get(zipcode)
    if row is None:
        state = state_of_zip(zipcode)
        return ZipPlace(zipcode, None, None, state, None, None, None) if state else None
    latitude, longitude, _, county, cbsa, city = row
    metro = metros().get(cbsa) if cbsa else None
    return ZipPlace(zipcode, latitude, longitude, state_of_zip(zipcode), county, city, metro)


def state_of_zip(zipcode: str) -> str | None:
    """Postal code of a zip's state or territory: of the table, or of most zips with the same first three digits."""
    states, position = _state_positions()
    at = position[int(zipcode)] if _IS_ZIP.fullmatch(zipcode) else -1
    return states[at] if at >= 0 else _state_by_prefix().get(zipcode[:3])


@cache
def state_names() -> dict[str, str]:
    """The name of each state and territory by its postal code."""
    return dict(_csv("states").select("state", "name").iter_rows())


def state_pool(state: str | None) -> Area | None:
    """The part without a metro of a state, by its postal code; None if there is no such state."""
    return _pools().get(state) if state else None


@cache
def nation() -> Area:
    """The nation, at the mean place of its metros."""
    placed = [m for m in metros().values() if m.latitude is not None]
    latitude, longitude = (
        round(sum(getattr(m, c) for m in placed) / len(placed), 4) for c in ("latitude", "longitude")
    )
    return Area(UNITED_STATES, NATION, (), latitude, longitude, None, UNITED_STATES)


@cache
def metros() -> dict[str, Area]:
    """Every metropolitan and micropolitan area by its code: those of 2023, and those of 2018 that are in none today."""
    areas = {}
    for cbsa, title, kind, latitude, longitude in (
        _csv("metros").select("cbsa", "name", "kind", "latitude", "longitude").iter_rows()
    ):
        states = _states_of(_plain(title))
        areas[cbsa] = Area(title, kind, states, float(latitude), float(longitude), cbsa, title)
    for metro in METROS:
        key = metro_key(metro.name)
        cbsa = next(c for c, a in areas.items() if metro_key(a.title) == key and a.kind == METRO)
        areas[cbsa] = replace(areas[cbsa], name=metro.name, latitude=metro.latitude, longitude=metro.longitude)
    return areas


@cache
def _famous() -> dict[str, Area]:
    by_name = {area.name: area for area in metros().values()}
    return {metro.code: by_name[metro.name] for metro in METROS}


_Named = tuple[Area, frozenset[str]]
"""A metro, and the states of it and of a name that it had."""


@cache
def _metros_by_key() -> tuple[dict[str, tuple[_Named, ...]], dict[str, tuple[_Named, ...]]]:
    """Metros by the key of each name they had, and by the key of its first city."""
    exact: dict[str, dict[str, _Named]] = defaultdict(dict)
    first: dict[str, dict[str, _Named]] = defaultdict(dict)
    old = pl.concat([_csv("names"), _csv("former_names")]).iter_rows()
    for cbsa, title in [*((a.cbsa, a.title) for a in metros().values()), *old]:
        plain = _plain(title)
        area = metros()[cbsa]
        city = _first_city(plain)
        for index, key in ((exact, _key(plain)), (exact, city), (first, city)):
            _, states = index[key].get(cbsa, (area, frozenset(area.states)))
            index[key][cbsa] = (area, states | set(_states_of(plain)))
    return {k: tuple(v.values()) for k, v in exact.items()}, {k: tuple(v.values()) for k, v in first.items()}


@cache
def _pools() -> dict[str, Area]:
    return {
        state: Area(
            NO_METRO.format(name),
            STATE,
            (state,),
            float(latitude) if latitude else None,
            float(longitude) if longitude else None,
            None,
            NO_METRO.format(name),
        )
        for state, name, latitude, longitude in _csv("states").iter_rows()
    }


@cache
def _pools_by_key() -> dict[str, Area]:
    pools = _pools()
    names = {_key(_plain(name)): pools[state] for state, name, *_ in _csv("states").iter_rows()}
    return names | {state.casefold(): pool for state, pool in pools.items()}


@cache
def zip_table() -> pl.DataFrame:
    """Every zip that the Census or the post knows, by zip: `zipcode`, `latitude`, `longitude` (degrees), `state`,
    `county`, `cbsa` (of its metro), `city`, null where not known, and `population` (of the Census, 0 without homes)."""
    return pl.read_parquet(_ZIPS.read_bytes())


@cache
def _zip_rows() -> dict[str, tuple[float | None, float | None, str | None, str | None, str | None, str | None]]:
    table = zip_table().drop("population")
    return {zipcode: tuple(rest) for zipcode, *rest in table.iter_rows()}  # pyright: ignore[reportReturnType]


@cache
def _state_positions() -> tuple[tuple[str, ...], np.ndarray]:
    """All states, and the position among them of each zip's, by the zip as a number, int8; -1 where it is not known.

    A process that needs no more of the table reads no more of it. A dictionary of its zips takes 50 times the memory.
    """
    table = pl.read_parquet(_ZIPS.read_bytes(), columns=["zipcode", "state"]).drop_nulls()
    states = table["state"].unique().sort()
    position = np.full(100_000, -1, np.int8)
    position[table["zipcode"].cast(pl.Int32).to_numpy()] = states.search_sorted(table["state"]).to_numpy()
    return tuple(states), position


@cache
def _state_by_prefix() -> dict[str, str]:
    """The state of most zips with the same first three digits; of several with as many, the first by name."""
    states, position = _state_positions()
    by_prefix = position.reshape(1_000, 100)
    counts = np.array([(by_prefix == at).sum(axis=1) for at in range(len(states))])
    most = counts.argmax(axis=0)
    return {f"{prefix:03}": states[most[prefix]] for prefix in np.flatnonzero(counts.any(axis=0)).tolist()}


_IS_ZIP = re.compile(ZIP_PATTERN)
_TABLES = files("housing_assets.core.panel").joinpath("tables")
_ZIPS = _TABLES.joinpath("zips.parquet")


def _csv(name: str) -> pl.DataFrame:
    return pl.read_csv(_TABLES.joinpath(f"{name}.csv").read_bytes(), infer_schema=False)


def _plain(text: str) -> str:
    """A name in lower case without accents, kinds of dash and a trailing `metro area`."""
    letters = unicodedata.normalize("NFKD", text)
    dashed = ("-" if unicodedata.category(c) == "Pd" or c in "\u2212\u00ad" else c for c in letters)
    kept = "".join(c for c in dashed if unicodedata.category(c) not in ("Mn", "Cf"))
    return _SUFFIX.sub("", " ".join(kept.casefold().split()))


def _states_of(plain: str) -> tuple[str, ...]:
    listed = _STATE_LIST.search(plain)
    return tuple(re.split(r"[\s-]+", listed[1].upper())) if listed else ()


def _key(plain: str) -> str:
    return re.sub(r"\bsaint\b", "st", metro_key(plain))


def _first_city(plain: str) -> str:
    return _key(re.split(r"-|/|,", plain, maxsplit=1)[0])


def _one_of(named: tuple[_Named, ...], states: tuple[str, ...]) -> Area | None:
    """The only one that lies in one of some states (in any, without states); of several, the one whose first it is."""
    among = [area for area, within in named if not states or within & set(states)]
    if len(among) > 1 and states:
        among = [area for area in among if area.states[0] == states[0]]
    return among[0] if len(among) == 1 else None
