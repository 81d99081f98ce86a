"""`housing sample | run | predict | status`: exit codes, files, and what they say."""

import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from platform_fixtures import END, EVAL, HELD, MONTHS, TRAIN, CommandLine, command_line, copy_of, tree, write_source

from housing_assets.cli.run import known_cause
from housing_assets.core.errors import HousingError
from housing_assets.core.months import add_months, month_end
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.orchestration.build import build_definitions
from housing_assets.store.bundles import list_versions
from housing_assets.store.pointers import champion_version, load_champion, point_to


@pytest.fixture
def housing(ran, tmp_path) -> CommandLine:
    """A copy of what `housing run` made, which the test may change."""
    return copy_of(ran, tmp_path)


@pytest.fixture
def empty(tmp_path, source) -> CommandLine:
    return command_line(tmp_path / "empty", source)


def refused(done) -> str:
    """The message of a command that failed as it should."""
    assert done.code == 1
    assert "Traceback" not in done.out + done.err
    return done.err


# ---------------------------------------------------------------- sample


@pytest.mark.parametrize("name", ["panel.csv", "new/panel.parquet"])
def test_a_sample_is_written_in_both_formats(empty, name):
    options = ("--zips", 5, "--start", "2020-01", "--end", "2020-03", "--no-dirt")
    done = empty("sample", "--out", name, *options)
    assert done.code == 0, done.err
    assert "15 rows, synthetic" in done.out
    path = empty.root / name
    frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    assert frame.columns == list(COLUMN_NAMES)
    assert frame.height == 15
    assert not list(path.parent.glob(".*.part"))
    first = path.read_bytes()
    assert empty("sample", "--out", name, *options).code == 0
    assert path.read_bytes() == first
    assert empty("sample", "--out", name, *options, "--seed", 8).code == 0
    assert path.read_bytes() != first


def test_a_dirty_sample_says_what_it_planted(empty):
    done = empty("sample", "--out", "p.csv", "--zips", 20, "--start", "2019-01", "--end", "2019-12")
    assert done.code == 0
    assert "exact_duplicate" in done.out
    assert "negative_price" in done.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--out", "panel.txt"), "cannot write a sample to panel.txt: end its name in .csv or .parquet"),
        (("--out", "p.csv", "--start", "2020-13"), "'2020-13' is not a month: write YYYY-MM"),
        (("--out", "p.csv", "--end", "March"), "'March' is not a month"),
        (("--out", "p.csv", "--start", "2021-01", "--end", "2020-01"), "2020-01"),
        (("--out", "p.csv", "--zips", "0"), "zips"),
        (("--out", "p.csv", "--zips", "10000000"), "zips"),
        (("--out", "/proc/nowhere/p.csv", "--zips", "1"), "/proc/nowhere/p.csv"),
    ],
)
def test_a_sample_that_makes_no_sense(empty, options, words):
    assert words in refused(empty("sample", *options))
    assert list(empty.root.iterdir()) == []


def test_options_of_the_wrong_type_are_the_usual_usage_error(empty):
    done = empty("sample", "--out", "p.csv", "--zips", "many")
    assert done.code == 2
    assert "Invalid value for '--zips'" in done.err


# ---------------------------------------------------------------- run


def test_a_run_makes_every_month_a_champion_and_a_summary(ran):
    store = ran.store
    assert store.months("raw_splits").available() == MONTHS
    assert store.months("cleaned").available() == MONTHS
    assert store.months("monthly_predictions").available() == HELD
    assert champion_version(store)
    done = ran("status")
    assert done.code == 0
    for words in (
        champion_version(store),
        f"{MONTHS[0]} to {END} (15)",
        "training_features",
        "data_quality/index.html",
    ):
        assert words in done.out


def test_a_second_run_runs_nothing_and_changes_nothing(housing):
    before = {p: p.stat().st_mtime_ns for p in housing.folder.rglob("*")}
    done = housing("run")
    assert done.code == 0, done.err
    for job in ("ingest_job", "training_job", "predictions_job"):
        assert f"{job}: up to date" in done.err
    assert {p: p.stat().st_mtime_ns for p in housing.folder.rglob("*")} == before


def test_a_provisional_champion_is_a_warning_and_no_failure(housing):
    version = champion_version(housing.store)
    assert "(provisional)" not in housing("status").out
    point_to(housing.store, version, "eval MAE 2 does not beat metro_median 1 US dollars")
    done = housing("run")
    assert done.code == 0, done.err
    assert f"warning: the champion {version} is provisional, the best that there is: eval MAE 2 does not" in done.err
    assert f"{version} (provisional)" in housing("status").out


