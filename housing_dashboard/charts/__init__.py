"""Plots, by what they show. They take frames and give figures; words, Streamlit and the store belong elsewhere."""

from housing_dashboard.charts.compare import compare
from housing_dashboard.charts.health import revisions, state_grid
from housing_dashboard.charts.map import PlaceMap, place_map
from housing_dashboard.charts.model import regret, shares, skill, trials, waterfall
from housing_dashboard.charts.place import against_actual, fan
from housing_dashboard.charts.predictions import MOST_POINTS, calibration_bars, residuals, scatter, trend
from housing_dashboard.charts.tables import bars, distribution, dots, heat, lines
from housing_dashboard.charts.theme import for_dark

__all__ = [
    "MOST_POINTS",
    "PlaceMap",
    "against_actual",
    "bars",
    "calibration_bars",
    "compare",
    "distribution",
    "dots",
    "fan",
    "for_dark",
    "heat",
    "lines",
    "place_map",
    "regret",
    "residuals",
    "revisions",
    "scatter",
    "shares",
    "skill",
    "state_grid",
    "trend",
    "trials",
    "waterfall",
]
