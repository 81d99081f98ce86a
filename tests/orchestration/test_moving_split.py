"""A time split that counts from the newest month of the panel, before the source is read and when a month arrives."""

import shutil
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from platform_fixtures import (
    END,
    EVAL,
    FEW_TREES,
    HELD,
    HOLDOUT,
    MONTHS,
    NEWEST_REPORT,
    START,
    Platform,
    command_line,
    failure_text,
    write_source,
)

from housing_assets.core.errors import HousingError
from housing_assets.core.months import Split, TimeSplit, add_months, month_end
from housing_assets.core.run_tags import tagged_months
from housing_assets.ingestion.panel import vintage_panel
from housing_assets.ingestion.panel_split import begin_split, definition_settings, known_split
from housing_assets.ingestion.sources import publish_sources
from housing_assets.orchestration.build import build_definitions
from housing_assets.store.bundles import load_bundle
from housing_assets.store.vintages import list_vintages

MOVING = {"eval_start": "-6", "holdout_start": "-3", "panel_end": ""}
COUNTED = {f"HOUSING_{name.upper()}": value for name, value in MOVING.items()}
NEXT = add_months(END, 1)
MOVED = TimeSplit(add_months(EVAL, 1), add_months(HOLDOUT, 1))


def partitions(definitions: dg.Definitions, asset: str) -> list[str]:
    found = definitions.resolve_asset_graph().get(dg.AssetKey(asset)).partitions_def
    assert found is not None
    return list(found.get_partition_keys())


def asked(platform: Platform, sensor: str) -> list[tuple[str, list[str]]]:
    """What a sensor asks for, as the daemon that loaded the platform's definitions once would have it."""
    context = dg.build_sensor_context(instance=platform.instance, definitions=platform.definitions)
    found = platform.definitions.resolve_sensor_def(sensor)(context)
    assert isinstance(found, dg.SensorResult)
    return [(r.job_name or "", tagged_months(r.tags)) for r in found.run_requests or []]


def publish_next_month(platform: Platform) -> None:
    """A file of one more month beside the others: dearer homes in the same places."""
    file, types = platform.source / "panel.csv", {"zipcode": pl.String}
    panel = pl.read_csv(file, schema_overrides=types, infer_schema_length=None)
    month = panel.filter(pl.col("date").str.starts_with(END)).unique("zipcode", maintain_order=True)
    dearer = pl.col("price", "median_list_price", "median_sale_price") * 1.004
    month.with_columns(dearer, date=pl.lit(str(month_end(NEXT)))).write_csv(platform.source / f"{NEXT}.csv")


# ---------------------------------------------------------------- before the source was read


@pytest.fixture
def unread(tmp_path) -> Platform:
    """A platform with an empty store."""
    return Platform(tmp_path, write_source(tmp_path / "panel.csv"), MOVING)


def test_definitions_load_before_the_newest_month_is_known_and_nothing_is_made_by_them(unread):
    known = definition_settings(unread.settings, unread.store)
    assert "HOUSING_EVAL_START=-6 counts from the newest month of the panel" in known.split_problem
    assert HOLDOUT in partitions(unread.definitions, "monthly_predictions"), "whatever the first month will be"
    for job, months in (("training_job", ()), ("predictions_job", HELD)):
        result = unread.job(job, months)
        assert not result.success
        assert "run sources_job (or `housing run`) first, or write a month" in failure_text(result)
    assert unread.store.blobs.keys("") == []


def test_status_tells_that_the_split_is_not_known(unread):
    done = command_line(unread.root, unread.source, **COUNTED)("status")
    assert done.code == 0, done.err
    assert (
        "split        HOUSING_EVAL_START=-6 counts from the newest month of the panel, which is not known" in done.out
    )


@pytest.mark.parametrize("sensor", ["after_ingest", "after_predictions"])
def test_sensors_wait_until_the_newest_month_is_known(unread, sensor):
    assert asked(unread, sensor) == []


