"""The dashboard in a real browser, over a running API: what people do with it."""

import contextlib
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from dashboard_fixtures import CHROMIUM, PAGES, dashboard
from platform_fixtures import HELD, LONG, free_port
from playwright.sync_api import Browser, Page, expect, sync_playwright
from serving_fixtures import process

from housing_assets.core.panel.schema import BY_NAME
from housing_assets.store.pointers import champion_version
from housing_dashboard.figures import percent

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="this machine has no chromium (apt-get install chromium)")
WAIT = 180_000
"""Milliseconds that something may take to appear on a busy machine."""
expect.set_options(timeout=WAIT)
LIST_PRICE = "{0.description} ({0.unit})".format(BY_NAME["median_list_price"])
TITLES = dict(zip(PAGES, ("Overview", "Map", "Place", "Compare", "What if", "Model", "Data health"), strict=True))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def api_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def address(made, api_port, tmp_path_factory) -> Iterator[str]:
    """The dashboard's; it looks for the API on a port where none is yet."""
    env = {"HOUSING_API_URL": f"http://127.0.0.1:{api_port}", "HOUSING_API_SECONDS": "10"}
    with dashboard(made.folder, tmp_path_factory.mktemp("dashboard"), **env) as (_, url):
        yield url


@contextlib.contextmanager
def opened(browser: Browser, address: str, **context) -> Iterator[Page]:
    """A page whose every request must stay on this machine."""
    with browser.new_context(**context) as own:
        page = own.new_page()
        page.set_default_timeout(WAIT)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        yield page
        assert page.get_by_test_id("stException").count() == 0
        assert {urlsplit(url).hostname for url in asked} <= {"127.0.0.1", None}


@pytest.fixture
def page(browser, address) -> Iterator[Page]:
    with opened(browser, address) as page:
        yield page


def figure(page: Page, label: str) -> str:
    """A headline figure, once it is drawn."""
    metric = page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True))
    expect(metric).to_have_count(1, timeout=WAIT)
    return metric.get_by_test_id("stMetricValue").inner_text().strip()


