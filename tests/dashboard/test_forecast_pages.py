"""Forecasts on the pages: what will come, what became of earlier ones, and every state without."""

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import polars as pl
import pytest
from dashboard_fixtures import PAGES, charts_of, figures_of, open_page, texts
from platform_fixtures import LONG
from streamlit.testing.v1 import AppTest

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.panel.areas import with_people
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, forecast_champion
from housing_dashboard.figures import percent, predictor_name

NEWEST, FIRST = LONG["panel_end"], LONG["holdout_start"]
NOT_YET = "`forecast_job` in Dagster"


def forecasts(store: Path, origin: str = "*") -> pl.DataFrame:
    return pl.read_parquet(store / f"monthly_forecasts/{origin}.parquet")


def prices(store: Path) -> pl.DataFrame:
    return pl.read_parquet(store / "price_history.parquet").drop_nulls("price")


def a_zip(store: Path) -> str:
    return forecasts(store, NEWEST)["zipcode"][0]


def with_outcomes(store: Path, zipcode: str, ahead: int) -> pl.DataFrame:
    """Forecasts of a zip whose month has come: percent errors of the forecast and of no change."""
    own = forecasts(store).filter(zipcode=zipcode, horizon=ahead).sort("origin")
    came = own.join(prices(store).select("date", "zipcode", "price"), on=["date", "zipcode"])
    off = [100 * (pl.col(c) / pl.col("price") - 1).abs() for c in ("predicted_price", "last_known_price")]
    return came.select("origin", "price", off[0].alias("off"), off[1].alias("flat"))


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def answer(shown: AppTest) -> str:
    """The sentence that answers the question of Place."""
    return next(m.value for m in shown.markdown if "this far ahead" in m.value).replace("\\", "")


@pytest.mark.parametrize(
    ("page", "query"),
    [(page, {}) for page in PAGES]
    + [("map", {"colour": "forecast"}), ("place", {"ahead": "1"}), ("model", {"split": "eval"})],
)
def test_every_chart_over_forecasts_has_a_sentence_and_a_table(forecasting, page, query):
    shown = open_page(page, query)
    assert not shown.exception
    assert not shown.error
    charts = charts_of(shown)
    assert len([e for e in shown.expander if e.label == "The figures as a table"]) == len(charts)
    assert set(charts) <= {caption.value for caption in shown.caption}


def test_a_place_says_what_it_will_cost_how_sure_and_how_wrong_forecasts_were(forecasting):
    zipcode, ahead = a_zip(forecasting), 3
    row = forecasts(forecasting, NEWEST).filter(zipcode=zipcode, horizon=ahead).row(0, named=True)
    past = with_outcomes(forecasting, zipcode, ahead)
    shown = open_page("place", {"zip": zipcode, "ahead": str(ahead)})
    told, found = answer(shown), figures_of(shown)
    assert found[f"Known, {NEWEST}"] == f"${row['last_known_price']:,.0f}"
    assert found["Forecast, 2020-09"] == f"${row['predicted_price']:,.0f}"
    assert f"**${row['predicted_price']:,.0f}** in September 2020" in told
    assert f"The 90% interval is ${row['predicted_low']:,.0f} to ${row['predicted_high']:,.0f}" in told
    assert found["Mean error, 3 ahead"] == percent(float(past["off"].mean()))
    assert f"The mean error of {past.height} forecasts this far ahead with a known outcome is" in told
    assert f"and {percent(float(past['flat'].mean()))} for the assumption of no change." in told
    errors = next(d.value for d in shown.dataframe if list(d.value.columns)[:3] == ["month", "percent", "naive"])
    assert errors["percent"].abs().tolist() == pytest.approx(past["off"].to_list(), rel=1e-4)


def test_a_horizon_that_has_not_come_due_says_so(forecasting):
    told = texts(open_page("place", {"ahead": "12"}))
    assert "No forecast this far ahead has a known outcome yet." in told.replace("\\", "")
    assert "No forecast 12 months ahead has a known outcome yet" in told


def test_an_earlier_origin_is_shown_with_what_came_of_it(forecasting):
    zipcode = a_zip(forecasting)
    came = with_outcomes(forecasting, zipcode, 2).filter(origin=FIRST)["price"][0]
    shown = open_page("place", {"zip": zipcode, "origin": FIRST, "ahead": "2"})
    assert f"The actual price was ${came:,.0f}: an error of" in answer(shown)
    shown.selectbox(key="origin").set_value(NEWEST).run()
    assert "The actual price was" not in answer(shown)
    assert "origin" not in shown.query_params


