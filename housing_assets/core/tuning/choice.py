"""Which trial of a study is trained: the smallest model among those that are as good as the best."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from housing_assets.core.tuning.space import FINAL_LEARNING_RATE

MOST_WORSE = 0.005
"""Share of the best score by which that of a smaller model may be worse, however much the folds vary."""

Trial = Mapping[str, Any]
"""A row of `TuningResult.trials`."""


def choose_trial(trials: Sequence[Trial]) -> Trial:
    """The complete trial whose model is smallest among those within noise of the best score.

    Noise is the standard error of the difference from the best trial over the folds: the one-standard-error rule of
    Breiman, Friedman, Olshen and Stone (1984), "Classification and Regression Trees", section 3.4.3, on differences,
    since folds differ from each other by more than trials do. A model's size is its trees times their depth, which is
    what a prediction costs. With one fold nothing is known of the noise, and the best is taken.

    Args:
        trials: rows of `TuningResult.trials`, of which at least one is complete.
    """
    complete = [trial for trial in trials if trial["state"] == "complete"]
    best = min(complete, key=lambda trial: trial["score"])
    return min((t for t in complete if _is_as_good(t, best)), key=lambda trial: (_size(trial), trial["score"]))


def rate_divisor(learning_rate: float) -> int:
    """By what a trial's learning rate is divided, and its trees multiplied, for the model that is trained."""
    return max(1, round(learning_rate / FINAL_LEARNING_RATE))


def _is_as_good(trial: Trial, best: Trial) -> bool:
    worse = _folds(trial) - _folds(best)
    noise = float(worse.std(ddof=1)) / np.sqrt(worse.size) if worse.size > 1 else 0.0
    return float(worse.mean()) <= min(noise, MOST_WORSE * best["score"])


def _folds(trial: Trial) -> np.ndarray:
    scores = [value for name, value in trial.items() if name.startswith("fold ")]
    return np.array(scores, dtype=np.float64)


def _size(trial: Trial) -> int:
    return trial["trees"] * rate_divisor(trial["learning_rate"]) * trial["max_depth"]
