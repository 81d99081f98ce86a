"""The daemon at work: a month that is dropped into S3 becomes predictions over HTTP, with nobody there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import polars as pl
from platform_fixtures import HELD, command_line, free_port
from serving_fixtures import process

from housing_assets.store.layout import Store

PROJECT = Path(__file__).parents[1]
LAST = HELD[-1]


def test_a_month_dropped_into_s3_is_predicted_and_answered_over_http(source, bucket, s3_env, s3_admin, tmp_path):
    panel = pl.read_csv(source, schema_overrides={"zipcode": pl.String}, infer_schema_length=None)
    is_last = pl.col("date").str.starts_with(LAST)
    before, dropped = panel.filter(~is_last).write_csv(), panel.filter(is_last).write_csv()
    s3_admin.put_object(Bucket=bucket, Key="in/panel.csv", Body=before.encode())
    uri = f"s3://{bucket}/store"
    often = {"HOUSING_SOURCE_SECONDS": "1", "HOUSING_FOLLOW_SECONDS": "1"}
    line = command_line(tmp_path, f"s3://{bucket}/in/", HOUSING_STORE_URI=uri, **often)
    first = line("run", "--months", f"2019-01:{HELD[-2]}")
    assert first.code == 0, first.err
    store = Store.open(uri)
    assert store.months("monthly_predictions").available() == HELD[:-1]

    command = [Path(sys.executable).parent / "dagster", "dev", "-w", PROJECT / "workspace.yaml", "-p", str(free_port())]
    with (tmp_path / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            list(map(str, command)), cwd=tmp_path, env={**os.environ, **line.env}, stdout=log, stderr=log
        )
    try:
        with process(uri, tmp_path) as (_, url):
            assert httpx.get(f"{url}/predictions", params={"month": LAST}).status_code == 404
            s3_admin.put_object(Bucket=bucket, Key=f"in/{LAST}.csv", Body=dropped.encode())
            until = time.monotonic() + 240
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
