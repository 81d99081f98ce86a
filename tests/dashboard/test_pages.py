"""Every page, with data and in every state without."""

import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pytest
from dashboard_fixtures import PAGES, charts_of, figures_of, listens, open_page, texts
from platform_fixtures import HELD, free_port
from serving_fixtures import process
from streamlit.testing.v1 import AppTest

from housing_assets.core.models.publication import Publication, publication_file
from housing_assets.core.months import add_months
from housing_assets.core.quality.drift import drifted_share
from housing_assets.store.bundles import list_versions, load_bundle, publish_bundle
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version, point_to, record_decision
from housing_dashboard.figures import percent
from housing_dashboard.glossary import TERMS, help_for

NEWEST = HELD[-1]


def predicted(store: Path, *months: str) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(store / f"monthly_predictions/{month}.parquet") for month in months)


def dollars(value: float) -> str:
    return f"${value:,.0f}"


@cache
def opened(store: Path, page: str) -> AppTest:
    """A page of a store that is shown, without any choice. Nothing may be chosen on it."""
    return open_page(page)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_its_figures_rest_on(showing, made, page):
    shown = opened(showing, page)
    assert not shown.exception
    assert not shown.error
    told = texts(shown)
    for words in (champion_version(made.store), NEWEST, "an estimate, not an appraisal", "source: "):
        assert words in told


def test_the_synthetic_sample_is_called_that(changeable):
    month = sorted(p.stem for p in (changeable / "cleaned").glob("*.parquet"))[-1]
    verdict = changeable / f"checks/cleaned/{month}.json"
    text = re.sub(r'"source": *"[^"]*"', '"source": "synthetic sample of 24 zips"', verdict.read_text())
    verdict.write_text(text)
    assert "source: synthetic sample of 24 zips" in texts(open_page())


@pytest.mark.parametrize("page", PAGES)
def test_every_chart_has_a_sentence_and_a_table(showing, page):
    shown = opened(showing, page)
    charts = charts_of(shown)
    assert len([e for e in shown.expander if e.label == "The figures as a table"]) == len(charts)
    assert charts or page == "what_if"
    assert set(charts) <= {caption.value for caption in shown.caption}


@pytest.mark.parametrize("page", PAGES)
def test_a_label_that_is_a_term_has_the_words_of_the_glossary_as_its_help(showing, page):
    shown = opened(showing, page)
    labelled = [*shown.metric, *shown.selectbox, *shown.select_slider]
    terms = {element.label: help_for(element.label) for element in labelled}
    for element in labelled:
        if terms[element.label]:
            assert element.proto.help == terms[element.label]
    if page in ("overview", "place"):
        assert terms["Mean % error" if page == "overview" else "Typical error here"]


def test_a_label_is_that_of_the_longest_term_that_it_begins_with():
    assert help_for("Price to income a head") == TERMS["price to income"]
    assert help_for("Price, 2023-01") == TERMS["price"]
    assert help_for("90% interval of it") == TERMS["interval"]
    assert help_for("pricey") is None
    assert help_for("forecast_model") is None


@pytest.mark.parametrize("page", PAGES)
def test_every_table_can_be_downloaded_as_csv_and_as_parquet(showing, page):
    shown = opened(showing, page)
    labels = [button.proto.label for button in shown.get("download_button")]
    for kind in ("CSV", "Parquet"):
        assert sum(label.endswith(kind) for label in labels) == len(shown.dataframe)


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"month": HELD[0]},
        {"year": "2020", "month": "all"},
        {"month": HELD[1], "region": "first"},
        {"month": "all", "region": "first"},
    ],
    ids=str,
)
def test_every_figure_of_overview_is_that_of_the_files(showing, choice):
    month = choice.get("month", NEWEST)
    months = HELD if month == "all" else [month]
    rows = predicted(showing, *months)
    query = dict(choice)
    if "region" in choice:
        query["region"] = rows["city_full"].drop_nulls().sort()[0]
        rows = rows.filter(city_full=query["region"])
    shown = open_page(query=query)
    found = figures_of(shown)
    known = rows.drop_nulls("actual_price")
    said, actual = known["predicted_price"].to_numpy(), known["actual_price"].to_numpy()
    off = np.abs(said / actual - 1)
    assert found["MAE"] == dollars(np.mean(np.abs(said - actual)))
    assert found["RMSE"] == dollars(np.sqrt(np.mean((said - actual) ** 2)))
    assert found["Mean % error"] == percent(100 * float(np.mean(off)))
    assert found["Median % error"] == percent(100 * float(np.median(off)))
    for share in (0.5, 1, 5):
        assert found[f"Within {share:g}%"] == f"{100 * np.mean(off <= share / 100):.1f}%"
    inside = known.select(pl.col("actual_price").is_between("predicted_low", "predicted_high")).to_series()
    assert found["Interval coverage"] == f"{100 * float(inside.mean()):.1f}%"
    assert f"**{rows.height:,}** predictions, {known.height:,} with a known price" in texts(shown)


