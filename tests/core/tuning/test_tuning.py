"""Tuning: what a trial may see, that a search repeats and resumes, and what is refused."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import optuna
import polars as pl
import pytest
from platform_fixtures import wait_for

from housing_assets.core.errors import HousingError
from housing_assets.core.models.trees import TrainingParams
from housing_assets.core.months import Split, month_of, month_range
from housing_assets.core.tuning import study
from housing_assets.core.tuning.choice import choose_trial
from housing_assets.core.tuning.folds import rolling_folds
from housing_assets.core.tuning.objective import FoldData
from housing_assets.core.tuning.space import (
    DEFAULT_SPACE,
    FINAL_LEARNING_RATE,
    FIRST_TRIAL,
    Range,
    TuningSpec,
    search_space,
)
from housing_assets.core.tuning.study import TuningResult, tune

QUICK = {"trials": 4, "folds": 2, "max_trees": 12}


@pytest.fixture(scope="module")
def train(features) -> pl.DataFrame:
    return features.filter(split=Split.TRAIN)


def search(train: pl.DataFrame, folder: Path, **changes) -> TuningResult:
    return tune(train, TuningSpec(**{**QUICK, **changes}), f"sqlite:///{folder}/studies.db", "a study")


@pytest.fixture(scope="module")
def undisturbed(train, tmp_path_factory) -> TuningResult:
    return search(train, tmp_path_factory.mktemp("undisturbed"))


def what_was_tried(found: TuningResult) -> pl.DataFrame:
    return found.trials.drop("seconds")


# ---------------------------------------------------------------- folds


def test_folds_expand_and_validate_on_the_years_after():
    folds = rolling_folds("2012-03", "2019-12", 3)
    assert [(f.train[0], f.train[-1], f.validation[0], f.validation[-1]) for f in folds] == [
        ("2012-03", "2017-12", "2018-01", "2019-12"),
        ("2012-03", "2015-12", "2016-01", "2017-12"),
        ("2012-03", "2013-12", "2014-01", "2015-12"),
    ]


@pytest.mark.parametrize(("months", "count"), [(2, 1), (5, 4), (9, 3), (30, 2), (94, 3), (94, 20)])
def test_no_fold_validates_on_a_month_that_is_not_after_its_train_months(months, count):
    every = month_range("2012-01", "2020-12")[:months]
    folds = rolling_folds(every[0], every[-1], count)
    assert len(folds) == count
    for fold in folds:
        assert max(fold.train) < min(fold.validation)
        assert fold.train[0] == every[0]
        assert list(fold.train + fold.validation) == every[: len(fold.train + fold.validation)]


def test_too_few_months_are_told():
    with pytest.raises(HousingError, match=r"2 train months \(2012-01 to 2012-02\) cannot make 3 folds: set HOUSING"):
        rolling_folds("2012-01", "2012-02", 3)


# ---------------------------------------------------------------- the search


def trial(number: int, folds: tuple[float, float, float], trees: int, state: str = "complete") -> dict:
    scores = {f"fold {i + 1}": score for i, score in enumerate(folds)}
    drawn = {"learning_rate": 0.1, "max_depth": 6}
    return {"trial": number, "state": state, "score": sum(folds) / 3, "trees": trees, **scores, **drawn}


def test_a_smaller_model_within_noise_of_the_best_is_taken():
    best = trial(0, (0.200, 0.210, 0.220), 300)
    same = trial(1, (0.201, 0.209, 0.2206), 100)
    assert choose_trial([best, same])["trial"] == 1
    # Worse in every fold by as much, which is no noise.
    assert choose_trial([best, trial(1, (0.2005, 0.2105, 0.2205), 100)])["trial"] == 0
    # Within noise, but worse by more than half a percent.
    assert choose_trial([best, trial(1, (0.220, 0.200, 0.216), 100)])["trial"] == 0
    assert choose_trial([best, trial(1, (0.1, 0.1, 0.1), 100, "pruned")])["trial"] == 0
    assert choose_trial([best, trial(1, (0.200, 0.210, 0.220), 400)])["trial"] == 0


def test_the_chosen_trial_is_what_is_trained_at_a_slower_rate(undisturbed):
    best = choose_trial(undisturbed.trials.to_dicts())
    assert best["trial"] == undisturbed.chosen
    params = undisturbed.params
    slower = round(best["learning_rate"] / FINAL_LEARNING_RATE)
    assert params.learning_rate == pytest.approx(best["learning_rate"] / slower)
    assert params.n_estimators == best["trees"] * slower
    assert {n: getattr(params, n) for n in DEFAULT_SPACE if n != "learning_rate"} == {
        n: best[n] for n in DEFAULT_SPACE if n != "learning_rate"
    }


def test_every_trial_is_listed_with_its_folds(undisturbed):
    assert undisturbed.trials["trial"].to_list() == [0, 1, 2, 3]
    folds = undisturbed.trials.select("fold 1", "fold 2").to_numpy()
    assert undisturbed.trials["score"].to_numpy() == pytest.approx(np.nanmean(folds, axis=1))
    assert set(undisturbed.importances["parameter"]) <= set(DEFAULT_SPACE)


def test_the_same_seed_searches_the_same(train, undisturbed, tmp_path):
    again = search(train, tmp_path)
    assert again.params == undisturbed.params
    assert what_was_tried(again).equals(what_was_tried(undisturbed))


def test_another_seed_searches_elsewhere(train, undisturbed, tmp_path):
    assert not what_was_tried(search(train, tmp_path, seed=1)).equals(what_was_tried(undisturbed))


def test_later_trials_of_an_interrupted_search_are_those_of_an_undisturbed_one(
    train, undisturbed, tmp_path, monkeypatch
):
    def interrupt(row: dict) -> None:
        if row["trial"] == 1:
            raise KeyboardInterrupt

    storage = f"sqlite:///{tmp_path}/studies.db"
    with pytest.raises(KeyboardInterrupt):
        tune(train, TuningSpec(**QUICK), storage, "a study", interrupt)
    # What a process leaves that is killed before it says whose a trial is: one that never ends.
    monkeypatch.setattr(study, "_SILENCE_SECONDS", 0.1)
    optuna.load_study(study_name="a study", storage=storage).ask()
    numbers: list[int] = []
    found = tune(train, TuningSpec(**QUICK), storage, "a study", lambda row: numbers.append(row["trial"]))
    assert found.params == undisturbed.params
    assert found.trials["score"].to_list() == undisturbed.trials["score"].to_list()
    assert len(numbers) == 4


def test_trees_grown_in_stages_are_those_grown_at_once(train):
    (fold,) = rolling_folds(month_of(train["date"].min()), month_of(train["date"].max()), 1)
    data, params = FoldData.make(train, fold), TrainingParams(max_depth=3)
    whole, staged = (data.begin(params, 15, threads=1) for _ in range(2))
    expected = whole.grow(9)
    with ThreadPoolExecutor(1) as other_thread:
        scores = [staged.grow(2), other_thread.submit(staged.grow, 5).result(), staged.grow(9)]
    assert scores[-1] == expected
    assert staged.trees.booster.save_raw() == whole.trees.booster.save_raw()
    assert not whole.stopped


def test_a_fold_stops_when_more_trees_do_not_help(train):
    (fold,) = rolling_folds(month_of(train["date"].min()), month_of(train["date"].max()), 1)
    fit = FoldData.make(train, fold).begin(TrainingParams(learning_rate=1.0), 3, threads=1)
    score = fit.grow(500)
    assert fit.stopped
    assert fit.trees.booster.num_boosted_rounds() == fit.best + 3
    assert fit.grow(1_000) == score


def test_trials_that_are_not_in_the_best_third_end_at_the_end_of_a_stage(train, tmp_path):
    spec = TuningSpec(**{**QUICK, "trials": 7})
    found = search(train, tmp_path, trials=7)
    assert spec.stages == [1, 4, 12]
    trials = optuna.load_study(study_name="a study", storage=f"sqlite:///{tmp_path}/studies.db").trials
    for number, trial in enumerate(trials):
        for trees, score in trial.intermediate_values.items():
            came_this_far = [
                t.intermediate_values[trees] for t in trials[: number + 1] if trees in t.intermediate_values
            ]
            worse = sum(other < score for other in came_this_far) >= max(1, len(came_this_far) // 3)
            ended = trees == trial.last_step and trial.state is optuna.trial.TrialState.PRUNED
            assert ended == (worse and trees < spec.max_trees)
    assert 0 < found.trials.filter(state="pruned").height < 7
    assert found.trials.row(found.chosen, named=True)["state"] == "complete"


def test_a_search_also_tries_what_an_earlier_one_chose(train, tmp_path):
    start = {**FIRST_TRIAL[0], "learning_rate": 0.2, "max_depth": 7, "target": "log_price"}
    found = search(train, tmp_path, start=start)
    tried = found.trials.row(len(FIRST_TRIAL), named=True)
    assert {name: tried[name] for name in start} == start
    resumed = search(train, tmp_path, start=None, trials=5)
    assert what_was_tried(resumed)[:4].equals(what_was_tried(found))
    outside = search(train, tmp_path / "narrowed", start=start, space=search_space({"max_depth": [2, 3]}))
    assert outside.trials["max_depth"].max() <= 3


def test_a_search_that_has_its_trials_already_is_only_read(train, undisturbed, tmp_path, monkeypatch):
    search(train, tmp_path)
    monkeypatch.setattr(study, "_run_trial", None)
    assert search(train, tmp_path).params == undisturbed.params


_WORKER = """
import json, os, sys, time
from pathlib import Path
import polars as pl
from housing_assets.core.tuning import study
rows, storage, quick = sys.argv[1:]
{before}
found = study.tune(pl.read_parquet(rows), study.TuningSpec(**json.loads(quick)), storage, "shared")
print(json.dumps([found.trials["trial"].to_list(), found.trials["score"].min()]))
"""
_TOGETHER = """
Path(rows).with_name(str(os.getpid()) + ".ready").touch()
while len(list(Path(rows).parent.glob("*.ready"))) < 2:
    time.sleep(0.01)
