"""`housing check`: what is there is checked again, without being made again."""

import shutil

import polars as pl
import pytest
from platform_fixtures import MONTHS, CommandLine, command_line, tree

from housing_assets.store.verdicts import State, states

MONTH = "2019-08"


@pytest.fixture
def housing(made, tmp_path) -> CommandLine:
    """The command line over a copy of the platform."""
    shutil.copytree(made.folder, tmp_path / "store")
    return command_line(tmp_path, made.source)


def row(out: str, rule: str) -> list[str]:
    """The cells of a rule in the table."""
    (line,) = (line for line in out.splitlines() if f" {rule} " in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_a_month_that_was_judged_wrongly_is_judged_anew_and_nothing_is_made(housing):
    months = housing.store.months("raw_splits")
    sound = months.read(MONTH)
    months.write(MONTH, sound.head(12))
    before = tree(housing.folder)
    done = housing("check", "raw_splits", "--months", "2019-07:2019-09")
    assert done.code == 1
    assert row(done.out, "zips_are_covered") == ["zips_are_covered", "fails", "zip_coverage 0.5", "at least 0.7", MONTH]
    assert row(done.out, "keys_are_known") == ["keys_are_known", "holds", "keys_missing 0", "at most 0", ""]
    assert f"{MONTH}: zipcode: 12 of 24 zips of the months before are not there" in done.out
    assert "raw_splits is red: " in done.err
    assert tree(housing.folder) == before
    assert [m for m, s in states(housing.store, "raw_splits", MONTHS).items() if s is State.RED] == [MONTH]

    months.write(MONTH, sound)
    done = housing("check", "raw_splits", "--months", MONTH)
    assert done.code == 0, done.err
    assert row(done.out, "zips_are_covered")[1] == "holds"
    assert set(states(housing.store, "raw_splits", MONTHS).values()) == {State.GREEN}


@pytest.mark.parametrize("asset", ["cleaned", "encoders", "training_features", "baseline_model", "champion_model"])
def test_without_months_everything_that_is_there_is_checked(housing, asset):
    done = housing("check", asset)
    assert done.code == 0, done.err
    assert "holds" in done.out
    assert "fails" not in done.out


def test_a_rule_that_only_warns_leaves_the_exit_code_alone(housing):
    months = housing.store.months("drift_report")
    for month in months.available():
        months.write(month, months.read(month).with_columns(drifted=pl.lit(True)))
    done = housing("check", "drift_report")
    assert done.code == 0, done.err
    assert row(done.out, "features_are_as_in_train")[1:4] == ["warns", "drifted_share 1", "at most 0.333333"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["nothing"], "'nothing' has no checks: choose one of revisions, raw_splits, cleaned, "),
        (["cleaned", "--months", "2019-13"], "2019-13"),
        (["cleaned", "--months", "2018-12:2019-01"], "cleaned has no 2018-12: choose months of 2019-01 to 2020-03"),
        (["encoders", "--months", "2019-01"], "encoders has no months; leave --months out"),
        (["forecast_evaluation"], "forecast_evaluation could not be checked: "),
    ],
)
def test_what_cannot_be_checked_is_said(housing, asked, words):
    done = housing("check", *asked)
    assert done.code == 1
    assert words in done.err
