"""Model bundles: named by content, verified before they are parsed, pointed to last."""

import json
from dataclasses import dataclass, field

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.encoding import fit_encoders
from housing_assets.core.features.monthly import FEATURES, KEYS, make_features
from housing_assets.core.intervals.conformal import calibrate
from housing_assets.core.models.price import PriceModel, model_files
from housing_assets.core.models.trees import TrainingParams, train_trees
from housing_assets.core.panel.cleaning import clean_month
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame
from housing_assets.store import bundles
from housing_assets.store.bundles import FORMAT, list_versions, load_bundle, publish_bundle
from housing_assets.store.gates import require
from housing_assets.store.layout import Store
from housing_assets.store.pointers import (
    FORECAST_POINTER,
    POINTER,
    champion_version,
    forecast_champion,
    load_champion,
    point_forecasts_to,
    point_to,
)

FACTS = {"months": {"train": ["2019-01", "2019-12"]}, "parameters": {"learning_rate": 0.1}}
SMALL = {"a.json": b"{}", "b.bin": b"\x01\x02"}
FILES = (
    "model.ubj",
    "model.onnx",
    "encoders.parquet",
    "intervals.parquet",
    "golden_rows.parquet",
    "features.json",
    "metrics.json",
    "publication.json",
)


@pytest.fixture(scope="session")
def rows() -> pl.DataFrame:
    """Standardized rows of some zips."""
    raw = sample_frame(SampleSpec(12, "2019-01", "2019-06", 7, False))
    return pl.concat([clean_month(part).frame for part in raw.partition_by("date")])


@pytest.fixture(scope="session")
def files(rows) -> dict[str, bytes]:
    """The files of a real model."""
    encoders = fit_encoders([rows])
    features = rows.select(KEYS).hstack(make_features(rows, encoders).drop(set(KEYS) & set(FEATURES)))
    trees = train_trees(features, TrainingParams(n_estimators=5))
    intervals = calibrate(rows["city_full"], rows["price"].to_numpy(), trees.prices(features))
    return model_files(PriceModel(trees, encoders, intervals), rows, {"eval": {"m": {"mae": 1.0}}})


@pytest.fixture
def folder(tmp_path) -> Store:
    return Store.open(str(tmp_path))


@pytest.fixture
def champion(folder, files) -> str:
    version = publish_bundle(folder, "baseline", files, FACTS)
    point_to(folder, version)
    return version


@pytest.fixture
def unparsed(monkeypatch):
    """Fails the test if anything of a bundle reaches a parser."""

    def parse(*_):
        pytest.fail("a damaged file was parsed")

    monkeypatch.setattr(bundles, "model_from_files", parse)


def everything(store: Store) -> dict[str, bytes]:
    return {key: store.blobs.read(key) for key in store.blobs.keys("")}


@dataclass
class Recorded:
    """A place that remembers the order of what was done to it."""

    inner: object
    done: list[tuple[str, str]] = field(default_factory=list)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def write(self, key, data):
        self.done.append(("write", key))
        self.inner.write(key, data)


# ---------------------------------------------------------------- published


def test_a_published_model_comes_back_and_predicts_the_same(store, files, rows):
    assert champion_version(store) is None
    version = publish_bundle(store, "baseline", files, FACTS)
    assert list_versions(store) == [version]
    assert champion_version(store) is None
    point_to(store, version)
    assert store.read_json(POINTER) == {"version": version}
    bundle = load_champion(store)
    assert bundle.files == files
    assert bundle.metrics() == {"eval": {"m": {"mae": 1.0}}}
    golden = pl.read_parquet(files["golden_rows.parquet"])
    predicted = bundle.model().predict(rows.head(golden.height))
    assert predicted["predicted_price"].to_list() == golden["expected_price"].to_list()
    assert predicted["model_version"].unique().to_list() == [version]


def test_the_manifest_has_the_sha256_of_every_file_and_there_is_no_other(champion, folder, files):
    import hashlib

    manifest = folder.read_json(f"models/{champion}/manifest.json")
    assert set(manifest["files"]) == set(files) == set(FILES)
    for name, said in manifest["files"].items():
        data = folder.blobs.read(f"models/{champion}/{name}")
        assert said == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    keys = folder.blobs.keys(f"models/{champion}/")
    assert {k.rpartition("/")[2] for k in keys} == {*files, "manifest.json"}
    assert manifest["months"] == FACTS["months"]
    assert set(manifest["libraries"]) > {"numpy", "polars", "xgboost-cpu"}


def test_no_file_is_a_pickle(files):
    for name, data in files.items():
        assert name.endswith((".ubj", ".onnx", ".parquet", ".json"))
        assert not data.startswith(b"\x80")


