"""Where a place lies on the map: an equal-area projection of the United States, with insets.

The contiguous states are Albers' projection with its usual parallels. Alaska (at a third of the scale), Hawaii and
Puerto Rico are moved below them, as on maps of the Census.
"""

from dataclasses import dataclass

import numpy as np

EARTH_RADIUS = 6371.0
"""Kilometres."""


@dataclass(frozen=True)
class _Albers:
    """An equal-area conic projection and where it is put.

    Attributes:
        south, north: standard parallels, degrees.
        longitude, latitude: the middle, degrees.
        scale: of its lengths, beside the contiguous states.
        x, y: where its middle is put, kilometres.
    """

    south: float
    north: float
    longitude: float
    latitude: float
    scale: float = 1.0
    x: float = 0.0
    y: float = 0.0

    def project(self, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kilometres east and north of the middle of the map (Snyder 1987, "Map Projections", page 100)."""
        south, north, middle = np.radians([self.south, self.north, self.latitude])
        n = (np.sin(south) + np.sin(north)) / 2
        c = np.cos(south) ** 2 + 2 * n * np.sin(south)
        # From -180 to 180 degrees: the Aleutians cross the date line.
        turn = np.radians((longitude - self.longitude + 180) % 360 - 180) * n
        radius = np.sqrt(c - 2 * n * np.sin(np.radians(latitude))) / n
        length = EARTH_RADIUS * self.scale
        east = length * radius * np.sin(turn)
        north_of = length * (np.sqrt(c - 2 * n * np.sin(middle)) / n - radius * np.cos(turn))
        return self.x + east, self.y + north_of


_CONTIGUOUS = _Albers(29.5, 45.5, -96.6, 38.7)
_ALASKA = _Albers(55, 65, -152, 63.5, 0.35, -1600, -1180)
_HAWAII = _Albers(8, 18, -157.2, 20.6, 1.0, -640, -1430)
_PUERTO_RICO = _Albers(8, 18, -66.2, 18.2, 1.0, 2050, -1430)
EXTENT = ((-2720.0, 2330.0), (-1640.0, 1440.0))
"""Kilometres across and up that the map shows at least."""


def project(longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kilometres east and north of the middle of the map.

    Args:
        longitude, latitude: degrees east and north, shape (n,); NaN: not known.

    Returns:
        Two arrays of shape (n,). Both are NaN where the place is not known, or lies in a territory that the map does
        not show (Guam, American Samoa, the Northern Marianas).
    """
    longitude, latitude = (np.asarray(degrees, dtype=np.float64) for degrees in (longitude, latitude))
    x, y = np.full(longitude.shape, np.nan), np.full(longitude.shape, np.nan)
    alaska = (latitude > 50) & ((longitude < -128) | (longitude > 170))
    hawaii = (latitude > 15) & (latitude < 30) & (longitude < -150)
    puerto_rico = (latitude > 15) & (latitude < 20) & (longitude > -68) & (longitude < -64)
    contiguous = (latitude > 24) & (latitude < 50) & (longitude > -130) & (longitude < -60)
    for inside, projection in (
        (alaska, _ALASKA),
        (hawaii, _HAWAII),
        (puerto_rico, _PUERTO_RICO),
        (contiguous, _CONTIGUOUS),
    ):
        x[inside], y[inside] = projection.project(longitude[inside], latitude[inside])
    return x, y
