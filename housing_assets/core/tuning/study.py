"""Tuning: a seeded Optuna study over rolling-origin folds inside the train months.

Every fold trains on months before its validation months and fits its own encoders on these alone, so that
no tuning decision ever saw a value from after it. Eval is never read here.
"""

import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from housing_assets.core.addresses import without_password
from housing_assets.core.errors import HousingError
from housing_assets.core.interrupts import interrupts_held
from housing_assets.core.models.trees import (
    TrainingParams,
    require_prices,
)
from housing_assets.core.processes import is_known_dead, this_process
from housing_assets.core.text import first_line
from housing_assets.core.tuning.choice import choose_trial, rate_divisor
from housing_assets.core.tuning.folds import rolling_folds
from housing_assets.core.tuning.objective import FoldData, fold_scores
from housing_assets.core.tuning.space import FIRST_TRIAL, REDUCTION, TuningSpec, params_within, suggest_params

if TYPE_CHECKING:
    import optuna

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
"""Seconds that a running trial may lack the name of its process."""


@dataclass(frozen=True)
class TuningResult:
    """The outcome of a study.

    Attributes:
        params: the hyperparameters of `choose_trial`, the rate divided and the trees multiplied by the same whole
            number, so that the rate is about `FINAL_LEARNING_RATE`.
        chosen: number of the trial that they are from.
        trials: one row a trial: `trial`, `state`, `score`, `trees`, `seconds`, a score for each fold, and the
            hyperparameters. A score is the RMSE of a fold over its mean price; a trial's is the folds' mean.
        importances: `parameter`, `importance` (shares that add up to 1); empty with too few trials.
    """

    params: TrainingParams
    chosen: int
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
    folds = [FoldData.make(train, fold) for fold in rolling_folds(first, last, spec.folds)]
    study, database = _open_study(storage, study_name)
    reported: set[int] = set()

    def report_finished() -> None:
        for row in _trial_rows(study):
            if row["trial"] not in reported:
                reported.add(row["trial"])
                on_trial(row)

    report_finished()
    deadline = time.monotonic() + spec.time_limit if spec.time_limit else math.inf
    while len(reported) < spec.trials and (not reported or time.monotonic() < deadline):
        _fail_dead_trials(study)
        if len(_counted(study)) < spec.trials:
            _run_trial(study, database, spec, folds)
        else:
            time.sleep(_LOOK_SECONDS)  # other processes run the last trials
        report_finished()
    rows = _trial_rows(study)
    chosen = choose_trial(rows)
    slower = rate_divisor(chosen["learning_rate"])
    drawn = {name: chosen[name] for name in spec.space} | {"learning_rate": chosen["learning_rate"] / slower}
    params = TrainingParams(**drawn, n_estimators=chosen["trees"] * slower, seed=spec.seed)
    table = pl.DataFrame(rows, infer_schema_length=None)
    return TuningResult(params, chosen["trial"], table, _importances(study))


