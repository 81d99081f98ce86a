"""A price model and its files: what is kept comes back, and what was changed is refused."""

import io
import json
import math
from dataclasses import replace

import onnx
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from housing_assets.core.errors import BundleError
from housing_assets.core.features.encoding import Encoders
from housing_assets.core.features.monthly import FEATURE_INPUTS, FEATURES
from housing_assets.core.models.price import (
    GOLDEN_ROWS,
    PREDICTED_SCHEMA,
    PriceModel,
    model_files,
    model_from_files,
    twin_difference,
    twin_problem,
)
from housing_assets.core.models.trees import TARGETS, SavedTrees, TrainingParams, train_trees
from housing_assets.core.months import Split, TimeSplit

NAMES = {
    "model.ubj",
    "model.onnx",
    "encoders.parquet",
    "intervals.parquet",
    "golden_rows.parquet",
    "features.json",
    "metrics.json",
    "publication.json",
}


@pytest.fixture(scope="module")
def rows(panel) -> pl.DataFrame:
    """Holdout rows, one of them of a zip and a metro that were never seen, one without a price."""
    held = panel.filter(split=Split.HOLDOUT).head(100)
    first, second = pl.int_range(pl.len()) == 0, pl.int_range(pl.len()) == 1
    return held.with_columns(
        zipcode=pl.when(first).then(pl.lit("99999")).otherwise("zipcode"),
        city_full=pl.when(first).then(pl.lit("New Atlantis")).otherwise("city_full"),
        price=pl.when(second).then(None).otherwise("price"),
    )


@pytest.fixture(scope="module")
def files(model, rows) -> dict[str, bytes]:
    return model_files(model, rows, {"eval": {"model": {"mae": 1.5}}})


def table(content: bytes) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(content))


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


# ---------------------------------------------------------------- predictions


def test_predictions_keep_the_rows_and_say_what_made_them(model, rows):
    made = model.predict(rows)
    assert dict(made.schema) == PREDICTED_SCHEMA
    assert_frame_equal(made.select("date", "zipcode", "city_full"), rows.select("date", "zipcode", "city_full"))
    assert made["actual_price"].to_list() == rows["price"].to_list()
    assert made["actual_price"].null_count() == 1
    assert made["predicted_price"].to_list() == model.prices(rows).tolist()
    assert set(made["model_version"]) == {"test-1"}


def test_an_interval_is_that_of_the_metro_or_the_pooled_one(model, rows):
    made = model.predict(rows)
    ends = {metro: (low, high) for metro, _, low, high, _ in model.intervals.iter_rows()}
    assert len(ends) > 1
    for metro, price, low, high in made.select(
        "city_full", "predicted_price", "predicted_low", "predicted_high"
    ).iter_rows():
        assert low <= price <= high
        assert (math.log(low / price), math.log(high / price)) == pytest.approx(ends.get(metro, ends[None]))


def test_a_newer_calibration_takes_the_place_of_the_model_s_own(model, rows):
    wider = model.intervals.with_columns(pl.col("log_low") - 0.1, pl.col("log_high") + 0.1)
    before, after = model.predict(rows), model.predict(rows, intervals=wider)
    assert after["predicted_price"].equals(before["predicted_price"])
    assert (after["predicted_low"] < before["predicted_low"]).all()
    assert (after["predicted_high"] > before["predicted_high"]).all()


def test_a_row_alone_is_predicted_as_in_a_batch(model, rows):
    whole = model.predict(rows)
    assert_frame_equal(pl.concat(model.predict(rows[i]) for i in range(20)), whole.head(20), check_exact=True)
    assert_frame_equal(model.predict(rows.reverse()), whole.reverse(), check_exact=True)


def test_no_rows_have_no_predictions(model, rows):
    made = model.predict(rows.clear())
    assert dict(made.schema) == PREDICTED_SCHEMA
    assert made.is_empty()


def test_the_actual_price_is_not_looked_at(model, rows):
    blind = rows.with_columns(price=pl.lit(None, pl.Float64), median_sale_price=pl.lit(1.0))
    said = ["predicted_price", "predicted_low", "predicted_high"]
    assert_frame_equal(model.predict(blind).select(said), model.predict(rows).select(said), check_exact=True)


# ---------------------------------------------------------------- there and back


