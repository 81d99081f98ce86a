"""Tuning: what a trial may see, that a search repeats and resumes, and what is refused."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna
import polars as pl
import pytest

from housing_assets.core import tuning
from housing_assets.core.errors import HousingError
from housing_assets.core.months import Split, month_of, month_range
from housing_assets.core.tuning import (
    DEFAULT_SPACE,
    FINAL_LEARNING_RATE,
    Range,
    TuningResult,
    TuningSpec,
    rolling_folds,
    search_space,
    tune,
)

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


def test_the_best_trial_is_what_is_trained_at_a_slower_rate(undisturbed):
    best = undisturbed.trials.filter(state="complete").sort("score").row(0, named=True)
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


def test_later_trials_of_an_interrupted_search_are_those_of_an_undisturbed_one(train, undisturbed, tmp_path):
    def interrupt(row: dict) -> None:
        if row["trial"] == 1:
            raise KeyboardInterrupt

    storage = f"sqlite:///{tmp_path}/studies.db"
    with pytest.raises(KeyboardInterrupt):
        tune(train, TuningSpec(**QUICK), storage, "a study", interrupt)
    # What a killed process leaves: a trial that never ends.
    optuna.load_study(study_name="a study", storage=storage).ask()
    told: list[int] = []
    found = tune(train, TuningSpec(**QUICK), storage, "a study", lambda row: told.append(row["trial"]))
    assert found.params == undisturbed.params
    assert found.trials["score"].to_list() == undisturbed.trials["score"].to_list()
    assert len(told) == 4


def test_a_search_that_has_its_trials_already_is_only_read(train, undisturbed, tmp_path, monkeypatch):
    search(train, tmp_path)
    monkeypatch.setattr(tuning, "_run_trial", None)
    assert search(train, tmp_path).params == undisturbed.params


_WORKER = """
import json, sys
import polars as pl
from housing_assets.core.tuning import TuningSpec, tune
rows, storage, quick = sys.argv[1:]
found = tune(pl.read_parquet(rows), TuningSpec(**json.loads(quick)), storage, "shared")
print(json.dumps([found.trials["trial"].to_list(), found.trials["score"].min()]))
"""


def shared_search(train, tmp_path, trials: int) -> list[subprocess.Popen]:
    """Two processes that are given the same study."""
    train.write_parquet(tmp_path / "train.parquet")
    storage = f"sqlite:///{tmp_path}/studies.db"
    optuna.storages.RDBStorage(storage)
    quick = json.dumps({**QUICK, "trials": trials})
    command = [sys.executable, "-c", _WORKER, str(tmp_path / "train.parquet"), storage, quick]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]


def process_of(trial: optuna.trial.FrozenTrial) -> str:
    return trial.user_attrs["process"].rpartition(":")[2]


def test_two_processes_share_the_trials_of_one_study(train, tmp_path):
    told = [json.loads(p.communicate(timeout=120)[0]) for p in shared_search(train, tmp_path, trials=8)]
    study = optuna.load_study(study_name="shared", storage=f"sqlite:///{tmp_path}/studies.db")
    done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED])
    assert len(done) in (8, 9)  # nine, if both began the last one in the same milliseconds
    assert len({process_of(t) for t in done}) == 2
    assert [t.params["target"] for t in done[:3]] == ["price", "log_price", "log_anchor"]
    assert len({json.dumps(t.params) for t in done}) >= 8
    assert told[0] == told[1] == [[t.number for t in done], told[0][1]]


def test_the_trials_of_a_process_that_is_killed_are_done_by_the_other(train, tmp_path):
    killed, other = shared_search(train, tmp_path, trials=8)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/studies.db")
    while not any(
        process_of(t) == str(killed.pid)
        for t in optuna.create_study(study_name="shared", storage=storage, load_if_exists=True).get_trials(
            states=[optuna.trial.TrialState.RUNNING]
        )
        if "process" in t.user_attrs
    ):
        time.sleep(0.01)
    killed.kill()
    numbers, _ = json.loads(other.communicate(timeout=120)[0])
    assert len(numbers) in (8, 9)


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
