"""How the work stands: what `housing status --json`, `--metrics` and `housing metrics` say."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from platform_fixtures import MONTHS, Platform, command_line, free_port, wait_for
from prometheus_client.parser import text_string_to_metric_families

from housing_assets.cli.metrics import METRICS, metrics_text, summary
from housing_assets.core.catalogue import ASSETS, CLEANED, JOBS
from housing_assets.core.months import month_end
from housing_assets.orchestration.operations import Operations, read_operations
from housing_assets.store.sources import SourceRecord, SourcesRecord, write_record
from housing_assets.store.verdicts import Problem, State, Verdict, data_stamps, write_verdicts
from housing_assets.store.vintages import Origin, publish

NOW = datetime(2020, 6, 15, 12, tzinfo=UTC)
FETCHED = NOW - timedelta(days=10)


@pytest.fixture
def platform(tmp_path) -> Platform:
    """A platform that has a vintage of three months and two cleaned months, made without a run."""
    platform = Platform(tmp_path, tmp_path / "panel.csv", kept_runs=True)
    frame = pl.DataFrame(
        {"date": [month_end(m) for m in MONTHS[-3:]], "zipcode": ["20001"] * 3, "price": [1.0, 2.0, 3.0]}
    )
    origin = Origin("HouseTS", "panel.csv", [], FETCHED, FETCHED)
    vintage = publish(platform.store, "housets", [frame], lambda: origin, now=FETCHED)
    sources = {"housets": SourceRecord({"panel.csv": "x"}, vintage.time)}
    write_record(platform.store, SourcesRecord(platform.settings.source_label, sources))
    for month in MONTHS[-3:-1]:
        platform.store.months(CLEANED).write(month, frame)
    return platform


def judged(platform: Platform, month: str, state: State, severities: Iterable[str] = ()) -> None:
    stamp = data_stamps(platform.store, CLEANED)[month]
    problems = tuple(Problem("prices_are_known", severity, "price", "none") for severity in severities)
    write_verdicts(platform.store, [Verdict(CLEANED, month, state, stamp, 3, problems=problems)])


def seen(platform: Platform, now: datetime = NOW) -> Operations:
    return read_operations(platform.settings, platform.store, platform.instance, platform.definitions, now)


def ended(platform: Platform, job: str, status: dg.DagsterRunStatus) -> None:
    run = platform.instance.create_run_for_job(platform.definitions.resolve_job_def(job), tags={})
    platform.instance.report_engine_event("began", run)
    report = {
        dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.RUN_SUCCESS,
        dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.RUN_FAILURE,
    }[status]
    event = dg.DagsterEvent(report.value, run.job_name)
    platform.instance.report_dagster_event(event, run.run_id)


def test_months_behind_count_from_the_newest_month_of_the_panel(platform):
    judged(platform, MONTHS[-2], State.GREEN)
    assets = seen(platform).assets
    assert assets.keys() == ASSETS.keys()
    cleaned = assets[CLEANED]
    assert (cleaned.months, cleaned.newest_month, cleaned.months_behind) == (2, MONTHS[-2], 1)
    assert cleaned.state == "green"
    assert assets["monthly_predictions"].months_behind is None, "it has no month to count from"
    assert f"cleaned is 1 months behind the panel: its newest is {MONTHS[-2]}" in seen(platform).attention()


def test_only_the_newest_month_s_broken_rules_count(platform):
    judged(platform, MONTHS[-3], State.RED, ["ERROR"])
    judged(platform, MONTHS[-2], State.RED, ["ERROR", "WARN", "WARN"])
    cleaned = seen(platform).assets[CLEANED]
    assert (cleaned.state, cleaned.failed) == ("red", {"ERROR": 1, "WARN": 2})
    assert f"cleaned of {MONTHS[-2]} is red" in seen(platform).attention()
    platform.store.months(CLEANED).write(MONTHS[-2], pl.DataFrame({"price": [1.0]}))
    changed = seen(platform).assets[CLEANED]
    assert (changed.state, changed.failed) == (State.STALE, {"ERROR": 0, "WARN": 0})


def test_the_age_of_a_vintage_is_that_of_its_figures(platform):
    (source,) = seen(platform).sources.values()
    assert (source.age_days, source.last_month, source.months_behind) == (10, MONTHS[-1], 2)
    assert not source.late


def test_a_publisher_is_late_and_a_file_of_one_s_own_is_not(platform):
    much_later = NOW + timedelta(days=60)
    assert not seen(platform, much_later).sources["housets"].late
    frame = pl.DataFrame({"date": [month_end(MONTHS[-1])], "zipcode": ["20001"], "price": [1.0]})
    vintage = publish(platform.store, "zillow", [frame], lambda: Origin("Zillow", "z.csv", [], FETCHED), now=FETCHED)
    sources = {"zillow": SourceRecord({"z.csv": "x"}, vintage.time)}
    write_record(platform.store, SourcesRecord(platform.settings.source_label, sources))
    assert not seen(platform).sources["zillow"].late
    expected = seen(platform).sources["zillow"].next_expected
    assert f"zillow is late: its next file was expected on {expected}" in seen(platform, much_later).attention()
    assert date.fromisoformat(expected) > FETCHED.date()


def test_a_refused_vintage_needs_a_person(platform):
    record = SourcesRecord(
        platform.settings.source_label,
        {"housets": SourceRecord({"panel.csv": "x"}, seen(platform).sources["housets"].vintage, refused="other units")},
    )
    write_record(platform.store, record)
    assert "the newest files of housets are refused: other units" in seen(platform).attention()


def looked(platform: Platform, reason: str) -> None:
    """A look of `source_sensor` that asked for nothing, for a reason."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("housing"), "__repository__")
    origin = RemoteInstigatorOrigin(repository, "source_sensor")
    ids = {"instigator_origin_id": origin.get_id(), "selector_id": origin.get_selector().get_id()}
    if not platform.instance.all_instigator_state():
        kind, status = InstigatorType.SENSOR, InstigatorStatus.RUNNING
        platform.instance.add_instigator_state(InstigatorState(origin, kind, status, SensorInstigatorData()))
    tick = TickData(
        **ids,
        instigator_name="source_sensor",
        instigator_type=InstigatorType.SENSOR,
        status=TickStatus.SKIPPED,
        timestamp=time.time(),
        skip_reason=reason,
    )
    platform.instance.create_tick(tick)


