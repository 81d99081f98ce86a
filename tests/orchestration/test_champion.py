"""From a candidate to the champion: who is promoted, who is refused, and what is kept of the decision."""

import dagster as dg
import numpy as np
import polars as pl
import pytest
from platform_fixtures import FEW_TREES, HELD, MONTHS, Platform, failure_text, tree

from housing_assets.core.intervals.conformal import calibration_window
from housing_assets.store.bundles import list_versions, load_bundle
from housing_assets.store.pointers import POINTER, champion_version, load_champion, point_to

ONE_TRIAL = {"trials": 1, "folds": 1}
BETTER = {**ONE_TRIAL, "max_trees": 200, "space": {"learning_rate": 0.15, "target": "price", "monotone": False}}
AWFUL = {**ONE_TRIAL, "max_trees": 1, "space": {"learning_rate": 0.0001, "target": "price"}}


def config(tuning: dict, **promotion) -> dict:
    ops = {**FEW_TREES["ops"], "tuned_model": {"config": tuning}, "champion_model": {"config": promotion}}
    return {"ops": ops}


def decision(result: dg.ExecuteInProcessResult) -> dict:
    (event,) = result.asset_materializations_for_node("champion_model")
    return {k: v.value for k, v in event.metadata.items()}


def test_a_better_candidate_is_promoted_and_the_record_says_why(copy):
    before = champion_version(copy.store)
    result = copy.job("training_job", config=config(BETTER))
    assert result.success
    told = decision(result)
    assert told["outcome"] == "promoted"
    assert told["champion before"] == before
    assert "better than the champion's" in told["reason"]
    assert champion_version(copy.store) == told["candidate"] == told["champion"] != before
    record = copy.store.read_json(told["decision record"].removeprefix(f"{copy.folder}/"))
    assert (record["candidate"], record["outcome"]) == (told["candidate"], "promoted")
    assert record["evidence"]["champion"] == before
    assert record["evidence"]["candidate_mae"] < record["evidence"]["champion_mae"]
    assert record["dagster_run"] == result.run_id
    assert set(record["evidence"]["checks"].values()) == {""}


def test_a_worse_candidate_is_refused_and_the_champion_stays(copy):
    pointer = (copy.folder / POINTER).read_bytes()
    result = copy.job("training_job", config=config(AWFUL))
    assert result.success
    told = decision(result)
    assert told["outcome"] == "refused"
    assert "does not beat metro_median" in told["reason"]
    assert "better than the champion's" in told["reason"]
    assert (copy.folder / POINTER).read_bytes() == pointer
    assert told["candidate"] in list_versions(copy.store)
    assert load_champion(copy.store).model()


def test_the_same_candidate_again_is_kept(copy):
    told = decision(copy.job("training_job", config=FEW_TREES))
    assert told["outcome"] == "kept"


def test_an_override_promotes_and_is_recorded(copy):
    told = decision(copy.job("training_job", config=config(AWFUL, override="to see what happens")))
    assert told["outcome"] == "promoted"
    assert told["reason"].startswith("manual override (to see what happens) despite:")
    assert champion_version(copy.store) == told["candidate"]
    record = copy.store.read_json(told["decision record"].removeprefix(f"{copy.folder}/"))
    assert record["evidence"]["override"] == "to see what happens"


def test_without_a_champion_the_best_there_is_serves_and_a_sound_candidate_replaces_it(copy):
    copy.store.blobs.delete(POINTER)
    result = copy.job("training_job", config=config(AWFUL))
    assert result.success, failure_text(result)
    told = decision(result)
    assert told["outcome"] == "promoted"
    assert "does not beat metro_median" in told["provisional"]
    pointer = copy.store.read_json(POINTER)
    # The model with the reference's parameters errs less than the tuned one, which has one tree.
    assert pointer == {"version": told["champion"], "provisional": told["provisional"]}
    assert pointer["version"] == copy.store.read_json("baseline_model.json")["version"] != told["candidate"]
    record = copy.store.read_json(told["decision record"].removeprefix(f"{copy.folder}/"))
    assert (record["champion"], record["provisional"]) == (told["champion"], told["provisional"])
    result = copy.job("predictions_job", HELD)
    assert result.success, failure_text(result)
    told = decision(copy.job("training_job", config=config(BETTER)))
    assert (told["outcome"], told["provisional"]) == ("promoted", "no")
    assert told["reason"].startswith(f"takes the place of the provisional {pointer['version']}: ")
    assert copy.store.read_json(POINTER) == {"version": told["candidate"]}


