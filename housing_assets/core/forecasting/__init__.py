"""Forecasts: a zip's price 1 to 12 months after the last one known, graded on origins that a model never saw beyond.

A backtest walks through time: each origin is forecast by a model whose every training target lies before it. What is
published for a horizon is the model's forecast where it beat the best naive baseline on eval, else that baseline's,
under its own name. Intervals rest on forecasts whose outcome was known at the origin.
"""