def test_a_forced_run_runs_everything_and_gives_the_same_files(housing):
    before = tree(housing.folder)
    done = housing("run", "--force")
    assert done.code == 0, done.err
    assert "up to date" not in done.err
    after = tree(housing.folder)
    assert len(after) == len(before) + 1  # a decision, that the champion is kept
    assert before.items() <= after.items()


def test_a_missing_month_is_made_again(housing):
    before = tree(housing.folder)
    (housing.folder / f"monthly_predictions/{HELD[1]}.parquet").unlink()
    done = housing("run")
    assert done.code == 0, done.err
    assert "training_job: up to date" in done.err
    assert "predictions_job: up to date" not in done.err
    assert tree(housing.folder) == before


def test_a_source_that_changed_is_read_again(housing, tmp_path):
    frame = pl.read_csv(housing.env["HOUSING_SOURCE_URI"], infer_schema_length=None)
    frame.with_columns(pl.col("price") * 1.1).write_csv(tmp_path / "panel.csv")
    champion = champion_version(housing.store)
    done = housing.changed(HOUSING_SOURCE_URI=str(tmp_path / "panel.csv"))("run")
    assert done.code == 0, done.err
    assert "up to date" not in done.err
    assert champion_version(housing.store) != champion
    assert load_champion(housing.store).manifest["source"] == str(tmp_path / "panel.csv")


def test_a_month_more_moves_a_split_that_counts_from_it(housing, tmp_path):
    first = housing.store.blobs.read(f"monthly_predictions/{HELD[0]}.parquet")
    newest = add_months(END, 1)
    line = housing.changed(
        HOUSING_SOURCE_URI=str(write_source(tmp_path / "longer.csv", last=newest)),
        HOUSING_PANEL_END="",
        HOUSING_EVAL_START="-6",
        HOUSING_HOLDOUT_START="-3",
    )
    done = line("run")
    assert done.code == 0, done.err
    assert f"predictions_job {HELD[1]} to {newest}" in done.err
    split = f"train < {add_months(EVAL, 1)} <= eval < {HELD[1]} <= holdout"
    assert f"split        {split}, counted from {newest}: -6, -3" in done.out
    months = line.store.months("monthly_predictions")
    assert months.available() == [*HELD, newest]
    assert line.store.blobs.read(f"monthly_predictions/{HELD[0]}.parquet") == first, "it stays as it was made"
    assert set(months.read(newest)["model_version"]) == {champion_version(line.store)}
    judged = load_champion(line.store).manifest["judged"]
    assert (judged["eval_start"], judged["holdout_start"]) == (add_months(EVAL, 1), HELD[1])
    done = line("run")
    assert done.code == 0, done.err
    for job in ("ingest_job", "training_job", "predictions_job"):
        assert f"{job}: up to date" in done.err


def test_a_vintage_that_adds_a_month_has_this_month_made_and_no_other(housing):
    path, following = housing.root / "own.csv", add_months(END, 1)
    own = housing.changed(HOUSING_SOURCE_URI=str(path), HOUSING_PANEL_END="")
    frame = pl.read_csv(housing.env["HOUSING_SOURCE_URI"], infer_schema_length=None)
    frame.write_csv(path)
    assert own("run").code == 0
    before = {p: p.stat().st_mtime_ns for p in housing.folder.rglob("2*.parquet")}
    newest = frame.filter(pl.col("date").str.starts_with(END))
    shifted = newest.with_columns(date=pl.lit(str(month_end(following))), price=pl.col("price") * 1.004)
    pl.concat([frame, shifted]).write_csv(path)
    done = own("run")
    assert done.code == 0, done.err
    assert f"ingest_job {following} to {following}" in done.err
    assert "training_job: up to date" in done.err
    after = {p: p.stat().st_mtime_ns for p in housing.folder.rglob("2*.parquet")}
    assert {p.stem for p in after if after[p] != before.get(p) and "vintages" not in p.parts} == {following}


def test_the_panel_begins_with_the_source_where_nothing_else_is_said(housing):
    line = housing.changed(HOUSING_PANEL_START="")
    done = line("run", "--months", HELD[0])
    assert done.code == 0, done.err
    done = line("run")
    assert done.code == 0, done.err
    for job in ("ingest_job", "training_job", "predictions_job"):
        assert f"{job}: up to date" in done.err, "it is the panel that HOUSING_PANEL_START named"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in line.env.items():
            patch.setenv(name, value)
        raw = build_definitions().resolve_asset_graph().get(dg.AssetKey("raw_splits"))
    assert raw.partitions_def.get_partition_keys() == MONTHS