def test_the_naive_figure_carries_last_month_s_price_forward(showing):
    rows = predicted(showing, NEWEST).drop_nulls("actual_price")
    before = pl.read_parquet(showing / f"cleaned/{add_months(NEWEST, -1)}.parquet", columns=["zipcode", "price"])
    both = rows.join(before, on="zipcode")
    off = float((both["price"] / both["actual_price"] - 1).abs().mean()) * 100
    assert f"naive: {percent(off)}" in [c.value for c in open_page().caption]


def test_a_figure_is_compared_to_the_month_before(showing):
    shown = open_page(query={"month": HELD[1]})
    now, before = (figures_of(open_page(query={"month": m}))["Mean % error"] for m in (HELD[1], HELD[0]))
    delta = next(m.delta for m in shown.metric if m.label == "Mean % error")
    assert delta.endswith(f"vs {HELD[0]}")
    change = float(now.rstrip("%")) - float(before.rstrip("%"))
    assert float(delta.split("%")[0]) == pytest.approx(change, abs=0.11)


def test_the_filters_are_in_the_address(showing):
    shown = open_page()
    shown.selectbox(key="year").set_value("2020").run()
    shown.selectbox(key="month").set_value(HELD[0]).run()
    assert dict(shown.query_params) == {"year": "2020", "month": HELD[0]}
    assert figures_of(open_page(query=dict(shown.query_params))) == figures_of(shown)
    shown.selectbox(key="year").set_value("all").run()
    shown.selectbox(key="month").set_value(NEWEST).run()
    assert dict(shown.query_params) == {}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "query",
    [
        {"region": "Atlantis", "month": "2023-13", "year": "x"},
        {"zip": "<b>02139</b>", "colour": "none", "other": "%00"},
        {"month": "1999-01", "region": "all' OR 1=1", "zip": "0"},
    ],
    ids=["places", "markup", "past"],
)
def test_an_address_with_nonsense_in_it_shows_the_default(showing, page, query):
    shown = open_page(page, query)
    assert not shown.exception
    assert not shown.error
    assert figures_of(shown) == figures_of(opened(showing, page))


@pytest.mark.parametrize("page", PAGES)
def test_without_any_month_a_page_says_what_to_run(tmp_path, monkeypatch, page):
    monkeypatch.setenv("HOUSING_STORE_URI", str(tmp_path / "nothing"))
    shown = open_page(page)
    assert not shown.exception
    assert not shown.error
    assert "make run" in texts(shown)
    assert "model: none yet" in texts(shown)


@pytest.mark.parametrize("page", ["overview", "map", "place", "model"])
def test_a_damaged_month_is_named_and_the_others_are_shown(changeable, page):
    broken = changeable / f"monthly_predictions/{HELD[1]}.parquet"
    broken.write_bytes(broken.read_bytes()[:-100])
    shown = open_page(page, {"month": HELD[1]} if page == "map" else {"month": "all"})
    assert not shown.exception
    assert f"1 damaged: {HELD[1]}. The other months are shown." in texts(shown)
    assert str(changeable) not in texts(shown)
    if page == "overview":
        assert f"**{predicted(changeable, HELD[0], HELD[2]).height:,}** predictions" in texts(shown)
    if page == "map":
        assert f"{HELD[1]} cannot be read" in texts(shown)


def test_when_every_month_is_damaged_that_is_said(changeable):
    for month in HELD:
        (changeable / f"monthly_predictions/{month}.parquet").write_bytes(b"no parquet")
    for page in ("overview", "place"):
        assert "No month can be read" in texts(open_page(page))