def test_a_model_comes_back_as_it_was(model, rows, files):
    again = model_from_files(files, "v-2")
    assert again.version == "v-2"
    assert_frame_equal(again.predict(rows), replace(model, version="v-2").predict(rows), check_exact=True)
    assert_frame_equal(again.intervals, model.intervals, check_exact=True)
    assert_frame_equal(again.encoders.table, model.encoders.table, check_exact=True)


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_of_any_target_comes_back_as_one_with_a_twin_that_agrees(features, encoders, model, rows, target):
    params = TrainingParams(n_estimators=6, max_depth=3, target=target)
    trees = train_trees(features.filter(split=Split.TRAIN), params)
    own = PriceModel(trees, encoders, model.intervals)
    kept = model_files(own, rows, {})
    again = model_from_files(kept, "v")
    assert (again.trees.target, again.trees.anchor) == (target, trees.anchor)
    assert again.prices(rows).tolist() == own.prices(rows).tolist()
    assert min(again.prices(rows)) > 10_000
    assert twin_difference(kept, again) < 1e-4
    assert twin_problem(kept, again) is None


@pytest.fixture(scope="module")
def final(model, features) -> PriceModel:
    """The model after a final fit, whose trees learned from eval too."""
    trees = train_trees(features, TrainingParams(n_estimators=12, max_depth=4))
    return replace(model, trees=trees, judged=SavedTrees.of(model.trees), unseen_from=TimeSplit().holdout_start)


def test_a_month_that_the_trees_learned_from_is_graded_by_those_that_did_not(final, model, panel, rows):
    """Who asks for a price gets it from all that is known."""
    held = panel.filter(split=Split.EVAL).head(50)
    both = pl.concat([held, rows])
    expected = [*model.prices_without_history(held), *final.prices_without_history(rows)]
    assert final.unseen_prices_without_history(both).tolist() == expected
    assert final.prices(held).tolist() != model.prices(held).tolist()
    unseen = final.predict(held, unseen=True)["predicted_price"]
    assert unseen.equals(model.predict(held)["predicted_price"])
    residuals = final.residuals(held)
    assert_frame_equal(residuals, model.residuals(held), check_exact=True)


def test_the_trees_that_were_graded_come_back_beside_those_that_serve(final, panel, rows):
    kept = model_files(final, rows, {})
    assert set(kept) == NAMES | {"judged_model.ubj"}
    again = model_from_files(kept, "v")
    assert again.unseen_from == "2022-01"
    assert again.prices(rows).tolist() == final.prices(rows).tolist()
    held = panel.filter(split=Split.EVAL).head(50)
    assert again.unseen_prices_without_history(held).tolist() == final.unseen_prices_without_history(held).tolist()
    with pytest.raises(BundleError, match=r"model v lacks 'judged_model\.ubj'"):
        model_from_files({name: data for name, data in kept.items() if name != "judged_model.ubj"}, "v")


def test_a_twin_that_disagrees_is_told_with_the_difference(files, features, encoders, model, rows):
    other = train_trees(features.filter(split=Split.TRAIN), TrainingParams(n_estimators=3, max_depth=2))
    mixed = files | {"model.onnx": model_files(PriceModel(other, encoders, model.intervals), rows, {})["model.onnx"]}
    told = twin_problem(mixed, model_from_files(mixed, "v"))
    assert told is not None
    assert told.startswith("the ONNX twin differs by ")
    assert "in log price, more than 0.0001" in told


def test_a_bundle_without_a_twin_is_told(files, model):
    with pytest.raises(BundleError, match="model test-1 lacks model.onnx"):
        twin_difference({n: c for n, c in files.items() if n != "model.onnx"}, model)


def test_to_keep_a_model_twice_gives_the_same_bytes(model, rows, files):
    assert model_files(model, rows, {"eval": {"model": {"mae": 1.5}}}) == files
    again = model_files(model_from_files(files, "v"), rows, {})
    assert {n: again[n] for n in NAMES - {"metrics.json", "model.ubj"}} == {
        n: files[n] for n in NAMES - {"metrics.json", "model.ubj"}
    }


