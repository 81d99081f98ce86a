"""Places by name, trust in their forecasts, what it costs to live there, and several of them side by side."""

import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from dashboard_fixtures import figures_of, open_page, texts
from platform_fixtures import HELD, LONG

from housing_assets.core.evaluation.payments import Loan
from housing_assets.core.evaluation.trust import Record, Trust, doubts, in_words, trust_in, turns
from housing_assets.core.panel.areas import chained_mean, matched_outcome, weighted_mean, with_people
from housing_assets.core.vintages.schedule import is_late, next_expected
from housing_dashboard import charts, data
from housing_dashboard.charts import colours
from housing_dashboard.charts.theme import BLUE_ON_DARK
from housing_dashboard.data.history import PriceGrid, people_of
from housing_dashboard.data.places import means_of_areas
from housing_dashboard.figures import percent
from housing_dashboard.parts.home import moves_in_words

NEWEST = LONG["panel_end"]


def forecasts(store, origin: str = "*") -> pl.DataFrame:
    return pl.read_parquet(store / f"monthly_forecasts/{origin}.parquet")


def weighted(rows: pl.DataFrame, column: str) -> float:
    people = with_people(rows).drop_nulls(column)
    return float((people[column] * people["people"]).sum() / people["people"].sum())


# ---------------------------------------------------------------- means of zips


def test_zips_that_come_or_go_do_not_move_a_mean_price():
    nan = math.nan
    # A dear zip enters in the last month: the mean rises by the growth of the other two alone.
    prices = np.array([[100.0, 110.0, 121.0], [200.0, 220.0, 242.0], [nan, nan, 1_000.0]])
    mean = chained_mean(prices, np.array([1.0, 1.0, 2.0]))
    assert mean[-1] == pytest.approx((121 + 242 + 2_000) / 4)
    assert mean[1:] / mean[:-1] == pytest.approx([1.1, 1.1])


def test_the_level_of_a_mean_is_of_a_month_that_nearly_all_have():
    nan = math.nan
    prices = np.array([[100.0, 110.0], [300.0, nan]])
    mean = chained_mean(prices, np.array([1.0, 1.0]))
    assert mean.tolist() == pytest.approx([200.0, 220.0])


def test_an_outcome_of_an_area_is_that_of_the_zips_that_have_one():
    rows = pl.DataFrame({"p": [100.0, 300.0], "a": [110.0, None], "people": [9.5, 0.5]})
    outcome = rows.select(matched_outcome(pl.col("p"), pl.col("a"))).item()
    assert outcome == pytest.approx((9.5 * 100 + 0.5 * 300) / 10 * 1.1)
    few = rows.with_columns(people=pl.Series([8.0, 2.0]))
    assert few.select(matched_outcome(pl.col("p"), pl.col("a"))).item() is None


# ---------------------------------------------------------------- by name


def test_every_zip_metro_and_the_nation_are_places(showing, made):
    shown = open_page("place")
    labels = shown.selectbox(key="zip").options
    rows = made.read("monthly_predictions", HELD[-1])
    assert labels[0].startswith("United States (all ")
    assert len(labels) == 1 + rows["city_full"].drop_nulls().n_unique() + rows["zipcode"].n_unique()
    assert not shown.exception


def test_a_zip_is_found_by_city_county_and_metro():
    cambridge = data.zip_by_name("02139", "Boston-Cambridge-Newton")
    assert cambridge.label == "02139 Cambridge, MA, Middlesex County, Boston-Cambridge-Newton"
    # Names with an apostrophe and an accent.
    assert data.zip_by_name("20607", None).label == "20607 Accokeek, MD, Prince George's County, no metro"
    assert data.zip_by_name("00610", None).label == "00610 Anasco, PR, Añasco Municipio, no metro"
    # A zip that no table knows goes by its number.
    assert data.zip_by_name("00000", None).label == "00000, no metro"
    # Two cities of one name differ by state and number.
    assert data.zip_by_name("97201", None).short != data.zip_by_name("04101", None).short
    assert {data.zip_by_name(z, None).short.split(",")[0] for z in ("97201", "04101")} == {"Portland"}