def test_the_model_page_says_that_a_champion_is_provisional(changeable):
    store = Store.open(str(changeable))
    version = champion_version(store)
    assert not open_page("model").warning
    point_to(store, version, "eval MAE 2 does not beat metro_median 1 US dollars")
    time.sleep(2.1)
    (told,) = open_page("model").warning
    assert told.value == (
        "This champion is provisional, because none has passed promotion: eval MAE 2 does not beat "
        "metro_median 1 US dollars"
    )


def test_the_model_page_says_what_the_champion_publishes(changeable):
    store = Store.open(str(changeable))
    bundle = load_bundle(store, champion_version(store))
    told = Publication("momentum_3", 12, {"model": 2_000.0, "momentum_3": 1_000.0})
    files = {**bundle.files, "publication.json": publication_file(told)}
    point_to(store, publish_bundle(store, "tuned", files, {"months": bundle.manifest["months"]}))
    time.sleep(2.1)
    shown = open_page("model")
    assert not shown.exception
    assert [note.value for note in shown.info] == [f"Published predictions: {told.words()}."]


def test_a_place_says_which_baseline_predicts_it(changeable):
    file = changeable / f"monthly_predictions/{NEWEST}.parquet"
    rows = pl.read_parquet(file)
    zipcode = rows["zipcode"][3]
    rows.with_columns(from_history=pl.lit(True), predictor=pl.lit("momentum_3")).write_parquet(file)
    shown = open_page("place", {"zip": zipcode})
    assert (
        f"{zipcode} is predicted from its own past prices: the mean growth of the zip's last 3 months goes on, which "
        "was better than the model on eval."
    ) in texts(shown)


def test_a_damaged_champion_leaves_the_other_parts(changeable):
    version = champion_version(Store.open(str(changeable)))
    (changeable / f"models/{version}/model.ubj").write_bytes(b"\0")
    shown = open_page("model")
    assert not shown.exception
    assert any("This part cannot be shown" in e.value for e in shown.error)
    assert "Where predictions are wrong" in texts(shown)
    assert "Decisions" not in texts(shown)
    assert str(changeable) not in texts(shown)


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_pointer_is_said_once_and_the_rest_is_shown(changeable, page):
    (changeable / "models/champion.json").write_text("{")
    shown = open_page(page)
    assert not shown.exception
    assert any("models/champion.json is damaged" in e.value for e in shown.error)
    assert "model: cannot be read" in texts(shown)
    assert "an estimate, not an appraisal" in texts(shown)
    assert f"newest month: {NEWEST}" in texts(shown)


def test_a_bad_value_in_the_environment_is_named_under_streamlit_run_too(monkeypatch):
    monkeypatch.setenv("HOUSING_API_SECONDS", "soon")
    shown = open_page()
    assert not shown.exception
    (told,) = shown.error
    assert told.value.startswith("The dashboard cannot start: HOUSING_API_SECONDS='soon': ")


def test_no_rows_for_a_choice(changeable):
    region = predicted(changeable, *HELD)["city_full"].drop_nulls().sort()[0]
    file = changeable / f"monthly_predictions/{NEWEST}.parquet"
    pl.read_parquet(file).filter(pl.col("city_full") != region).write_parquet(file)
    shown = open_page(query={"region": region, "month": NEWEST})
    assert not shown.exception
    assert "No rows for this choice" in texts(shown)
    assert f"{region} has no predictions in {NEWEST}" in texts(shown)


def test_before_actual_prices_are_known_it_says_so(changeable):
    file = changeable / f"monthly_predictions/{NEWEST}.parquet"
    pl.read_parquet(file).with_columns(actual_price=pl.lit(None, pl.Float64)).write_parquet(file)
    shown = open_page(query={"month": NEWEST})
    assert not shown.exception
    assert set(figures_of(shown).values()) == {"not known yet"}
    assert "none of them has a known price yet" in texts(shown)
    assert not open_page("map", {"colour": "error", "month": NEWEST}).exception