def test_rows_are_routed_by_the_source_that_the_run_itself_reads(unread):
    result = unread.job("ingest_job", MONTHS)
    assert result.success, failure_text(result)
    labels = {month: unread.read("raw_splits", month)["split"].unique().to_list() for month in MONTHS}
    split = TimeSplit(EVAL, HOLDOUT)
    assert labels == {month: [str(split.of(month))] for month in MONTHS}
    assert Platform(unread.root, unread.source, MOVING).definitions, "they are loaded with the split that is known now"
    assert known_split(unread.settings, unread.store).split == split


# ---------------------------------------------------------------- what is known of the panel


def test_the_newest_month_is_that_of_the_vintages_in_use(unread):
    given, store = unread.settings, unread.store
    publish_sources(given, store)
    panel = vintage_panel(given, store)
    for known in (known_split(given, store), begin_split(given, store, panel), definition_settings(given, store)):
        assert known.newest_month == END
        assert known.split == TimeSplit(EVAL, HOLDOUT)
    (vintage,) = list_vintages(store, "housets")
    as_of = given.model_copy(update={"as_of": f"{vintage.known_at:%Y-%m-%d}"})
    assert known_split(as_of, store).newest_month == END
    elsewhere = given.model_copy(update={"source_uri": "other.csv"})
    assert known_split(elsewhere, store).newest_month == ""
    earlier = given.model_copy(update={"panel_end": HELD[0]})
    assert known_split(earlier, store).newest_month == HELD[0], "later months are none of the panel"
    fixed = given.model_copy(update={"eval_start": "2019-06", "holdout_start": "2019-12"})
    assert known_split(fixed, store).split == TimeSplit("2019-06", "2019-12")


def test_a_panel_that_is_too_short_stops_the_start_with_the_limit(unread):
    publish_sources(unread.settings, unread.store)
    with pytest.raises(HousingError) as caught:
        build_definitions(unread.settings.model_copy(update={"eval_start": f"-{len(MONTHS)}"}))
    assert str(caught.value) == (
        f"HOUSING_EVAL_START=-15 is too far back: the panel has 15 months ({START} to {END}), of which train needs "
        "one: write -1 to -14"
    )


# ---------------------------------------------------------------- a month arrives


@pytest.fixture(scope="module")
def before(made, tmp_path_factory) -> Platform:
    """The platform, loaded as a daemon loads it, while the source is about to get a month more."""
    root: Path = tmp_path_factory.mktemp("moving")
    shutil.copytree(made.folder, root / "store")
    (root / "source").mkdir()
    shutil.copy(made.source, root / "source/panel.csv")
    platform = Platform(root, root / "source", MOVING)
    publish_sources(platform.settings, platform.store)
    return Platform(root, root / "source", MOVING, kept_runs=True)


@pytest.fixture(scope="module")
def after(before) -> Platform:
    """The same once the month has arrived and sensors had it ingested, loaded as a run's own process loads it."""
    kept = {month: (before.folder / f"monthly_predictions/{month}.parquet").read_bytes() for month in HELD}
    assert asked(before, "after_ingest") == [], "the split is that by which all was made"
    publish_next_month(before)
    assert asked(before, "source_sensor") == [("sources_job", [])]
    assert before.job("sources_job").success
    assert asked(before, "after_ingest") == [], "the months of the new vintage come first"
    assert asked(before, "source_sensor") == [("ingest_job", [NEXT])]
    result = before.job("ingest_job", [NEXT])
    assert result.success, failure_text(result)
    # The daemon goes by the new split, although its definitions were loaded before.
    assert asked(before, "after_ingest") == [("training_job", []), ("predictions_job", [NEXT])]
    platform = Platform(before.root, before.source, MOVING)
    platform.instance = before.instance
    result = platform.job("training_job", (), FEW_TREES)
    assert result.success, failure_text(result)
    for job, config in (("predictions_job", None), ("monitoring_job", NEWEST_REPORT)):
        result = platform.job(job, [*HELD[1:], NEXT], config)
        assert result.success, failure_text(result)
    first = before.folder / f"monthly_predictions/{HELD[0]}.parquet"
    assert first.read_bytes() == kept[HELD[0]], "predictions of earlier months stay as they were made"
    return platform