@pytest.mark.parametrize("kind", ["metro", "nation"])
def test_an_area_is_the_weighted_mean_of_its_zips(forecasting, kind):
    ahead = 3
    rows = forecasts(forecasting, NEWEST).filter(horizon=ahead)
    name = "United States" if kind == "nation" else rows["city_full"].drop_nulls()[0]
    own = rows if kind == "nation" else rows.filter(city_full=name)
    shown = open_page("place", {"place": name, "ahead": str(ahead)})
    assert not shown.exception
    assert not shown.error
    found = figures_of(shown)
    assert found["Forecast, 2020-09"] == f"${weighted(own, 'predicted_price'):,.0f}"
    told = texts(shown).replace("\\", "")
    assert f"The 90% interval is ${weighted(own, 'predicted_low'):,.0f} to" in told
    assert "weighted by the people who live there" in told
    predicted = pl.read_parquet(forecasting / f"monthly_predictions/{NEWEST}.parquet")
    predicted = predicted if kind == "nation" else predicted.filter(city_full=name)
    assert found[f"Predicted, {NEWEST}"] == f"${weighted(predicted, 'predicted_price'):,.0f}"
    assert dict(shown.query_params) == {"place": name, "ahead": str(ahead)}


def test_an_area_is_graded_on_the_outcomes_of_its_zips(forecasting):
    rows = forecasts(forecasting).filter(horizon=1)
    prices = pl.read_parquet(forecasting / "price_history.parquet").select("date", "zipcode", "price")
    came = with_people(rows.join(prices.drop_nulls(), on=["date", "zipcode"]))
    sums = [(pl.col(name) * pl.col("people")).sum().alias(name) for name in ("predicted_price", "price")]
    off = came.group_by("origin").agg(*sums).select((100 * (pl.col("predicted_price") / pl.col("price") - 1)).abs())
    shown = open_page("place", {"place": "United States", "ahead": "1"})
    assert figures_of(shown)["Mean error, 1 ahead"] == percent(float(off.to_series().mean()))


def test_addresses_of_before_still_name_a_zip(forecasting):
    zipcode = forecasts(forecasting, NEWEST)["zipcode"].unique().sort()[3]
    shown = open_page("place", {"zip": zipcode})
    assert shown.selectbox(key="zip").value == zipcode
    shown.selectbox(key="zip").set_value("United States").run()
    assert dict(shown.query_params) == {"place": "United States"}
    shown.selectbox(key="zip").set_value(zipcode).run()
    assert dict(shown.query_params) == {"zip": zipcode}


def renamed(store, names: dict[str, str], assets: str) -> None:
    """Give metros of a store other names, in files by month of one asset and in the history of prices."""
    for file in [*(store / assets).glob("*.parquet"), *store.glob("price_history.parquet")]:
        pl.read_parquet(file).with_columns(pl.col("city_full").replace(names)).write_parquet(file)


@pytest.mark.parametrize("name", ["Coeur d'Alene, ID", "Española, NM", "Winston-Salem & <b>Kernersville</b>, NC"])
def test_a_metro_with_an_apostrophe_an_accent_or_marks_is_a_place_on_every_page(changeable, made, name):
    metros = made.read("monthly_predictions", HELD[-1])["city_full"].drop_nulls().unique().sort()
    renamed(changeable, {metros[0]: name}, "monthly_predictions")
    for page, query, box in (
        ("overview", "region", "region"),
        ("map", "zoom", "zoom"),
        ("map", "region", "region"),
        ("place", "place", "zip"),
    ):
        shown = open_page(page, {query: name})
        assert not shown.exception
        assert not shown.error
        assert shown.selectbox(key=box).value == name
    shown = open_page("compare", {"place": name})
    assert not shown.exception
    assert not shown.error
    assert shown.multiselect(key="places").value == [name]