def test_the_same_content_is_the_same_version_and_is_written_once(store):
    version = publish_bundle(store, "baseline", SMALL, FACTS)
    before = everything(store)
    watched = Store(Recorded(store.blobs))
    assert publish_bundle(watched, "baseline", dict(reversed(SMALL.items())), FACTS) == version
    assert watched.blobs.done == []
    assert everything(store) == before


@pytest.mark.parametrize(
    ("kind", "files", "facts"),
    [
        ("baseline", {**SMALL, "b.bin": b"\x01\x03"}, FACTS),
        ("baseline", {**SMALL, "c.json": b"{}"}, FACTS),
        ("baseline", {"a.json": b"{}", "c.bin": b"\x01\x02"}, FACTS),
        ("baseline", SMALL, {**FACTS, "parameters": {"learning_rate": 0.2}}),
        ("tuned", SMALL, FACTS),
    ],
)
def test_another_content_is_another_version_beside_the_first(folder, kind, files, facts):
    first = publish_bundle(folder, "baseline", SMALL, FACTS)
    before = everything(folder)
    second = publish_bundle(folder, kind, files, facts)
    assert second != first
    assert second.startswith(f"{kind}-")
    assert sorted(list_versions(folder)) == sorted([first, second])
    assert before.items() <= everything(folder).items()


def test_the_manifest_is_written_after_every_file_then_what_the_checks_say_and_the_pointer_last(folder, files):
    watched = Store(Recorded(folder.blobs))
    version = publish_bundle(watched, "baseline", files, FACTS)
    point_to(watched, version)
    keys = [key for _, key in watched.blobs.done]
    assert set(keys[:-3]) == {f"models/{version}/{name}" for name in files}
    assert keys[-3:] == [f"models/{version}/manifest.json", "checks/champion_model.json", POINTER]
    require(folder, "monthly_predictions", {"cleaned": [], "interval_calibration": [], "price_history": []})


def test_a_bundle_that_was_cut_off_is_no_version_and_is_completed(folder):
    version = publish_bundle(folder, "baseline", SMALL, FACTS)
    folder.blobs.delete(f"models/{version}/manifest.json")
    folder.blobs.write(f"models/{version}/b.bin", b"half")
    assert list_versions(folder) == []
    with pytest.raises(BundleError, match=f"has no model '{version}'; it has none"):
        load_bundle(folder, version)
    assert publish_bundle(folder, "baseline", SMALL, FACTS) == version
    assert load_bundle(folder, version).files == SMALL


# ---------------------------------------------------------------- damaged


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_any_file_is_found_before_it_is_parsed(folder, champion, files, unparsed, name, place, bit):
    data = bytearray(files[name])
    data[int(place * len(data))] ^= 1 << bit
    folder.blobs.write(f"models/{champion}/{name}", bytes(data))
    try:
        with pytest.raises(BundleError, match=f"model {champion}: {name} is damaged"):
            load_champion(folder).model()
    finally:
        folder.blobs.write(f"models/{champion}/{name}", files[name])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_manifest_is_found_or_changes_nothing_that_is_used(folder, champion, files, place, bit):
    key = f"models/{champion}/manifest.json"
    whole = folder.blobs.read(key)
    data = bytearray(whole)
    data[int(place * len(data))] ^= 1 << bit
    folder.blobs.write(key, bytes(data))
    try:
        assert load_champion(folder).files == files
    except HousingError as error:
        assert champion in str(error)
    finally:
        folder.blobs.write(key, whole)


@pytest.mark.parametrize("size", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("name", ["model.ubj", "golden_rows.parquet", "features.json"])
def test_a_truncated_file_is_found_before_it_is_parsed(folder, champion, files, unparsed, name, size):
    folder.blobs.write(f"models/{champion}/{name}", files[name][: int(size * len(files[name]))])
    with pytest.raises(BundleError, match=f"model {champion}: {name} is damaged"):
        load_champion(folder).model()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, champion, unparsed, name):
    folder.blobs.delete(f"models/{champion}/{name}")
    with pytest.raises(BundleError, match=f"model {champion} lacks {name}: publish it again"):
        load_champion(folder).model()


@pytest.mark.parametrize("listed", [None, [], {}, {"model.ubj": {}}, {"model.ubj": "x"}])
def test_a_manifest_with_another_list_of_files_is_damaged(folder, champion, unparsed, listed):
    manifest = folder.read_json(f"models/{champion}/manifest.json")
    folder.write_json(f"models/{champion}/manifest.json", {**manifest, "files": listed})
    with pytest.raises(BundleError, match=f"model {champion}: manifest.json is damaged"):
        load_champion(folder).model()


def test_a_manifest_of_another_version_is_damaged(folder, champion, unparsed):
    other = publish_bundle(folder, "baseline", SMALL, FACTS)
    folder.blobs.write(f"models/{champion}/manifest.json", folder.blobs.read(f"models/{other}/manifest.json"))
    with pytest.raises(BundleError, match=f"model {champion}: manifest.json is damaged"):
        load_champion(folder)


