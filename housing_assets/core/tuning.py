"""Tuning: a seeded Optuna study over rolling-origin folds inside the train months.

Every fold trains on months before its validation months and fits its own encoders on these alone, so that
no tuning decision ever saw a value from after it. Eval is never read here.
"""

import itertools
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from housing_assets.core.addresses import without_password
from housing_assets.core.anchor import Anchor
from housing_assets.core.encoding import fit_encoders
from housing_assets.core.errors import HousingError
from housing_assets.core.features import FEATURES, KEYS, make_features
from housing_assets.core.months import month_range
from housing_assets.core.processes import is_known_dead, this_process
from housing_assets.core.text import first_line
from housing_assets.core.training import (
    PARAM_LIMITS,
    TARGETS,
    PriceTrees,
    Target,
    TrainingParams,
    feature_matrix,
    require_prices,
    target_anchor,
    training_labels,
)

if TYPE_CHECKING:
    import optuna
    import xgboost

MAX_TRIALS = 10_000
_VALIDATION_MONTHS = 24
"""As long as eval: the error that counts is that of a model up to two years old."""
_LEAST_TRAIN_MONTHS = 12
_SQLITE = "sqlite:///"
_STARTUP_TRIALS = 5
_FOLD_SCORES = "fold_scores"
_TREES = "trees"
_SECONDS = "seconds"
_PROCESS = "process"
_PLACE = "place"
_HEARTBEAT_SECONDS = 10
_GRACE_SECONDS = 60
_LOOK_SECONDS = 0.5
_MOMENT_SECONDS = 0.02
_SILENCE_SECONDS = 10
"""How long a trial may be under way before its process says so."""


@dataclass(frozen=True)
class Range:
    """Values a hyperparameter is searched over.

    Attributes:
        low, high: both included.
        log: search the logarithm?
        whole: whole numbers only?
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

Targets and monotone constraints are in it because they pay; rates are high so that trials are short, see
`FINAL_LEARNING_RATE`.
"""

FINAL_LEARNING_RATE = 0.05
"""About the rate that the final model is trained at, with as many more trees as the rate is lower.

Slow learning with more trees does not lose accuracy and varies less between samples (Friedman 2001, "Greedy
Function Approximation: A Gradient Boosting Machine", section 5); the search itself can do without that."""


def search_space(changes: Mapping[str, Any]) -> Space:
    """The default space with changes from run configuration.

    Args:
        changes: by hyperparameter `[low, high]` for a number, a list of values for a choice, or one value
            to keep it fixed.

    Raises:
        HousingError: an unknown name, an end outside the hyperparameter's limits, or a range upside down.
    """
    space = dict(DEFAULT_SPACE)
    for name, asked in changes.items():
        before = space.get(name)
        if before is None:
            raise HousingError(f"search space: {name!r} is not tuned; what is: {', '.join(DEFAULT_SPACE)}")
        values = list(asked) if isinstance(asked, list | tuple) else [asked]
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


@dataclass(frozen=True)
class TuningSpec:
    """How to search.

    Attributes:
        trials: of the study in all; a study that has them already is only read.
        time_limit: seconds after which no further trial begins; 0 for none. With a limit the result depends
            on the machine.
        folds: rolling origins.
        max_trees: of a fold, if it does not stop earlier.
        patience: trees without a better validation error after which a fold stops.
        seed: of sampler and training.
        space: what is searched.
    """

    trials: int = 15
    time_limit: float = 0.0
    folds: int = 3
    max_trees: int = 120
    patience: int = 15
    seed: int = 42
    space: Space = field(default_factory=lambda: DEFAULT_SPACE)

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