def test_errors_by_horizon_are_those_of_the_zip(forecasting):
    zipcode = a_zip(forecasting)
    shown = open_page("place", {"zip": zipcode})
    table = next(d.value for d in shown.dataframe if list(d.value.columns)[:2] == ["horizon", "rows"])
    assert table["horizon"].tolist() == [1, 2, 3, 4, 5]
    for _, row in table.iterrows():
        past = with_outcomes(forecasting, zipcode, int(row["horizon"]))
        assert row["rows"] == past.height
        assert row["mape"] == pytest.approx(float(past["off"].mean()), rel=1e-4)
        assert row["naive_mape"] == pytest.approx(float(past["flat"].mean()), rel=1e-4)


@pytest.mark.parametrize("page", ["place", "map", "model"])
def test_without_forecasts_a_page_says_what_to_run(showing, page):
    shown = open_page(page, {"colour": "forecast"})
    assert not shown.exception
    assert not shown.error
    assert NOT_YET in texts(shown)


def test_without_forecasts_a_place_still_shows_its_history(showing):
    alts = [chart.proto.alt for chart in open_page("place").get("plotly_chart")]
    assert any("known prices since" in alt for alt in alts)


def test_a_damaged_origin_is_named_and_the_others_are_shown(changeable_forecasts):
    damage(changeable_forecasts / f"monthly_forecasts/{NEWEST}.parquet")
    shown = open_page("place", {"ahead": "2"})
    assert not shown.exception
    assert f"1 damaged: {NEWEST}. The other months are shown." in texts(shown)
    assert f"{NEWEST} cannot be read" in texts(shown)
    assert "Past forecasts" in texts(shown)
    shown.selectbox(key="origin").set_value(FIRST).run()
    assert figures_of(shown)[f"Known, {FIRST}"].startswith("$")
    at_map = open_page("map", {"colour": "forecast"})
    assert not at_map.exception
    assert f"No forecast 12 months ahead of {NEWEST} can be read" in texts(at_map)
    assert str(changeable_forecasts) not in texts(shown) + texts(at_map)


def test_the_model_page_says_which_forecaster_counts_most(forecasting):
    table = pl.read_parquet(forecasting / "forecast_weights.parquet")
    newest = table.filter(origin=str(table["origin"].max()), horizon=1).sort("weight").row(-1, named=True)
    name = predictor_name(newest["predictor"])
    assert f"One month ahead {name} counts most ({100 * newest['weight']:.0f}%)" in texts(open_page("model"))


def test_the_model_page_shows_regret_coverage_by_year_and_weights_through_time(forecasting):
    shown = open_page("model", {"ahead": "3"})
    tables = [d.value for d in shown.dataframe]
    graded = pl.read_parquet(forecasting / "forecast_evaluation.parquet").filter(by="year", horizon=3)
    of_year = next(t for t in tables if "regret" in t.columns)
    for year in graded["group"].unique():
        part = graded.filter(group=year)
        total = dict(part.group_by("predictor").agg((pl.col("mape") * pl.col("rows")).sum()).iter_rows())
        rows = part.filter(predictor="published")["rows"].sum()
        row = of_year[(of_year["year"] == year) & (of_year["horizon"] == 3)].iloc[0]
        best = min(NAIVE_GROWTH, key=total.__getitem__)
        assert row["regret"] == pytest.approx((total["published"] - total[best]) / rows, rel=1e-4)
        assert row["best"] == predictor_name(best)

    held = pl.read_parquet(forecasting / "forecast_coverage.parquet").filter(horizon=3)
    by_year = next(t for t in tables if "year" in t.columns and "3" in t.columns)
    for year in held["year"].unique():
        part = held.filter(year=year)
        mean = (part["coverage"] * part["rows"]).sum() / part["rows"].sum()
        assert by_year[by_year["year"] == year]["3"].iloc[0] == pytest.approx(mean, rel=1e-4)

    weights = pl.read_parquet(forecasting / "forecast_weights.parquet").filter(horizon=3)
    through = next(t for t in tables if "origin" in t.columns and weights["predictor"][0] in t.columns)
    assert through["origin"].tolist() == weights["origin"].unique().sort().to_list()
    assert through.drop(columns="origin").sum(axis=1).tolist() == pytest.approx([100] * len(through), abs=1e-3)
    for name in [name for name in through.columns if name not in ("origin", "others")]:
        own = 100 * weights.filter(predictor=name).sort("origin")["weight"]
        assert through[name].tolist() == pytest.approx(own.to_list(), rel=1e-4)


@pytest.mark.parametrize(
    ("page", "table", "left"),
    [
        ("place", "price_history", "Monthly predictions"),
        ("model", "forecast_evaluation", "Where predictions are wrong"),
        ("model", "forecast_skill", "Forecast model: "),
        ("model", "forecast_coverage", "How much lower the model's error is"),
        ("model", "forecast_weights", "How much lower the model's error is"),
    ],
)
def test_a_damaged_table_takes_only_its_own_part_down(changeable_forecasts, page, table, left):
    damage(changeable_forecasts / f"{table}.parquet")
    shown = open_page(page)
    assert not shown.exception
    assert [e.value for e in shown.error if "This part cannot be shown" in e.value]
    assert left in texts(shown)
    assert str(changeable_forecasts) not in texts(shown)


