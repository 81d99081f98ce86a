"""A champion that a naive baseline beats: what it publishes, in batch, over HTTP and on the command line alike."""

import polars as pl
import pytest
from platform_fixtures import LONG, QUIET, Platform, command_line, failure_text, turning_panel
from serving_fixtures import open_client, rows_of, wait_ready

from housing_assets.core.features.history import HISTORY_FEATURES
from housing_assets.core.models.publication import MODEL
from housing_assets.core.months import month_end
from housing_assets.store.pointers import POINTER, load_champion, point_to

UNTUNED = {**QUIET, "ops": {"tuned_model": {"config": {"trials": 0}}}}
MONTH = "2020-05"


@pytest.fixture(scope="module")
def panel() -> pl.DataFrame:
    return turning_panel(40, LONG["panel_start"], LONG["panel_end"], LONG["eval_start"], 1.3)


@pytest.fixture(scope="module")
def steady(tmp_path_factory, panel) -> Platform:
    """A platform over a panel that turns before eval: momentum cannot be beaten, and intervals miss on eval."""
    root = tmp_path_factory.mktemp("steady")
    panel.write_parquet(root / "panel.parquet")
    made = Platform(root, root / "panel.parquet", {**LONG, "max_list_price": 18_000_000})
    held = [m for m in made.settings.months if m >= made.settings.holdout_start]
    for name, months, config in (
        ("ingest_job", made.settings.months, None),
        ("training_job", (), UNTUNED),
        ("predictions_job", held, None),
    ):
        result = made.job(name, months, config)
        assert result.success, f"{name}: {failure_text(result)}"
    return made


@pytest.fixture(scope="module")
def name(steady) -> str:
    """The baseline that is better than the model."""
    found = load_champion(steady.store).model().publication.predictor
    assert found in ("momentum_3", "momentum_12")
    return found


@pytest.fixture(scope="module")
def api(steady):
    with open_client(steady.folder) as client:
        wait_ready(client)
        yield client


def test_a_first_champion_whose_intervals_missed_serves_with_wider_ones(steady):
    assert "provisional" not in steady.store.read_json(POINTER)
    told = load_champion(steady.store).model().publication.with_history
    assert told.coverage < 0.85
    assert told.factor > 1
    overall = steady.store.read_table("model_evaluation").filter(by="overall", split="eval", predictor="tuned_model")
    assert overall["coverage"][0] >= 90


def test_months_publish_the_baseline_under_its_name_with_errors_no_larger_than_its_own(steady, name):
    table = steady.store.read_table("model_evaluation").filter(by="overall", split="eval")
    mae = dict(table.select("predictor", "mae").iter_rows())
    assert mae["tuned_model"] == pytest.approx(mae[name])
    assert mae["tuned_model"] < mae["tuned_model itself"]
    made = steady.read("monthly_predictions", MONTH)
    assert set(made.filter("from_history")["predictor"]) == {name}


def test_http_gives_the_numbers_and_the_names_of_batch(steady, api, panel, name):
    on_file = steady.read("monthly_predictions", MONTH)
    rows = panel.filter(pl.col("date") == month_end(MONTH)).join(on_file.select("zipcode"), on="zipcode", how="right")
    rows = rows.select(panel.columns)
    new = rows_of(rows)[0] | {"zipcode": "00000"}
    answer = api.post("/predict", json=[*rows_of(rows), new]).json()
    assert answer["predictions"][:-1] == on_file["predicted_price"].to_list()
    assert answer["predictors"] == [*on_file["predictor"], MODEL]
    assert set(answer["predictors"]) == {name, MODEL}
    arrow = api.post("/predict", json=rows_of(rows), headers={"accept": "application/vnd.apache.arrow.stream"})
    assert pl.read_ipc_stream(arrow.content)["predictor"].to_list() == on_file["predictor"].to_list()
    listed = api.get(f"/predictions?month={MONTH}").json()["predictions"]
    assert [row["predictor"] for row in listed] == on_file["predictor"].to_list()
    assert set(api.post("/predict?history=false", json=rows_of(rows)).json()["predictors"]) == {MODEL}


def test_an_explanation_is_of_the_number_that_is_published(api, panel, name):
    rows = rows_of(panel.filter(pl.col("date") == month_end(MONTH)).head(5))
    said = api.post("/predict", json=rows).json()["predictions"]
    for told, price in zip(api.post("/explain", json=rows).json()["explanations"], said, strict=True):
        assert (told["predictor"], told["prediction"]) == (name, pytest.approx(price))
        assert tuple(told["contributions"]) == HISTORY_FEATURES
        assert told["base"] + sum(told["contributions"].values()) == pytest.approx(price)
        assert [feature for feature, by in told["contributions"].items() if by] == [
            f"own_growth_{name.removeprefix('momentum_')}"
        ]


def test_the_model_s_page_of_the_api_says_what_is_published_and_by_what_it_was_judged(api, name):
    told = api.get("/model").json()
    assert (told["predictor"], told["provisional"]) == (name, "")
    assert told["published"]["mae"][name] < told["published"]["mae"][MODEL]
    assert told["published"]["with_history"]["factor"] > 1
    assert f"rows with a history get the number of {name}" in told["published_in_words"]
    assert told["judged"] == {
        "publication_lag": 1,
        "eval_start": LONG["eval_start"],
        "holdout_start": LONG["holdout_start"],
        "max_list_price": 18_000_000,
    }


def test_the_api_warns_by_the_list_price_that_the_champion_was_trained_to(api, panel):
    row = rows_of(panel.filter(pl.col("date") == month_end(MONTH)))[0] | {"zipcode": "00000"}
    answer = api.post("/predict", json=[row | {"median_list_price": 18_500_000}]).json()
    assert "18,500,000 is above 18,000,000, beyond what was trained on" in [w["message"] for w in answer["warnings"]]


def test_the_command_line_predicts_the_same_under_the_same_name(steady, panel, name, tmp_path):
    rows = panel.filter(pl.col("date") == month_end(MONTH))
    rows.write_parquet(tmp_path / "rows.parquet")
    line = command_line(tmp_path / "line", steady.source, HOUSING_STORE_URI=str(steady.folder))
    outcome = line("predict", "--input", tmp_path / "rows.parquet", "--output", tmp_path / "out.parquet")
    assert outcome.code == 0, outcome.err
    made = pl.read_parquet(tmp_path / "out.parquet").sort("zipcode")
    on_file = steady.read("monthly_predictions", MONTH).sort("zipcode")
    assert made["predictor"].to_list() == on_file["predictor"].to_list()
    assert made["predicted_price"].to_list() == on_file["predicted_price"].to_list()
    assert f"{rows.height:,} of them are the number of {name}" in outcome.out


def test_a_provisional_champion_says_so_until_it_is_none(steady, api):
    version = load_champion(steady.store).version
    try:
        point_to(steady.store, version, "it did not beat metro_median")
        with open_client(steady.folder) as client:
            wait_ready(client)
            assert client.get("/model").json()["provisional"] == "it did not beat metro_median"
    finally:
        point_to(steady.store, version)