def test_two_metros_of_one_city_s_name_are_told_apart(changeable_forecasts):
    metros = forecasts(changeable_forecasts, NEWEST)["city_full"].drop_nulls().unique().sort().to_list()[:2]
    names = dict(zip(metros, ("Portland, ME", "Portland-Vancouver, OR-WA"), strict=True))
    for assets in ("monthly_predictions", "monthly_forecasts"):
        renamed(changeable_forecasts, names, assets)
    both = list(names.values())
    shown = open_page("compare", {"place": both})
    assert not shown.exception
    assert not shown.error
    table = next(d.value for d in shown.dataframe if "forecast in a year" in d.value.columns)
    assert table["place"].tolist() == both
    assert (
        moves_in_words(pl.DataFrame({"city_full": both, "value": [1.0, 2.0]}))
        == "Portland, ME +1.00%; Portland, OR-WA +2.00%"
    )


@pytest.mark.parametrize("page", ["place", "compare", "map"])
def test_a_zip_that_no_table_knows_is_shown_by_its_number(changeable, page):
    for file in [*(changeable / "monthly_predictions").glob("*.parquet"), changeable / "price_history.parquet"]:
        rows = pl.read_parquet(file)
        lost = pl.col("zipcode") == rows["zipcode"].min()
        rows.with_columns(pl.when(lost).then(pl.lit("00000")).otherwise("zipcode").alias("zipcode")).write_parquet(file)
    query = {"place": {"zip": "00000"}, "compare": {"place": "00000"}, "map": {"level": "zips"}}[page]
    shown = open_page(page, query)
    assert not shown.exception
    assert not shown.error
    assert any("00000" in d.value.to_string() for d in shown.dataframe)


def test_figures_of_areas_are_weighted_means_over_every_row(forecasting):
    rows = forecasts(forecasting, NEWEST).drop("origin")
    # Some zips have no outcome, and one no forecast.
    known = pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("last_known_price") * 1.01)
    rows = with_people(rows).with_columns(known.alias("actual_price"), pl.lit(NEWEST).alias("origin"))
    rows = rows.with_columns(
        pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise("predicted_price").alias("predicted_price")
    )
    table = means_of_areas(rows)
    for name, outcome, own in [
        (None, table.filter(pl.col("city_full").is_null()), rows),
        *((n, table.filter(city_full=n), rows.filter(city_full=n)) for n in rows["city_full"].drop_nulls().unique()),
    ]:
        wanted = own.group_by("horizon").agg(
            weighted_mean(pl.col("predicted_low")).alias("low"),
            weighted_mean(pl.col("predicted_price")).alias("price"),
            matched_outcome(pl.col("predicted_price"), pl.col("actual_price")).alias("actual"),
        )
        joined = outcome.join(wanted, on="horizon", how="full")
        assert joined.height == wanted.height, name
        for ours, theirs in (("predicted_low", "low"), ("predicted_price", "price"), ("actual_price", "actual")):
            assert joined[ours].to_list() == pytest.approx(joined[theirs].to_list(), nan_ok=True), name


def test_zips_are_found_by_their_number():
    zips = pl.Series(["02139", "00000", "99999", "nowhere", None, "-1"])
    weights = with_people(pl.DataFrame({"zipcode": zips}))["people"]
    assert people_of(zips).to_list() == weights.to_list()
    listed = pl.DataFrame({"zipcode": ["02139", "99999"], "city_full": [None, None], "people": [1.0, 1.0]})
    grid = PriceGrid("2020-01", listed, np.array([[1.0, 2.0], [3.0, np.nan]], np.float32))
    days = pl.Series(
        [
            date(2020, 1, 31),
            date(2020, 1, 31),
            date(2020, 2, 29),
            date(2020, 1, 1),
            date(2020, 1, 1),
            date(2019, 12, 31),
        ]
    )
    assert grid.at(zips, days).to_list() == [1.0, None, None, None, None, None]


# ---------------------------------------------------------------- trust


def record(outcomes: int = 20, inside: int = 19, error: float = 1.0, naive: float = 2.0) -> Record:
    return Record(outcomes, error, naive, outcomes, inside)


