"""Schedules and sensors, evaluated as the daemon evaluates them."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from platform_fixtures import EVAL, HELD, MONTHS, Platform

from housing_assets.assets.common import OWNER_TAG, month_tags, tagged_months
from housing_assets.store.bundles import champion_version, list_versions, point_to


@pytest.fixture
def watched(copy, tmp_path) -> Platform:
    """The platform with a source folder of its own: a file for the first months, one for each of the last two."""
    panel = pl.read_csv(copy.source, schema_overrides={"zipcode": pl.String}, infer_schema_length=None)
    folder = tmp_path / "source"
    folder.mkdir()
    month = pl.col("date").str.slice(0, 7)
    late = HELD[-2:]
    panel.filter(~month.is_in(late)).write_csv(folder / "panel.csv")
    for name in late:
        panel.filter(month == name).write_csv(folder / f"{name}.csv")
    return Platform(tmp_path, folder)


def look(platform: Platform, cursor: str | None = None) -> dg.SensorResult:
    sensor = platform.definitions.resolve_sensor_def("source_sensor")
    context = dg.build_sensor_context(instance=platform.instance, definitions=platform.definitions, cursor=cursor)
    found = sensor(context)
    assert isinstance(found, dg.SensorResult)
    return found


def forget(platform: Platform, asset: str, month: str) -> None:
    platform.store.blobs.delete(f"{asset}/{month}.parquet")


def asked(result: dg.SensorResult) -> list[tuple[str, list[str]]]:
    return [(r.job_name or "", tagged_months(r.tags)) for r in result.run_requests or []]


def reason(result: dg.SensorResult) -> str:
    assert not result.run_requests
    return result.skip_reason.skip_message if result.skip_reason else ""


def revise(file: Path, factor: float = 1.04) -> None:
    rows = pl.read_csv(file, schema_overrides={"zipcode": pl.String}, infer_schema_length=None)
    rows.with_columns(pl.col("price") * factor).write_csv(file)


def test_what_is_ingested_already_is_not_asked_for(watched):
    first = look(watched)
    assert reason(first) == "the source has the rows that were ingested"
    assert reason(look(watched, first.cursor)) == "no file of the source changed"


def test_the_same_rows_in_another_order_and_file_are_no_change(watched):
    cursor = look(watched).cursor
    file = watched.source / f"{HELD[-1]}.csv"
    rows = pl.read_csv(file, schema_overrides={"zipcode": pl.String}, infer_schema_length=None)
    file.unlink()
    rows.reverse().write_csv(watched.source / "other.csv")
    again = look(watched, cursor)
    assert reason(again) == "the source has the rows that were ingested"
    assert again.cursor != cursor


def test_a_new_file_asks_for_its_month_once(watched):
    file = watched.source / f"{HELD[-1]}.csv"
    text = file.read_bytes()
    file.unlink()
    for name in ("raw_splits", "cleaned"):
        forget(watched, name, HELD[-1])
    cursor = look(watched).cursor
    file.write_bytes(text)
    found = look(watched, cursor)
    assert asked(found) == [("ingest_job", [HELD[-1]])]
    assert reason(look(watched, found.cursor)) == "no file of the source changed"
    (request,) = found.run_requests or []
    (same,) = look(watched, cursor).run_requests or []
    assert request.run_key == same.run_key
    assert watched.job("ingest_job", tagged_months(request.tags)).success
    assert reason(look(watched, cursor)) == "the source has the rows that were ingested"


def test_a_restated_month_is_asked_for_and_accepted_only_with_a_reason(watched):
    assert watched.job("ingest_job", MONTHS).success  # months of one source are held against each other
    cursor = look(watched).cursor
    revise(watched.source / f"{HELD[-2]}.csv")
    (request,) = look(watched, cursor).run_requests or []
    assert tagged_months(request.tags) == [HELD[-2]]
    assert not watched.job("ingest_job", [HELD[-2]], request.run_config).success
    willing = Platform(watched.root, watched.source, {"accept_restated": "Zillow revises its index"})
    forget(willing, "raw_splits", HELD[-2])
    (request,) = look(willing, cursor).run_requests or []
    assert willing.job("ingest_job", [HELD[-2]], request.run_config).success


def test_months_with_a_gap_take_a_run_for_each_stretch(watched):
    for month in (MONTHS[2], MONTHS[3], HELD[-1]):
        forget(watched, "raw_splits", month)
    assert asked(look(watched)) == [("ingest_job", [MONTHS[2], MONTHS[3]]), ("ingest_job", [HELD[-1]])]


def test_a_half_written_file_is_looked_at_again(watched):
    cursor = look(watched).cursor
    file = watched.source / "new.parquet"
    file.write_bytes(b"PAR1")
    broken = look(watched, cursor)
    assert "the source cannot be read" in reason(broken)
    assert "new.parquet" in reason(broken)
    assert broken.cursor is None or broken.cursor == cursor


def test_a_source_that_is_away_is_no_failure(watched):
    (watched.source).rename(watched.root / "elsewhere")
    assert "the source cannot be read" in reason(look(watched))


def test_the_sample_is_not_watched(tmp_path):
    platform = Platform(tmp_path, Path(), {"source_uri": ""})
    assert reason(look(platform)) == "the generated sample never changes"


def test_a_new_object_in_s3_is_noticed_by_its_etag(copy, bucket, s3_admin, tmp_path):
    panel = copy.source.read_bytes()
    s3_admin.put_object(Bucket=bucket, Key="in/panel.csv", Body=panel)
    platform = Platform(tmp_path, copy.source, {"source_uri": f"s3://{bucket}/in/"})
    first = look(platform)
    assert reason(first) == "the source has the rows that were ingested"
    s3_admin.put_object(Bucket=bucket, Key="in/panel.csv", Body=panel)
    assert reason(look(platform, first.cursor)) == "no file of the source changed"
    forget(platform, "raw_splits", HELD[-1])
    s3_admin.put_object(Bucket=bucket, Key="in/panel.csv", Body=panel + b"\n")
    assert asked(look(platform, first.cursor)) == [("ingest_job", [HELD[-1]])]


def follow(platform: Platform, sensor: str, job: str, months: list[str], **tags: str) -> list[tuple[str, list[str]]]:
    """What a sensor asks for once a run of a job succeeded."""
    definition = platform.definitions.resolve_sensor_def(sensor)
    run = platform.instance.create_run_for_job(
        platform.definitions.resolve_job_def(job), tags={**(month_tags(months) if months else {}), **tags}
    )
    platform.instance.report_engine_event("began", run)
    event = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_SUCCESS.value, job)
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor,
        dagster_instance=platform.instance,
        dagster_run=run,
        dagster_event=event,
        context=dg.build_sensor_context(instance=platform.instance, definitions=platform.definitions),
    )
    found = definition(context)
    requests = [found] if isinstance(found, dg.RunRequest) else list(found or [])
    return [(r.job_name or "", tagged_months(r.tags)) for r in requests if isinstance(r, dg.RunRequest)]


def test_after_ingest_come_predictions_and_training(copy):
    assert follow(copy, "after_ingest", "ingest_job", [HELD[-1]]) == [("predictions_job", [HELD[-1]])]
    # It is the history of the months after it.
    assert follow(copy, "after_ingest", "ingest_job", [HELD[0]]) == [("predictions_job", HELD)]
    both = [("training_job", []), ("predictions_job", HELD)]
    assert follow(copy, "after_ingest", "ingest_job", [EVAL]) == both
    assert follow(copy, "after_ingest", "ingest_job", MONTHS) == both
    assert follow(copy, "after_ingest", "ingest_job", HELD, **{OWNER_TAG: "1"}) == []


def test_a_panel_long_enough_is_forecast_from_too(grown):
    months = grown.store.months("monthly_forecasts").available()
    last = [("predictions_job", months[-1:]), ("forecast_job", months[-1:])]
    assert follow(grown, "after_ingest", "ingest_job", months[-1:]) == last


def test_months_that_their_checks_stopped_are_not_predicted(copy):
    copy.store.blobs.delete(f"checks/cleaned/{HELD[1]}.json")
    expected = [("predictions_job", [HELD[0]]), ("predictions_job", [HELD[2]])]
    assert follow(copy, "after_ingest", "ingest_job", HELD) == expected


def test_after_training_a_new_champion_predicts_every_month(copy):
    assert follow(copy, "after_training", "training_job", []) == []
    other = next(v for v in list_versions(copy.store) if v != champion_version(copy.store))
    point_to(copy.store, other)
    assert follow(copy, "after_training", "training_job", []) == [("predictions_job", HELD)]


def test_after_predictions_their_drift_and_errors_are_measured(copy):
    assert follow(copy, "after_predictions", "predictions_job", HELD[:2]) == [("monitoring_job", HELD[:2])]


def tick(platform: Platform, name: str) -> list:
    schedule = platform.definitions.resolve_schedule_def(name)
    context = dg.build_schedule_context(platform.instance, scheduled_execution_time=datetime(2020, 4, 5, 6, tzinfo=UTC))
    found = schedule(context)
    return [found] if isinstance(found, dg.RunRequest | dg.SkipReason) else list(found or [])


def test_each_month_what_is_not_predicted_is(copy):
    (skipped,) = tick(copy, "monthly_predictions_schedule")
    assert f"every month is predicted by {champion_version(copy.store)}" in skipped.skip_message
    forget(copy, "monthly_predictions", HELD[-1])
    (request,) = tick(copy, "monthly_predictions_schedule")
    assert tagged_months(request.tags) == [HELD[-1]]
    assert copy.job("predictions_job", tagged_months(request.tags)).success


def test_each_month_what_is_not_forecast_is(grown, copy):
    (skipped,) = tick(grown, "monthly_forecasts_schedule")
    assert skipped.skip_message == "every month has its forecasts"
    (skipped,) = tick(copy, "monthly_forecasts_schedule")
    assert skipped.skip_message == "forecasts need 37 months before eval"


def test_each_month_without_a_champion_that_is_said(tmp_path, source):
    (skipped,) = tick(Platform(tmp_path, source), "monthly_predictions_schedule")
    assert "run training_job first" in skipped.skip_message


def test_each_quarter_training_is_asked_for(copy):
    (request,) = tick(copy, "quarterly_training_schedule")
    assert request.run_key == "quarter 2020-04"
    schedule = copy.definitions.resolve_schedule_def("quarterly_training_schedule")
    assert (schedule.job_name, schedule.cron_schedule) == ("training_job", "0 4 1 1,4,7,10 *")


@pytest.fixture
def received() -> Iterator[tuple[str, list[dict]]]:
    """A webhook's address, and what was posted there."""
    posted: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *told) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", posted
    server.shutdown()