def test_a_new_month_and_a_new_champion_appear_without_a_restart(changeable, tmp_path):
    newest = changeable / f"monthly_predictions/{NEWEST}.parquet"
    shutil.move(newest, tmp_path / "later")
    shown = open_page()
    assert f"newest month: {HELD[-2]}" in texts(shown)
    shutil.move(tmp_path / "later", newest)
    store = Store.open(str(changeable))
    other = next(v for v in list_versions(store) if v != champion_version(store))
    point_to(store, other)
    time.sleep(2.1)
    shown.run()
    assert f"newest month: {NEWEST}" in texts(shown)
    assert f"model: {other}" in texts(shown)


@pytest.mark.parametrize("colour", ["price", "error", "bias", "change"])
def test_the_map_is_coloured_by_what_is_asked_for(showing, colour):
    shown = open_page("map", {"colour": colour, "month": HELD[0]})
    assert not shown.exception
    sentence = next(c.value for c in shown.caption if "each area a metro" in c.value)
    assert sentence.startswith(f"{predicted(showing, HELD[0])['city_full'].drop_nulls().n_unique()} metros")


def test_a_place_has_its_history_and_its_neighbours(showing):
    rows = predicted(showing, NEWEST)
    zipcode, price = rows.select("zipcode", "predicted_price").row(3)
    shown = open_page("place", {"zip": zipcode})
    assert figures_of(shown)[f"Predicted, {NEWEST}"] == dollars(price)
    nearby = next(d.value for d in shown.dataframe if "zipcode" in d.value.columns and len(d.value) < 20)
    assert nearby["zipcode"].iloc[0] == zipcode


def test_the_model_page_compares_and_tells_every_decision(showing, made):
    shown = open_page("model")
    version = champion_version(made.store)
    assert figures_of(shown)["Version"] == version
    told = texts(shown)
    for words in (
        "Against other predictors",
        "Where predictions are wrong",
        "Features that matter",
        "How it was tuned",
        "Decisions",
    ):
        assert words in told
    tables = [d.value for d in shown.dataframe]
    trials = next(t for t in tables if "trial" in t.columns)
    assert len(trials) == made.store.read_json(f"models/{version}/manifest.json")["tuning"]["trials"]
    champions = next(t for t in tables if "serves since" in t.columns)
    assert champions["version"].iloc[0] == version
    assert champions["promoted by"].iloc[0] == "its tests"
    origin = made.store.read_json(f"models/{version}/manifest.json")["origin"]
    assert champions["dagster_run"].iloc[0].endswith(f"/runs/{origin['dagster_run']}")


@pytest.mark.parametrize("page", ["place", "model", "health"])
def test_a_long_page_begins_with_links_to_its_sections(showing, page):
    shown = open_page(page)
    links = next(caption.value for caption in shown.caption if caption.value.startswith("On this page"))
    listed = re.findall(r"\[([^]]+)\]\(#([^)]+)\)", links)
    assert len(listed) >= 3
    anchors = {heading.value: heading.anchor for heading in shown.subheader}
    assert all(anchors[title] == anchor for title, anchor in listed)


def test_who_made_a_champion_by_hand_and_in_which_runs_is_told(changeable):
    store = Store.open(str(changeable))
    version = champion_version(store)
    record_decision(store, version, {"outcome": "promoted", "reason": "by hand: rolled back", "mlflow_run": "ab12"})
    table = next(d.value for d in open_page("model").dataframe if "serves since" in d.value.columns)
    newest = table.iloc[0]
    assert newest["promoted by"] == "a person, with `housing promote`"
    assert newest["reason"] == "by hand: rolled back"
    assert newest["mlflow_run"].endswith("/#/runs/ab12")
    assert newest["dagster_run"] == ""


def test_data_health_shows_problems_and_quarantined_rows(showing):
    shown = open_page("health")
    reasons = pl.concat(pl.read_parquet(f) for f in (showing / "quarantined").glob("*.parquet"))
    assert f"{reasons.height:,} rows of all months are quarantined" in texts(shown)
    assert figures_of(shown)["monthly_predictions"] == NEWEST


def test_the_share_of_drifted_features_is_the_one_that_the_check_judges(changeable):
    """Features that train hardly has do not count, nor does the prediction."""
    path = changeable / f"drift_report/{NEWEST}.parquet"
    few = pl.int_range(pl.len()) < 5
    drifted = pl.read_parquet(path).with_columns(
        drifted=few & (pl.col("feature") != "predicted_price"),
        train_missing=pl.when(few).then(0.0).otherwise(1.0),
    )
    drifted.write_parquet(path)
    assert drifted_share(drifted) == 1
    assert f"100% in {NEWEST}" in texts(open_page("health"))