def test_without_a_champion_what_is_unsafe_does_not_serve_and_predictions_say_so(copy, monkeypatch):
    from housing_assets.orchestration.assets import promotion

    copy.store.blobs.delete(POINTER)
    before = tree(copy.folder / "monthly_predictions")
    monkeypatch.setattr(promotion, "twin_problem", lambda *_: "the ONNX twin differs by 1 in log price")
    result = copy.job("training_job", config=config(AWFUL))
    assert not result.success
    assert "is not promoted: the ONNX twin differs" in failure_text(result)
    assert "run config `override` of champion_model" in failure_text(result)
    assert champion_version(copy.store) is None
    result = copy.job("predictions_job", HELD)
    assert "has no champion model" in failure_text(result)
    assert tree(copy.folder / "monthly_predictions") == before


def test_a_champion_that_was_judged_by_another_split_is_graded_on_months_it_has_not_seen(copy):
    earlier = Platform(copy.root, copy.source, {"eval_start": "2019-09"})
    earlier.instance = copy.instance
    assert earlier.job("ingest_job", MONTHS).success
    result = earlier.job("training_job", config=config(BETTER))
    assert result.success, failure_text(result)
    told = decision(result)
    assert "HOUSING_EVAL_START 2019-10 instead of 2019-09" in told["reason"]
    assert "on 2019-10 to 2019-12, since it was judged by" in told["reason"]
    record = copy.store.read_json(told["decision record"].removeprefix(f"{copy.folder}/"))["evidence"]
    assert record["compared_months"] == ["2019-10", "2019-11", "2019-12"]
    by_month = copy.store.read_table("model_evaluation").filter(
        pl.col("group").is_in(record["compared_months"]), by="month", split="eval"
    )
    for predictor, mae in (("tuned_model", "compared_mae"), ("champion", "champion_mae")):
        part = by_month.filter(predictor=predictor)
        assert record[mae] == pytest.approx((part["mae"] * part["rows"]).sum() / part["rows"].sum())


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_champion_that_cannot_be_read_is_told_and_stays_until_someone_decides(copy, damage):
    version = champion_version(copy.store)
    if damage == "missing":
        copy.store.write_json(POINTER, {"version": "tuned-000000000000"})
    else:
        copy.store.blobs.write(f"models/{version}/features.json", b"{}")
    pointer = (copy.folder / POINTER).read_bytes()
    result = copy.job("training_job", config=config(BETTER))
    assert not result.success
    assert "the champion cannot be read" in failure_text(result)
    assert "roll back with `housing promote VERSION`" in failure_text(result)
    assert (copy.folder / POINTER).read_bytes() == pointer
    result = copy.job("training_job", config=config(BETTER, override="the old one is lost"))
    assert decision(result)["outcome"] == "promoted"


def test_a_candidate_whose_twin_disagrees_is_refused(copy, monkeypatch):
    from housing_assets.orchestration.assets import promotion

    monkeypatch.setattr(promotion, "twin_problem", lambda *_: "the ONNX twin differs by 1 in log price")
    told = decision(copy.job("training_job", config=config(BETTER, override="anyway")))
    assert (told["outcome"], told["reason"]) == ("refused", "the ONNX twin differs by 1 in log price")


# ---------------------------------------------------------------- evaluation and intervals


def test_the_evaluation_has_every_split_and_predictor(made):
    table = made.store.read_table("model_evaluation")
    overall = table.filter(by="overall")
    models = {"tuned_model", "baseline_model", "train_median", "metro_median", "last_known_price"}
    assert set(overall["predictor"]) >= models
    assert set(overall["split"]) == {"eval", "holdout"}
    paired = made.store.read_table("model_comparison")
    assert set(paired["predictor"]) == {"tuned_model", "baseline_model"}
    assert (paired["saved_low"] <= paired["mae_saved"]).all()


