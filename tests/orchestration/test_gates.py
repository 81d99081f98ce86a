"""A broken month stops at its check: nothing downstream of it is made, the other months go on, gates hold."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import dagster as dg
import polars as pl
import pytest
from platform_fixtures import (
    END,
    FEW_TREES,
    HELD,
    MONTHS,
    NEWEST_REPORT,
    TRAIN,
    Platform,
    failure_text,
    red_checks,
    tree,
)

from housing_assets.core.catalogue import ASSETS
from housing_assets.core.months import add_months
from housing_assets.core.quality.drift import reference_rows
from housing_assets.core.quality.rules import CHECKED
from housing_assets.orchestration.build import build_definitions
from housing_assets.orchestration.quality_page import PAGE
from housing_assets.store.gates import RESTS_ON
from housing_assets.store.histories import read_history
from housing_assets.store.pointers import champion_version, load_champion
from housing_assets.store.verdicts import State, read_verdicts, states, write_verdicts

MONTH = "2019-08"
OTHERS = (MONTHS[: MONTHS.index(MONTH)], MONTHS[MONTHS.index(MONTH) + 1 :])
AROUND = ["2019-07", MONTH, "2019-09"]
CLEANING = dg.AssetSelection.checks_for_assets("raw_splits") | dg.AssetSelection.assets("cleaned")


def times(name: str, factor: float):
    return lambda f: f.with_columns(pl.col(name) * factor)


def put(name: str, value):
    first = pl.int_range(pl.len()) < 3
    return lambda f: f.with_columns(pl.when(first).then(pl.lit(value)).otherwise(name).alias(name))


DEFECTS = {
    "duplicated zip-months": (lambda f: pl.concat([f, f]), "few_repeated_zips", "zipcode: 2"),
    "a column renamed": (lambda f: f.rename({"inventory": "stock"}), "columns_are_declared", "inventory: is missing"),
    "values times 1000": (
        times("median_list_price", 1_000), "units_are_unchanged", "median_list_price: the median of 2"),
    "an all-null column": (
        lambda f: f.with_columns(inventory=pl.lit(None, pl.Float64)), "columns_are_filled", "inventory: 2"),
    "ten times the rows": (
        lambda f: pl.concat([f, *(f.with_columns(zipcode=str(i) + pl.col("zipcode").str.slice(1)) for i in range(9))]),
        "row_count_is_plausible", "(rows): 2"),
    "half the zips missing": (lambda f: f.head(12), "zips_are_covered", "zipcode: 12 of 24 zips"),
    "dates of another month": (
        lambda f: f.with_columns(pl.col("date").dt.offset_by("-1mo")), "dates_are_in_their_month", "date: 2"),
    "future dates": (put("date", date(2091, 1, 31)), "dates_are_in_their_month", "date: 3 of 2"),
    "negative prices": (times("price", -1), "few_impossible_values", "price: 2"),
    "NaN": (put("median_dom", float("nan")), "values_are_numbers", "median_dom: 3 of 2"),
    "infinity": (put("price", float("inf")), "values_are_numbers", "price: 3 of 2"),
    "swapped columns": (
        lambda f: f.with_columns(median_ppsf=pl.col("median_list_price"), median_list_price=pl.col("median_ppsf")),
        "units_are_unchanged", "median_ppsf: the median of 2"),
    "wrong zip formats": (
        lambda f: f.with_columns(pl.col("zipcode").str.strip_chars_start("0") + "-1"), "zip_codes_have_5_digits",
        "zipcode: 2"),
    "another metro spelling": (
        lambda f: f.with_columns(city_full=pl.lit("The ") + pl.col("city_full")), "metros_stay_known", "city_full: 2"),
}  # fmt: skip


@pytest.mark.parametrize(("defect", "rule", "told"), DEFECTS.values(), ids=DEFECTS)
def test_a_broken_month_turns_its_own_check_red_and_goes_no_further(copy, defect, rule, told):
    months = copy.store.months("raw_splits")
    months.write(MONTH, defect(months.read(MONTH)))
    before = tree(copy.folder)
    result = copy.select(CLEANING, AROUND)
    assert not result.success
    red = red_checks(result)
    assert rule in red, red
    assert f"{MONTH}: {told}" in red[rule]
    assert not result.get_asset_materialization_events()
    assert tree(copy.folder) == before
    assert states(copy.store, "raw_splits", MONTHS) == {m: State.RED if m == MONTH else State.GREEN for m in MONTHS}, {
        m: v.problems for m, v in read_verdicts(copy.store, "raw_splits").items() if v.problems and m != MONTH
    }


def test_a_stopped_month_is_not_cleaned_by_any_run_and_the_others_are(copy):
    months = copy.store.months("raw_splits")
    months.write(MONTH, months.read(MONTH).head(12))
    before = tree(copy.folder)
    assert not copy.select(CLEANING, MONTHS).success
    alone = copy.select(dg.AssetSelection.assets("cleaned"), [MONTH])
    assert not alone.success
    assert f"raw_splits is red for {MONTH} (" in failure_text(alone)
    for part in OTHERS:
        assert copy.select(CLEANING, part).success
    assert tree(copy.folder) == before


def test_a_check_shows_every_month_of_its_run(copy):
    months = copy.store.months("raw_splits")
    months.write(MONTH, months.read(MONTH).head(12))
    checks = dg.AssetSelection.checks_for_assets("raw_splits")
    for asked in (MONTHS, [MONTH]):
        found = copy.select(checks, asked).get_asset_check_evaluations()
        (red,) = (e for e in found if e.asset_check_key.name == "zips_are_covered")
        rows = [r.data for r in red.metadata["months"].value.records]
        assert [r["month"] for r in rows] == [MONTH, *(m for m in reversed(asked) if m != MONTH)]
        assert [r["month"] for r in rows if r["result"] == "fails"] == [MONTH]
        (row,) = (r for r in rows if r["month"] == MONTH)
        assert row["lowest"] == 0.5
        assert row["failing"] == "zipcode: 12 of 24 zips of the months before are not there"
        assert (red.severity, red.passed) == (dg.AssetCheckSeverity.ERROR, False)


# ---------------------------------------------------------------- gates


def make(asset: str):
    return dg.AssetSelection.assets(asset)


LAUNCHED_ALONE = {
    "cleaned": ("raw_splits", MONTHS[2], [MONTHS[2]]),
    "encoders": ("cleaned", TRAIN[1], ()),
    "training_features": ("encoders", "", ()),
    "baseline_model": ("training_features", "", ()),
    "tuned_model": ("training_features", "", ()),
    "model_evaluation": ("cleaned", TRAIN[1], ()),
    "interval_calibration": ("cleaned", MONTHS[10], HELD),
    "monthly_predictions": ("cleaned", HELD[1], HELD),
    "drift_report": ("cleaned", HELD[1], HELD),
    "prediction_accuracy": ("monthly_predictions", HELD[1], HELD),
}
POINTED = {"interval_calibration": HELD, "monthly_predictions": HELD, "drift_report": HELD}
"""What rests on the champion, and its months."""


@pytest.mark.parametrize("what", ["absent", "older than the data"])
@pytest.mark.parametrize("asset", LAUNCHED_ALONE)
def test_nothing_is_made_from_what_no_check_vouches_for(copy, asset, what):
    rests_on, month, asked = LAUNCHED_ALONE[asset]
    key = f"checks/{rests_on}/{month}.json" if month else f"checks/{rests_on}.json"
    if what == "absent":
        copy.store.blobs.delete(key)
    else:
        if month:
            copy.store.months(rests_on).write(month, copy.read(rests_on, month).reverse())
        else:
            copy.store.write_table(rests_on, copy.store.read_table(rests_on).reverse())
    before = tree(copy.folder)
    result = copy.select(make(asset), asked)
    assert not result.success
    told = {"absent": "is never checked", "older than the data": "is newer than its check"}[what]
    assert f"{rests_on} {told}" + (f" for {month}" if month else "") in failure_text(result)
    assert tree(copy.folder) == before


@pytest.mark.parametrize("asset", POINTED)
def test_nothing_is_made_by_a_champion_that_its_checks_do_not_vouch_for(copy, asset):
    verdict = read_verdicts(copy.store, "champion_model")[""]
    write_verdicts(copy.store, [replace(verdict, state=State.RED)])
    before = tree(copy.folder)
    result = copy.select(make(asset), POINTED[asset])
    assert "champion_model is red" in failure_text(result)
    assert tree(copy.folder) == before


def test_a_candidate_whose_grades_are_red_is_refused(copy):
    write_verdicts(copy.store, [replace(read_verdicts(copy.store, "model_evaluation")[""], state=State.RED)])
    result = copy.select(make("champion_model"))
    told = result.asset_materializations_for_node("champion_model")[0].metadata["tests"].value.records[0].data
    assert (told["passed"], told["figures"]) == (False, "model_evaluation is red")


def test_every_asset_with_checks_says_what_it_rests_on(made):
    graph = made.definitions.resolve_asset_graph()
    assert {a for a in CHECKED if a not in ("raw_splits", "revisions")} <= set(RESTS_ON)
    order_alone = {"drift_report": {"monthly_predictions"}}
    for output in sorted(set(RESTS_ON) & set(CHECKED)):
        parents = {key.to_user_string() for key in graph.get(dg.AssetKey(output)).parent_keys}
        assert parents & set(CHECKED) <= {*RESTS_ON[output], *order_alone.get(output, ())}, output


def test_predictions_refuse_a_red_month_and_other_months_are_predicted(copy):
    months = copy.store.months("cleaned")
    months.write(HELD[1], months.read(HELD[1]).with_columns(sold_above_list=pl.lit(7.0)))
    assert not copy.select(dg.AssetSelection.checks_for_assets("cleaned"), [HELD[1]]).success
    before = tree(copy.folder)
    result = copy.select(make("monthly_predictions"), HELD)
    assert not result.success
    assert f"cleaned is red for {HELD[1]} (values_are_in_range: sold_above_list: 2" in failure_text(result)
    assert copy.select(make("monthly_predictions"), [HELD[0]]).success
    assert tree(copy.folder) == before


@pytest.mark.parametrize("what", ["red", "absent", "older than the data"])
def test_promotion_refuses_what_no_check_vouches_for(copy, what):
    month = MONTHS[9]
    months = copy.store.months("raw_splits")
    if what == "red":
        months.write(month, months.read(month).head(3))
        assert not copy.select(dg.AssetSelection.checks_for_assets("raw_splits"), MONTHS).success
    elif what == "absent":
        copy.store.blobs.delete(f"checks/raw_splits/{month}.json")
    else:
        months.write(month, months.read(month).reverse())
    champion = champion_version(copy.store)
    result = copy.select(make("champion_model"))
    told = result.asset_materializations_for_node("champion_model")[0].metadata["tests"].value.records[0].data
    assert told["test"] == "data checks"
    assert not told["passed"]
    words = {"red": "red", "absent": "never checked", "older than the data": "newer than its check"}[what]
    assert told["figures"].startswith(f"raw_splits is {words} for {month}")
    assert champion_version(copy.store) == champion


def test_a_month_that_checks_stopped_is_left_out_of_the_windows_after_it(copy):
    stopped = "2019-11"
    months = copy.store.months("raw_splits")
    months.write(stopped, months.read(stopped).head(3))
    for asset in ("cleaned", "interval_calibration"):
        copy.store.blobs.delete(f"{asset}/{stopped}.parquet")
    assert not copy.select(dg.AssetSelection.checks_for_assets("raw_splits"), MONTHS).success
    result = copy.select(make("interval_calibration"), HELD)
    assert result.success, failure_text(result)
    (last,) = (m for m in result.asset_materializations_for_node("interval_calibration") if m.partition == HELD[-1])
    assert last.metadata["months that checks stopped"].value == stopped
    before = copy.read("interval_calibration", HELD[-1]).filter(pl.col("city_full").is_null())["rows"][0]
    assert before == sum(copy.read("cleaned", m)["price"].count() for m in MONTHS[9:14] if m != stopped)


def test_fewer_than_half_of_a_window_are_too_few(copy):
    months = copy.store.months("raw_splits")
    for month in MONTHS[9:12]:
        months.write(month, months.read(month).head(3))
        copy.store.blobs.delete(f"cleaned/{month}.parquet")
    copy.select(dg.AssetSelection.checks_for_assets("raw_splits"), MONTHS)
    result = copy.select(make("interval_calibration"), [HELD[0]])
    assert "the checks of raw_splits stopped 3 of the 3 months before it" in failure_text(result)


# ---------------------------------------------------------------- monitoring


def test_drift_has_a_table_for_each_month_and_a_report_for_the_newest(made):
    assert made.store.months("drift_report").available() == HELD
    reports = [k for k in made.store.blobs.keys("drift_report/") if k.endswith(".html")]
    assert reports == [f"drift_report/{HELD[-1]}.html"]
    record = made.instance.get_latest_materialization_event(dg.AssetKey("drift_report")).asset_materialization
    assert record.metadata["report"].value.endswith(reports[0])
    assert record.metadata["trend"].value.startswith("![](data:image/png;base64,")
    assert {r.data["feature"] for r in record.metadata[HELD[-1]].value.records} >= {"predicted_price", "inventory"}


def test_drift_is_that_of_the_prices_that_are_published(grown, tmp_path):
    shutil.copytree(grown.folder, tmp_path / "store")
    copy = Platform(tmp_path, grown.source, grown.changes)
    month = copy.settings.holdout_start
    result = copy.select(make("drift_report"), [month])
    assert result.success, failure_text(result)
    published = copy.read("monthly_predictions", month)
    assert published["from_history"].any()
    (row,) = copy.read("drift_report", month).filter(feature="predicted_price").to_dicts()
    assert (row["mean"], row["rows"]) == (pytest.approx(published["predicted_price"].mean()), published.height)
    train = copy.store.read_table("training_features").filter(split="train")
    model = load_champion(copy.store).model()
    said = model.prices(reference_rows([train], train.height), read_history(copy.store))
    assert row["train_mean"] == pytest.approx(said.mean())


def test_a_report_of_every_month_is_the_default(copy):
    assert copy.job("monitoring_job", HELD[:2]).success
    reports = [k for k in copy.store.blobs.keys("drift_report/") if k.endswith(".html")]
    assert reports == [f"drift_report/{m}.html" for m in HELD]


def make_unlike_train(copy: Platform, months: Sequence[str]) -> None:
    """Triple much of cleaned months, but prices and keys, within the ranges of the columns."""
    names = ["median_list_price", "median_ppsf", "median_list_ppsf", "inventory", "homes_sold", "pending_sales"]
    names += ["new_listings", "median_dom", "Median Rent", "Per Capita Income", "Median Home Value", "restaurant"]
    names += ["school", "park", "bank"]
    cleaned = copy.store.months("cleaned")
    for month in months:
        cleaned.write(month, cleaned.read(month).with_columns(pl.col(names) * 3))
    assert copy.select(dg.AssetSelection.checks_for_assets("cleaned"), HELD).success


def test_a_report_can_be_left_to_months_that_have_drifted(copy):
    for key in [k for k in copy.store.blobs.keys("drift_report/") if k.endswith(".html")]:
        copy.store.blobs.delete(key)
    make_unlike_train(copy, HELD[1:2])
    config = {"ops": {"drift_report": {"config": {"drifted_report_only": True}}}}
    assert copy.job("monitoring_job", HELD[:2], config).success
    drifted = [m for m, state in states(copy.store, "drift_report", HELD[:2]).items() if state is State.WARN]
    assert HELD[1] in drifted
    reports = [k for k in copy.store.blobs.keys("drift_report/") if k.endswith(".html")]
    assert reports == [f"drift_report/{m}.html" for m in drifted]


def test_months_unlike_train_warn_and_three_of_them_ask_for_training(copy):
    sensor = copy.definitions.resolve_sensor_def("retraining_sensor")

    def asked():
        return sensor(dg.build_sensor_context(instance=copy.instance, definitions=copy.definitions))

    assert isinstance(asked(), dg.SkipReason)
    make_unlike_train(copy, HELD)
    result = copy.job("monitoring_job", HELD, NEWEST_REPORT)
    assert result.success
    assert f"{HELD[0]}: (rows): " in red_checks(result)["features_are_as_in_train"]
    assert set(states(copy.store, "drift_report", HELD).values()) == {State.WARN}
    request = asked()
    assert isinstance(request, dg.RunRequest)
    assert f"drift_report {HELD[-1]} {champion_version(copy.store)}" in str(request.run_key)
    assert request.tags["housing/asked_by"] == f"drift_report: {HELD[0]} to {HELD[-1]}"
    copy.store.blobs.delete(f"checks/drift_report/{HELD[1]}.json")
    assert isinstance(asked(), dg.SkipReason)


def test_errors_far_above_evals_warn(copy):
    months = copy.store.months("monthly_predictions")
    for month in HELD:
        frame = months.read(month)
        months.write(month, frame.with_columns(actual_price=pl.col("predicted_price") * 3))
    assert copy.select(dg.AssetSelection.checks_for_assets("monthly_predictions"), HELD).success
    result = copy.select(make("prediction_accuracy") | dg.AssetSelection.checks_for_assets("prediction_accuracy"), HELD)
    assert result.success
    assert "of eval" in red_checks(result)["error_is_as_evaluated"]
    found = copy.read("prediction_accuracy", HELD[0]).filter(pl.col("city_full").is_null()).row(0, named=True)
    assert found["mape"] == pytest.approx(100 * 2 / 3)
    assert found["ratio"] == pytest.approx(found["mape"] / found["eval_mape"])


def test_the_page_tells_an_analyst_what_is_broken_and_quarantined(copy):
    months = copy.store.months("raw_splits")
    months.write(MONTH, months.read(MONTH).head(12))
    assert not copy.select(dg.AssetSelection.checks_for_assets("raw_splits"), MONTHS).success
    result = copy.select(make("data_quality"))
    assert result.success
    (told,) = result.asset_materializations_for_node("data_quality")
    assert told.metadata["page"].value.endswith(PAGE)
    assert told.metadata["blocked"].value == 1
    page = copy.store.blobs.read(PAGE).decode()
    checks = ("zips_are_covered", "12 of 24 zips of the months before are not there", MONTH, "every_zip_is_predicted")
    others = ("impossible value", str(copy.source), champion_version(copy.store), "data:image/png;base64")
    for words in checks + others:
        assert words in page, words
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_monthly_assets_are_late_after_the_middle_of_the_month(made):
    graph = made.definitions.resolve_asset_graph()
    for asset in ("raw_splits", "cleaned", "interval_calibration", "monthly_predictions", "drift_report"):
        policy = graph.get(dg.AssetKey(asset)).freshness_policy
        assert policy.deadline_cron == "0 0 16 * *", asset
        assert policy.lower_bound_delta.days == 15, asset


def test_every_asset_has_checks_and_every_hard_rule_blocks():
    from housing_assets.core.quality.rules import CHECKED, Severity, rules_of

    graph = build_definitions().resolve_asset_graph()
    assert {k.asset_key.path[-1] for k in graph.asset_check_keys} == set(CHECKED)
    unchecked = {key for key, asset in ASSETS.items() if not asset.is_checked}
    assert {k.path[-1] for k in graph.get_all_asset_keys()} - unchecked == set(CHECKED)
    for asset in CHECKED:
        for rule in rules_of(asset):
            spec = graph.get_check_spec(dg.AssetCheckKey(dg.AssetKey(asset), rule.name))
            assert spec.blocking == (rule.severity is Severity.ERROR), rule.name


def test_training_is_stopped_by_a_red_matrix_and_the_champion_stays(copy):
    frame = copy.store.read_table("training_features")
    copy.store.write_table("training_features", frame.with_columns(bank=pl.col("price").cast(pl.Float32)))
    checks = dg.AssetSelection.checks_for_assets("training_features")
    assert "bank" in red_checks(copy.select(checks))["no_feature_is_the_price"]
    before = tree(copy.folder)
    result = copy.select(make("baseline_model"))
    assert "training_features is red (no_feature_is_the_price: bank: " in failure_text(result)
    assert tree(copy.folder) == before


def test_red_encoders_stop_training(copy):
    months = copy.store.months("cleaned")
    months.write(TRAIN[0], months.read(TRAIN[0]).with_columns(price=pl.lit(float("inf"))))
    assert not copy.select(dg.AssetSelection.checks_for_assets("cleaned"), [TRAIN[0]]).success
    before = tree(copy.folder)
    result = copy.job("training_job", config=FEW_TREES)
    assert not result.success
    assert f"cleaned is red for {TRAIN[0]} (values_are_numbers: price: 2" in failure_text(result)
    assert tree(copy.folder) == before


def test_the_month_after_the_panel_is_checked_against_the_months_before(copy):
    """A new month's files alone: its check reads the year before it."""
    later = Platform(copy.root, copy.source, {"panel_end": add_months(END, 1)})
    frame = copy.read("raw_splits", END)
    later.store.months("raw_splits").write(
        add_months(END, 1),
        frame.with_columns(pl.col("date").dt.offset_by("1mo").dt.month_end(), pl.col("price") / 1_000),
    )
    result = later.select(dg.AssetSelection.checks_for_assets("raw_splits"), [add_months(END, 1)])
    assert {"units_are_unchanged", "few_impossible_values"} <= set(red_checks(result))