def _open_study(storage: str, name: str) -> "tuple[optuna.Study, optuna.storages.RDBStorage]":
    """The study, created if there is none of this name, and the database that holds it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if storage.startswith(_SQLITE):
            Path(storage.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        with _experimental():
            database = optuna.storages.RDBStorage(
                storage, heartbeat_interval=_HEARTBEAT_SECONDS, grace_period=_GRACE_SECONDS
            )
        study = optuna.create_study(
            storage=database,
            study_name=name,
            direction="minimize",
            load_if_exists=True,
        )
        _fail_dead_trials(study)
    except Exception as error:
        where = without_password(f"{storage} ({first_line(error)})")
        raise HousingError(
            f"the tuning study cannot be kept in {where}: set HOUSING_STUDY_STORAGE to another "
            "database, or move this one away (a database of another Optuna version: `optuna storage upgrade`)"
        ) from error
    return study, database


def _finished(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED])


class _OneTooManyError(Exception):
    """Other processes began the last trials at the same moment. This trial fails and does not count."""


@contextmanager
def _experimental() -> Iterator[None]:
    """Silence Optuna's warning that heartbeats and fixed parameters are experimental. The tests cover them."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _counted(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    """The trials that are finished, or that a process has put its name to.

    A trial whose process was killed before that does not count.
    """
    from optuna.trial import TrialState

    # In one read: between two, a trial that ends would be in neither.
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING]
    trials = study.get_trials(deepcopy=False, states=states)
    return [t for t in trials if t.state is not TrialState.RUNNING or _PROCESS in t.user_attrs]


def _fail_dead_trials(study: "optuna.Study") -> None:
    """Mark as failed the trials whose process was killed.

    Those of another machine are failed once their heartbeat has stopped.
    """
    import optuna

    for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        if is_known_dead(trial.user_attrs.get(_PROCESS, "")):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
    with _experimental():
        optuna.storages.fail_stale_trials(study)


def _run_trial(
    study: "optuna.Study", database: "optuna.storages.RDBStorage", spec: TuningSpec, folds: list[FoldData]
) -> None:
    import optuna

    def objective(trial: optuna.Trial) -> float:
        began = time.monotonic()
        # Optuna's own thread may begin later, and a trial without a first heartbeat never counts as stale.
        study_id = database.get_study_id_from_name(study.study_name)
        database.record_heartbeat(database.get_trial_id_from_study_id_trial_number(study_id, trial.number))
        trial.set_user_attr(_PROCESS, this_process())
        place = _take_place(study, trial)
        if place >= spec.trials:
            raise _OneTooManyError
        study.sampler = _sampler(spec, place)
        params = TrainingParams(**suggest_params(trial, spec.space), n_estimators=spec.max_trees, seed=spec.seed)
        score = math.nan
        for stage in held.between(fold_scores(folds, params, spec.patience, spec.stages)):
            score = float(np.mean(stage.scores))
            trial.set_user_attr(_FOLD_SCORES, stage.scores)
            trial.set_user_attr(_TREES, round(float(np.mean(stage.best))))
            trial.set_user_attr(_SECONDS, time.monotonic() - began)
            trial.report(score, stage.trees)
            if not stage.finished and not _is_promising(study, trial, stage.trees, score):
                raise optuna.TrialPruned
        return score

    with _experimental(), interrupts_held() as held:
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


def _is_promising(study: "optuna.Study", trial: "optuna.Trial", trees: int, score: float) -> bool:
    """True if the score is in the best third of all trials that came this far, or the best of fewer than six.

    Trials that were killed do not count, so that an interrupted search prunes as an undisturbed one.
    `optuna.pruners.SuccessiveHalvingPruner` counts them.
    """
    others = (t.intermediate_values.get(trees) for t in _counted(study) if t.number != trial.number)
    scores = sorted([*(other for other in others if other is not None), score])
    return score <= scores[max(1, len(scores) // REDUCTION) - 1]


def _sampler(spec: TuningSpec, place: int) -> "optuna.samplers.BaseSampler":
    """The sampler of the trial in this place. The first have the parameters of `FIRST_TRIAL`, then of the start."""
    import optuna

    sampler = optuna.samplers.TPESampler(seed=spec.seed + place, n_startup_trials=_STARTUP_TRIALS)
    first = [*FIRST_TRIAL, spec.start] if spec.start and spec.start not in FIRST_TRIAL else FIRST_TRIAL
    if place < len(first) and (fixed := params_within(spec.space, first[place])):
        return optuna.samplers.PartialFixedSampler(fixed, sampler)
    return sampler


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
    importances: dict[str, float] = {}
    if len(complete) > 1 and len({t.value for t in complete}) > 1:
        importances = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(evaluate_on_local=False)
        )
    return pl.DataFrame(
        {"parameter": list(importances), "importance": list(importances.values())},
        schema={"parameter": pl.String(), "importance": pl.Float64()},
    )
