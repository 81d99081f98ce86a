"""Scales of colours for a light and a dark background, and the contrast of a colour with it.

Sequential scales run from far to near the background's opposite in one hue family, diverging ones from blue over grey
to orange, which colour-blind readers can tell apart (after Crameri's `vik` and ColorBrewer's `PuOr`). Every colour of a
scale has at least the contrast `LEAST_CONTRAST` with its background.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

LIGHT, DARK = "light", "dark"
BACKGROUND = {LIGHT: "#ffffff", DARK: "#171614"}
"""Streamlit's own, of its two themes."""
LEAST_CONTRAST = {LIGHT: 3.0, DARK: 4.5}
"""With the background: WCAG 2.2 asks 3 of graphics. In the dark small points need more."""
SEQUENTIAL = {
    LIGHT: ("#b97c14", "#b8641c", "#9c3f30", "#772450", "#4a1a5e", "#1f1147"),
    DARK: ("#5f8fd8", "#4fb0c6", "#6fca9a", "#b4d96b", "#f0e05a", "#fff6c0"),
}
"""From low to high."""
DIVERGING = {
    LIGHT: ("#8a2d00", "#b7560f", "#a8815c", "#858585", "#5c84ab", "#1f64a8", "#0b3c78"),
    DARK: ("#ff8a2a", "#ffab66", "#f1c9a5", "#c9c9c9", "#a9cdf0", "#6fb3f5", "#3f9bff"),
}
"""From the lowest to the highest; the middle is 0."""
BORDER = {
    LIGHT: ("rgba(60,60,60,0.55)", "rgba(60,60,60,0.18)"),
    DARK: ("rgba(220,225,235,0.5)", "rgba(220,225,235,0.15)"),
}
"""Of states and of counties."""


def of(diverging: bool, theme: str) -> Sequence[str]:
    """The colours of a scale, from low to high."""
    return (DIVERGING if diverging else SEQUENTIAL)[theme]


def shades(values: np.ndarray, low: float, high: float, colours: Sequence[str]) -> np.ndarray:
    """The colour of each value on a scale from low to high, blended between the colours of the scale: red, green and
    blue from 0 to 255, shape (values, 3)."""
    at = (np.clip((values - low) / (high - low), 0, 1)) * (len(colours) - 1)
    stops = np.array([rgb(colour) for colour in colours])
    parts = [np.interp(at, np.arange(len(colours)), stops[:, part]) for part in range(3)]
    return np.round(255 * np.stack(parts, axis=1)).astype(np.uint8)


def written(shades: np.ndarray) -> list[str]:
    """Colours of `shades` as `#rrggbb`."""
    return ["#{:02x}{:02x}{:02x}".format(*shade) for shade in shades.tolist()]


def blends(colours: Sequence[str], steps: int = 8) -> list[tuple[float, ...]]:
    """Colours between those of a scale, as red, green and blue from 0 to 1."""
    return [
        tuple(a + (b - a) * step / steps for a, b in zip(rgb(low), rgb(high), strict=True))
        for low, high in pairwise(colours)
        for step in range(steps + 1)
    ]


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """How far two colours (red, green, blue from 0 to 1) are apart, 1 to 21, as WCAG 2.2 defines it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def rgb(colour: str) -> tuple[float, ...]:
    """A colour written as `#rrggbb` as red, green and blue from 0 to 1."""
    return tuple(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))


def background(theme: str) -> tuple[float, ...]:
    """The background of a theme as red, green and blue from 0 to 1."""
    return rgb(BACKGROUND[theme])


def _luminance(rgb: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