def test_a_place_with_a_good_record_is_trusted_as_usual():
    assert doubts(record(), 120, 0, False, True) == []
    assert trust_in(record(), []) is Trust.USUAL
    assert in_words(record(), []).startswith("As trustworthy as usual: 19 of 20 earlier 90% intervals held here")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"months": 14}, "Only 14 months of prices are known here."),
        ({"longest_gap": 5}, "Prices of 5 months in a row are missing here."),
        ({"turning": True}, "The market turns"),
        ({"has_interval": False}, "There is no interval"),
        ({"record": record(inside=12)}, "Only 60% of such 90% intervals held here"),
        ({"record": record(error=3.0)}, "Assuming no change was closer here."),
    ],
    ids=["new zip", "gap", "turn", "no interval", "narrow", "no better"],
)
def test_what_speaks_against_a_forecast_is_said(changes, words):
    usual = {"record": record(), "months": 120, "longest_gap": 0, "turning": False, "has_interval": True}
    found = doubts(**{**usual, **changes})
    assert len(found) == 1
    assert found[0].startswith(words)
    assert trust_in(record(), found) is Trust.LIMITED
    assert words in in_words(record(), found)


def test_without_outcomes_trust_is_not_known():
    nothing = Record(0, None, None, 0, 0)
    assert trust_in(nothing, []) is Trust.UNKNOWN
    assert "no earlier forecasts this far ahead have an outcome here" in in_words(nothing, [])


def test_a_market_turns_when_a_quarter_goes_against_its_year():
    rising = [100.0 * 1.01**month for month in range(20)]
    assert not turns(rising)
    assert turns([*rising[:17], *(rising[16] * 0.99**month for month in (1, 2, 3))])
    assert not turns(rising[:10])


def test_a_forecast_says_how_far_to_trust_it_and_on_what_that_rests(forecasting):
    zipcode = forecasts(forecasting, NEWEST)["zipcode"][0]
    shown = open_page("place", {"zip": zipcode, "ahead": "1"})
    assert "rust" in next(m.value for m in shown.markdown if "material/" in m.value)
    assert "Whose forecast" not in texts(shown)
    shown.session_state["trust-behind"] = True
    shown.run()
    assert not shown.exception
    told = texts(shown)
    for words in (f"**{zipcode}, 1 ahead**", "**Whose forecast**", "**Made from** the vintage", "**Revisions**"):
        assert words in told


# ---------------------------------------------------------------- what it costs


def test_a_payment_pays_the_loan_back():
    loan = Loan(down=20, rate=6, years=30)
    # 240,000 dollars at half a percent a month over 360 months.
    assert loan.payment(300_000) == pytest.approx(1_438.92, abs=0.01)
    assert loan.income(300_000) == pytest.approx(1_438.92 * 12 / 0.3, abs=0.5)
    assert Loan(down=0, rate=0, years=10).payment(120_000) == 1_000
    assert Loan(down=100).payment(500_000) == 0
    for wrong in ({"down": 101}, {"rate": -1}, {"years": 0}, {"share": 0}):
        with pytest.raises(ValueError, match="is no loan"):
            Loan(**wrong)


def test_costs_follow_the_price_and_its_interval(forecasting):
    row = forecasts(forecasting, NEWEST).filter(horizon=12).row(0, named=True)
    shown = open_page("place", {"zip": row["zipcode"]})
    loan = Loan()
    assert figures_of(shown)["Payment a month"] == f"${loan.payment(row['predicted_price']):,.0f}"
    told = texts(shown).replace("\\", "")
    low, high = (f"${loan.payment(row[end]):,.0f}" for end in ("predicted_low", "predicted_high"))
    assert f"the payment is {low} to {high} a month" in told
    shown.number_input(key="rate").set_value(0.0).run()
    free = Loan(rate=0.0).payment(row["predicted_price"])
    assert figures_of(shown)["Payment a month"] == f"${free:,.0f}"


# ---------------------------------------------------------------- side by side


def test_places_are_compared_and_the_address_can_be_shared(forecasting):
    zips = forecasts(forecasting, NEWEST)["zipcode"].unique().sort().to_list()[:2]
    shown = open_page("compare")
    shown.multiselect(key="places").set_value([zips[1], "United States", zips[0]]).run()
    shown.selectbox(key="unit").set_value("index").run()
    assert not shown.exception
    assert not shown.error
    assert shown.query_params["place"] == [zips[1], "United States", zips[0]]
    table = next(d.value for d in shown.dataframe if "forecast" in d.value.columns)
    base = shown.selectbox(key="base").value
    at_base = table[table["date"].astype(str).str.startswith(base)]
    assert at_base["value"].tolist() == pytest.approx([100.0] * 3)
    shared = open_page("compare", {"place": [zips[1], "United States", zips[0]], "unit": "index"})
    assert shared.multiselect(key="places").value == [zips[1], "United States", zips[0]]


