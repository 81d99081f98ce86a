"""The dashboard in a real browser over the full-size panel: seconds until it is painted, and its memory."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx
import polars as pl
import psutil
from figures import Figure

from housing_assets.store.layout import Store

FULL_ZIPS, MONTHS, ROUNDS = 6_226, 24, 5
_APP = Path(__file__).parents[2] / "housing_dashboard/app.py"
_BROWSER = shutil.which("chromium")
# When things are there, in milliseconds after the address was opened, as the page itself notes them.
_NOTE = """
window.seen = {};
const note = (name, found) => { if (!seen[name] && found) seen[name] = performance.now(); };
new MutationObserver(() => {
  note("figures", document.querySelectorAll("[data-testid=stMetricValue]").length >= 8);
  note("drawn", document.querySelectorAll(".js-plotly-plot .main-svg").length >= 4
    && document.querySelector("[data-testid=stDataFrame] canvas"));
}).observe(document, {childList: true, subtree: true});
new PerformanceObserver(list => list.getEntriesByName("first-contentful-paint").forEach(
  entry => { seen.paint = entry.startTime; })).observe({type: "paint", buffered: true});
"""
_QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def full_size(store: Store, folder: Path) -> Store:
    """A store whose predicted months have as many zips as the real panel: the given one's rows, as often as needed."""
    for part in ("models", "checks"):
        shutil.copytree(Path(store.uri) / part, folder / part)
    for file in ("model_evaluation", "forecast_evaluation", "forecast_skill", "forecast_coverage"):
        shutil.copy(Path(store.uri) / f"{file}.parquet", folder / f"{file}.parquet")
    there = Store.open(str(folder))
    for asset in ("monthly_predictions", "cleaned", "monthly_forecasts"):
        months = store.months(asset)
        for month in months.available()[-MONTHS - 1 :]:
            there.months(asset).write(month, _as_many_zips(months.read(month)))
    there.write_table("price_history", _as_many_zips(store.read_table("price_history")))
    return there


def _as_many_zips(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of as many zips as the real panel has: those of the given ones, as often as needed."""
    zips = rows["zipcode"].unique().sort()
    numbers = pl.Series("number", range(FULL_ZIPS))
    renamed = pl.DataFrame({"zipcode": zips.gather(numbers % zips.len()), "number": numbers})
    names = pl.col("number").cast(pl.String).str.zfill(5).alias("zipcode")
    wide = renamed.join(rows, on="zipcode", how="left", maintain_order="left").with_columns(names).select(rows.columns)
    return wide.sort("date", maintain_order=True)


@contextlib.contextmanager
def dashboard(store: Store) -> Iterator[tuple[psutil.Process, str]]:
    """The dashboard in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(_APP), "--server.address", "127.0.0.1"]
    command += ["--server.port", str(port), "--server.headless", "true"]
    env = {**os.environ, "HOUSING_STORE_URI": store.uri}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/_stcore/health").status_code == 200:
                    break
            time.sleep(0.05)
        yield psutil.Process(process.pid), url
    finally:
        process.terminate()
        process.wait(30)


def dashboard_figures(store: Store, folder: Path) -> Iterator[Figure]:
    """First paint of Overview, a change of its filters, and what the process keeps."""
    if not _BROWSER:
        yield Figure("dashboard", "not measured: chromium is not installed (apt-get install chromium)", "")
        return
    from playwright.sync_api import sync_playwright

    full = full_size(store, folder)
    rows = FULL_ZIPS * len(full.months("monthly_predictions").available())
    with dashboard(full) as (process, url), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_BROWSER, args=_QUIET)
        visits = []
        for _ in range(ROUNDS):
            with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
                page = context.new_page()
                page.add_init_script(_NOTE)
                page.goto(url)
                page.locator("[data-testid=stDataFrame] canvas").first.wait_for()
                page.locator(".js-plotly-plot .main-svg").nth(3).wait_for()
                visits.append(page.evaluate("Object.fromEntries(Object.entries(seen).map(([k, v]) => [k, v / 1000]))"))
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(url)
        page.locator("[data-testid=stMetricValue]").nth(7).wait_for()
        changes = []
        for month in full.months("monthly_predictions").available()[-2 : -2 - 2 * ROUNDS : -2]:
            page.get_by_role("combobox", name="Month").click()
            begun = time.perf_counter()
            page.get_by_role("option", name=month).click()
            # The name of the month before stands in every headline figure.
            before = page.get_by_text(f"vs {month[:5]}{int(month[5:]) - 1:02d}") if month[5:] != "01" else None
            (before or page.get_by_text(f"vs {int(month[:4]) - 1}-12")).first.wait_for()
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            changes.append(time.perf_counter() - begun)
        page.get_by_role("combobox", name="Month").click()
        page.get_by_role("option", name="all", exact=True).click()
        page.get_by_text("drawn at random").first.wait_for()
        for path in ("map", "place", "model", "health"):
            page.goto(f"{url}/{path}")
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            page.wait_for_timeout(2_000)
        resident = process.memory_info().rss / 1e6
        browser.close()
    paint, figures, drawn = (median(v[name] for v in visits) for name in ("paint", "figures", "drawn"))
    change = median(changes)
    over = f"Overview over {rows:,} rows, new browser"
    yield Figure("dashboard", f"{over}: first contentful paint", f"{paint:.2f} s", "2 s", paint < 2)
    yield Figure("dashboard", f"{over}: headline figures", f"{figures:.2f} s", "2 s", figures < 2)
    yield Figure("dashboard", f"{over}: charts and table as well", f"{drawn:.2f} s")
    yield Figure("dashboard", "the same, the very first visit of the process", f"{visits[0]['drawn']:.2f} s")
    yield Figure("dashboard", "a filter changed, median", f"{change:.2f} s", "1 s", change < 1)
    yield Figure("dashboard", "resident after all pages", f"{resident:.0f} MB", "500 MB", resident < 500)
