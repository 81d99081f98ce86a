"""The map as a component of Streamlit: it draws places as dots of WebGL over pictures, from arrays instead of text.

Plotly would take the names and figures of 26,000 zips as text, four times over, for each change of colour. What is
drawn belongs in `charts.map`, how it moves and answers the mouse in `map.js`.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import streamlit as st
from streamlit.components import v2

from housing_dashboard.charts.map import PlaceMap

_NAME = "housing_places_map"
_ALIGNED = 4
"""Bytes of which the length of the header is a multiple."""


def show(drawn: PlaceMap, words: str, key: str, on_opened: Callable[[], None]) -> None:
    """Show a map.

    Args:
        drawn: what it has.
        words: what it shows, for screen readers.
        key: of the component.
        on_opened: called when a place is clicked, whose name `opened` then gives.
    """
    _component()(key=key, data=encoded(drawn, words), on_opened_change=on_opened)


def opened(key: str) -> str | None:
    """The name of the place that was clicked in the map of this key; None if none was."""
    state: Any = st.session_state.get(key)
    name = state.get("opened") if state else None
    return name if isinstance(name, str) else None


def encoded(drawn: PlaceMap, words: str) -> bytes:
    """A map as `map.js` reads it: the length of a header, the header as JSON, arrays, and names as lines."""
    places, within = drawn.places, drawn.within
    header = {**drawn.header, "words": words, "count": places.height, "within": within.height}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    numbers = [places[name] for name in ("x", "y", "size", "value", "predicted_low", "predicted_high")]
    parts = [
        np.array(len(text), "<u4").tobytes(),
        text,
        *(_floats(column) for column in numbers),
        drawn.colours.astype(np.uint8).tobytes(),
        *(_floats(within[name]) for name in ("x", "y")),
        within["place"].to_numpy().astype("<u4").tobytes(),
        "\n".join(places["name"]).encode(),
    ]
    return b"".join(parts)


def _floats(column: pl.Series) -> bytes:
    """Numbers in 32 bits; NaN for null."""
    return column.cast(pl.Float32).fill_null(float("nan")).to_numpy().astype("<f4").tobytes()


@cache
def _component() -> Callable[..., Any]:
    html, css, js = (
        Path(__file__).with_name(f"map.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    return v2.component(_NAME, html=html, css=css, js=js, isolate_styles=False)