def test_known_prices_and_forecasts_of_a_comparison_are_those_of_the_store(forecasting):
    own = forecasts(forecasting, NEWEST)
    zipcode = own["zipcode"][0]
    shown = open_page("compare", {"place": [zipcode]})
    table = pl.from_pandas(next(d.value for d in shown.dataframe if "forecast" in d.value.columns))
    path = table.filter("forecast")["value"].to_list()
    assert path == pytest.approx(own.filter(zipcode=zipcode).sort("horizon")["predicted_price"].to_list(), rel=1e-4)
    prices = pl.read_parquet(forecasting / "price_history.parquet").filter(zipcode=zipcode).drop_nulls("price")
    known = table.filter(~pl.col("forecast"))["value"].to_list()
    assert known == pytest.approx(prices.sort("date")["price"].to_list(), rel=1e-4)


def test_nonsense_in_the_address_of_a_comparison_shows_the_default(showing):
    shown = open_page("compare", {"place": ["Atlantis", "<b>"], "unit": "furlongs"})
    assert not shown.exception
    assert len(shown.multiselect(key="places").value) == 2


def test_without_a_place_the_page_asks_for_one(showing):
    shown = open_page("compare")
    shown.multiselect(key="places").set_value([]).run()
    assert not shown.exception
    assert "No place is chosen" in texts(shown)


# ---------------------------------------------------------------- the first page, and sources


def test_the_first_page_answers_three_questions(forecasting):
    shown = open_page()
    told = texts(shown).replace("\\", "")
    rows = pl.read_parquet(forecasting / f"monthly_predictions/{NEWEST}.parquet")
    known = rows.with_columns(price=pl.coalesce("actual_price", "predicted_price"))
    assert f"A home costs **${weighted(known, 'price'):,.0f}** in {NEWEST}" in told
    assert "over the next year" in told
    off = 100 * (rows["predicted_price"] / rows["actual_price"] - 1).abs().mean()  # type: ignore[operator]
    assert f"{NEWEST}: predictions were off by **{percent(float(off))}**" in told
    assert f"The newest month is **{NEWEST}**." in told
    assert "A short tour of the pages" in told


def test_the_next_file_is_expected_after_the_usual_days():
    monthly = [date(2026, 1, 16), date(2026, 2, 16), date(2026, 3, 16)]
    assert next_expected(monthly) == date(2026, 4, 15)
    assert next_expected([date(2026, 3, 16)]) == date(2026, 4, 16)
    assert not is_late(monthly, date(2026, 4, 20))
    assert is_late(monthly, date(2026, 4, 30))
    # Two files of one week are a correction: the next one is not expected a day later.
    assert (next_expected([date(2026, 3, 16), date(2026, 3, 17)]) - date(2026, 3, 17)).days == 7


def test_colours_that_are_too_dark_are_changed_on_a_dark_background():
    frame = pl.DataFrame({"x": ["a"], "y": [1.0]})
    figure = charts.lines(frame, "x", {"y": "Y"})
    charts.for_dark(figure)
    assert figure.data[0].line.color == BLUE_ON_DARK
    behind, least = colours.background(colours.DARK), colours.LEAST_CONTRAST[colours.DARK]
    every = {name: name for name in "abcdefg"}
    series = charts.lines(pl.DataFrame({"x": ["x"], **{name: [1.0] for name in every}}), "x", every)
    charts.for_dark(series)
    rows = {"actual_price": 1e5, "predicted_price": 1e5, "percent": 0.0, "inside": True, "zipcode": "a", "month": "b"}
    points = charts.residuals(pl.DataFrame([rows]))
    charts.for_dark(points)
    assert points.data[0].marker.opacity == 1
    for trace in (*series.data, *points.data):
        assert colours.contrast(colours.rgb(trace.marker.color or trace.line.color), behind) >= least
