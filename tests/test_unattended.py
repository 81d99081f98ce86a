"""The daemon at work, with nobody there: months that are dropped into the source become predictions."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import httpx
import polars as pl
from platform_fixtures import HELD, command_line, wait_for
from serving_fixtures import process

from housing_assets.core.run_tags import tagged_months
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import PASSING, states

PROJECT = Path(__file__).parents[1]
LAST = HELD[-1]


def test_a_month_dropped_into_s3_is_predicted_and_answered_over_http(source, bucket, s3_env, s3_admin, tmp_path):
    panel = pl.read_csv(source, schema_overrides={"zipcode": pl.String}, infer_schema_length=None)
    is_last = pl.col("date").str.starts_with(LAST)
    before, dropped = panel.filter(~is_last).write_csv(), panel.filter(is_last).write_csv()
    s3_admin.put_object(Bucket=bucket, Key="in/panel.csv", Body=before.encode())
    uri = f"s3://{bucket}/store"
    often = {"HOUSING_SOURCE_SECONDS": "1", "HOUSING_FOLLOW_SECONDS": "1", "HOUSING_REFIT_MONTHS": "12"}
    line = command_line(tmp_path, f"s3://{bucket}/in/", HOUSING_STORE_URI=uri, **often)
    first = line("run", "--months", f"2019-01:{HELD[-2]}")
    assert first.code == 0, first.err
    store = Store.open(uri)
    assert store.months("monthly_predictions").available() == HELD[:-1]

    command = [Path(sys.executable).parent / "dagster-daemon", "run", "-w", PROJECT / "workspace.yaml"]
    with (tmp_path / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            list(map(str, command)), cwd=tmp_path, env={**os.environ, **line.env}, stdout=log, stderr=log
        )
    try:
        with process(uri, tmp_path) as (_, url):
            assert httpx.get(f"{url}/predictions", params={"month": LAST}).status_code == 404
            s3_admin.put_object(Bucket=bucket, Key=f"in/{LAST}.csv", Body=dropped.encode())
            until = time.monotonic() + 400
            while httpx.get(f"{url}/predictions", params={"month": LAST}).status_code != 200:
                assert daemon.poll() is None
                assert time.monotonic() < until, (tmp_path / "daemon.log").read_text()[-3_000:]
                time.sleep(1)
            rows = httpx.get(f"{url}/latest_predictions").json()
            assert (rows["month"], rows["rows"]) == (LAST, store.months("cleaned").read(LAST).height)
            while LAST not in store.months("prediction_accuracy").available():
                assert time.monotonic() < until, (tmp_path / "daemon.log").read_text()[-3_000:]
                time.sleep(1)
    finally:
        daemon.terminate()
        daemon.wait(60)
    assert store.months("monthly_predictions").available() == HELD


def test_a_broken_month_holds_up_no_other_and_is_predicted_once_it_is_mended(made, source, tmp_path):
    broken, others = HELD[1], [HELD[0], HELD[2]]
    shutil.copytree(made.folder, tmp_path / "store")
    for file in [f for month in HELD for f in (tmp_path / "store").rglob(f"{month}.*")]:
        file.unlink()
    panel = pl.read_csv(source, schema_overrides={"zipcode": pl.String}, infer_schema_length=None)
    month = pl.col("date").str.slice(0, 7)
    folder = tmp_path / "in"
    folder.mkdir()
    panel.filter(~month.is_in(HELD)).write_csv(folder / "panel.csv")
    late = panel.filter(month.is_in(HELD))
    late.with_columns(pl.when(month != broken).then("price").alias("price")).write_csv(folder / "late.csv")
    often = {"HOUSING_SOURCE_SECONDS": "1", "HOUSING_FOLLOW_SECONDS": "1", "HOUSING_REFIT_MONTHS": "12"}
    line = command_line(tmp_path, folder, **often)
    assert line("status").code == 0  # it writes the instance's configuration

    def cleaned() -> list[str]:
        return [m for m in line.store.months("cleaned").available() if m in HELD]

    def predicted() -> list[str]:
        return [m for m, state in states(line.store, "monthly_predictions", HELD).items() if state in PASSING]

    assert cleaned() == predicted() == []

    command = [Path(sys.executable).parent / "dagster-daemon", "run", "-w", PROJECT / "workspace.yaml"]
    with (tmp_path / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            list(map(str, command)), cwd=tmp_path, env={**os.environ, **line.env}, stdout=log, stderr=log
        )
    try:
        wait_for(lambda: cleaned() == others, 300)
        late.write_csv(folder / "late.csv")
        wait_for(lambda: predicted() == HELD, 300)
    finally:
        daemon.terminate()
        daemon.wait(60)
    with dg.DagsterInstance.from_config(line.env["DAGSTER_HOME"]) as instance:
        runs = instance.get_runs(dg.RunsFilter(job_name="ingest_job"))
    failed = [run for run in runs if run.status is dg.DagsterRunStatus.FAILURE]
    assert [tagged_months(run.tags) for run in failed] == [HELD], "the broken month failed once"
    assert len(runs) <= 5, "the drop, two stretches cleaned, the mended month, and the month after it"