def test_a_newer_format_is_refused_with_what_to_do(folder, champion, unparsed):
    manifest = folder.read_json(f"models/{champion}/manifest.json")
    folder.write_json(f"models/{champion}/manifest.json", {**manifest, "format": FORMAT + 1})
    told = f"has format {FORMAT + 1}, this version of the platform reads {FORMAT - 1} and {FORMAT}: upgrade"
    with pytest.raises(BundleError, match=told):
        load_champion(folder)


def test_a_model_that_gives_its_golden_rows_other_prices_is_refused(folder, champion, files):
    golden = pl.read_parquet(files["golden_rows.parquet"])
    import io

    buffer = io.BytesIO()
    golden.with_columns(pl.col("expected_price") * 1.0001).write_parquet(buffer)
    version = publish_bundle(folder, "baseline", {**files, "golden_rows.parquet": buffer.getvalue()}, FACTS)
    before = folder.blobs.read(POINTER)
    with pytest.raises(BundleError, match=f"model {version} gives its golden rows other prices"):
        point_to(folder, version)
    assert folder.blobs.read(POINTER) == before


# ---------------------------------------------------------------- the pointer


def test_a_pointer_to_a_version_that_is_not_there_stays_as_it_was(folder, champion):
    before = everything(folder)
    with pytest.raises(BundleError, match=f"has no model 'baseline-0'; it has {champion}"):
        point_to(folder, "baseline-0")
    assert everything(folder) == before


@pytest.mark.parametrize("name", FILES)
def test_a_pointer_to_a_damaged_version_stays_as_it_was(folder, champion, files, name):
    other = publish_bundle(folder, "baseline", files, {**FACTS, "note": 1})
    folder.blobs.write(f"models/{other}/{name}", b"x")
    before = everything(folder)
    with pytest.raises(BundleError, match=f"{name} is damaged"):
        point_to(folder, other)
    assert everything(folder) == before


def test_without_a_champion_the_message_says_what_to_run(folder):
    with pytest.raises(BundleError, match="has no champion model: run training_job"):
        load_champion(folder)


@pytest.mark.parametrize("value", [{}, {"version": None}, {"version": 3}, {"version": ""}])
def test_a_pointer_that_names_no_version(folder, champion, value):
    folder.blobs.write(POINTER, json.dumps(value).encode())
    with pytest.raises(BundleError, match=f"champion.json names no version: point it at one of .*{champion}"):
        champion_version(folder)


def test_a_pointer_to_a_version_that_was_removed(folder, champion):
    folder.write_json(POINTER, {"version": "baseline-gone"})
    with pytest.raises(BundleError, match=f"has no model 'baseline-gone'; it has {champion}"):
        load_champion(folder)


# ---------------------------------------------------------------- the forecast pointer


def test_the_forecast_pointer_says_whose_forecast_each_horizon_publishes(folder):
    version = publish_bundle(folder, "forecast", SMALL, FACTS)
    point_forecasts_to(folder, version, {12: "flat", 1: "forecast_model"})
    assert forecast_champion(folder) == (version, {1: "forecast_model", 12: "flat"})
    assert champion_version(folder, FORECAST_POINTER) == version


def test_no_forecast_model_a_missing_one_and_a_damaged_pointer_are_told(folder):
    with pytest.raises(BundleError, match=r"has no forecast model: run forecast_job"):
        forecast_champion(folder)
    with pytest.raises(BundleError, match="has no model 'forecast-0'"):
        point_forecasts_to(folder, "forecast-0", {1: "flat"})
    folder.write_json(FORECAST_POINTER, {"version": "forecast-1"})
    with pytest.raises(BundleError, match="is damaged: materialize forecast_evaluation again"):
        forecast_champion(folder)


def test_a_pointer_that_is_swapped_meanwhile_gives_one_version_s_own_forecasts(folder, monkeypatch):
    first, second = (publish_bundle(folder, "forecast", SMALL | {"b.bin": data}, FACTS) for data in (b"1", b"2"))
    point_forecasts_to(folder, first, {1: "flat"})
    read = Store.read_json

    def swapped_after(store, key):
        told = read(store, key)
        if key == FORECAST_POINTER and told["version"] == first:
            point_forecasts_to(folder, second, {1: "forecast_model"})
        return told

    monkeypatch.setattr(Store, "read_json", swapped_after)
    assert forecast_champion(folder) == (first, {1: "flat"})
    assert forecast_champion(folder) == (second, {1: "forecast_model"})


def test_what_a_newer_version_says_beside_in_a_pointer_is_passed_over(folder):
    version = publish_bundle(folder, "forecast", SMALL, FACTS)
    told = {"version": version, "published": {"1": "flat"}, "moved": "2030-01-01"}
    folder.write_json(FORECAST_POINTER, told)
    assert forecast_champion(folder) == (version, {1: "flat"})