def test_every_file_is_of_a_readable_kind_and_none_a_pickle(files):
    assert set(files) == NAMES
    for name, content in files.items():
        kind = name.rpartition(".")[2]
        if kind == "json":
            json.loads(content)
        elif kind == "onnx":
            onnx.checker.check_model(onnx.load_from_string(content))
        else:
            assert content.startswith({"parquet": b"PAR1", "ubj": b"{L"}[kind])
        assert not content.startswith(b"\x80")  # how every pickle since protocol 2 begins


def test_what_people_read_is_there(files, model):
    assert json.loads(files["features.json"]) == {
        "features": list(FEATURES),
        "target": "price",
        "anchor": None,
        "publication_lag": 1,
        "max_list_price": None,
    }
    assert json.loads(files["metrics.json"]) == {"eval": {"model": {"mae": 1.5}}}
    assert_frame_equal(table(files["encoders.parquet"]), model.encoders.table)
    assert_frame_equal(table(files["intervals.parquet"]), model.intervals)


def test_golden_rows_are_some_inputs_with_the_prices_they_get(files, model, rows):
    golden = table(files["golden_rows.parquet"])
    assert golden.columns == [*FEATURE_INPUTS, "expected_price"]
    assert golden.height == GOLDEN_ROWS < rows.height
    assert golden["expected_price"].to_list() == model.prices(rows)[:GOLDEN_ROWS].tolist()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", sorted(NAMES - {"metrics.json", "model.onnx"}))
def test_a_missing_file_is_named(files, name):
    rest = {n: content for n, content in files.items() if n != name}
    with pytest.raises(BundleError, match=f"model v-2 lacks '{name}': publish it again"):
        model_from_files(rest, "v-2")


@pytest.mark.parametrize(
    "other", [[*FEATURES[:-1]], [*FEATURES, "price"], [FEATURES[1], FEATURES[0], *FEATURES[2:]], []]
)
def test_other_features_are_refused(files, other):
    told = json.dumps({"features": other, "target": "price", "anchor": None}).encode()
    with pytest.raises(BundleError) as caught:
        model_from_files(files | {"features.json": told}, "v-2")
    assert f"model v-2 was made with other features ({len(other)})" in str(caught.value)
    assert "train again, or run the version that made it" in str(caught.value)


GOLDEN = "model v-2 gives its golden rows other prices than when it was made"


@pytest.mark.parametrize(
    "tampered",
    [
        pl.col("expected_price") * pl.when(pl.int_range(pl.len()) == 63).then(1.00001).otherwise(1.0),
        pl.lit(None, pl.Float64).alias("expected_price"),
        pl.col("median_ppsf") * 0 + 1e6,
    ],
    ids=["one price", "no price", "inputs"],
)
def test_a_tampered_golden_row_is_found(files, tampered):
    golden = table(files["golden_rows.parquet"]).with_columns(tampered)
    with pytest.raises(BundleError, match=GOLDEN):
        model_from_files(files | {"golden_rows.parquet": parquet(golden)}, "v-2")


def test_trees_of_another_model_are_found(files, features):
    other = train_trees(features.filter(split=Split.TRAIN), TrainingParams(n_estimators=12, max_depth=4, seed=1))
    with pytest.raises(BundleError, match=GOLDEN):
        model_from_files(files | {"model.ubj": bytes(other.booster.save_raw("ubj"))}, "v-2")


def test_encoders_of_another_fit_are_found(files, encoders, model, rows):
    assert len(model.trees.booster.get_score()) > 0
    other = encoders.table.with_columns(pl.col("encoding") * 3)
    assert Encoders.from_table(other).prior == pytest.approx(3 * encoders.prior)
    with pytest.raises(BundleError, match=GOLDEN):
        model_from_files(files | {"encoders.parquet": parquet(other)}, "v-2")


@pytest.mark.filterwarnings("ignore:overflow")
def test_another_target_is_found(files):
    told = {"features": list(FEATURES), "target": "log_price", "anchor": None, "publication_lag": 1}
    told = json.dumps(told).encode()
    with pytest.raises(BundleError, match=GOLDEN):
        model_from_files(files | {"features.json": told}, "v-2")


def test_a_table_that_is_no_encoder_table_is_refused(files):
    with pytest.raises(BundleError, match="an encoder table has columns"):
        model_from_files(files | {"encoders.parquet": files["intervals.parquet"]}, "v-2")
