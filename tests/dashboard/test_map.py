"""The map: where places are drawn, in which colours, and what the page says of them."""

import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest
from dashboard_fixtures import header_of, open_page, texts
from platform_fixtures import HELD
from streamlit.testing.v1 import AppTest

from housing_assets.core.months import add_months
from housing_assets.core.panel.areas import with_people
from housing_assets.core.panel.places import find_area, metros, state_names, zip_table
from housing_dashboard import outlines
from housing_dashboard.charts import colours
from housing_dashboard.charts.map import nice_end, percent_scale, place_map
from housing_dashboard.charts.projection import EXTENT, project
from housing_dashboard.data import place_metros
from housing_dashboard.measures import MEASURES, metro_values, zip_values
from housing_dashboard.outlines.make_areas import inside, merged
from housing_dashboard.places_map import encoded

NEWEST = HELD[-1]


def table_of(shown: AppTest, *columns: str) -> pl.DataFrame:
    """The first table of a page that has certain columns."""
    return pl.from_pandas(next(d.value for d in shown.dataframe if set(columns) <= set(d.value.columns)))


def borders(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The borders of states or counties in kilometres, as one line with a gap (NaN) after each."""
    table = pl.read_parquet(Path(outlines.__file__).with_name(outlines.OUTLINES)).filter(kind=kind)
    gap = pl.lit([None], dtype=pl.List(pl.Int16))
    x, y = (table.select(pl.col(axis).list.concat(gap).explode())[axis].cast(pl.Float64) / 10 for axis in ("x", "y"))
    return x.to_numpy(), y.to_numpy()


def caption_of(shown: AppTest) -> str:
    return next(c.value for c in shown.caption if "each dot" in c.value or "each area" in c.value)


def test_distances_on_the_map_are_those_of_the_globe():
    # Boston to New York is 306 km, Los Angeles to San Francisco 559 km, Honolulu to Hilo 340 km.
    longitude = np.array([-71.06, -74.01, -118.24, -122.42, -157.86, -155.08])
    latitude = np.array([42.36, 40.71, 34.05, 37.77, 21.31, 19.71])
    x, y = project(longitude, latitude)
    distances = np.hypot(x[::2] - x[1::2], y[::2] - y[1::2])
    assert distances == pytest.approx([306, 559, 340], rel=0.02)


def test_every_state_is_within_the_map_and_far_territories_are_not_on_it():
    table = zip_table().drop_nulls("latitude")
    x, y = project(table["longitude"].to_numpy(), table["latitude"].to_numpy())
    off = table.filter(pl.Series(np.isnan(x)) & (pl.col("population") > 0))["state"].unique()
    assert set(off) <= {"GU", "AS", "MP"}
    placed = ~np.isnan(x) & (table["population"] > 0).to_numpy()
    (left, right), (low, high) = EXTENT
    assert left < x[placed].min()
    assert x[placed].max() < right
    assert low < y[placed].min()
    assert y[placed].max() < high


@pytest.mark.parametrize("state", ["AK", "HI", "PR", "TX"])
def test_zips_lie_within_the_outline_of_their_state(state):
    zips = zip_table().drop_nulls("latitude").filter(state=state)
    x, y = project(zips["longitude"].to_numpy(), zips["latitude"].to_numpy())
    border_x, border_y = borders(outlines.STATE)
    # Every zip has a border of a state to its left, right, above and below, within the extent of its inset.
    near = np.hypot(border_x[:, None] - x[None, ::40], border_y[:, None] - y[None, ::40])
    assert np.nanmin(near, axis=0).max() < 600


def test_outlines_are_small_and_have_gaps_between_borders():
    assert sum(len(borders(kind)[0]) for kind in (outlines.STATE, outlines.COUNTY)) < 60_000
    x, y = borders(outlines.STATE)
    assert np.array_equal(np.isnan(x), np.isnan(y))
    assert np.isnan(x[-1])


def test_the_picture_of_the_outlines_has_every_border_where_it_lies():
    x, y = borders(outlines.STATE)
    drawn = outlines.drawing(outlines.STATE, "#123456")
    assert (drawn.left, drawn.top) == pytest.approx((np.nanmin(x), np.nanmax(y)))
    assert (drawn.width, drawn.height) == pytest.approx((np.nanmax(x) - drawn.left, drawn.top - np.nanmin(y)))
    address, svg = unquote(drawn.source).split(",", 1)
    assert address == "data:image/svg+xml"
    assert 'stroke="#123456"' in svg
    assert svg.count("M") == np.isnan(x).sum()
    # The first border begins and ends where it does in the picture, whose unit is a tenth of a kilometre.
    begin, steps = re.search(r"M([^l]+)l([^M\"]+)", svg).groups()  # type: ignore[union-attr]
    path = np.cumsum([np.array(begin.split(), int), *np.array(steps.split(), int).reshape(-1, 2)], axis=0) / 10
    own = int(np.flatnonzero(np.isnan(x))[0])
    assert drawn.left + path[:, 0] == pytest.approx(x[:own])
    assert drawn.top - path[:, 1] == pytest.approx(y[:own])


def test_areas_are_all_metros_that_have_counties_and_the_rest_of_each_state():
    here = {area.cbsa for area in metros().values() if area.latitude is not None} & outlines.areas()
    assert len(here) > 0.95 * len(metros())
    assert {area for area in outlines.areas() if not area.isdigit()} <= set(state_names())
    size = sum((Path(outlines.__file__).parent / name).stat().st_size for name in (outlines.AREAS, outlines.POINTS))
    assert size < 300_000


@pytest.mark.parametrize("metro", ["New York-Newark-Jersey City", "Seattle-Tacoma-Bellevue", "Flagstaff, AZ"])
def test_the_zips_of_a_metro_lie_in_its_area(metro):
    area = find_area(metro)
    assert area is not None
    zips = zip_table().drop_nulls("latitude").filter(pl.col("cbsa") == area.cbsa, pl.col("population") > 0)
    x, y = project(zips["longitude"].to_numpy(), zips["latitude"].to_numpy())
    rings = pl.read_parquet(Path(outlines.__file__).with_name(outlines.AREAS)).filter(area=area.cbsa)
    shape = [(np.array(a) / 10, np.array(b) / 10) for a, b in rings.select("x", "y").iter_rows()]
    people = zips["population"].to_numpy()
    assert people[inside(shape, x, y)].sum() > 0.95 * people.sum()
    points = outlines.points().filter(area=area.cbsa)
    assert points.height
    assert inside(shape, points["x"].to_numpy(), points["y"].to_numpy()).all()


def test_shapes_that_touch_are_merged_without_the_border_between_them():
    # Two squares beside each other: arcs 0 and 2 are their outer sides, arc 1 the side that both have.
    ends = [((1, 0), (1, 1)), ((1, 0), (1, 1)), ((1, 1), (1, 0))]
    left = {"type": "Polygon", "arcs": [[0, ~1]]}
    right = {"type": "MultiPolygon", "arcs": [[[1, 2]]]}
    assert [sorted(ring) for ring in merged([left, right], ends)] == [[0, 2]]
    assert sorted(sorted(ring) for ring in merged([left], ends)) == [[~1, 0]]


def test_an_area_is_painted_in_the_colour_of_its_figure_and_answers_where_it_lies():
    names = ["New York-Newark-Jersey City", "Texas (no metro)", "nowhere"]
    dollars = pl.Series("value", [1_000_000.0, 100_000.0, 300_000.0])
    placed = place_metros(names).with_columns(
        dollars, name="city_full", size=5.0, predicted_low=1.0, predicted_high=2.0
    )
    shown = placed.with_columns(x=pl.col("x").fill_null(0.0), y=pl.col("y").fill_null(0.0))
    drawn = place_map(shown, "price", "$", False, colours.LIGHT, False)
    svg = unquote(drawn.header["pictures"][0]["source"])
    shades = [colours.SEQUENTIAL[colours.LIGHT][at] for at in (-1, 0)]
    assert re.findall(r'fill="(#\w+)"', svg) == shades
    assert colours.written(drawn.colours[:2, :3]) == shades
    assert {drawn.places["name"][place] for place in drawn.within["place"]} == set(names[:2])
    assert [size > 0 for size in drawn.places["size"]] == [False, False, True]


@pytest.mark.parametrize("unit", ["$", "%"])
def test_what_the_browser_gets_has_every_place_with_its_figures(unit):
    """Arrays after a header: a name may have accents, and an interval may not be known."""
    places = pl.DataFrame(
        {
            "name": ["Española, NM 87532", "O'Fallon, IL 62269", "nowhere"],
            "x": [-1.5, 2.0, None],
            "y": [0.5, -3.0, None],
            "value": [250_000.0, 500_000.0, 1.0],
            "predicted_low": [None, 450_000.0, 1.0],
            "predicted_high": [None, 550_000.0, 1.0],
        }
    ).with_columns(size=3.5)
    sent = encoded(place_map(places, "price", unit, False, colours.LIGHT, True), "what it shows")
    header = header_of(sent)
    assert (header["count"], header["words"], header["unit"]) == (2, "what it shows", unit)
    begin = 4 + int.from_bytes(sent[:4], "little")
    assert begin % 4 == 0
    x, y, size, value, low, high = np.frombuffer(sent, "<f4", 12, begin).reshape(6, 2)
    assert (x.tolist(), y.tolist(), size.tolist()) == ([-1.5, 2.0], [0.5, -3.0], [3.5, 3.5])
    assert value.tolist() == [250_000, 500_000]
    assert np.isnan(low[0])
    assert (low[1], high[1]) == (450_000, 550_000)
    assert sent[begin + 12 * 4 + 8 :].decode().split("\n") == places["name"].to_list()[:2]


@pytest.mark.parametrize("price", [500_000.0, 1_000.0, 1e9])
def test_areas_that_all_have_one_price_have_one_colour(price):
    """A round price, one below the scale and one above it."""
    names = ["New York-Newark-Jersey City", "Texas (no metro)"]
    placed = place_metros(names).with_columns(
        pl.lit(price).alias("value"), name="city_full", size=5.0, predicted_low=1.0, predicted_high=2.0
    )
    drawn = place_map(placed, "price", "$", False, colours.LIGHT, False)
    (shade,) = set(re.findall(r'fill="(#\w+)"', unquote(drawn.header["pictures"][0]["source"])))
    assert re.fullmatch("#[0-9a-f]{6}", shade)


@pytest.mark.parametrize("theme", [colours.LIGHT, colours.DARK])
@pytest.mark.parametrize("scale", [colours.SEQUENTIAL, colours.DIVERGING], ids=["sequential", "diverging"])
def test_points_stand_out_from_the_background(theme, scale):
    behind = colours.background(theme)
    assert min(colours.contrast(c, behind) for c in colours.blends(scale[theme])) >= colours.LEAST_CONTRAST[theme]


def test_a_scale_of_changes_is_centred_on_zero_and_ends_at_a_round_value():
    scale = percent_scale(np.array([-1.0, 6.7]), diverging=True)
    assert (scale.low, scale.high) == (-10, 10)
    assert [word for _, word in scale.ticks] == ["-10%", "-5%", "0%", "+5%", "+10%"]
    assert [nice_end(v) for v in (0.4, 1, 1.1, 9, 0)] == pytest.approx([0.5, 1, 2, 10, 1])


def test_metros_are_means_weighted_by_people():
    rows = with_people(pl.DataFrame({"zipcode": ["02139", "02142", "00001"], "city_full": ["B", "B", "B"]}))
    people = rows["people"].to_list()
    assert people[0] > people[1] > people[2] == 1
    dollars = {"price": [900.0, None, 100.0], "before_1": [600.0, 1.0, None], "predicted_low": [1.0] * 3}
    rows = rows.with_columns(
        **{k: pl.Series(v, dtype=pl.Float64) for k, v in dollars.items()}, predicted_high=pl.lit(2.0)
    )
    rows = rows.with_columns(predicted_price=pl.col("price"), actual_price=pl.col("price"))
    mean = metro_values(rows, MEASURES["price"])
    assert mean["value"][0] == pytest.approx((900 * people[0] + 100) / (people[0] + 1))
    # Only the first zip has both prices.
    assert metro_values(rows, MEASURES["change1"])["value"][0] == pytest.approx(50)
    assert zip_values(rows, MEASURES["change1"])["value"].to_list() == [pytest.approx(50), None, None]


@pytest.mark.parametrize("level", ["metros", "zips"])
@pytest.mark.parametrize("colour", [key for key in MEASURES if key != "forecast"])
def test_every_colour_shows_the_figures_of_the_store(showing, made, level, colour):
    month = HELD[0]
    shown = open_page("map", {"colour": colour, "month": month, "level": level})
    assert not shown.exception
    assert not shown.error
    rows = made.read("monthly_predictions", month)
    assert caption_of(shown).split(" ")[1].rstrip(",") == level
    if level == "zips":
        table = table_of(shown, "city", "value")
        row = table.drop_nulls("value").row(0, named=True)
        own = rows.filter(zipcode=row["zipcode"]).row(0, named=True)
        back = {"change1": 1, "change3": 3, "change": 12}.get(colour)
        wanted = {
            "price": own["actual_price"],
            "error": 100 * abs(own["predicted_price"] / own["actual_price"] - 1),
            "bias": 100 * (own["predicted_price"] / own["actual_price"] - 1),
            "width": 100 * (own["predicted_high"] - own["predicted_low"]) / own["predicted_price"],
        }
        if back:
            before = made.read("cleaned", add_months(month, -back)).filter(zipcode=row["zipcode"])["price"][0]
            wanted[colour] = 100 * (own["actual_price"] / before - 1)
        assert row["value"] == pytest.approx(wanted[colour], rel=1e-4)


def test_months_before_the_predictions_have_prices_but_no_errors(showing):
    before = add_months(HELD[0], -1)
    assert f"price in {before}" in caption_of(open_page("map", {"month": before}))
    assert f"in {NEWEST}" in caption_of(open_page("map", {"month": before, "colour": "error"}))


def test_a_zip_without_a_place_is_in_the_table_and_counted(changeable):
    file = changeable / f"monthly_predictions/{NEWEST}.parquet"
    rows = pl.read_parquet(file)
    moved = rows.with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("00000")).otherwise("zipcode").alias("zipcode")
    )
    moved.write_parquet(file)
    shown = open_page("map", {"level": "zips"})
    assert not shown.exception
    (unplaced,) = re.findall(r"(\d+) without a place on the map", caption_of(shown))
    assert int(unplaced) == rows.height - rows["zipcode"][1:].is_in(zip_table()["zipcode"].implode()).sum()
    assert "00000" in table_of(shown, "city", "value")["zipcode"].to_list()


def test_zoom_is_in_the_address_and_nonsense_shows_the_country(showing, made):
    metro = made.read("monthly_predictions", NEWEST)["city_full"].drop_nulls()[0]
    shown = open_page("map", {"zoom": metro})
    assert not shown.exception
    assert shown.selectbox(key="zoom").value == metro
    assert open_page("map", {"zoom": "O'Fallon, Ñowhere"}).selectbox(key="zoom").value == "United States"


def test_play_goes_from_month_to_month_and_stops_at_the_last(showing):
    shown = open_page("map", {"month": HELD[-2], "colour": "error"})
    shown.button(key="map-play").click().run()
    assert shown.button(key="map-play").label == "Pause"
    assert shown.query_params["month"] == HELD[-2]
    # AppTest has no clock: a turn of it is told apart from a new start by this mark.
    assert shown.session_state["map-ticked"]
    shown.button(key="map-play").click().run()
    assert shown.button(key="map-play").label == "Play"


def test_a_map_without_predictions_says_what_to_run(showing, monkeypatch, tmp_path):
    monkeypatch.setenv("HOUSING_STORE_URI", str(tmp_path / "empty"))
    shown = open_page("map")
    assert not shown.exception
    assert "No month is predicted yet" in texts(shown)