def test_a_source_that_begins_after_train_is_told_what_to_set(empty, tmp_path):
    late = write_source(tmp_path / "late.csv", first=EVAL)
    told = refused(empty.changed(HOUSING_PANEL_START="", HOUSING_SOURCE_URI=str(late))("run"))
    assert f"the source begins with {EVAL}, HOUSING_EVAL_START is {EVAL}: set HOUSING_EVAL_START later" in told


def test_some_months_alone(housing):
    for month in HELD:
        for asset in ("raw_splits", "monthly_predictions"):
            (housing.folder / f"{asset}/{month}.parquet").unlink()
    before = {p: p.stat().st_mtime_ns for p in housing.folder.rglob("*.parquet")}
    done = housing("run", "--months", f"{HELD[0]}:{HELD[1]}")
    assert done.code == 0, done.err
    assert "training_job: up to date" in done.err
    after = {p: p.stat().st_mtime_ns for p in housing.folder.rglob("*.parquet")}
    months = {p.stem for p in after if after[p] != before.get(p) and p.stem[:2] == "20"}
    assert months == {HELD[0], HELD[1]}


def test_some_train_months_need_no_predictions(housing):
    done = housing("run", "--months", TRAIN[0])
    assert done.code == 0, done.err
    assert "predictions_job" not in done.err


@pytest.mark.parametrize(
    ("months", "words"),
    [
        ("2019", "'2019' is not a month: write YYYY-MM"),
        ("2019-05:2019-13", "'2019-13' is not a month"),
        ("2019-05:2019-02", "the range '2019-05:2019-02' ends before it begins: write FIRST:LAST"),
        ("2018-01:2019-02", "2018-01 is outside the panel, which is 2019-01 to 2020-03"),
        ("2030-01", "2030-01 is outside the panel"),
    ],
)
def test_months_that_make_no_sense(ran, months, words):
    before = tree(ran.folder)
    assert words in refused(ran("run", "--months", months))
    assert tree(ran.folder) == before


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"HOUSING_EVAL_START": "soon"}, "HOUSING_EVAL_START='soon'"),
        ({"HOUSING_EVAL_START": "2021-01"}, "HOUSING_EVAL_START=2021-01 must come before HOUSING_HOLDOUT_START"),
        ({"HOUSING_HOLDOUT_START": "0"}, "HOUSING_HOLDOUT_START='0': '0' is neither a month nor -1 to -9999"),
        ({"HOUSING_SAMPLE_ZIPS": "-1"}, "HOUSING_SAMPLE_ZIPS"),
        ({"HOUSING_STORE_URI": "ftp://x"}, "HOUSING_STORE_URI='ftp://x': use a folder or s3://"),
        ({"DAGSTER_HOME": "/proc/nowhere/home"}, "DAGSTER_HOME=/proc/nowhere/home cannot be written"),
    ],
)
def test_settings_that_make_no_sense(empty, env, words):
    assert words in refused(empty.changed(**env)("run"))
    assert not (empty.root / "store").exists()


def test_the_embedded_sample_from_an_empty_folder_in_a_process_of_its_own(tmp_path):
    line = command_line(tmp_path, "", HOUSING_SAMPLE_ZIPS="24")
    done = line.shell("run")
    assert done.code == 0, done.err
    assert "synthetic sample" in done.out
    assert (tmp_path / "data/source/synthetic-24-zips-2019-01-2020-03.csv").exists()
    assert line.store.months("monthly_predictions").available() == HELD
    assert "Traceback" not in done.err


def test_an_error_in_a_process_of_its_own_is_one_message_and_exit_code_1(tmp_path):
    done = command_line(tmp_path, tmp_path / "missing.csv").shell("run")
    assert f"error: sources_job: {tmp_path / 'missing.csv'}: no such file or folder" in refused(done)


@pytest.mark.parametrize("command", [(), ("sample",), ("run",), ("predict",), ("promote",), ("status",)])
def test_every_command_has_help(empty, command):
    done = empty(*command, "--help")
    assert done.code == 0
    assert "Usage" in done.out
    assert (empty.root / "store").exists() is False


# ---------------------------------------------------------------- predict