@dataclass(frozen=True)
class Fold:
    """Train on `train` months, validate on `validation` months, which come right after."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


def rolling_folds(first: str, last: str, count: int) -> list[Fold]:
    """Rolling origins over months `first` to `last`, newest first: expanding train, then 24 validation months.

    A panel too short for whole years gets shorter validation windows.

    Raises:
        HousingError: fewer months than folds can be made of.
    """
    months = month_range(first, last)
    window = min(_VALIDATION_MONTHS, max((len(months) - _LEAST_TRAIN_MONTHS) // count, len(months) // (count + 1)))
    if window < 1:
        raise HousingError(
            f"tuning: {len(months)} train months ({first} to {last}) cannot make {count} folds: "
            "set HOUSING_EVAL_START later, or ask for fewer folds"
        )
    folds = []
    for back in range(count):
        end = len(months) - back * window
        folds.append(Fold(tuple(months[: end - window]), tuple(months[end - window : end])))
    return folds


@dataclass(frozen=True)
class TuningResult:
    """What a study found.

    Attributes:
        params: the best trial's hyperparameters, its rate divided and its trees multiplied by the same whole
            number, so that the rate is about `FINAL_LEARNING_RATE`.
        trials: one row a trial: `trial`, `state`, `score`, `trees`, `seconds`, a score for each fold, and the
            hyperparameters. A score is the RMSE of a fold over its mean price; a trial's is the folds' mean.
        importances: `parameter`, `importance` (shares that add up to 1); empty with too few trials.
    """

    params: TrainingParams
    trials: pl.DataFrame
    importances: pl.DataFrame


def tune(
    train: pl.DataFrame,
    spec: TuningSpec,
    storage: str,
    study_name: str,
    on_trial: Callable[[dict[str, Any]], None] = lambda _: None,
) -> TuningResult:
    """Search for the hyperparameters with the least error on validation months inside train.

    A study that was interrupted goes on after its last finished trial: each trial's sampler is seeded by its place
    among those that count, so that it ends where an undisturbed one would have. Processes that are given the same
    study at the same time, here or on other machines, share its trials; each returns when all are finished. What they
    find then depends on who was faster.

    Args:
        train: training features of the train months: `KEYS` and `FEATURES`.
        spec: how to search.
        storage: SQLAlchemy URL of the study's own database.
        study_name: studies with one name are one study.
        on_trial: called with the row of each finished trial, earlier ones of a resumed study first.

    Raises:
        HousingError: no train rows, too few months, a price that is missing, or a storage that cannot be used.
    """
    require_prices(train)
    dates = train["date"]
    first, last = (f"{day:%Y-%m}" for day in (dates.min(), dates.max()))
    folds = [_FoldData.make(train, fold) for fold in rolling_folds(first, last, spec.folds)]
    study = _open_study(storage, study_name)
    seen: set[int] = set()

    def tell() -> None:
        for row in _trial_rows(study):
            if row["trial"] not in seen:
                seen.add(row["trial"])
                on_trial(row)

    tell()
    deadline = time.monotonic() + spec.time_limit if spec.time_limit else math.inf
    while len(seen) < spec.trials and (not seen or time.monotonic() < deadline):
        _fail_dead_trials(study)
        if len(_counted(study)) < spec.trials:
            _run_trial(study, spec, folds)
        else:
            time.sleep(_LOOK_SECONDS)  # others are at the last trials
        tell()
    best = study.best_trial
    slower = max(1, round(best.params["learning_rate"] / FINAL_LEARNING_RATE))
    chosen = best.params | {"learning_rate": best.params["learning_rate"] / slower}
    params = TrainingParams(**chosen, n_estimators=best.user_attrs[_TREES] * slower, seed=spec.seed)
    rows = _trial_rows(study)
    return TuningResult(params, pl.DataFrame(rows, infer_schema_length=None), _importances(study))


@dataclass(frozen=True)
class _FoldData:
    """One fold as frames, with encoders of its own; matrices are built once for each number of bins."""

    train: pl.DataFrame
    validation: pl.DataFrame
    anchors: Mapping[Target, Anchor | None]
    matrices: dict[int, tuple["xgboost.QuantileDMatrix", "xgboost.QuantileDMatrix"]]

    @classmethod
    def make(cls, rows: pl.DataFrame, fold: Fold) -> "_FoldData":
        month = pl.col("date").dt.strftime("%Y-%m")
        parts = [rows.filter(month.is_in(part)) for part in (fold.train, fold.validation)]
        for name, part, months in zip(("train", "validation"), parts, (fold.train, fold.validation), strict=True):
            if part.is_empty():
                raise HousingError(
                    f"tuning: no {name} rows in {months[0]} to {months[-1]}: materialize cleaned for these months"
                )
        encoders = fit_encoders([parts[0]])
        made = [pl.concat([p.select(KEYS), make_features(p, encoders)], how="horizontal") for p in parts]
        return cls(made[0], made[1], {target: target_anchor(made[0], target) for target in TARGETS}, {})

    def with_labels(self, params: TrainingParams) -> tuple["xgboost.QuantileDMatrix", "xgboost.QuantileDMatrix"]:
        import xgboost as xgb

        if params.max_bin not in self.matrices:
            names = list(FEATURES)
            train = xgb.QuantileDMatrix(feature_matrix(self.train), feature_names=names, max_bin=params.max_bin)
            validation = xgb.QuantileDMatrix(
                feature_matrix(self.validation), feature_names=names, max_bin=params.max_bin, ref=train
            )
            self.matrices[params.max_bin] = (train, validation)
        train, validation = self.matrices[params.max_bin]
        for matrix, rows in ((train, self.train), (validation, self.validation)):
            matrix.set_label(training_labels(rows, params.target, self.anchors[params.target]))
        return train, validation

    def score(self, params: TrainingParams, patience: int, threads: int) -> tuple[float, int]:
        """RMSE over the mean price of the validation months, and the trees it took."""
        import xgboost as xgb

        train, validation = self.with_labels(params)
        booster = xgb.train(
            params.booster_params() | {"nthread": threads},
            train,
            num_boost_round=params.n_estimators,
            evals=[(validation, "validation")],
            early_stopping_rounds=patience,
            verbose_eval=False,
        )
        trees = booster.best_iteration + 1
        raw = booster.predict(validation, iteration_range=(0, trees))
        actual = self.validation["price"].to_numpy()
        fitted = PriceTrees(booster, params.target, self.anchors[params.target])
        error = fitted.to_prices(raw, self.validation) - actual
        return float(np.sqrt((error**2).mean()) / actual.mean()), trees


def _open_study(storage: str, name: str) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if storage.startswith(_SQLITE):
            Path(storage.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        with _experimental():
            kept = optuna.storages.RDBStorage(
                storage, heartbeat_interval=_HEARTBEAT_SECONDS, grace_period=_GRACE_SECONDS
            )
        study = optuna.create_study(
            storage=kept,
            study_name=name,
            direction="minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS),
            load_if_exists=True,
        )
        _fail_dead_trials(study)
    except Exception as error:
        where = without_password(f"{storage} ({first_line(error)})")
        raise HousingError(
            f"the tuning study cannot be kept in {where}: set HOUSING_STUDY_STORAGE to another "
            "database, or move this one away (a database of another Optuna version: `optuna storage upgrade`)"
        ) from error
    return study


def _finished(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED])


class _OneTooManyError(Exception):
    """Other processes began the last trials at the same moment; this one fails, and does not count."""


@contextmanager
def _experimental() -> Iterator[None]:
    """Heartbeats and fixed parameters are experimental in Optuna; the tests hold them to what they do."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _counted(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    """The trials that are finished, or that some process says it is at: who was killed before that does not count."""
    from optuna.trial import TrialState

    # In one read: between two, a trial that ends would be in neither.
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING]
    trials = study.get_trials(deepcopy=False, states=states)
    return [t for t in trials if t.state is not TrialState.RUNNING or _PROCESS in t.user_attrs]


def _fail_dead_trials(study: "optuna.Study") -> None:
    """Trials whose process was killed no longer count; of another machine, once its heartbeat has stopped."""
    import optuna

    for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        if is_known_dead(trial.user_attrs.get(_PROCESS, "")):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
    with _experimental():
        optuna.storages.fail_stale_trials(study)


def _run_trial(study: "optuna.Study", spec: TuningSpec, folds: list[_FoldData]) -> None:
    import optuna

    def objective(trial: optuna.Trial) -> float:
        began = time.monotonic()
        # Optuna's thread may come to it later, and a trial that never had a heartbeat is never seen to have none.
        cast("optuna.storages.RDBStorage", study._storage).record_heartbeat(trial._trial_id)
        trial.set_user_attr(_PROCESS, this_process())
        place = _take_place(study, trial)
        if place >= spec.trials:
            raise _OneTooManyError
        study.sampler = _sampler(spec, place)
        params = TrainingParams(**_suggest(trial, spec.space), n_estimators=spec.max_trees, seed=spec.seed)
        scores: list[float] = []
        trees: list[int] = []
        for step, (score, count) in enumerate(_fold_scores(folds, params, spec.patience)):
            scores.append(score)
            trees.append(count)
            trial.set_user_attr(_FOLD_SCORES, scores)
            trial.set_user_attr(_TREES, round(float(np.mean(trees))))
            trial.set_user_attr(_SECONDS, time.monotonic() - began)
            trial.report(float(np.mean(scores)), step)
            if step + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(scores))

    with _experimental():
        study.optimize(objective, n_trials=1, catch=(_OneTooManyError,))


def _take_place(study: "optuna.Study", trial: "optuna.Trial") -> int:
    """The first place that no earlier trial that counts has: what failed before changes nothing.

    Trials begun before this one have theirs first, so that no two of them come to the same.
    """
    from optuna.trial import TrialState

    silent_until = time.monotonic() + _SILENCE_SECONDS
    while True:
        _fail_dead_trials(study)
        earlier = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        waiting = [t for t in earlier if t.number < trial.number and _PLACE not in t.user_attrs]
        if not waiting:
            break
        if time.monotonic() > silent_until:
            # Killed before it could say whose it was.
            for silent in (t for t in waiting if _PROCESS not in t.user_attrs):
                study.tell(silent.number, state=TrialState.FAIL, skip_if_finished=True)
        time.sleep(_MOMENT_SECONDS)
    taken = {t.user_attrs.get(_PLACE) for t in _counted(study) if t.number < trial.number}
    place = next(place for place in itertools.count() if place not in taken)
    trial.set_user_attr(_PLACE, place)
    return place


def _sampler(spec: TuningSpec, place: int) -> "optuna.samplers.BaseSampler":
    """What suggests the parameters of the trial in this place; the first ones are given."""
    import optuna

    sampler = optuna.samplers.TPESampler(seed=spec.seed + place, n_startup_trials=_STARTUP_TRIALS)
    if place < len(_FIRST) and (first := _inside(spec.space, _FIRST[place])):
        return optuna.samplers.PartialFixedSampler(first, sampler)
    return sampler


def _fold_scores(folds: list[_FoldData], params: TrainingParams, patience: int) -> Iterator[tuple[float, int]]:
    """The score of each fold in order, made side by side: small folds gain little from more threads each."""
    cores = os.cpu_count() or 1
    pool = ThreadPoolExecutor(min(cores, len(folds)), thread_name_prefix="fold")
    try:
        threads = max(1, cores // len(folds))
        yield from pool.map(lambda fold: fold.score(params, patience, threads), folds)
    finally:
        pool.shutdown(cancel_futures=True)


_BASE: dict[str, Any] = {
    f.name: getattr(TrainingParams(), f.name) for f in fields(TrainingParams) if f.name in DEFAULT_SPACE
} | {"learning_rate": 0.15, "reg_alpha": 1e-3, "min_child_weight": 5.0}
_FIRST: tuple[dict[str, Any], ...] = (
    _BASE,
    _BASE | {"target": "log_price", "monotone": True},
    _BASE | {"target": "log_anchor"},
)
"""Where the search begins: the baseline's hyperparameters, and the two other targets beside them."""


