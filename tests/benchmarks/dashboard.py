"""The dashboard in a real browser over a panel of national size: seconds until it is painted, and its memory."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
from figures import Figure
from nation import HISTORY, PREDICTED, ZIPS, national_store

from housing_assets.core.months import add_months
from housing_assets.store.layout import Store

ROUNDS = 5
_BROWSER = shutil.which("chromium")
# When things are there, in milliseconds after the address was opened, as the page itself notes them.
_NOTE = """
window.seen = {};
const note = (name, found) => { if (!seen[name] && found) seen[name] = performance.now(); };
new MutationObserver(() => {
  note("figures", document.querySelectorAll(".st-key-figures-headline [data-testid=stMetricValue]").length >= 8);
  note("title", document.querySelector("h2"));
  note("drawn", document.querySelectorAll(".js-plotly-plot .main-svg").length >= 4
    && document.querySelector("[data-testid=stDataFrame] canvas"));
  const shown = document.querySelector(".places-map");
  note("map", shown && shown.map && shown.map.shown && shown.map.count > 1000);
}).observe(document, {childList: true, subtree: true});
new PerformanceObserver(list => list.getEntriesByName("first-contentful-paint").forEach(
  entry => { seen.paint = entry.startTime; })).observe({type: "paint", buffered: true});
"""
_QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextlib.contextmanager
def dashboard(store: Store) -> Iterator[tuple[psutil.Process, str]]:
    """The dashboard in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "housing_dashboard", "--server.address", "127.0.0.1"]
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
    """First paint of Overview, the map of all zips, changes of their filters, and what the process keeps."""
    if not _BROWSER:
        yield Figure("dashboard", "not measured: chromium is not installed (apt-get install chromium)", "")
        return
    from playwright.sync_api import sync_playwright

    full = national_store(store, folder)
    months = full.months("monthly_predictions").available()
    with dashboard(full) as (process, url), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_BROWSER, args=_QUIET)
        visits = [_visit(browser, url, "drawn") for _ in range(ROUNDS)]
        maps = [_visit(browser, f"{url}/map?level=zips", "map") for _ in range(ROUNDS)]
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(url)
        page.locator(".st-key-figures-headline [data-testid=stMetricValue]").nth(7).wait_for()
        _settle(page)
        changes = [_filtered(page, month) for month in months[-2 : -2 - 2 * ROUNDS : -2]]
        page.goto(f"{url}/map?level=zips&colour=change")
        page.locator(".places-map .ticks span").first.wait_for()
        _settle(page)
        recoloured = [_recoloured(page, name) for name in ("Mean % error", "Price", "Change in a month")]
        for path in ("place", "compare", "model", "health"):
            page.goto(f"{url}/{path}")
            _settle(page)
            page.wait_for_timeout(2_000)
        resident = process.memory_info().rss / 1e6
        browser.close()
    paint, figures, drawn = (median(v[name] for v in visits) for name in ("paint", "figures", "drawn"))
    mapped, change, colour = median(v["map"] for v in maps), median(changes), median(recoloured)
    over = f"Overview of {ZIPS:,} zips, {PREDICTED} months, new browser"
    yield Figure("dashboard", f"{over}: first contentful paint", f"{paint:.2f} s", "1 s", paint < 1)
    yield Figure("dashboard", f"{over}: headline figures", f"{figures:.2f} s", "2 s", figures < 2)
    yield Figure("dashboard", f"{over}: charts and table as well", f"{drawn:.2f} s")
    yield Figure("dashboard", "the same, the very first visit of the process", f"{visits[0]['drawn']:.2f} s")
    yield Figure("dashboard", f"map of {ZIPS:,} zips, new browser: drawn", f"{mapped:.2f} s", "3 s", mapped < 3)
    yield Figure("dashboard", "Overview: a filter changed, median", f"{change:.2f} s", "0.7 s", change < 0.7)
    yield Figure("dashboard", "map of all zips: another colour, median", f"{colour:.2f} s", "0.7 s", colour < 0.7)
    name = f"resident after all pages, {HISTORY} months of history"
    yield Figure("dashboard", name, f"{resident:.0f} MB", "700 MB", resident < 700)


def _visit(browser: Any, url: str, until: str) -> dict[str, float]:
    """Seconds after which things were there, in a browser that knows nothing, until one of them is."""
    with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
        page = context.new_page()
        page.add_init_script(_NOTE)
        page.goto(url)
        page.wait_for_function(f"window.seen.{until}", timeout=120_000)
        return page.evaluate("Object.fromEntries(Object.entries(seen).map(([k, v]) => [k, v / 1000]))")


def _settle(page: Any) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=120_000)


def _choose(page: Any, label: str, option: str) -> float:
    """Choose an option by keyboard; gives the time at which it was chosen."""
    page.get_by_role("combobox", name=re.compile(label)).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.type(option)
    page.keyboard.press("Enter")
    return time.perf_counter()


def _filtered(page: Any, month: str) -> float:
    """Seconds until the headline figures of another month are there."""
    begun = _choose(page, "Month", month)
    # The name of the month before stands in every headline figure.
    page.get_by_text(f"vs {add_months(month, -1)}").first.wait_for()
    _settle(page)
    return time.perf_counter() - begun


def _recoloured(page: Any, colour: str) -> float:
    """Seconds until the map has another colour."""
    begun = _choose(page, "Colour", colour)
    page.locator(".places-map").get_by_text(f"{colour}, ").first.wait_for()
    _settle(page)
    return time.perf_counter() - begun