@pytest.fixture(scope="module")
def raw(source) -> pl.DataFrame:
    """Raw rows of the last month, as the source has them."""
    frame = pl.read_csv(source, infer_schema_length=None)
    return frame.filter(pl.col("date").str.starts_with(END))


def read_output(path: Path) -> pl.DataFrame:
    return (
        pl.read_csv(path, schema_overrides={"zipcode": pl.String}) if path.suffix == ".csv" else pl.read_parquet(path)
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_each_row_gets_one_prediction_in_its_place(ran, raw, tmp_path, suffix):
    first = raw.row(0, named=True)
    strange = pl.DataFrame(
        [
            first,
            {**first, "zipcode": 99999},
            {**first, "city_full": "Atlantis"},
            {**first, "price": None, "median_list_price": None, "Total Population": None, "city": None},
            first,
            {**first, "date": "2035-07-01", "price": None},
        ],
        schema=raw.schema,
    )
    rows = pl.concat([strange, raw.reverse()])
    rows.write_csv(tmp_path / "rows.csv")
    done = ran("predict", "--input", tmp_path / "rows.csv", "--output", tmp_path / f"out{suffix}")
    assert done.code == 0, done.err
    out = read_output(tmp_path / f"out{suffix}")
    assert out.height == rows.height
    assert out["zipcode"].to_list() == [str(z).zfill(5) for z in rows["zipcode"]]
    assert out["predicted_price"].is_finite().all()
    assert (out["predicted_price"] > 0).all()
    assert ((out["predicted_low"] < out["predicted_price"]) & (out["predicted_price"] < out["predicted_high"])).all()
    assert out["predicted_price"][0] == out["predicted_price"][4]
    assert out["actual_price"][0] == first["price"]
    assert out["actual_price"][3] is None
    assert out["city_full"][2] == "Massachusetts (no metro)"
    assert str(out["date"][5]) == str(date(2035, 7, 31))
    assert out["model_version"].unique().to_list() == [champion_version(ran.store)]
    assert f"{rows.height:,} predictions by {champion_version(ran.store)}" in done.out
    assert "1 rows have no metro that is known" in done.out


def test_a_raw_row_gets_what_monthly_predictions_say(ran, raw, tmp_path):
    raw.write_parquet(tmp_path / "rows.parquet")
    done = ran("predict", "--input", tmp_path / "rows.parquet", "--output", tmp_path / "out.parquet")
    assert done.code == 0, done.err
    stored = ran.store.months("monthly_predictions").read(END)
    mine = read_output(tmp_path / "out.parquet").unique("zipcode", keep="none")
    both = stored.join(mine, on=["date", "zipcode"], suffix="_raw")
    assert both.height > 0.8 * stored.height
    for column in ("city_full", "predicted_price", "predicted_low", "predicted_high", "actual_price"):
        assert both[column].to_list() == both[f"{column}_raw"].to_list(), column


def test_a_row_alone_gets_what_it_gets_among_others(ran, raw, tmp_path):
    together, alone = [], []
    some = raw.head(4)
    some.write_csv(tmp_path / "all.csv")
    assert ran("predict", "--input", tmp_path / "all.csv", "--output", tmp_path / "all.parquet").code == 0
    together = read_output(tmp_path / "all.parquet")["predicted_price"].to_list()
    for i in range(some.height):
        some[i].write_csv(tmp_path / "one.csv")
        assert ran("predict", "--input", tmp_path / "one.csv", "--output", tmp_path / "one.parquet").code == 0
        alone += read_output(tmp_path / "one.parquet")["predicted_price"].to_list()
    assert alone == together


def test_date_and_zipcode_are_enough(ran, tmp_path):
    (tmp_path / "rows.csv").write_text("zipcode,date\n2139,2024-05-17\n99999,2024-05-17\n")
    done = ran("predict", "--input", tmp_path / "rows.csv", "--output", tmp_path / "out.csv")
    assert done.code == 0, done.err
    out = read_output(tmp_path / "out.csv")
    assert out["zipcode"].to_list() == ["02139", "99999"]
    assert out["predicted_price"].is_finite().all()
    assert out["actual_price"].null_count() == 2


@pytest.mark.parametrize(
    ("text", "output", "words"),
    [
        ("zipcode,date\n2139,2024-05-17\n", "out.txt", "its name must end in .csv or .parquet"),
        ("zipcode,price\n2139,1\n", "out.csv", "column 'date' is missing"),
        ("zipcode,date\n2139,soon\n", "out.csv", "line 2, column 'date': 'soon' is not a date"),
        ("zipcode,date\nBoston,2024-05-17\n", "out.csv", "'Boston' is not a ZIP code"),
        ("zipcode,date,price\n2139,2024-05-17,cheap\n", "out.csv", "'cheap' is not a number"),
        ("", "out.csv", "the file is empty"),
        ("zipcode,date\n2139,2024-05-17\n", "/proc/nowhere/out.csv", "/proc/nowhere/out.csv cannot be written"),
    ],
)
def test_rows_that_cannot_be_predicted(ran, tmp_path, text, output, words):
    (tmp_path / "rows.csv").write_text(text)
    assert words in refused(ran("predict", "--input", tmp_path / "rows.csv", "--output", tmp_path / output))
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]


