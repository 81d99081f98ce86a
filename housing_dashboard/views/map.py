"""The Map page: zips or metros by price, its changes, forecasts and errors; months play, and a click opens a place."""

import polars as pl
import streamlit as st

from housing_assets.core.forecasting.schema import HORIZONS
from housing_assets.core.months import add_months
from housing_assets.core.panel.areas import PEOPLE
from housing_dashboard import charts, data, figures, places_map, shell
from housing_dashboard.measures import CHANGES, MEASURES, Measure, metro_values, zip_values

METROS, ZIPS = "metros", "zips"
LEVELS = {METROS: "Metros", ZIPS: "Zips"}
_ID = {METROS: "city_full", ZIPS: "zipcode"}
COUNTRY = "United States"
# For so long each month is shown while months play.
_SECONDS_A_MONTH = 1.2
# With more of them, dots are smaller, so that they do not hide each other.
_MANY_METROS = 100
# At most so many zips are drawn as dots of so many pixels.
_ZIP_SIZES = ((300, 9.0), (1_500, 6.0), (5_000, 4.5), (10**6, 3.5))
# So many places are named at each end.
_MOST_LISTED = 6
_WIDTH_OF_A_CITY = 90
"""Pixels of its column where the window has no more."""
_PLAYING, _TICKED = "map-playing", "map-ticked"


def page() -> None:
    """The page."""
    shell.header("Map", "Where are homes expensive, where do prices rise or fall, and where is the model wrong?")
    if not data.months_of("monthly_predictions"):
        shell.no_months()
        return
    # On a phone these stand below the map: see the style of the app.
    one, two, three = st.container(key="map-controls").columns(3)
    with one:
        level = shell.choice("Places", list(LEVELS), "level", METROS, format_func=LEVELS.__getitem__)
    with two:
        key = shell.choice("Colour", list(MEASURES), "colour", "price", format_func=lambda m: MEASURES[m].label)
    measure = MEASURES[key]
    with three, shell.guard():
        zoom = _zoom()
    if measure.key == "forecast":
        st.session_state[_PLAYING] = False
    st.session_state[_TICKED] = False
    playing = st.session_state.get(_PLAYING, False)
    st.fragment(run_every=_SECONDS_A_MONTH if playing else None)(_drawn)(level, measure, zoom)


def _drawn(level: str, measure: Measure, zoom: pl.Expr | None) -> None:
    """The slider, the map and the table of one month; all that changes while months play."""
    with shell.guard():
        if measure.key == "forecast":
            _forecast(level, measure, zoom)
        else:
            _month(level, measure, zoom)


def _forecast(level: str, measure: Measure, zoom: pl.Expr | None) -> None:
    """Places by forecast change in price, from the newest origin."""
    ahead = int(shell.choice("Months ahead", [str(h) for h in HORIZONS], "ahead", str(HORIZONS[-1]), st.select_slider))
    origins = data.months_of("monthly_forecasts")
    if not origins:
        shell.empty("No month is forecast yet", "Run `make run`, or `forecast_job` in Dagster.")
        return
    origin = origins[-1]
    read = data.forecast_of_zips(origin, ahead)
    shell.damaged(read.damaged)
    if read.frame.is_empty():
        shell.empty(
            f"No forecast {ahead} months ahead of {origin} can be read",
            "Choose fewer months ahead, or materialize `monthly_forecasts` for it again.",
        )
        return
    span = f"{ahead} months" if ahead > 1 else "one month"
    words = f"the change of prices forecast over {span}, {origin} to {add_months(origin, ahead)}"
    _shown(read.frame, level, measure, zoom, words, f"% in {span}")
    whose = figures.who_forecasts(dict(read.frame.select("horizon", "predictor").unique().iter_rows()))
    st.caption(whose)


