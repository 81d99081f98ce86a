"""Forecasts of the price some months after an origin, their grades and their intervals."""
