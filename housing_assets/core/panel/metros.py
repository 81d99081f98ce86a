"""The metro table the project carries: the 30 metros of HouseTS, and how their names are matched.

Names are those of OMB Bulletin 23-01 (July 2023), the delineation the Census Bureau uses today. The source
spells metros as Redfin did at the time, so a name is compared by its key, never letter by letter.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Metro:
    """One metropolitan statistical area.

    Attributes:
        code: short code of the source (`city`).
        name: today's Census name, without the states.
        latitude, longitude: centre of the principal city, in degrees (north and east positive).
        spellings: other names it goes or went by; the first is the one the source uses.
    """

    code: str
    name: str
    latitude: float
    longitude: float
    spellings: tuple[str, ...]


METROS: tuple[Metro, ...] = (
    Metro("ATL", "Atlanta-Sandy Springs-Roswell", 33.75, -84.39,
          ("Atlanta-Sandy Springs-Alpharetta", "Atlanta-Sandy Springs-Marietta", "Atlanta")),
    Metro("ATX", "Austin-Round Rock-San Marcos", 30.27, -97.74,
          ("Austin-Round Rock-Georgetown", "Austin-Round Rock", "Austin")),
    Metro("BOS", "Boston-Cambridge-Newton", 42.36, -71.06,
          ("Boston-Cambridge-Newton", "Boston-Cambridge-Quincy", "Boston")),
    Metro("BWI", "Baltimore-Columbia-Towson", 39.29, -76.61,
          ("Baltimore-Columbia-Towson", "Baltimore-Towson", "Baltimore")),
    Metro("CHI", "Chicago-Naperville-Elgin", 41.88, -87.63,
          ("Chicago-Naperville-Elgin", "Chicago-Joliet-Naperville", "Chicago")),
    Metro("CIN", "Cincinnati", 39.10, -84.51, ("Cincinnati", "Cincinnati-Middletown")),
    Metro("CLT", "Charlotte-Concord-Gastonia", 35.23, -80.84,
          ("Charlotte-Concord-Gastonia", "Charlotte-Gastonia-Rock Hill", "Charlotte")),
    Metro("DAL", "Dallas-Fort Worth-Arlington", 32.78, -96.80,
          ("Dallas-Fort Worth-Arlington", "Dallas-Fort Worth", "Dallas")),
    Metro("DC", "Washington-Arlington-Alexandria", 38.91, -77.04,
          ("DC_Metro", "Washington DC", "Washington")),
    Metro("DEN", "Denver-Aurora-Centennial", 39.74, -104.99,
          ("Denver-Aurora-Lakewood", "Denver-Aurora-Broomfield", "Denver-Aurora", "Denver")),
    Metro("DET", "Detroit-Warren-Dearborn", 42.33, -83.05,
          ("Detroit-Warren-Dearborn", "Detroit-Warren-Livonia", "Detroit")),
    Metro("HOU", "Houston-Pasadena-The Woodlands", 29.76, -95.37,
          ("Houston-The Woodlands-Sugar Land", "Houston-Sugar Land-Baytown", "Houston")),
    Metro("LA", "Los Angeles-Long Beach-Anaheim", 34.05, -118.24,
          ("Los Angeles-Long Beach-Anaheim", "Los Angeles-Long Beach-Santa Ana", "Los Angeles")),
    Metro("LV", "Las Vegas-Henderson-North Las Vegas", 36.17, -115.14,
          ("Las Vegas-Henderson-Paradise", "Las Vegas-Paradise", "Las Vegas")),
    Metro("MIA", "Miami-Fort Lauderdale-West Palm Beach", 25.76, -80.19,
          ("Miami-Fort Lauderdale-Pompano Beach", "Miami-Fort Lauderdale", "Miami")),
    Metro("MSP", "Minneapolis-St. Paul-Bloomington", 44.98, -93.27,
          ("Minneapolis-St. Paul-Bloomington", "Minneapolis-St. Paul", "Minneapolis")),
    Metro("NY", "New York-Newark-Jersey City", 40.71, -74.01,
          ("New York-Newark-Jersey City", "New York-Northern New Jersey-Long Island", "New York")),
    Metro("ORL", "Orlando-Kissimmee-Sanford", 28.54, -81.38,
          ("Orlando-Kissimmee-Sanford", "Orlando-Kissimmee", "Orlando")),
    Metro("PDX", "Portland-Vancouver-Hillsboro", 45.52, -122.68,
          ("Portland-Vancouver-Hillsboro", "Portland-Vancouver-Beaverton", "Portland")),
    Metro("PGH", "Pittsburgh", 40.44, -80.00, ("Pittsburgh",)),
    Metro("PHL", "Philadelphia-Camden-Wilmington", 39.95, -75.17,
          ("Philadelphia-Camden-Wilmington", "Philadelphia")),
    Metro("PHX", "Phoenix-Mesa-Chandler", 33.45, -112.07,
          ("Phoenix-Mesa-Chandler", "Phoenix-Mesa-Scottsdale", "Phoenix-Mesa-Glendale", "Phoenix")),
    Metro("RIV", "Riverside-San Bernardino-Ontario", 33.95, -117.40,
          ("Riverside-San Bernardino-Ontario", "Riverside")),
    Metro("SA", "San Antonio-New Braunfels", 29.42, -98.49, ("San Antonio-New Braunfels", "San Antonio")),
    Metro("SAC", "Sacramento-Roseville-Folsom", 38.58, -121.49,
          ("Sacramento-Roseville-Folsom", "Sacramento-Roseville-Arden-Arcade",
           "Sacramento-Arden-Arcade-Roseville", "Sacramento")),
    Metro("SD", "San Diego-Chula Vista-Carlsbad", 32.72, -117.16,
          ("San Diego-Chula Vista-Carlsbad", "San Diego-Carlsbad-San Marcos", "San Diego-Carlsbad",
           "San Diego")),
    Metro("SEA", "Seattle-Tacoma-Bellevue", 47.61, -122.33, ("Seattle-Tacoma-Bellevue", "Seattle")),
    Metro("SF", "San Francisco-Oakland-Fremont", 37.77, -122.42,
          ("San Francisco-Oakland-Berkeley", "San Francisco-Oakland-Hayward", "San Francisco")),
    Metro("STL", "St. Louis", 38.63, -90.20, ("St. Louis",)),
    Metro("TPA", "Tampa-St. Petersburg-Clearwater", 27.95, -82.46,
          ("Tampa-St. Petersburg-Clearwater", "Tampa")),
)  # fmt: skip
"""Every metro of the source, by code."""

# Dashes that Unicode files elsewhere than under Pd (soft hyphen, minus, hyphen bullet, modifier minus), and
# the other marks that sources put between the cities of one name.
_OTHER_DASHES = frozenset("\u00ad\u2212\u2043\u02d7/\u2044_")
_STATES = re.compile(r",\s*[a-z]{2}(\s*-+\s*[a-z]{2})*\s*$")
_AREA = re.compile(r"\s+(metro(politan)?(\s+statistical)?\s+area|msa)\s*$")
_NOT_WORD = re.compile(r"[\W_]+")


@lru_cache(maxsize=10_000)
def metro_key(text: str) -> str:
    """Comparison key of a metro's name or code, the same for every spelling of the same words.

    Case, spaces, kinds of dash, underscores, full stops, invisible characters, a trailing list of states
    (`, NY-NJ-PA`) and a trailing `metro area` do not count.
    """
    plain = "".join(
        "-" if c in _OTHER_DASHES or unicodedata.category(c) == "Pd" else c
        for c in unicodedata.normalize("NFKC", text)
        if c in _OTHER_DASHES or unicodedata.category(c) != "Cf"
    ).casefold()
    return _NOT_WORD.sub(" ", _STATES.sub("", _AREA.sub("", plain))).strip()


METRO_BY_KEY: dict[str, Metro] = {
    metro_key(text): metro for metro in METROS for text in (metro.code, metro.name, *metro.spellings)
}
"""Every metro by the key of its code, its name and each of its spellings."""