def test_the_evaluation_without_holdout_months_is_of_eval_alone(copy):
    for month in HELD:
        copy.store.blobs.delete(f"cleaned/{month}.parquet")
    assert copy.job("training_job", config=FEW_TREES).success
    assert set(copy.store.read_table("model_evaluation")["split"]) == {"eval"}


def test_a_month_s_intervals_rest_on_the_months_before_it(made):
    for month in HELD:
        table = made.read("interval_calibration", month)
        assert set(table["model_version"]) == {champion_version(made.store)}
        assert table["last_month"][0] < month
        assert table["first_month"][0] >= max(calibration_window(month)[0], made.settings.eval_start)


def test_predictions_use_the_month_s_own_intervals(made):
    month = HELD[-1]
    predicted, table = made.read("monthly_predictions", month), made.read("interval_calibration", month)
    low, high = table.filter(pl.col("city_full").is_null()).select("log_low", "log_high").row(0)
    pooled = predicted.filter(~pl.col("city_full").is_in(table["city_full"].drop_nulls().to_list()))
    np.testing.assert_allclose(pooled["predicted_low"] / pooled["predicted_price"], np.exp(low))
    np.testing.assert_allclose(pooled["predicted_high"] / pooled["predicted_price"], np.exp(high))


def test_prices_of_a_month_change_its_own_intervals_in_nothing_and_the_next_in_something(copy):
    month, later = HELD[1], HELD[2]
    before = {m: copy.read("interval_calibration", m) for m in (month, later)}
    months = copy.store.months("cleaned")
    months.write(month, months.read(month).with_columns(price=pl.col("price") * 2))
    assert copy.select(dg.AssetSelection.checks_for_assets("cleaned"), [month]).success
    assert copy.select(dg.AssetSelection.assets("interval_calibration"), HELD).success
    assert copy.read("interval_calibration", month).equals(before[month])
    assert not copy.read("interval_calibration", later).equals(before[later])


def test_intervals_of_another_champion_are_refused(copy):
    other = next(v for v in list_versions(copy.store) if v != champion_version(copy.store))
    point_to(copy.store, other)
    before = tree(copy.folder)
    result = copy.select(dg.AssetSelection.assets("monthly_predictions"), HELD)
    assert not result.success
    assert f"the champion is {other}: materialize interval_calibration for {HELD[0]} first" in failure_text(result)
    assert tree(copy.folder) == before


def test_a_bundle_says_where_it_comes_from(made):
    manifest = load_champion(made.store).manifest
    assert manifest["months"] == {"train": ["2019-01", "2019-09"], "eval": ["2019-10", "2019-12"]}
    assert manifest["judged"] == {
        "publication_lag": 1,
        "eval_start": "2019-10",
        "holdout_start": "2020-01",
        "max_list_price": 19_000_000,
    }
    assert len(manifest["origin"]["source_fingerprint"]) >= 12
    assert manifest["origin"]["dagster_run"]
    assert manifest["origin"]["git_commit"]
    assert {"xgboost-cpu", "polars", "onnxruntime"} <= set(manifest["libraries"])
    assert manifest["tuning"]["trials"] == 2
    assert (
        load_bundle(made.store, made.store.read_json("baseline_model.json")["version"]).manifest["kind"] == "baseline"
    )


def test_without_trials_the_hyperparameters_of_the_tuned_model_before_are_trained_on(copy):
    before = copy.store.read_json("tuned_model.json")["version"]
    assert copy.job("training_job", config=config({"trials": 0})).success
    manifest = load_bundle(copy.store, copy.store.read_json("tuned_model.json")["version"]).manifest
    assert manifest["parameters"] == load_bundle(copy.store, before).manifest["parameters"]
    assert manifest["tuning"] == {"trials": 0, "hyperparameters_of": before}


def test_without_trials_and_without_a_tuned_model_the_search_begins_and_ends_with_its_starting_point(copy):
    copy.store.blobs.delete("tuned_model.json")
    assert copy.job("training_job", config=config({"trials": 0})).success
    manifest = load_bundle(copy.store, copy.store.read_json("tuned_model.json")["version"]).manifest
    assert manifest["tuning"]["hyperparameters_of"] == "the search's own starting point"