def _inside(space: Space, params: dict[str, Any]) -> dict[str, Any] | None:
    """The parameters if the space has them all, so that a narrowed space is never left."""
    for name, where in space.items():
        value = params[name]
        inside = where.low <= value <= where.high if isinstance(where, Range) else value in where
        if not inside:
            return None
    return params


def _suggest(trial: "optuna.Trial", space: Space) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for name, where in space.items():
        if not isinstance(where, Range):
            params[name] = trial.suggest_categorical(name, where)
        elif where.whole:
            params[name] = trial.suggest_int(name, int(where.low), int(where.high), log=where.log)
        else:
            params[name] = trial.suggest_float(name, where.low, where.high, log=where.log)
    return params


def _trial_rows(study: "optuna.Study") -> list[dict[str, Any]]:
    rows = []
    for trial in _finished(study):
        scores = trial.user_attrs.get(_FOLD_SCORES, [])
        rows.append(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "score": float(np.mean(scores)) if scores else None,
                "trees": trial.user_attrs.get(_TREES),
                "seconds": trial.user_attrs.get(_SECONDS),
                **{f"fold {i + 1}": score for i, score in enumerate(scores)},
                **trial.params,
            }
        )
    return rows


def _importances(study: "optuna.Study") -> pl.DataFrame:
    import optuna

    complete = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    found: dict[str, float] = {}
    if len(complete) > 1 and len({t.value for t in complete}) > 1:
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(evaluate_on_local=False)
        )
    return pl.DataFrame(
        {"parameter": list(found), "importance": list(found.values())},
        schema={"parameter": pl.String(), "importance": pl.Float64()},
    )