def test_a_damaged_forecast_pointer_leaves_the_other_parts(changeable_forecasts):
    (changeable_forecasts / FORECAST_POINTER).write_text("{")
    shown = open_page("model")
    assert not shown.exception
    assert [e.value for e in shown.error if FORECAST_POINTER in e.value]
    assert "Where predictions are wrong" in texts(shown)


def test_a_zip_that_is_not_forecast_says_why(changeable_forecasts):
    zipcode = a_zip(changeable_forecasts)
    file = changeable_forecasts / f"monthly_forecasts/{NEWEST}.parquet"
    pl.read_parquet(file).filter(pl.col("zipcode") != zipcode).write_parquet(file)
    shown = open_page("place", {"zip": zipcode})
    assert not shown.exception
    assert f"{zipcode} is not forecast from {NEWEST}" in texts(shown)
    assert "Past forecasts" in texts(shown)


def test_a_zip_without_any_history_is_predicted_from_its_month_alone(changeable_forecasts):
    zipcode = a_zip(changeable_forecasts)
    for file in (changeable_forecasts / "price_history.parquet", *changeable_forecasts.glob("monthly_forecasts/*")):
        pl.read_parquet(file).filter(pl.col("zipcode") != zipcode).write_parquet(file)
    file = changeable_forecasts / f"monthly_predictions/{NEWEST}.parquet"
    new = pl.col("from_history") & (pl.col("zipcode") != zipcode)
    pl.read_parquet(file).with_columns(new.alias("from_history")).write_parquet(file)
    shown = open_page("place", {"zip": zipcode})
    assert not shown.exception
    assert f"{zipcode} has no known price" in texts(shown)
    assert f"{zipcode} is predicted from the figures of the month alone" in texts(shown)


def test_forecasts_without_an_interval_say_that_too_little_is_known(changeable_forecasts):
    file = changeable_forecasts / f"monthly_forecasts/{NEWEST}.parquet"
    nothing = pl.lit(None, pl.Float64)
    pl.read_parquet(file).with_columns(predicted_low=nothing, predicted_high=nothing).write_parquet(file)
    shown = open_page("place", {"ahead": "1"})
    assert not shown.exception
    assert "too few outcomes are known" in answer(shown)
    assert figures_of(shown)["90% interval of it"] == "not known yet"


def test_who_forecasts_is_said_in_words(changeable_forecasts):
    pointer = json.loads((changeable_forecasts / FORECAST_POINTER).read_text())
    pointer["published"] = {str(h): "forecast_model" if h < 10 else "flat" for h in range(1, 13)}
    (changeable_forecasts / FORECAST_POINTER).write_text(json.dumps(pointer))
    told = texts(open_page("model"))
    assert "Several forecasters together, each by how well it did lately, forecast 1 to 9 months ahead. " in told
    assert "The naive baseline “no change” forecasts 10 to 12" in told


def test_the_model_page_compares_what_is_published_with_the_best_naive(forecasting):
    shown = open_page("model")
    _, published = forecast_champion(Store.open(str(forecasting)))
    graded = pl.read_parquet(forecasting / "forecast_evaluation.parquet").filter(by="overall", split="eval")
    table = next(d.value for d in shown.dataframe if "eval_ratio" in d.value.columns)
    assert table["horizon"].tolist() == list(published)
    assert table["predictor"].tolist() == [predictor_name(name) for name in published.values()]
    for _, row in table.iterrows():
        of = dict(graded.filter(horizon=int(row["horizon"])).select("predictor", "mape").iter_rows())
        if not of:  # a year of eval has no outcome of so far ahead
            assert math.isnan(row["eval"])
            continue
        best = min(of[name] for name in NAIVE_GROWTH)
        assert row["eval"] == pytest.approx(of["published"], rel=1e-4)
        assert row["eval_ratio"] == pytest.approx(of["published"] / best, rel=1e-4)
    decision = next(m.value for m in shown.markdown if "The newest decision, on forecast-" in m.value)
    assert "**promoted**" in decision


def test_forecast_versions_are_not_among_the_champions_of_prices(forecasting):
    shown = open_page("model")
    for column in ("serves since", "candidate"):
        table = next((d.value for d in shown.dataframe if column in d.value.columns), None)
        assert table is None or not table.astype(str).apply(lambda c: c.str.startswith("forecast-")).any().any()
    assert any("serves since" in d.value.columns for d in shown.dataframe)