def notify(platform: Platform) -> None:
    """Run a job that fails, and let the sensor tell of it."""
    result = platform.job("ingest_job", [HELD[-1]])
    assert not result.success
    sensor = platform.definitions.resolve_sensor_def("failure_notices")
    context = dg.build_run_status_sensor_context(
        sensor_name="failure_notices",
        dagster_instance=platform.instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
        context=dg.build_sensor_context(instance=platform.instance, definitions=platform.definitions),
        resources={"webhook": (platform.definitions.resources or {})["webhook"]},
    ).for_run_failure()
    sensor(context)


def test_a_failed_run_is_posted_once_someone_asked_for_it(copy, tmp_path, received):
    url, posted = received
    platform = Platform(tmp_path, tmp_path / "nowhere.csv", {"webhook_url": url})
    sensor = platform.definitions.resolve_sensor_def("failure_notices")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    notify(platform)
    (notice,) = posted
    assert (notice["job"], notice["months"]) == ("ingest_job", [HELD[-1]])
    assert f"ingest_job of {HELD[-1]} failed" in notice["text"]
    quiet = copy.definitions.resolve_sensor_def("failure_notices")
    assert quiet.default_status is dg.DefaultSensorStatus.STOPPED


def test_a_webhook_that_is_away_is_told_without_its_address(tmp_path):
    platform = Platform(tmp_path, tmp_path / "nowhere.csv", {"webhook_url": "http://127.0.0.1:9/secret"})
    with pytest.raises(OSError, match="the webhook could not be reached") as error:
        notify(platform)
    assert "secret" not in str(error.value)