def _month(level: str, measure: Measure, zoom: pl.Expr | None) -> None:
    """Places by a measure of one month, which a slider chooses or play advances."""
    graded = data.months_of("monthly_predictions")
    months = graded if measure.graded else data.months_with_prices()
    default = graded[-1]
    _advance(months, default)
    row = st.container(horizontal=True, vertical_alignment="bottom", key="map-month")
    with row:
        month = shell.choice("Month", months, "month", default, st.select_slider, label_visibility="collapsed")
    playing = st.session_state.get(_PLAYING, False)
    pressed = row.button(
        "Pause" if playing else "Play",
        icon=":material/pause:" if playing else ":material/play_arrow:",
        key="map-play",
        help="Show month after month",
    )
    if pressed:
        # The whole page runs again, since the clock of a fragment is set where it is called.
        st.session_state[_PLAYING] = not playing
        st.rerun()
    read = data.month_of_zips(month)
    shell.damaged(read.damaged)
    if read.frame.is_empty():
        shell.empty(
            f"{month} cannot be read", "Choose another month, or materialize `monthly_predictions` for it again."
        )
        return
    values = zip_values(read.frame, measure)
    if values["value"].null_count() == values.height and measure.key in CHANGES:
        before = add_months(month, -CHANGES[measure.key])
        shell.empty("Not known", f"There is no {before} to compare {month} with.")
        return
    _shown(read.frame, level, measure, zoom, f"{measure.label.lower()} in {month}", f"{measure.label}, {month}")
    if month in graded:
        shell.api_link(f"/predictions?month={month}")


def _advance(months: list[str], default: str) -> None:
    """While months play, go to the next one at each turn of the clock, and stop at the last."""
    if not st.session_state.get(_PLAYING, False):
        return
    if not st.session_state.get(_TICKED, False):
        # The first turn shows the month that is chosen; play begins anew from the last one.
        st.session_state[_TICKED] = True
        if st.session_state.get("month", default) == months[-1]:
            st.session_state["month"] = months[max(0, len(months) - 37)]
        return
    held = st.session_state.get("month", default)
    at = months.index(held) + 1 if held in months else 0
    if at >= len(months):
        st.session_state[_PLAYING] = False
        st.rerun()
    st.session_state["month"] = months[at]


def _shown(rows: pl.DataFrame, level: str, measure: Measure, zoom: pl.Expr | None, words: str, title: str) -> None:
    """The map, its figures, and the zips of a metro below it."""
    inside = None if zoom is None else rows.filter(zoom)
    shown = rows if inside is None else inside
    places = _zips(rows, measure, _zip_size(shown.height)) if level == ZIPS else _metros(rows, measure)
    theme = st.context.theme.type or "light"
    drawn = charts.place_map(
        places, title, measure.unit, measure.diverging, theme, level == ZIPS or zoom is not None, inside
    )
    sentence = _sentence(places, level, measure, words)
    table = places.select(_TABLE[level]).sort("value", descending=True, nulls_last=True)
    if level == METROS and measure.key == "forecast":
        table = table.rename({"value": "change"}).select("city_full", "zips", "change")
    number = st.column_config.NumberColumn(
        measure.label, format="dollar" if measure.unit == "$" else "%.2f%%", step=1 if measure.unit == "$" else None
    )
    left, right = st.columns([4, 1])
    with left:
        places_map.show(drawn, sentence, "map", _clicked)
        shell.below_chart(sentence, table, "map", {"value": number})
    with right:
        _ends(places if inside is None else places.join(inside, on=_ID[level], how="semi"), level, measure)
    chosen = st.session_state.pop("map-clicked", None)
    if chosen is not None:
        st.switch_page("views/place.py", query_params=_address(level, chosen))
    with st.container(key="map-below"):
        _metro_table(rows, measure)


def _address(level: str, name: str) -> dict[str, str]:
    """What the address of the Place page has of a place on the map."""
    # The name of a zip ends with its number.
    return {"zip": name.rpartition(" ")[2]} if level == ZIPS else {"place": name}


