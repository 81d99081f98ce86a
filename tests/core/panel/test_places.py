"""Metros by every name they had, zips, states and the nation."""

import pytest

from housing_assets.core.panel.metros import METROS
from housing_assets.core.panel.places import find_area, find_metro, metros, nearest_name, place_of, zip_place


@pytest.mark.parametrize("metro", METROS, ids=lambda m: m.code)
def test_the_metros_of_housets_keep_their_names_and_places(metro):
    for text in (metro.code, metro.name, *metro.spellings):
        area = find_metro(text)
        assert area is not None
        assert (area.name, area.latitude, area.longitude) == (metro.name, metro.latitude, metro.longitude)
        assert area.kind == "metro"


def test_every_area_of_the_census_is_found_by_its_own_name():
    assert len(metros()) > 935
    assert [a.title for a in metros().values() if find_metro(a.title) != a] == []


@pytest.mark.parametrize(
    ("text", "cbsa"),
    [
        ("Houston, TX", "26420"), ("Boston, MA metro area", "14460"), ("Honolulu, HI", "46520"),
        ("Atlanta-Sandy Springs-Marietta, GA", "12060"), ("Bozeman, MT Micropolitan Statistical Area", "14580"),
        ("Portland, ME", "38860"), ("Portland, OR", "38900"), ("Columbia, SC", "17900"), ("Columbia, MO", "17860"),
        ("Canon City, CO", "15860"), ("Saint Louis, MO", "41180"), ("louisville/jefferson county, ky-in", "31140"),
        ("Madera, CA", "23420"),
    ],
)  # fmt: skip
def test_a_metro_goes_by_the_names_of_publishers_and_of_earlier_years(text, cbsa):
    area = find_metro(text)
    assert area is not None
    assert area.cbsa == cbsa


@pytest.mark.parametrize("text", ["Atlantis", "Springfield", "Houston, ME", "", "Texas (no metro)", "United States"])
def test_what_is_no_metro_or_several_is_none(text):
    assert find_metro(text) is None


def test_states_without_a_metro_and_the_nation_are_areas():
    assert find_area("TX nonmetropolitan area") == find_area("Texas (no metro)") == place_of(None, "79830")
    assert find_area("United States").kind == "nation"
    assert place_of("Atlantis", "00999").name == "Puerto Rico (no metro)"
    assert place_of("Atlantis", None) is None


def test_a_zip_says_where_it_lies():
    cambridge = zip_place("02139")
    assert (cambridge.city, cambridge.county, cambridge.state) == ("Cambridge", "Middlesex County", "MA")
    assert cambridge.metro.name == "Boston-Cambridge-Newton"
    assert zip_place("96799").state == "AS"
    assert zip_place("00000") is None


def test_the_nearest_name_of_a_misspelled_metro():
    assert nearest_name("Bozman, MT") == "Bozeman, MT"
    assert nearest_name("xqzzw") is None