def settled(page: Page) -> None:
    """Until nothing is being computed."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible(timeout=WAIT)


def choose(page: Page, label: str, option: str) -> None:
    """Choose by keyboard alone."""
    page.get_by_role("combobox", name=re.compile(label)).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.type(option)
    page.keyboard.press("Enter")
    settled(page)


def names_for_a_screen_reader(page: Page) -> dict[str, list[str]]:
    """The names of controls and charts by role, as a screen reader is told them."""
    roles = ("button", "link", "combobox", "spinbutton", "slider", "switch", "figure")
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, list[str]] = {role: [] for role in roles}
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in named and not node["ignored"]:
            named[role].append(node.get("name", {}).get("value", "").strip())
    return named


def assert_all_is_named(page: Page) -> None:
    """Each chart and each control has a name for a screen reader, in every tab of the page."""
    tabs = page.get_by_role("tab").all()
    for tab in tabs:
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true", timeout=WAIT)
        assert_what_is_seen_is_named(page)
    if not tabs:
        assert_what_is_seen_is_named(page)


def assert_what_is_seen_is_named(page: Page) -> None:
    charts = page.locator("[data-testid=stPlotlyChart], .places-map").filter(visible=True)
    named, seen = names_for_a_screen_reader(page), charts.count()
    # A chart is there, and then has its name, once it is drawn, which is after the script of the page has ended.
    for _ in range(WAIT // 500):
        if len(named["figure"]) == seen:
            break
        page.wait_for_timeout(500)
        named, seen = names_for_a_screen_reader(page), charts.count()
    assert len(named["figure"]) == seen
    assert [role for role, names in named.items() if "" in names] == []


def mean_error(rows: pl.DataFrame) -> str:
    off = (rows["predicted_price"] / rows["actual_price"] - 1).abs().mean()
    return percent(100 * float(off))  # type: ignore[arg-type]


def test_filters_by_keyboard_give_an_address_that_can_be_shared(page, browser, made):
    rows = made.read("monthly_predictions", HELD[0])
    region = rows["city_full"].drop_nulls().sort()[0]
    figure(page, "MAE")
    choose(page, "Month", HELD[0])
    choose(page, "Region", region)
    wanted = mean_error(rows.filter(city_full=region).drop_nulls("actual_price"))
    expect(page.locator(".st-key-figures-headline").get_by_test_id("stMetric").first).to_contain_text(wanted)
    assert parse_qs(urlsplit(page.url).query) == {"month": [HELD[0]], "region": [region]}
    with opened(browser, page.url) as shared:
        for label in ("Mean % error", "MAE", "RMSE", "Within 1%", "Interval coverage"):
            assert figure(shared, label) == figure(page, label)
        shared.reload()
        assert figure(shared, "Mean % error") == wanted


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_a_download_has_the_rows_and_figures_of_the_store(page, made, tmp_path, kind):
    shown = figure(page, "MAE")
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=kind, exact=True).click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    text = {"zipcode": pl.String}
    rows = pl.read_csv(file, schema_overrides=text, try_parse_dates=True) if kind == "CSV" else pl.read_parquet(file)
    stored = made.read("monthly_predictions", HELD[-1]).sort("zipcode")
    assert rows.select(stored.columns).equals(stored)
    known = rows.drop_nulls("actual_price")
    assert shown == f"${(known['predicted_price'] - known['actual_price']).abs().mean():,.0f}"


def test_a_metro_that_is_clicked_on_the_map_opens_as_a_place(page, made):
    page.get_by_role("link", name="Map").click()
    expect(page.locator(".places-map .dots")).to_be_visible(timeout=WAIT)
    settled(page)
    metros = made.read("monthly_predictions", HELD[-1])["city_full"].drop_nulls().unique().to_list()
    # As many dots as metros, each with a place; the second lies where the page says.
    drawn = "document.querySelector('.places-map').map"
    page.wait_for_function(f"{drawn} && {drawn}.width > 0", timeout=WAIT)
    assert page.evaluate(f"{drawn}.count") == len(metros)
    name = page.evaluate(f"{drawn}.shown.name(1)")
    box = page.locator(".places-map .plot").bounding_box()
    across, down = page.evaluate(f"{drawn}.place(1)")
    at = (box["x"] + across, box["y"] + down)
    page.mouse.move(*at)
    expect(page.locator(".places-map .hover")).to_contain_text(name, timeout=WAIT)
    # It zooms by wheel, button and key, and the dot moves away from under the mouse.
    page.locator(".places-map .plot").focus()
    page.keyboard.press("+")
    page.get_by_role("button", name="Zoom in").click()
    assert page.evaluate(f"{drawn}.zoom") > 2
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as PNG").click()
    assert download.value.suggested_filename.endswith(".png")
    page.get_by_role("button", name="As at first").click()
    assert page.evaluate(f"{drawn}.place(1)") == pytest.approx([across, down])
    page.mouse.click(*at)
    expect(page.get_by_role("heading", name="Place", exact=True)).to_be_visible(timeout=WAIT)
    settled(page)
    assert parse_qs(urlsplit(page.url).query)["place"] == [name]


def test_months_play_to_the_last_one(browser, address):
    with opened(browser, f"{address}/map?colour=error&month={HELD[0]}") as page:
        expect(page.locator(".places-map .dots")).to_be_visible(timeout=WAIT)
        settled(page)
        page.get_by_role("button", name="Play").click()
        expect(page).to_have_url(re.compile(f"month={HELD[1]}"), timeout=WAIT)
        # The last month is the default, which no address names.
        expect(page.get_by_text(f"in {HELD[-1]}: each area a metro")).to_be_visible(timeout=WAIT)
        expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=WAIT)


def test_what_if_follows_each_change_and_outlives_the_api(page, made, api_port, tmp_path):
    page.get_by_role("link", name="What if").click()
    expect(page.get_by_text("No live prediction")).to_be_visible(timeout=WAIT)
    env = {"HOUSING_API_PORT": str(api_port), "HOUSING_LEAVE_SECONDS": "0"}
    with process(str(made.folder), tmp_path, **env):
        page.get_by_role("button", name="Try again").click()
        before = figure(page, "Live prediction")
        field = page.get_by_role("spinbutton", name=LIST_PRICE)
        field.fill("4000000")
        field.press("Enter")
        expect(page.get_by_text(before, exact=True)).to_have_count(0, timeout=WAIT)
        changed = figure(page, "Live prediction")
        assert changed != before
        expect(page.get_by_text("From the average home to this one.").first).to_be_visible()
    field.fill("300000")
    field.press("Enter")
    expect(page.get_by_text("No live prediction")).to_be_visible(timeout=WAIT)
    # What is stored is shown all the same.
    page.get_by_role("link", name="Overview").click()
    figure(page, "MAE")
    page.get_by_role("link", name="What if").click()
    with process(str(made.folder), tmp_path, **env):
        page.get_by_role("button", name="Try again").click()
        assert figure(page, "Live prediction") == before


@pytest.mark.parametrize("page_name", PAGES)
def test_every_page_fits_a_phone_and_a_dark_theme(browser, address, made, page_name):
    path = "" if page_name == "overview" else page_name
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    with opened(browser, f"{address}/{path}", **phone) as page:
        expect(page.get_by_role("heading", name=TITLES[page_name], exact=True)).to_be_visible(timeout=WAIT)
        expect(page.get_by_text(champion_version(made.store)).first).to_be_visible()
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        red, green, blue = re.findall(
            r"\d+", page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
        )[:3]
        assert max(map(int, (red, green, blue))) < 60
        assert_all_is_named(page)
        # The order of focus is that of the page.
        assert page.evaluate("[...document.querySelectorAll('[tabindex]')].filter(e => e.tabIndex > 0).length") == 0


def test_an_address_opened_first_after_a_start_is_the_app_s_and_names_a_bad_value(browser, made, tmp_path):
    # Streamlit takes a folder `pages` beside the app for its pages until the app has run once.
    with (
        dashboard(made.folder, tmp_path, HOUSING_API_SECONDS="soon") as (_, url),
        opened(browser, f"{url}/map") as page,
    ):
        told = page.get_by_text("The dashboard cannot start: HOUSING_API_SECONDS='soon'")
        expect(told).to_be_visible(timeout=WAIT)
        expect(page.get_by_role("link", name="Data health")).to_be_visible()


@pytest.fixture(scope="module")
def forecasting(grown, browser, tmp_path_factory) -> Iterator[str]:
    """The address of a dashboard over a store with forecasts."""
    with dashboard(grown.folder, tmp_path_factory.mktemp("forecasting")) as (_, url):
        # What someone sees whose link is the first that a new process gets.
        with opened(browser, f"{url}/place") as first:
            expect(first.get_by_role("link", name="Overview")).to_be_visible(timeout=WAIT)
            expect(first.get_by_role("link", name="Data health")).to_be_visible()
        yield url


def traces(page: Page) -> dict[str, list]:
    """Names and values across of the lines of the first chart, once it is drawn."""
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=WAIT)
    settled(page)
    drawn = "document.querySelector('.js-plotly-plot').data.map(line => [line.name || 'mark', Array.from(line.y)])"
    return {name: values for name, values in page.evaluate(drawn) if name}


def test_the_fan_opens_with_the_horizon_and_the_months_ahead_are_in_the_address(browser, forecasting, grown):
    with opened(browser, f"{forecasting}/place") as page:
        zipcode = grown.read("monthly_forecasts", LONG["panel_end"])["zipcode"][0]
        own = grown.read("monthly_forecasts", LONG["panel_end"]).filter(zipcode=zipcode)
        drawn = traces(page)
        assert drawn["forecast"] == pytest.approx([own["last_known_price"][0], *own["predicted_price"]])
        width = [high - low for low, high in own.select("predicted_low", "predicted_high").iter_rows()]
        assert width == sorted(width)
        assert drawn["90% interval"][1:] == pytest.approx(own["predicted_low"].to_list())
        assert drawn["mark"][-1] == pytest.approx(own["predicted_price"][-1])
        # Every other origin's path, from its own last known price on.
        assert len([price for price in drawn["forecasts from other months"] if price]) == 5 * 13
        choose(page, "Months ahead", "3")
        ahead = own.filter(horizon=3)["predicted_price"][0]
        expect(page.get_by_text(f"${ahead:,.0f}", exact=True).first).to_be_visible(timeout=WAIT)
        assert parse_qs(urlsplit(page.url).query) == {"ahead": ["3"]}
        assert traces(page)["mark"][-1] == pytest.approx(ahead)
        with opened(browser, page.url) as shared:
            assert figure(shared, "Forecast, 2020-09") == f"${ahead:,.0f}"


@pytest.mark.parametrize("path", ["place?ahead=3", "map?colour=forecast", "model", "health"])
def test_pages_of_forecasts_fit_a_phone_and_a_dark_theme(browser, forecasting, path):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    with opened(browser, f"{forecasting}/{path}", **phone) as page:
        expect(page.locator(".js-plotly-plot .main-svg, .places-map .dots").first).to_be_visible(timeout=WAIT)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        cut = (
            "[...document.querySelectorAll('[data-testid=stMetricValue] *')].filter(e => e.scrollWidth > e.clientWidth)"
        )
        assert page.evaluate(f"{cut}.map(e => e.innerText)") == []
        assert_all_is_named(page)