def _ends(places: pl.DataFrame, level: str, measure: Measure) -> None:
    """The places with the highest and the lowest figures, with links to their pages."""
    order = places.drop_nulls("value").sort("value", "name", descending=[True, False])
    most = min(_MOST_LISTED, order.height // 2)
    if not most:
        return
    for title, part in (("Highest", order.head(most)), ("Lowest", order.tail(most).reverse())):
        st.markdown(f"**{title}**")
        with st.container(gap=None, key=f"map-{title.casefold()}"):
            for name, value in part.select("name", "value").iter_rows():
                label = f"{_written(value, measure)} {name}".replace("$", r"\$")
                st.page_link("views/place.py", label=label, query_params=_address(level, name))


def _written(value: float, measure: Measure) -> str:
    """A figure in words."""
    return f"${value:,.0f}" if measure.unit == "$" else figures.percent(value, signed=measure.diverging)


_TABLE = {
    METROS: ["city_full", "zips", PEOPLE, "value"],
    ZIPS: ["zipcode", "city", "state", "city_full", "value"],
}


def _zip_size(shown: int) -> float:
    """Pixels of a zip's dot, so small that so many of them do not hide each other."""
    return next(size for most, size in _ZIP_SIZES if shown <= most)


def _zips(rows: pl.DataFrame, measure: Measure, size: float) -> pl.DataFrame:
    values = zip_values(rows, measure)
    city = pl.concat_str(pl.col("city"), pl.lit(", "), pl.col("state"))
    return values.with_columns(
        pl.concat_str(pl.coalesce(city, pl.col("city_full"), pl.lit("no metro")), pl.lit(" "), "zipcode").alias("name"),
        pl.lit(size).alias("size"),
    )


def _metros(rows: pl.DataFrame, measure: Measure) -> pl.DataFrame:
    values = metro_values(rows, measure)
    smallest = 10.0 if values.height <= _MANY_METROS else 5.0
    placed = values.join(data.place_metros(values["city_full"].to_list()), on="city_full", how="left")
    # The area of a dot follows the people who live there.
    size = smallest + (pl.col(PEOPLE).sqrt() / 130).clip(0, 26)
    return placed.with_columns(pl.col("city_full").alias("name"), size.round(1).alias("size")).sort(
        PEOPLE, descending=True
    )


def _zoom() -> pl.Expr | None:
    """Which zips the map is zoomed to; None for the whole country."""
    states, metros = data.areas_of_newest_month()
    chosen = shell.choice("Zoom to", [COUNTRY, *states, *metros], "zoom", COUNTRY, filter_mode="contains")
    if chosen == COUNTRY:
        return None
    return pl.col("state") == states[chosen] if chosen in states else pl.col("city_full") == chosen


def _sentence(places: pl.DataFrame, level: str, measure: Measure, words: str) -> str:
    """What the map shows: how many places, the lowest and the highest, and what it cannot show."""
    unplaced = places.filter(pl.col("x").is_null()).height
    unknown = places.filter(pl.col("x").is_not_null() & pl.col("value").is_null()).height
    drawn = places.drop_nulls(["x", "value"]).sort("value")
    what = "each area a metro" if level == METROS else "each dot a zip"
    sentence = f"{drawn.height:,} {level}, {words}: {what}."
    if drawn.height:
        low, high = (f"{r['name']} ({_written(r['value'], measure)})" for r in drawn[[0, -1]].iter_rows(named=True))
        sentence += f" From {low} to {high}."
    if level == METROS:
        sentence += " Figures of a metro are means of its zips, weighted by the people who live there."
    if unplaced:
        sentence += f" {unplaced:,} without a place on the map {'is' if unplaced == 1 else 'are'} in the table alone."
    if unknown:
        sentence += f" {unknown:,} {'has' if unknown == 1 else 'have'} no such figure."
    return sentence


def _clicked() -> None:
    """Remember the name of the place that was clicked, which the page then opens."""
    name = places_map.opened("map")
    if name is not None:
        st.session_state["map-clicked"] = name


def _metro_table(rows: pl.DataFrame, measure: Measure) -> None:
    """The zips of a metro, as a table, with links to their pages."""
    metros = rows["city_full"].drop_nulls().unique().sort().to_list()
    if not metros:
        return
    st.subheader("The zips of a metro", anchor=False)
    region = shell.choice("Metro", metros, "region", metros[0], filter_mode="contains")
    of_metro = rows.filter(city_full=region)
    kept = ["zipcode", "city", "price", "predicted_price", "predicted_low", "predicted_high"]
    table = zip_values(of_metro, measure).select(*kept, "value").sort("value", descending=True, nulls_last=True)
    if measure.key == "price":
        table = table.drop("value")
    number = st.column_config.NumberColumn(measure.label, format="%.2f%%")
    # So many columns fit on a phone. The downloads have all of them.
    ending = ["value"] if "value" in table.columns else ["predicted_low", "predicted_high"]
    city = st.column_config.TextColumn("City", width=_WIDTH_OF_A_CITY)
    shown = table.select("zipcode", "city", "price", *ending)
    shell.frame(shown, "zips", f"Zips of {region}", value=number, city=city)
    shell.downloads(table, "zips", "zips")
    one, two = st.columns(2)
    with one:
        st.page_link("views/place.py", label=f"{region} on Place", query_params={"place": region}, icon=shell.LINK)
    with two:
        st.page_link(
            "views/overview.py", label=f"{region} on Overview", query_params={"region": region}, icon=shell.LINK
        )


page()