def test_a_source_that_the_last_look_could_not_read_needs_a_person(platform):
    looked(platform, "the source cannot be read: HTTP 503")
    assert seen(platform).unreadable == "HTTP 503"
    assert "the source cannot be read: HTTP 503" in seen(platform).attention()
    looked(platform, "no file of the source changed")
    assert not seen(platform).unreadable


def test_a_job_fails_until_a_later_run_succeeds(platform):
    assert seen(platform).jobs.keys() == JOBS.keys()
    assert not seen(platform).jobs["ingest_job"].is_failing
    ended(platform, "ingest_job", dg.DagsterRunStatus.FAILURE)
    job = seen(platform).jobs["ingest_job"]
    assert job.is_failing
    assert job.last_success is None
    ended(platform, "ingest_job", dg.DagsterRunStatus.SUCCESS)
    job = seen(platform).jobs["ingest_job"]
    assert not job.is_failing
    assert job.last_success >= job.last_failure
    assert (job.running, job.queued) == (0, 0)


def test_the_metrics_say_the_same_as_the_json(platform):
    judged(platform, MONTHS[-2], State.RED, ["ERROR"])
    ended(platform, "ingest_job", dg.DagsterRunStatus.SUCCESS)
    operations = seen(platform)
    samples = {
        (s.name, *sorted(s.labels.values())): s.value
        for family in text_string_to_metric_families(metrics_text(operations))
        for s in family.samples
    }
    assert samples["housing_status_up",] == 1
    assert samples["housing_asset_months_behind", CLEANED] == 1
    assert ("housing_asset_months_behind", "monthly_predictions") not in samples
    assert samples["housing_asset_failed_checks", "ERROR", CLEANED] == 1
    assert samples["housing_source_vintage_timestamp_seconds", "housets"] == FETCHED.timestamp()
    success = operations.jobs["ingest_job"].last_success
    assert success
    assert samples["housing_job_last_success_timestamp_seconds", "ingest_job"] == success.timestamp()
    assert ("housing_job_last_success_timestamp_seconds", "training_job") not in samples
    assert {metric.name for metric in METRICS} > {name for name, *_ in samples} - {"housing_status_up"}


def test_the_line_of_the_log_has_what_alarms_are_made_of(platform):
    judged(platform, MONTHS[-2], State.RED, ["ERROR"])
    line = summary(seen(platform))
    assert (line["months_behind"], line["failed_checks"], line["failing_jobs"]) == (1, 1, 0)
    assert line["vintage_age_days"] == 10
    assert json.loads(json.dumps(line)) == line


def test_status_as_json_before_anything_was_made(tmp_path):
    empty = command_line(tmp_path, tmp_path / "none.csv")
    done = empty("status", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["format"], told["ok"], told["champions"]) == (1, False, {})
    assert told["jobs"].keys() == JOBS.keys()
    needy = empty("status", "--json", "--exit-code")
    assert needy.code == 3
    assert json.loads(needy.out)["attention"] == told["attention"]
    assert "there is no champion" in needy.err
    assert empty("status", "--json", "--metrics").code == 2


def test_status_of_a_platform_that_is_well(ran):
    done = ran("status", "--json", "--exit-code")
    told = json.loads(done.out)
    assert told["champions"]["prices"]["version"] in ran("status").out
    assert datetime.fromisoformat(told["champions"]["prices"]["created"]) <= datetime.now(UTC)
    assert datetime.fromisoformat(told["jobs"]["predictions_job"]["last_success"]) <= datetime.now(UTC)
    assert told["assets"]["monthly_predictions"]["months_behind"] == 0
    assert told["sources"]["housets"]["last_month"] == MONTHS[-1]
    assert (done.code, told["attention"]) == (0, [])


def test_the_server_answers_logs_a_line_and_leaves_when_asked(tmp_path):
    line, port = command_line(tmp_path, tmp_path / "none.csv"), free_port()
    process = subprocess.Popen(
        [Path(sys.executable).parent / "housing", "metrics", "--port", str(port)],
        cwd=tmp_path,
        env={**os.environ, **line.env},
        stdout=subprocess.PIPE,
        text=True,
    )

    def answer() -> str:
        assert process.poll() is None
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        except OSError:
            return ""

    try:
        wait_for(lambda: "housing_status_up 1.0" in answer(), 120)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(out.splitlines()[0])["message"] == "status"


def test_a_port_that_is_taken_is_said(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = command_line(tmp_path, tmp_path / "none.csv")("metrics", "--port", port)
    assert done.code == 1
    assert f"--port {port}: nothing can listen on 127.0.0.1:{port}" in done.err
