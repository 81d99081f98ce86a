"""Schedules and sensors, evaluated as the daemon evaluates them."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest
from platform_fixtures import EVAL, HELD, LONG, MONTHS, Platform, failure_text, red_checks

from housing_assets.core.processes import this_process
from housing_assets.core.run_tags import month_tags, tagged_months
from housing_assets.ingestion.sources import publish_sources
from housing_assets.orchestration.automation import asking
from housing_assets.orchestration.names import OWNER_TAG
from housing_assets.store.bundles import list_versions
from housing_assets.store.pointers import champion_version, point_to


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
    platform = Platform(tmp_path, folder)
    publish_sources(platform.settings, platform.store)
    return platform


def published(platform: Platform, cursor: str | None = None) -> None:
    """New vintages, as the sensor asks for them."""
    found = look(platform, cursor)
    assert [job for job, _ in asked(found)] == ["sources_job"]
    (request,) = found.run_requests or []
    assert platform.job(request.job_name or "").success


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
    published(watched, cursor)
    again = look(watched, cursor)
    assert reason(again) == "the source has the rows that were ingested"
    assert again.cursor != cursor


def test_a_new_file_asks_for_its_month_once(watched):
    file = watched.source / f"{HELD[-1]}.csv"
    text = file.read_bytes()
    file.unlink()
    for name in ("raw_splits", "cleaned"):
        forget(watched, name, HELD[-1])
    shutil.rmtree(watched.folder / "vintages")
    publish_sources(watched.settings, watched.store)
    cursor = look(watched).cursor
    file.write_bytes(text)
    published(watched, cursor)
    found = look(watched, cursor)
    assert asked(found) == [("ingest_job", [HELD[-1]])]
    (request,) = found.run_requests or []
    (same,) = look(watched, found.cursor).run_requests or []
    assert request.run_key == same.run_key, "Dagster starts one run for a key"
    assert watched.job("ingest_job", tagged_months(request.tags)).success
    done = look(watched, found.cursor)
    assert reason(done) == "the source has the rows that were ingested"
    assert reason(look(watched, done.cursor)) == "no file of the source changed"


def test_a_month_whose_run_failed_is_asked_for_again_and_not_for_ever(watched, monkeypatch):
    forget(watched, "raw_splits", HELD[-1])
    cursor, seconds = None, watched.settings.source_seconds
    for wait in (seconds, 10 * seconds, 100 * seconds, 1_000 * seconds):
        found = look(watched, cursor)
        (request,) = found.run_requests or []
        end(watched, request, "failed")
        later(monkeypatch, 0)
        last = look(watched, found.cursor)
        assert not last.run_requests
        cursor = last.cursor
        later(monkeypatch, wait + 5)
    assert "failed 4 times" in reason(last)
    assert reason(look(watched, cursor)) == "no file of the source changed"
    revise(watched.source / f"{HELD[-1]}.csv", 1.01)
    published(watched, cursor)
    assert asked(look(watched, cursor)) == [("ingest_job", [HELD[-1]])], "other content"


def test_a_revised_month_is_published_ingested_and_cleaned(watched):
    assert watched.job("ingest_job", MONTHS).success
    cursor = look(watched).cursor
    revise(watched.source / f"{HELD[-2]}.csv")
    published(watched, cursor)
    (request,) = look(watched, cursor).run_requests or []
    assert tagged_months(request.tags) == [HELD[-2]]
    assert watched.job("ingest_job", [HELD[-2]], request.run_config).success
    assert reason(look(watched)) == "the source has the rows that were ingested"


def test_a_file_that_is_no_revision_stops_sources_job_and_nothing_else(watched):
    before = watched.read("cleaned", HELD[-2])
    file = watched.source / f"{HELD[-2]}.csv"
    good = file.read_bytes()
    revise(file, 1_000)
    result = watched.job("sources_job")
    assert not result.success
    told = red_checks(result)["revisions_are_possible"]
    assert f"price of housets is 1,000 times what it was in {HELD[-2]}" in told
    assert "--accept-restated WHY" in told
    assert watched.job("ingest_job", HELD).success
    assert watched.read("cleaned", HELD[-2]).equals(before)
    file.write_bytes(good)
    assert watched.job("sources_job").success
    revise(file, 1_000)
    willing = Platform(watched.root, watched.source, {"accept_restated": "dollars became mills"})
    assert "accepted (dollars became mills)" in red_checks(willing.job("sources_job"))["revisions_are_usual"]


def test_months_with_a_gap_take_a_run_for_each_stretch(watched):
    for month in (MONTHS[2], MONTHS[3], HELD[-1]):
        forget(watched, "raw_splits", month)
    assert asked(look(watched)) == [("ingest_job", [MONTHS[2], MONTHS[3]]), ("ingest_job", [HELD[-1]])]


def test_a_half_written_file_is_looked_at_again(watched):
    cursor = look(watched).cursor
    file = watched.source / "new.parquet"
    file.write_bytes(b"PAR1")
    broken = look(watched, cursor)
    assert asked(broken) == [("sources_job", [])]
    result = watched.job("sources_job")
    assert not result.success
    assert "new.parquet" in failure_text(result)
    again = look(watched, cursor)
    assert again.cursor is None or again.cursor == cursor
    assert asked(again) == [("sources_job", [])]


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
    published(platform)
    first = look(platform)
    assert reason(first) == "the source has the rows that were ingested"
    s3_admin.put_object(Bucket=bucket, Key="in/panel.csv", Body=panel)
    assert reason(look(platform, first.cursor)) == "no file of the source changed"
    forget(platform, "raw_splits", HELD[-1])
    s3_admin.put_object(Bucket=bucket, Key="in/panel.csv", Body=panel + b"\n")
    published(platform, first.cursor)
    assert asked(look(platform, first.cursor)) == [("ingest_job", [HELD[-1]])]


def ask(platform: Platform, sensor: str, cursor: str | None = None) -> dg.SensorResult:
    """What a sensor that looks at the store asks for."""
    context = dg.build_sensor_context(instance=platform.instance, definitions=platform.definitions, cursor=cursor)
    found = platform.definitions.resolve_sensor_def(sensor)(context)
    assert isinstance(found, dg.SensorResult)
    return found


def end(platform: Platform, request: dg.RunRequest, how: str) -> None:
    """The run that was asked for, begun and ended now: failed or canceled."""
    job = platform.definitions.resolve_job_def(request.job_name or "ingest_job")
    run = platform.instance.create_run_for_job(job, tags=dict(request.tags))
    getattr(platform.instance, f"report_run_{how}")(run)


def later(monkeypatch, seconds: float) -> None:
    """For the sensors, it is that much later."""
    monkeypatch.setattr(asking, "time", SimpleNamespace(time=lambda: time.time() + seconds))


def restate(platform: Platform, month: str, factor: float = 1.02) -> None:
    """Other prices of a cleaned month, for which its checks vouch."""
    months = platform.store.months("cleaned")
    months.write(month, months.read(month).with_columns(pl.col("price") * factor))
    assert platform.select(dg.AssetSelection.checks_for_assets("cleaned"), [month]).success


def test_months_that_are_carried_on_are_not_asked_for(copy):
    for sensor in ("after_ingest", "after_predictions"):
        found = ask(copy, sensor)
        assert reason(found) == "every month is carried on"
        assert reason(ask(copy, sensor, found.cursor)) == "nothing in the store changed"


def test_a_sound_month_that_was_not_cleaned_is(copy):
    forget(copy, "cleaned", HELD[0])
    found = ask(copy, "after_ingest")
    assert asked(found) == [("ingest_job", [HELD[0]])]
    (request,) = found.run_requests or []
    assert request.asset_selection == [dg.AssetKey("cleaned")]
    assert found.cursor is None, "it looks again until the month is there"


def test_a_month_that_was_cleaned_from_other_raw_rows_is_cleaned_again_with_the_one_after_it(copy):
    months = copy.store.months("raw_splits")
    months.write(HELD[0], months.read(HELD[0]).with_columns(pl.col("inventory") + 1))
    assert copy.select(dg.AssetSelection.checks_for_assets("raw_splits"), [HELD[0]]).success
    assert asked(ask(copy, "after_ingest")) == [("ingest_job", HELD[:2])]
    # Checks that run again by themselves do not make a month newer than it is.
    assert copy.select(dg.AssetSelection.checks_for_assets("cleaned"), HELD).success
    assert asked(ask(copy, "after_ingest")) == [("ingest_job", HELD[:2])]


def test_a_broken_month_is_no_work_and_holds_up_no_other(copy):
    months = copy.store.months("raw_splits")
    months.write(HELD[1], months.read(HELD[1]).head(3))
    for month in HELD:
        forget(copy, "cleaned", month)
    assert not copy.select(dg.AssetSelection.checks_for_assets("raw_splits"), [HELD[1]]).success
    assert asked(ask(copy, "after_ingest")) == [("ingest_job", [HELD[0]]), ("ingest_job", [HELD[2]])]


def test_raw_rows_that_no_check_saw_are_ingested_again(copy):
    copy.store.blobs.delete(f"checks/raw_splits/{HELD[1]}.json")
    assert asked(ask(copy, "after_ingest")) == [("ingest_job", [HELD[1]])]


def test_after_ingest_come_predictions_and_training(copy):
    restate(copy, HELD[-1])
    assert asked(ask(copy, "after_ingest")) == [("predictions_job", [HELD[-1]])]
    restate(copy, HELD[0])  # it is the history of the months after it
    assert asked(ask(copy, "after_ingest")) == [("predictions_job", HELD)]
    restate(copy, EVAL)
    assert asked(ask(copy, "after_ingest")) == [("training_job", []), ("predictions_job", HELD)]


def test_without_a_champion_training_comes_first(copy):
    copy.store.blobs.delete("models/champion.json")
    assert asked(ask(copy, "after_ingest")) == [("training_job", [])]
    copy.store.blobs.delete(f"checks/cleaned/{EVAL}.json")
    assert asked(ask(copy, "after_ingest")) == [("ingest_job", [EVAL])]


def test_a_panel_long_enough_is_forecast_from_too(grown, tmp_path):
    shutil.copytree(grown.folder, tmp_path / "store")
    platform = Platform(tmp_path, grown.source, dict(LONG))
    last = platform.store.months("monthly_forecasts").available()[-1]
    restate(platform, last)
    assert asked(ask(platform, "after_ingest")) == [("predictions_job", [last]), ("forecast_job", [last])]


def test_months_that_their_checks_stopped_are_not_predicted(copy):
    for month in HELD:
        forget(copy, "monthly_predictions", month)
    months = copy.store.months("cleaned")
    months.write(HELD[1], months.read(HELD[1]).with_columns(sold_above_list=pl.lit(7.0)))
    assert not copy.select(dg.AssetSelection.checks_for_assets("cleaned"), [HELD[1]]).success
    expected = [("predictions_job", [HELD[0]]), ("predictions_job", [HELD[2]])]
    assert asked(ask(copy, "after_ingest")) == expected


def test_months_whose_intervals_are_red_hold_up_no_other(copy):
    for month in HELD:
        forget(copy, "monthly_predictions", month)
    key = f"checks/interval_calibration/{HELD[1]}.json"
    copy.store.write_json(key, copy.store.read_json(key) | {"state": "red"})
    expected = [("predictions_job", [HELD[0]]), ("predictions_job", [HELD[2]])]
    assert asked(ask(copy, "after_ingest")) == expected


def test_a_new_champion_predicts_every_month(copy):
    other = next(v for v in list_versions(copy.store) if v != champion_version(copy.store))
    point_to(copy.store, other)
    assert asked(ask(copy, "after_ingest")) == [("predictions_job", HELD)]


def test_after_predictions_their_drift_and_errors_are_measured(copy):
    assert copy.job("predictions_job", HELD[:2]).success
    assert reason(ask(copy, "after_predictions")) == "every month is carried on", "they say the same"
    forget(copy, "drift_report", HELD[0])
    assert asked(ask(copy, "after_predictions")) == [("monitoring_job", [HELD[0]])]


def test_what_failed_is_asked_for_again_ever_later_and_not_for_ever(copy, monkeypatch):
    forget(copy, "monthly_predictions", HELD[1])
    seconds = copy.settings.follow_seconds
    keys = []
    for wait in (seconds, 10 * seconds, 100 * seconds, 1_000 * seconds):
        (request,) = ask(copy, "after_ingest").run_requests or []
        keys.append(request.run_key)
        end(copy, request, "failed")
        later(monkeypatch, 0)
        last = ask(copy, "after_ingest")
        assert not last.run_requests
        later(monkeypatch, wait + 5)
    assert len(set(keys)) == 4
    assert "failed 4 times" in reason(last)
    assert reason(ask(copy, "after_ingest", last.cursor)) == "nothing in the store changed"
    restate(copy, HELD[1])
    assert asked(ask(copy, "after_ingest", last.cursor)) == [("predictions_job", HELD[1:])], "other content"


def test_what_somebody_canceled_is_not_asked_for_again(copy):
    forget(copy, "monthly_predictions", HELD[1])
    (request,) = ask(copy, "after_ingest").run_requests or []
    end(copy, request, "canceled")
    assert "canceled" in reason(ask(copy, "after_ingest"))


def test_nothing_is_asked_for_while_runs_go_on(copy):
    forget(copy, "monthly_predictions", HELD[1])
    job = copy.definitions.resolve_job_def("ingest_job")
    tags = month_tags(HELD[:1])
    run = copy.instance.create_run_for_job(job, tags=tags)
    assert reason(ask(copy, "after_ingest")) == f"ingest_job is at {HELD[0]}"
    assert reason(look(copy)) == f"ingest_job is at {HELD[0]}"
    copy.instance.report_run_failed(run)
    ours = copy.instance.create_run_for_job(job, tags={**tags, OWNER_TAG: this_process()})
    assert reason(ask(copy, "after_ingest")) == "housing run is at it"
    copy.instance.report_run_failed(ours)
    host = this_process().rpartition(":")[0]
    copy.instance.create_run_for_job(job, tags={**tags, OWNER_TAG: f"{host}:{2**22 - 1}"})
    assert asked(ask(copy, "after_ingest")) == [("predictions_job", [HELD[1]])], "its process was killed"


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


def test_each_quarter_training_is_asked_for_if_there_is_something_new_to_train_on(copy):
    (skipped,) = tick(copy, "quarterly_training_schedule")
    assert skipped.skip_message == "the models know all that there is to train on"
    (request,) = tick(Platform(copy.root, copy.source, {"refit_months": 1}), "quarterly_training_schedule")
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
