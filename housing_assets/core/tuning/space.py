"""What is searched: ranges of parameters, and how a trial's values are drawn from them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from housing_assets.core.errors import HousingError
from housing_assets.core.limits import MAX_TRIALS
from housing_assets.core.models.trees import PARAM_LIMITS, TARGETS, TrainingParams

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Range:
    """Values a hyperparameter is searched over.

    Attributes:
        low, high: both included.
        log: True to search the logarithm.
        whole: True for whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False


Space = Mapping[str, Range | tuple[Any, ...]]

DEFAULT_SPACE: Space = {
    "learning_rate": Range(0.1, 0.3, log=True),
    "max_depth": Range(4, 7, whole=True),
    "min_child_weight": Range(2, 50, log=True),
    "subsample": Range(0.5, 0.9),
    "colsample_bytree": Range(0.3, 0.9),
    "reg_alpha": Range(1e-3, 10, log=True),
    "reg_lambda": Range(0.1, 50, log=True),
    "max_bin": (128, 256),
    "target": TARGETS,
    "monotone": (False, True),
}
"""The number of trees is not searched: each fold stops early, and the folds' mean is what training uses.

Targets and monotone constraints are part of the space because they lower the error. Rates are high so that trials are
short, see `FINAL_LEARNING_RATE`.
"""

FINAL_LEARNING_RATE = 0.1
"""About the rate that the final model is trained at, with as many more trees as the rate is lower.

Slow learning with more trees varies less between samples (Friedman 2001, "Greedy Function Approximation: A Gradient
Boosting Machine", section 5). Below 0.1 nothing is gained: on folds inside train, half the rate with twice the trees
erred the same within noise (docs/growth.md), for twice the time to train and to predict."""


def search_space(changes: Mapping[str, Any]) -> Space:
    """The default space with changes from run configuration.

    Args:
        changes: by hyperparameter `[low, high]` for a number, a list of values for a choice, or one value
            to keep it fixed.

    Raises:
        HousingError: an unknown name, an end outside the hyperparameter's limits, or a range upside down.
    """
    space = dict(DEFAULT_SPACE)
    for name, change in changes.items():
        before = space.get(name)
        if before is None:
            raise HousingError(f"search space: {name!r} is not tuned; what is: {', '.join(DEFAULT_SPACE)}")
        values = list(change) if isinstance(change, list | tuple) else [change]
        if not values:
            raise HousingError(f"search space: {name} has no value: give [low, high], choices, or one value")
        for value in values:
            try:
                TrainingParams(**{name: value})
            except (HousingError, TypeError) as error:
                raise HousingError(f"search space: {error}") from error
        if not isinstance(before, Range) or len(values) == 1:
            space[name] = tuple(values)
        elif len(values) == 2 and values[0] < values[1]:
            space[name] = replace(before, low=values[0], high=values[1])
            if before.log and values[0] <= 0:
                raise HousingError(f"search space: {name} is searched on a log scale, so {values[0]} must be above 0")
        else:
            raise HousingError(f"search space: {name}={values}: write [low, high] with low below high")
    return space


REDUCTION = 3
"""One in so many trials is grown on at the end of each stage but the last.

Successive halving as trials come one after the other (Li, Jamieson, Rostamizadeh, Gonina and others 2020, "A System for
Massively Parallel Hyperparameter Tuning", algorithm 2)."""

_STAGES = 3


@dataclass(frozen=True)
class TuningSpec:
    """How to search.

    Attributes:
        trials: of the study in all. A study that has them already is only read.
        time_limit: seconds after which no further trial begins, 0 for no limit. With a limit the result depends
            on the machine.
        folds: rolling origins.
        max_trees: of a fold, if it does not stop earlier.
        patience: trees without a better validation error after which a fold stops.
        seed: of sampler and training.
        space: what is searched.
        start: hyperparameters that are tried after `FIRST_TRIAL`: those that an earlier search chose. None without one.
    """

    trials: int = 15
    time_limit: float = 0.0
    folds: int = 3
    max_trees: int = 120
    patience: int = 15
    seed: int = 42
    space: Space = field(default_factory=lambda: DEFAULT_SPACE)
    start: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        limits = {
            "trials": (1, MAX_TRIALS),
            "time_limit": (0, math.inf),
            "folds": (1, 20),
            "max_trees": PARAM_LIMITS["n_estimators"],
            "patience": (1, 1_000),
            "seed": PARAM_LIMITS["seed"],
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise HousingError(f"tuning: {name}={value} is outside {low:g} to {high:g}: change it")

    @property
    def stages(self) -> list[int]:
        """The numbers of trees at which a trial is compared with those before it, rising; `max_trees` is the last."""
        return sorted({max(1, self.max_trees // REDUCTION**stage) for stage in range(_STAGES)})


_BASE: dict[str, Any] = {
    f.name: getattr(TrainingParams(), f.name) for f in fields(TrainingParams) if f.name in DEFAULT_SPACE
} | {"learning_rate": 0.15, "reg_alpha": 1e-3, "min_child_weight": 5.0}

FIRST_TRIAL: tuple[dict[str, Any], ...] = (
    _BASE,
    _BASE | {"target": "log_price", "monotone": True},
    _BASE | {"target": "log_anchor"},
)
"""Where the search begins: the baseline's hyperparameters, and the two other targets beside them."""


def params_within(space: Space, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters if all of them lie in the space, else None."""
    for name, domain in space.items():
        value = params[name]
        inside = domain.low <= value <= domain.high if isinstance(domain, Range) else value in domain
        if not inside:
            return None
    return dict(params)


def suggest_params(trial: "optuna.Trial", space: Space) -> dict[str, Any]:
    """The values that Optuna suggests for a trial, by the name of the parameter."""
    params: dict[str, Any] = {}
    for name, domain in space.items():
        if not isinstance(domain, Range):
            params[name] = trial.suggest_categorical(name, domain)
        elif domain.whole:
            params[name] = trial.suggest_int(name, int(domain.low), int(domain.high), log=domain.log)
        else:
            params[name] = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    return params
