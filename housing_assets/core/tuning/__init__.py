"""Tuning: a seeded Optuna study over rolling-origin folds inside the train months.

Every fold trains on months before its validation months and fits its own encoders on these alone, so that no tuning
decision ever saw a value from after it. Eval is never read here.
"""