def test_the_model_page_tells_what_a_history_is_worth(forecasting):
    rows = pl.read_parquet(forecasting / "monthly_predictions/*.parquet")
    told = texts(open_page("model"))
    share = 100 * float(rows["from_history"].mean())  # type: ignore[arg-type]
    assert f"**{share:.1f}%** of {rows.height:,} predictions" in told
    assert "if no history is used." in told


def test_the_map_shows_what_is_forecast_by_metro(forecasting):
    rows = forecasts(forecasting, NEWEST).filter(horizon=6)
    people = with_people(rows.drop_nulls("city_full"))
    mean = {name: (pl.col(name) * pl.col("people")).sum() for name in ("predicted_price", "last_known_price")}
    change = 100 * (mean["predicted_price"] / mean["last_known_price"] - 1)
    wanted = dict(people.group_by("city_full").agg(change).iter_rows())
    shown = open_page("map", {"colour": "forecast", "ahead": "6"})
    table = next(d.value for d in shown.dataframe if list(d.value.columns) == ["city_full", "zips", "change"])
    assert dict(zip(table["city_full"], table["change"], strict=True)) == pytest.approx(wanted, rel=1e-4)
    sentence = next(c.value for c in shown.caption if "each area a metro" in c.value)
    assert f"forecast over 6 months, {NEWEST} to 2020-12" in sentence
    assert f"({percent(max(wanted.values()), signed=True)})" in sentence


def test_data_health_shows_forecasts_and_the_history(changeable_forecasts):
    verdict = changeable_forecasts / f"checks/monthly_forecasts/{NEWEST}.json"
    problem = {"rule": "low below high", "severity": "ERROR", "column": "predicted_low", "told": "3 rows"}
    told = json.loads(verdict.read_text()) | {"state": "red", "problems": [problem]}
    verdict.write_text(json.dumps(told))
    (changeable_forecasts / "checks/price_history.json").unlink()
    shown = open_page("health")
    assert figures_of(shown)["monthly_forecasts"] == NEWEST
    assert "1 red" in next(c.value for c in shown.caption if c.value.startswith("Check results of"))
    problems = next(d.value for d in shown.dataframe if "check" in d.value.columns)
    assert "low below high" in problems["check"].tolist()
    assert "`price_history` is never checked" in texts(shown)


@contextmanager
def an_api(with_history: dict) -> Iterator[tuple[str, list[str]]]:
    """A stand-in for the API that knows `history=false`; gives its address and what it was asked."""
    asked: list[str] = []
    alone = {"predictions": [200_000.0], "intervals": [[180_000.0, 230_000.0]], "warnings": [], "model_version": "m"}
    contributions = {"median_list_price": 50_000.0}
    explained = {"base": 150_000.0, "prediction": 200_000.0, "contributions": contributions, "factors": ["list price"]}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply({"components": {"schemas": {"RawRow": {"properties": {}}}}})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            if self.path.startswith("/explain"):
                self._reply({"explanations": [explained]})
            else:
                self._reply(alone if self.path.endswith("history=false") else alone | with_history)

        def _reply(self, told: dict) -> None:
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_if_asks_for_the_figures_alone_and_shows_the_price_with_history_beside_it(forecasting, monkeypatch):
    known = {"predictions": [410_000.0], "intervals": [[408_000.0, 412_000.0]], "from_history": [True]}
    with an_api(known) as (url, asked):
        monkeypatch.setenv("HOUSING_API_URL", url)
        shown = open_page("what_if")
    assert not shown.exception
    assert sorted(asked) == ["/explain?history=false", "/predict", "/predict?history=false"]
    found = figures_of(shown)
    assert (found["Live prediction"], found["With its history"]) == ("$200,000", "$410,000")
    assert "does not change with the form" in texts(shown)


@pytest.mark.parametrize("told", [{}, {"from_history": [False]}], ids=["an API of before", "no history"])
def test_what_if_without_a_history_claims_no_more_than_the_api_tells(forecasting, monkeypatch, told):
    with an_api(told) as (url, _):
        monkeypatch.setenv("HOUSING_API_URL", url)
        shown = open_page("what_if")
    assert not shown.exception
    assert figures_of(shown)["Live prediction"] == "$200,000"
    assert "With its history" not in figures_of(shown)
    assert ("the published prediction is the same" in texts(shown)) == bool(told)


def test_what_rests_on_a_restated_month_is_said_to_be_stale(changeable_forecasts):
    assert "restated" not in texts(open_page("health"))
    store = Store.open(str(changeable_forecasts))
    cleaned = store.months("cleaned")
    cleaned.write("2020-03", cleaned.read("2020-03").with_columns(pl.col("price") * 1.05))
    told = texts(open_page("health"))
    for asset in ("interval_calibration", "monthly_predictions", "monthly_forecasts"):
        assert f"`{asset}` of 2020-03 to 2020-06 was made from months that were restated later" in told
