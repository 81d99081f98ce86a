"""The environment: defaults, what may be set, and what a refusal says."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from housing_assets.config.settings import Settings, load_settings
from housing_assets.core.errors import HousingError, UnknownPanelError
from housing_assets.core.limits import MOST_ZIPS
from housing_assets.core.months import Split, TimeSplit, add_months, month_of

VARIABLES = [f"HOUSING_{name.upper()}" for name in Settings.model_fields]


@pytest.fixture
def env(monkeypatch):
    """Set `HOUSING_` variables; no other is set."""
    for name in [n for n in os.environ if n.upper().startswith(("HOUSING_", "MLFLOW_"))]:
        monkeypatch.delenv(name)

    def set_variables(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"HOUSING_{name}", value)

    return set_variables


def refusal() -> str:
    with pytest.raises(HousingError) as caught:
        load_settings()
    return str(caught.value)


def test_the_defaults_are_the_generated_sample_and_a_local_store(env):
    s = load_settings()
    assert s.uses_sample
    assert s.store_uri == "data/store"
    assert (s.panel_start, s.last_month, len(s.months)) == ("2012-03", "2023-12", 142)
    assert s.split == TimeSplit("2020-01", "2022-01")
    assert (s.sample_zips, s.max_list_price) == (240, 19_000_000)
    assert s.tune_trials == 15
    assert s.study_storage == "sqlite:///data/optuna/studies.db"
    assert s.mlflow_tracking_uri == "sqlite:///data/mlflow/mlflow.db"
    assert s.sample_path == Path("data/source/synthetic-240-zips-2012-03-2023-12.csv")


def test_every_setting_has_its_variable(env, monkeypatch):
    env(
        SOURCE_URI="s3://raw/panel.csv",
        AS_OF="2026-11-30",
        ZILLOW_URL="https://127.0.0.1/zillow.csv",
        REDFIN_URL="https://127.0.0.1/redfin.csv",
        STORE_URI="s3://store/prefix",
        EVAL_START="2019-01",
        HOLDOUT_START="2020-06",
        PANEL_START="2014-02",
        PANEL_END="2021-03",
        REFIT_MONTHS="6",
        SAMPLE_ZIPS="25",
        MAX_LIST_PRICE="5e6",
        PUBLICATION_LAG="2",
        TUNE_TRIALS="3",
        TRAIN_ENGINE="dask",
        DASK_ADDRESS="tcp://127.0.0.1:8786",
        STUDY_STORAGE="postgresql://127.0.0.1/studies",
        SOURCE_SECONDS="60",
        FOLLOW_SECONDS="5",
        ACCEPT_RESTATED="Zillow revises its index",
        WEBHOOK_URL="https://127.0.0.1/hook",
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert load_settings().model_dump() | {"webhook_url": load_settings().webhook_url.get_secret_value()} == {
        "source_uri": "s3://raw/panel.csv",
        "as_of": "2026-11-30",
        "zillow_url": "https://127.0.0.1/zillow.csv",
        "redfin_url": "https://127.0.0.1/redfin.csv",
        "store_uri": "s3://store/prefix",
        "eval_start": "2019-01",
        "holdout_start": "2020-06",
        "panel_start": "2014-02",
        "panel_end": "2021-03",
        "refit_months": 6,
        "sample_zips": 25,
        "max_list_price": 5e6,
        "publication_lag": 2,
        "tune_trials": 3,
        "train_engine": "dask",
        "dask_address": "tcp://127.0.0.1:8786",
        "study_storage": "postgresql://127.0.0.1/studies",
        "mlflow_tracking_uri": "http://127.0.0.1:5000",
        "source_seconds": 60,
        "follow_seconds": 5,
        "accept_restated": "Zillow revises its index",
        "webhook_url": "https://127.0.0.1/hook",
    }
    assert "127.0.0.1/hook" not in repr(load_settings())
    assert not load_settings().uses_sample


@pytest.mark.parametrize("name", VARIABLES)
def test_an_empty_variable_is_the_default(env, monkeypatch, name):
    defaults = load_settings()
    monkeypatch.setenv(name, "")
    assert load_settings() == defaults


def test_other_variables_are_none_of_its_business(env):
    env(UNKNOWN="x", TEST_STRICT="1")
    assert load_settings() == Settings()


def test_settings_do_not_change(env):
    with pytest.raises(ValidationError):
        load_settings().sample_zips = 3


# ---------------------------------------------------------------- months


def test_the_splits_share_out_the_months_of_the_panel(env):
    env(PANEL_START="2019-10", EVAL_START="2019-12", HOLDOUT_START="2020-02", PANEL_END="2020-03")
    s = load_settings()
    assert {split.value: s.split_months(split) for split in Split} == {
        "train": ["2019-10", "2019-11"],
        "eval": ["2019-12", "2020-01"],
        "holdout": ["2020-02", "2020-03"],
    }


def test_a_real_source_ends_with_the_last_complete_month(env):
    env(SOURCE_URI="panel.csv")
    today = month_of(date.today())
    assert load_settings().last_month in (add_months(today, -1), add_months(month_of(date.today()), -1))


@pytest.mark.parametrize(
    ("cut_offs", "split"),
    [
        (("-36", "-12"), ("2021-01", "2023-01")),
        (("2020-01", "-1"), ("2020-01", "2023-12")),
        (("-48", "2022-06"), ("2020-01", "2022-06")),
    ],
)
def test_cut_offs_count_from_the_newest_month_of_the_panel(env, cut_offs, split):
    env(EVAL_START=cut_offs[0], HOLDOUT_START=cut_offs[1])
    s = load_settings()
    assert s.split == TimeSplit(*split)
    assert (s.judged.eval_start, s.judged.holdout_start) == split
    assert s.predictions_start == split[1]
    later = Settings(eval_start=cut_offs[0], holdout_start=cut_offs[1], panel_end="2024-02")
    moved = [add_months(m, 2) if c.startswith("-") else m for c, m in zip(cut_offs, split, strict=True)]
    assert later.split == TimeSplit(*moved)


def test_the_newest_month_of_a_source_is_not_known_before_it_was_read(env):
    env(SOURCE_URI="panel.csv", EVAL_START="-36", HOLDOUT_START="-12")
    s = load_settings()
    assert (s.newest_month, s.eval_month) == ("", "")
    with pytest.raises(UnknownPanelError, match="HOUSING_EVAL_START=-36 counts from .* run sources_job .* first, or"):
        _ = s.split
    known = s.with_newest_month("2024-05")
    assert known.split == TimeSplit("2021-06", "2023-06")
    assert s.newest_month == "", "the settings themselves do not change"
    assert known.with_first_predicted("2023-02").predictions_start == "2023-02"
    assert known.with_first_predicted("2023-08").predictions_start == "2023-06"


def test_another_sample_has_another_file(env):
    env(SAMPLE_ZIPS="30", PANEL_END="2022-06")
    assert load_settings().sample_path.name == "synthetic-30-zips-2012-03-2022-06.csv"


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", ["PANEL_START", "PANEL_END"])
@pytest.mark.parametrize("value", ["2022", "2022-13", "January 2022", "2022-01-31", "-12"])
def test_a_month_that_is_none(env, name, value):
    env(**{name: value})
    assert refusal() == f"HOUSING_{name}={value!r}: {value!r} is not a month: write YYYY-MM, for example 2022-01"


@pytest.mark.parametrize("name", ["EVAL_START", "HOLDOUT_START"])
@pytest.mark.parametrize("value", ["2022", "2022-13", "0", "-0", "12", "+12", "-1.5", "-012", "-10000", "--1", "- 12"])
def test_a_cut_off_that_is_neither_a_month_nor_a_count(env, name, value):
    env(**{name: value})
    assert refusal() == (
        f"HOUSING_{name}={value!r}: {value!r} is neither a month nor -1 to -9999: write YYYY-MM, for example 2022-01, "
        "or a negative number of months counted from the newest month of the panel, for example -12"
    )


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("SAMPLE_ZIPS", "0", "greater than or equal to 1"),
        ("SAMPLE_ZIPS", "-3", "greater than or equal to 1"),
        ("SAMPLE_ZIPS", str(MOST_ZIPS + 1), f"less than or equal to {MOST_ZIPS}"),
        ("SAMPLE_ZIPS", "many", "a valid integer"),
        ("SAMPLE_ZIPS", "1.5", "a valid integer"),
        ("MAX_LIST_PRICE", "0", "greater than 0"),
        ("MAX_LIST_PRICE", "-1", "greater than 0"),
        ("MAX_LIST_PRICE", "nan", "greater than 0"),
        ("MAX_LIST_PRICE", "$19,000,000", "a valid number"),
    ],
)
def test_a_number_that_makes_no_sense(env, name, value, remedy):
    env(**{name: value})
    assert refusal().startswith(f"HOUSING_{name}={value!r}: Input should be {remedy}")


@pytest.mark.parametrize(
    ("values", "names", "remedy"),
    [
        (
            {"EVAL_START": "2022-01"},
            ["HOUSING_EVAL_START=2022-01", "HOUSING_HOLDOUT_START=2022-01"],
            "set them so that both splits have months",
        ),
        (
            {"HOLDOUT_START": "2019-01"},
            ["HOUSING_EVAL_START=2020-01", "HOUSING_HOLDOUT_START=2019-01"],
            "set them so that both splits have months",
        ),
        (
            {"PANEL_START": "2020-01"},
            ["HOUSING_PANEL_START=2020-01", "HOUSING_EVAL_START=2020-01"],
            "set it earlier, so that train has months",
        ),
        (
            {"PANEL_END": "2021-12"},
            ["2021-12", "HOUSING_HOLDOUT_START=2022-01"],
            "set HOUSING_PANEL_END later, or the cut-offs earlier",
        ),
        (
            {"EVAL_START": "2023-12", "HOLDOUT_START": "2024-01"},
            ["the last month 2023-12", "HOUSING_HOLDOUT_START=2024-01"],
            "set HOUSING_PANEL_END later, or the cut-offs earlier",
        ),
        (
            {"EVAL_START": "-12", "HOLDOUT_START": "-36"},
            ["HOUSING_EVAL_START=-12 (2023-01)", "HOUSING_HOLDOUT_START=-36 (2021-01)"],
            "set them so that both splits have months",
        ),
        (
            {"EVAL_START": "-12", "HOLDOUT_START": "-12", "SOURCE_URI": "panel.csv"},
            ["HOUSING_EVAL_START=-12 must come before HOUSING_HOLDOUT_START=-12"],
            "set them so that both splits have months",
        ),
        (
            {"EVAL_START": "-24"},
            ["HOUSING_EVAL_START=-24 (2022-01) must come before HOUSING_HOLDOUT_START=2022-01"],
            "set them so that both splits have months",
        ),
        (
            {"HOLDOUT_START": "-60"},
            ["HOUSING_EVAL_START=2020-01 must come before HOUSING_HOLDOUT_START=-60 (2019-01)"],
            "set them so that both splits have months",
        ),
        (
            {"EVAL_START": "-142", "HOLDOUT_START": "-12"},
            ["HOUSING_EVAL_START=-142 is too far back: the panel has 142 months (2012-03 to 2023-12)"],
            "of which train needs one: write -1 to -141",
        ),
        (
            {"EVAL_START": "2012-04", "HOLDOUT_START": "-141"},
            ["HOUSING_HOLDOUT_START=-141 is too far back: the panel has 142 months (2012-03 to 2023-12)"],
            "of which train and eval need one each: write -1 to -140",
        ),
    ],
)
def test_cut_offs_that_leave_a_split_empty(env, values, names, remedy):
    env(**values)
    message = refusal()
    assert all(name in message for name in names)
    assert message.endswith(remedy)


def test_a_split_of_one_month_is_enough(env):
    env(PANEL_START="2019-12", EVAL_START="2020-01", HOLDOUT_START="2020-02", PANEL_END="2020-02")
    assert [len(load_settings().split_months(split)) for split in Split] == [1, 1, 1]


def test_every_bad_value_is_told_on_a_line_of_its_own(env):
    env(EVAL_START="soon", SAMPLE_ZIPS="0", MAX_LIST_PRICE="-1")
    lines = refusal().splitlines()
    assert [line.split("=")[0] for line in lines] == [
        "HOUSING_EVAL_START",
        "HOUSING_SAMPLE_ZIPS",
        "HOUSING_MAX_LIST_PRICE",
    ]


def test_settings_load_none_of_the_libraries_that_compute():
    program = "import sys, housing_assets.config.settings; print({'numpy', 'polars'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_the_sources_are_separated_as_in_a_shell(env, tmp_path):
    env(SOURCE_URI="zillow 'a b.csv' s3://raw/in/")
    assert load_settings().addresses == ("zillow", "a b.csv", "s3://raw/in/")
    spaced = tmp_path / "my panel.csv"
    spaced.touch()
    env(SOURCE_URI=str(spaced))
    assert load_settings().addresses == (str(spaced),)
    env(SOURCE_URI="'half a quote")
    with pytest.raises(HousingError, match="HOUSING_SOURCE_URI.*quote an address"):
        load_settings()


def test_a_day_is_written_as_a_day(env):
    env(AS_OF="30.11.2026")
    with pytest.raises(HousingError, match="HOUSING_AS_OF.*write a day as YYYY-MM-DD"):
        load_settings()