"""
_HANGS = "study.fold_scores = lambda *_: time.sleep(600)"
_HANGS_ELSEWHERE = f"""
import socket
from optuna.storages._heartbeat import HeartbeatThread
{_HANGS}
socket.gethostname = lambda: "elsewhere"
# Killed before Optuna's thread had its turn.
HeartbeatThread._record_heartbeat = staticmethod(lambda *_: time.sleep(600))
"""
_IMPATIENT = "study._HEARTBEAT_SECONDS, study._GRACE_SECONDS = 1, 4"


class SharedStudy:
    """A study of eight trials that several processes are given."""

    def __init__(self, train: pl.DataFrame, folder: Path) -> None:
        self.rows, self.storage = folder / "train.parquet", f"sqlite:///{folder}/studies.db"
        train.write_parquet(self.rows)
        self.study = optuna.create_study(study_name="shared", storage=self.storage)

    def process(self, before: str) -> subprocess.Popen:
        """One that searches, after what it runs before."""
        command = [sys.executable, "-c", _WORKER.format(before=before), str(self.rows), self.storage]
        quick = json.dumps({**QUICK, "trials": 8})
        return subprocess.Popen([*command, quick], stdout=subprocess.PIPE, text=True)

    def finished(self) -> list[optuna.trial.FrozenTrial]:
        return self.study.get_trials(states=[optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED])

    def under_way(self) -> list[optuna.trial.FrozenTrial]:
        return [t for t in self.study.get_trials(states=[optuna.trial.TrialState.RUNNING]) if "place" in t.user_attrs]


def told(process: subprocess.Popen) -> tuple[list[int], float]:
    numbers, score = json.loads(process.communicate(timeout=120)[0])
    return numbers, score


def process_of(trial: optuna.trial.FrozenTrial) -> int:
    return int(trial.user_attrs["process"].rpartition(":")[2])


def test_ctrl_c_while_a_trial_is_recorded_leaves_it_recorded(train, tmp_path, monkeypatch):
    record = optuna.storages.RDBStorage.set_trial_state_values

    def interrupted(*args, **named) -> bool:
        signal.raise_signal(signal.SIGINT)
        return record(*args, **named)

    monkeypatch.setattr(optuna.storages.RDBStorage, "set_trial_state_values", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(train, tmp_path)
    (trial,) = optuna.load_study(study_name="a study", storage=f"sqlite:///{tmp_path}/studies.db").trials
    assert trial.state is optuna.trial.TrialState.COMPLETE


def test_ctrl_c_while_trees_grow_takes_effect_at_once(train, tmp_path, monkeypatch):
    def interrupted(*_args, **_named) -> Iterator[None]:
        signal.raise_signal(signal.SIGINT)
        yield pytest.fail("it went on")

    monkeypatch.setattr(study, "fold_scores", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(train, tmp_path)


@pytest.mark.process
def test_two_processes_share_the_trials_of_one_study(train, tmp_path):
    shared = SharedStudy(train, tmp_path)
    processes = [shared.process(_TOGETHER) for _ in range(2)]
    one, other = map(told, processes)
    done = shared.finished()
    assert {process_of(t) for t in done} == {process.pid for process in processes}
    assert [t.params["target"] for t in done[:3]] == ["price", "log_price", "log_anchor"]
    assert len({json.dumps(t.params) for t in done}) == len(done) == 8
    assert one == other
    assert one[0] == [t.number for t in done]


@pytest.mark.process
@pytest.mark.parametrize(
    ("lost", "left"),
    [(_HANGS, ""), (_HANGS_ELSEWHERE, _IMPATIENT)],
    ids=["of this machine", "of another machine"],
)
def test_the_trial_of_a_process_that_is_killed_is_done_by_another(train, tmp_path, lost, left):
    shared = SharedStudy(train, tmp_path)
    killed = shared.process(lost)
    wait_for(shared.under_way)
    other = shared.process(left)
    wait_for(lambda: len(shared.finished()) >= 7)
    # Not waited for: of this machine, it stays behind as a zombie.
    killed.kill()
    numbers, _ = told(other)
    assert numbers == list(range(1, 9))
    by_place = {t.user_attrs["place"]: t for t in shared.finished()}
    assert sorted(by_place) == list(range(8))
    assert {process_of(t) for t in by_place.values()} == {other.pid}
    assert by_place[0].params["target"] == "price", "what the first trial was given"
    killed.communicate()


def test_a_time_limit_ends_the_search_after_the_trial_it_falls_in(train, tmp_path):
    assert search(train, tmp_path, time_limit=1e-9).trials.height == 1


def test_prices_after_a_fold_do_not_change_its_score(train, tmp_path):
    """The fold's own months decide: the last year dearer leaves the older fold's score as it was."""
    folds = rolling_folds(month_of(train["date"].min()), month_of(train["date"].max()), 2)
    late = pl.col("date").dt.strftime("%Y-%m").is_in(folds[0].validation)
    dearer = train.with_columns(pl.when(late).then(pl.col("price") * 5).otherwise("price").alias("price"))
    one, other = (search(rows, tmp_path / name, trials=1) for name, rows in (("a", train), ("b", dearer)))
    assert one.trials["fold 2"].to_list() == other.trials["fold 2"].to_list()
    assert one.trials["fold 1"].to_list() != other.trials["fold 1"].to_list()


def test_a_narrowed_space_is_never_left(train, tmp_path):
    space = search_space({"max_depth": [4, 5], "target": "log_price", "max_bin": [64, 128]})
    tried = search(train, tmp_path, space=space).trials
    assert set(tried["max_depth"]) <= {4, 5}
    assert set(tried["target"]) == {"log_price"}
    assert set(tried["max_bin"]) <= {64, 128}


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": [3, 4]}, "'depth' is not tuned; what is: learning_rate, max_depth"),
        ({"max_depth": [3, 99]}, "max_depth=99 is outside 1 to 16"),
        ({"max_depth": [6, 3]}, "max_depth=[6, 3]: write [low, high] with low below high"),
        ({"max_depth": [3, 4, 5]}, "write [low, high]"),
        ({"max_depth": []}, "max_depth has no value"),
        ({"target": ["rent"]}, "target='rent': use one of price"),
        ({"subsample": ["much"]}, "search space:"),
        ({"reg_alpha": [0, 1]}, "reg_alpha is searched on a log scale, so 0 must be above 0"),
    ],
)
def test_a_search_space_that_makes_no_sense(changes, words):
    with pytest.raises(HousingError) as caught:
        search_space(changes)
    assert words in str(caught.value)


def test_a_space_is_narrowed_widened_or_fixed():
    space = search_space({"max_depth": [2, 3], "subsample": 0.7, "monotone": [True]})
    assert space["max_depth"] == Range(2, 3, whole=True)
    assert space["subsample"] == (0.7,)
    assert space["monotone"] == (True,)
    assert space["target"] == DEFAULT_SPACE["target"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trials", 0),
        ("trials", 10_001),
        ("folds", 0),
        ("max_trees", 0),
        ("patience", 0),
        ("time_limit", -1),
        ("seed", -1),
    ],
)
def test_a_search_that_makes_no_sense(name, value):
    with pytest.raises(HousingError, match=f"tuning: {name}={value} is outside"):
        TuningSpec(**{name: value})


def test_no_train_rows_and_bad_prices_are_refused(train, tmp_path):
    with pytest.raises(HousingError, match="no train rows"):
        search(train.clear(), tmp_path)
    with pytest.raises(HousingError, match="rows have a price that is missing"):
        search(train.with_columns(price=pl.lit(float("nan"))), tmp_path)


def test_a_hole_in_the_train_months_is_told(train, tmp_path):
    folds = rolling_folds(month_of(train["date"].min()), month_of(train["date"].max()), 2)
    holed = train.filter(~pl.col("date").dt.strftime("%Y-%m").is_in(folds[1].validation))
    with pytest.raises(HousingError, match=f"no validation rows in {folds[1].validation[0]} to"):
        search(holed, tmp_path)


@pytest.mark.parametrize("storage", ["sqlite:////proc/nowhere/studies.db", "nonsense://x", "not a url"])
def test_a_storage_that_cannot_be_used_is_told_with_the_setting(train, storage):
    with pytest.raises(HousingError, match="the tuning study cannot be kept in .*set HOUSING_STUDY_STORAGE"):
        tune(train, TuningSpec(**QUICK), storage, "a study")


def test_a_storage_of_another_version_is_told(train, tmp_path):
    import sqlite3

    search(train, tmp_path, trials=1)
    with sqlite3.connect(tmp_path / "studies.db") as database:
        database.execute("update version_info set schema_version = 3, library_version = '1.0.0'")
        database.execute("update alembic_version set version_num = 'v0.9.0.a'")
    with pytest.raises(HousingError, match="another Optuna version"):
        search(train, tmp_path)


def test_a_storage_that_fails_without_a_word_is_told(train, tmp_path, monkeypatch):
    def fail(*_args, **_named) -> None:
        raise TimeoutError

    monkeypatch.setattr(optuna.storages, "RDBStorage", fail)
    with pytest.raises(HousingError, match=r"cannot be kept in .*\(TimeoutError\): set HOUSING_STUDY_STORAGE"):
        tune(train, TuningSpec(**QUICK), f"sqlite:///{tmp_path}/studies.db", "a study")