def test_an_unreadable_verdict_does_not_take_the_page_down(changeable):
    (changeable / f"checks/cleaned/{NEWEST}.json").write_text("{")
    shown = open_page("health")
    assert not shown.exception
    assert "Quarantined rows" in texts(shown)


def test_the_form_predicts_what_the_api_says(showing, api, monkeypatch):
    monkeypatch.setenv("HOUSING_API_URL", api)
    zipcode = predicted(showing, NEWEST)["zipcode"].sort()[0]
    shown = open_page("what_if", {"zip": zipcode})
    before = figures_of(shown)["Live prediction"]
    stored = predicted(showing, NEWEST).filter(zipcode=zipcode)["predicted_price"][0]
    assert abs(int(re.sub(r"\D", "", before)) / stored - 1) < 1e-3
    field = shown.number_input(key=f"median_list_price-{zipcode}")
    field.set_value(3 * (field.value or 100_000)).run()
    assert figures_of(shown)["Live prediction"] != before
    assert "From the average home to this one." in texts(shown)


def test_a_warning_of_the_api_is_shown(showing, api, monkeypatch):
    monkeypatch.setenv("HOUSING_API_URL", api)
    zipcode = predicted(showing, NEWEST)["zipcode"].sort()[0]
    shown = open_page("what_if", {"zip": zipcode})
    day = shown.date_input(key=f"date-{zipcode}")
    day.set_value(day.value.replace(year=day.value.year + 3)).run()
    assert any("after the months that intervals are known for" in w.value for w in shown.warning)


def test_without_the_api_the_form_says_so_and_recovers(showing, made, tmp_path, monkeypatch):
    port = free_port()
    monkeypatch.setenv("HOUSING_API_URL", f"http://127.0.0.1:{port}")
    shown = open_page("what_if")
    assert not shown.exception
    assert any("nothing answers at its address" in w.value for w in shown.warning)
    assert not listens(port)
    with process(str(made.folder), tmp_path, HOUSING_API_PORT=str(port)) as _:
        shown.button[0].click().run()
        assert "Live prediction" in figures_of(shown)
    assert not open_page("overview").error


@pytest.mark.parametrize(
    ("program", "words"),
    [("import time; time.sleep(60)", "did not answer within"), ("self.reply()", "not the API")],
    ids=["slow", "another server"],
)
def test_an_api_that_is_slow_or_another_server(showing, monkeypatch, program, words):
    port = free_port()
    server = (
        "import http.server\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def reply(self):\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(b'hello')\n"
        f"    def do_GET(self): {program}\n"
        f"http.server.HTTPServer(('127.0.0.1', {port}), Handler).serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", server], stderr=subprocess.DEVNULL) as running:
        try:
            while not listens(port):
                time.sleep(0.05)
            monkeypatch.setenv("HOUSING_API_URL", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("HOUSING_API_SECONDS", "0.5")
            shown = open_page("what_if")
            assert not shown.exception
            assert any(words in w.value for w in shown.warning)
        finally:
            running.kill()


def test_a_key_is_sent_where_the_api_asks_for_one(showing, made, tmp_path, monkeypatch):
    with process(str(made.folder), tmp_path, HOUSING_API_KEYS="first,second") as (_, url):
        assert httpx.get(f"{url}/openapi.json").status_code == 401
        monkeypatch.setenv("HOUSING_API_URL", url)
        assert any("API key" in w.value for w in open_page("what_if").warning)
        monkeypatch.setenv("HOUSING_API_KEY", "second")
        assert "Live prediction" in figures_of(open_page("what_if"))


def test_the_process_of_the_dashboard_loads_no_dagster_mlflow_or_great_expectations(showing):
    program = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(Path(__file__).parents[2] / "housing_dashboard/app.py")!r}, default_timeout=120)
for page in {PAGES!r}:
    app.switch_page(f"views/{{page}}.py").run()
    assert not app.exception, page
heavy = {{"dagster", "mlflow", "great_expectations", "evidently"}}
print(sorted(heavy & {{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