def test_predicting_without_a_champion_says_what_to_run(empty, tmp_path):
    (tmp_path / "rows.csv").write_text("zipcode,date\n2139,2024-05-17\n")
    told = refused(empty("predict", "--input", tmp_path / "rows.csv", "--output", tmp_path / "out.csv"))
    assert "has no champion model: run training_job (or `housing run`) first" in told
    assert not (tmp_path / "out.csv").exists()


def test_predicting_with_a_damaged_champion(housing, tmp_path):
    version = champion_version(housing.store)
    housing.store.blobs.write(f"models/{version}/model.ubj", b"x")
    (tmp_path / "rows.csv").write_text("zipcode,date\n2139,2024-05-17\n")
    told = refused(housing("predict", "--input", tmp_path / "rows.csv", "--output", tmp_path / "out.csv"))
    assert f"model {version}: model.ubj is damaged" in told


# ---------------------------------------------------------------- promote


def test_rolling_back_is_one_command_and_is_recorded(housing):
    champion = champion_version(housing.store)
    other = next(v for v in list_versions(housing.store) if v != champion)
    done = housing("promote", other, "--reason", "the new one is off")
    assert done.code == 0, done.err
    assert f"the champion is {other} (before: {champion})" in done.out
    assert champion_version(housing.store) == other
    (key,) = housing.store.blobs.keys(f"models/{other}/decisions/")
    record = housing.store.read_json(key)
    assert (record["outcome"], record["reason"]) == ("promoted", "by hand: the new one is off")
    done = housing("run")
    assert done.code == 0, done.err
    assert "training_job: up to date" in done.err
    assert champion_version(housing.store) == other
    for asset in ("interval_calibration", "monthly_predictions"):
        assert set(housing.store.months(asset).read(END)["model_version"]) == {other}


def test_a_version_that_is_not_there_or_damaged_is_not_promoted(housing):
    champion = champion_version(housing.store)
    told = refused(housing("promote", "tuned-000000000000", "--reason", "x"))
    assert "has no model 'tuned-000000000000'; it has" in told
    other = next(v for v in list_versions(housing.store) if v != champion)
    housing.store.blobs.write(f"models/{other}/model.ubj", b"x")
    assert "model.ubj is damaged" in refused(housing("promote", other, "--reason", "x"))
    assert champion_version(housing.store) == champion


@pytest.mark.parametrize("trials", ["-1", "10001"])
def test_a_number_of_trials_that_makes_no_sense(housing, trials):
    before = tree(housing.folder)
    told = refused(housing("run", "--trials", trials))
    assert f"tuning: trials={trials} is outside 1 to 10000" in told
    unchanged = {name for name in before if name.startswith("models/")}
    after = tree(housing.folder)
    assert {n: before[n] for n in unchanged} == {n: after[n] for n in unchanged}


# ---------------------------------------------------------------- status


def test_status_before_anything_was_made(empty):
    done = empty("status")
    assert done.code == 0, done.err
    assert "none (0)" in done.out
    assert "champion     none" in done.out


def broken_source(housing, month: str) -> CommandLine:
    """The same with a source whose prices of one month are not there."""
    frame = pl.read_csv(housing.env["HOUSING_SOURCE_URI"], infer_schema_length=None)
    frame = frame.with_columns(price=pl.when(pl.col("date").str.starts_with(month)).then(None).otherwise("price"))
    frame.write_csv(housing.root / "broken.csv")
    return housing.changed(HOUSING_SOURCE_URI=str(housing.root / "broken.csv"))


