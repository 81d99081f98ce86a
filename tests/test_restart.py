"""A run that is killed in the middle: whole files, no run left open, and the next run mends it."""

import time
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from platform_fixtures import HELD, MONTHS, CommandLine, command_line, copy_of, open_runs
from polars.testing import assert_frame_equal

from housing_assets.store.pointers import champion_version, load_champion

ASSETS = ("raw_splits", "cleaned", "quarantined", "monthly_predictions")


@pytest.fixture(scope="module")
def new_source(source, tmp_path_factory) -> Path:
    """The same zips and months at other prices."""
    path = tmp_path_factory.mktemp("source") / "dearer.csv"
    pl.read_csv(source, infer_schema_length=None).with_columns(pl.col("price") * 1.25).write_csv(path)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, new_source) -> CommandLine:
    line = command_line(tmp_path_factory.mktemp("undisturbed"), new_source)
    assert line("run").code == 0
    return line


def kill_in_the_middle(line: CommandLine, asset: str, read_along: CommandLine | None = None) -> list[str]:
    """Kill a run when it has written some, not all, months of an asset; gives the months written."""
    folder = line.folder / asset
    before = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.parquet")} if folder.exists() else {}
    process = line.start("run")
    try:
        written: list[str] = []
        until = time.monotonic() + 300
        while len(written) < 2:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            if read_along:
                assert load_champion(read_along.store).model()
                for month in HELD:
                    assert read_along.store.months("monthly_predictions").read(month).height
            now = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.parquet")} if folder.exists() else {}
            written = sorted(name[:7] for name in now if now[name] != before.get(name))
            time.sleep(0.001 if written else 0.05)  # rarely until it writes: looking slows it down
    finally:
        process.kill()
        process.communicate()
    now = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.parquet")}
    written = sorted(name[:7] for name in now if now[name] != before.get(name))
    assert written
    return written


def read_all(line: CommandLine) -> dict[tuple[str, str], pl.DataFrame]:
    """Every month of every asset, but for its vintage and first prices: fails on a file that is not whole."""
    return {
        (asset, month): line.store.months(asset).read(month).select(pl.exclude("vintage", "^first_.*$"))
        for asset in ASSETS
        for month in line.store.months(asset).available()
    }


def assert_same_platform(one: CommandLine, other: CommandLine) -> None:
    left, right = read_all(one), read_all(other)
    assert left.keys() == right.keys()
    for key, frame in left.items():
        assert_frame_equal(frame, right[key])
    for table in ("encoders", "training_features"):
        assert_frame_equal(one.store.read_table(table), other.store.read_table(table))
    assert champion_version(one.store) == champion_version(other.store)


@pytest.mark.parametrize("asset", ["raw_splits", "cleaned"])
def test_a_first_run_that_is_killed_is_finished_by_the_next(tmp_path, new_source, undisturbed, asset):
    line = command_line(tmp_path, new_source)
    written = kill_in_the_middle(line, asset)
    assert set(written) < set(MONTHS)
    expected = read_all(undisturbed)
    for key, frame in read_all(line).items():
        assert_frame_equal(frame, expected[key])
    assert len(open_runs(line)) == 1
    done = line("run")
    assert done.code == 0, done.err
    assert open_runs(line) == []
    assert_same_platform(line, undisturbed)


def test_a_platform_stays_readable_while_a_run_over_it_is_killed_and_repeated(tmp_path, ran, new_source, undisturbed):
    line = copy_of(ran, tmp_path).changed(HOUSING_SOURCE_URI=str(new_source))
    champion = champion_version(line.store)
    kill_in_the_middle(line, "cleaned", read_along=line)
    before, after = read_all(ran), read_all(undisturbed)
    now = read_all(line)
    assert now.keys() == before.keys()
    for key, frame in now.items():
        assert frame.equals(before[key]) or frame.equals(after[key]), key
    assert not all(frame.equals(before[key]) for key, frame in now.items())
    assert champion_version(line.store) == champion
    assert load_champion(line.store).model().version == champion
    assert all(now["monthly_predictions", m].equals(before["monthly_predictions", m]) for m in HELD)
    done = line("run")
    assert done.code == 0, done.err
    assert open_runs(line) == []
    assert_same_platform(line, undisturbed)
    assert champion_version(line.store) != champion


def test_a_run_that_lives_is_not_closed_by_another(tmp_path, ran):
    line = copy_of(ran, tmp_path)
    import os
    import socket
    import subprocess
    import sys

    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    killed.kill()  # not waited for: it stays behind as a zombie
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        for pid in (os.getpid(), killed.pid, 2**22 - 1):
            instance.add_run(
                dg.DagsterRun(
                    job_name="ingest_job",
                    status=dg.DagsterRunStatus.STARTED,
                    tags={"housing/process": f"{socket.gethostname()}:{pid}"},
                )
            )
    assert line("run", "--months", MONTHS[0]).code == 0
    assert [r.tags["housing/process"].rpartition(":")[2] for r in open_runs(line)] == [str(os.getpid())]
    killed.communicate()