def test_no_partition_goes_and_the_new_month_is_predicted(before, after):
    months = after.store.months("monthly_predictions").available()
    assert months == [*HELD, NEXT]
    for asset in ("monthly_predictions", "interval_calibration", "monthly_forecasts", "prediction_accuracy"):
        keys = partitions(after.definitions, asset)
        assert keys == partitions(before.definitions, asset)
        assert keys[: len(months)] == months
    assert after.read("monthly_predictions", NEXT)["predicted_price"].is_not_nan().all()
    assert asked(after, "after_ingest") == asked(after, "after_predictions") == []


def test_models_are_fitted_and_judged_by_the_split_that_moved(after):
    matrix = after.store.read_table("training_features")
    months = matrix.select("split", pl.col("date").dt.strftime("%Y-%m").alias("month")).unique()
    assert dict(months.select("month", "split").iter_rows()) == {
        month: str(MOVED.of(month)) for month in MONTHS if MOVED.of(month) is not Split.HOLDOUT
    }
    candidate = after.store.read_json("tuned_model.json")["version"]
    manifest = load_bundle(after.store, candidate).manifest
    assert manifest["judged"]["eval_start"] == MOVED.eval_start
    assert manifest["judged"]["holdout_start"] == MOVED.holdout_start
    assert manifest["months"]["train"] == [START, EVAL]
    evaluated = after.store.read_table("model_evaluation").filter(by="month", split="eval")["group"]
    assert sorted(set(evaluated)) == [MOVED.eval_start, add_months(EVAL, 2), HOLDOUT]


def test_the_champion_of_the_former_split_is_compared_on_months_that_neither_has_seen(after):
    candidate = after.store.read_json("tuned_model.json")["version"]
    (key,) = [k for k in after.store.blobs.keys(f"models/{candidate}/") if "/decisions/" in k]
    evidence = after.store.read_json(key)["evidence"]
    assert evidence["judged"]["eval_start"] == MOVED.eval_start
    assert f"HOUSING_EVAL_START {EVAL} instead of {MOVED.eval_start}" in evidence["champion_judged"]
    assert evidence["compared_months"] == [MOVED.eval_start, add_months(EVAL, 2), HOLDOUT]
    assert evidence["champion_mae"] > 0


def test_status_tells_the_split_and_leaves_earlier_months_in_peace(after):
    done = command_line(after.root, after.source, **COUNTED)("status")
    assert done.code == 0, done.err
    months = f"train < {MOVED.eval_start} <= eval < {MOVED.holdout_start} <= holdout"
    assert f"split        {months}, counted from {NEXT}: -6, -3" in done.out
    assert f"{HOLDOUT} to {NEXT} (4)" in done.out
    assert "stale" not in done.out


def test_a_month_that_the_champion_was_fitted_on_keeps_what_was_predicted_when_it_was_new(after):
    later = Platform(after.root, after.source, MOVING | {"eval_start": "-2", "holdout_start": "-1"})
    config = FEW_TREES | {"ops": FEW_TREES["ops"] | {"champion_model": {"config": {"override": "a later split"}}}}
    assert partitions(later.definitions, "monthly_predictions")[0] == HOLDOUT
    later.instance = after.instance
    result = later.job("training_job", (), config)
    assert result.success, failure_text(result)
    kept = later.store.blobs.read(f"monthly_predictions/{HOLDOUT}.parquet")
    result = later.job("predictions_job", [HOLDOUT])
    assert not result.success
    assert f"{HOLDOUT} cannot be predicted: tuned-" in failure_text(result)
    assert f"was fitted on every month before {END}" in failure_text(result)
    assert later.store.blobs.read(f"monthly_predictions/{HOLDOUT}.parquet") == kept