def test_a_broken_month_is_left_out_and_the_others_go_on(housing):
    stopped, others = HELD[1], [HELD[0], HELD[2]]
    for month in HELD:
        (housing.folder / f"monthly_predictions/{month}.parquet").unlink()
    (housing.folder / f"cleaned/{stopped}.parquet").unlink()
    done = broken_source(housing, stopped)("run")
    assert done.code == 1
    assert f"{stopped} stopped; the other months go on" in done.err
    assert f"{stopped}: price: 24 of 24 rows (100.0%) have no price" in done.err[done.err.rindex("error: ") :]
    assert housing.store.months("cleaned").available() == [m for m in MONTHS if m != stopped]
    assert housing.store.months("monthly_predictions").available() == others
    again = housing("run")
    assert again.code == 0, again.err
    assert housing.store.months("monthly_predictions").available() == HELD


def test_months_that_are_done_are_not_made_again_beside_others(housing):
    line = broken_source(housing, HELD[1])
    assert line("run").code == 1
    before = {p: p.stat().st_mtime_ns for p in housing.folder.rglob("*.parquet")}
    again = line("run")
    assert again.code == 1, "the broken month is still broken"
    assert f"{HELD[1]} stopped" in again.err
    for job in ("training_job", "predictions_job", "monitoring_job"):
        assert f"{job}: up to date" in again.err
    made = {str(p.relative_to(housing.folder)) for p in before if p.stat().st_mtime_ns != before[p]}
    assert made == {f"raw_splits/{HELD[1]}.parquet"}


def test_months_in_parts_are_each_made_once(housing):
    for month in (HELD[0], HELD[2]):
        (housing.folder / f"monthly_predictions/{month}.parquet").unlink()
    done = housing("run")
    assert done.code == 0, done.err
    for month in (HELD[0], HELD[2]):
        assert f"predictions_job {month} to {month}" in done.err
    assert f"predictions_job {HELD[1]}" not in done.err
    again = housing("run")
    for job in ("ingest_job", "training_job", "predictions_job", "monitoring_job"):
        assert f"{job}: up to date" in again.err


def test_a_broken_month_of_train_stops_training_and_the_champion_predicts(housing):
    champion = champion_version(housing.store)
    (housing.folder / f"monthly_predictions/{HELD[1]}.parquet").unlink()
    done = broken_source(housing, MONTHS[2])("run")
    assert done.code == 1
    assert f"training_job: not run, since {MONTHS[2]} of train and eval are stopped" in done.err
    assert champion_version(housing.store) == champion
    assert housing.store.months("monthly_predictions").available() == HELD


def test_a_source_that_cannot_be_a_revision_is_accepted_with_a_reason(housing):
    source = Path(housing.env["HOUSING_SOURCE_URI"])
    own = housing.changed(HOUSING_SOURCE_URI=str(housing.root / "own.csv"))
    one_month = ("run", "--months", MONTHS[0])
    (housing.root / "own.csv").write_bytes(source.read_bytes())
    assert own(*one_month).code == 0
    frame = pl.read_csv(source, infer_schema_length=None)
    frame.with_columns(pl.col("price") * 1.02).write_csv(housing.root / "own.csv")
    assert own(*one_month).code == 0, "a publisher revises the past"
    frame.with_columns(pl.col("price") / 10).write_csv(housing.root / "own.csv")
    told = refused(own(*one_month))
    assert "revisions_are_possible" in told
    assert "price of housets is 0.09804 times what it was" in told
    assert "housing run --accept-restated WHY" in told
    done = own(*one_month, "--accept-restated", "the source changed its unit")
    assert "revisions_are_possible" not in done.err


def test_status_tells_a_red_check(housing):
    frame = pl.read_csv(housing.env["HOUSING_SOURCE_URI"], infer_schema_length=None)
    first = pl.col("date").str.starts_with(MONTHS[0])
    broken = frame.with_columns(price=pl.when(first).then(None).otherwise("price"))
    broken.write_csv(housing.root / "broken.csv")
    shutil.rmtree(housing.folder / "vintages")  # else it is refused: it cannot be a revision
    told = refused(housing.changed(HOUSING_SOURCE_URI=str(housing.root / "broken.csv"))("run"))
    assert "ingest_job: a blocking check is red: raw_splits: prices_are_known" in told
    assert f"{MONTHS[0]}: price: 24 of 24 rows (100.0%) have no price" in told
    done = housing("status")
    assert done.code == 0
    assert "failed" in done.out
    assert "prices_are_known" in done.out


def test_causes_of_an_error_that_go_round_end_the_search_for_words():
    first, second = ValueError("first"), KeyError("second")
    first.__context__, second.__context__ = second, first
    assert known_cause(first, dict) is None
    second.__cause__ = HousingError("say this")
    assert known_cause(first, dict) == "say this"
