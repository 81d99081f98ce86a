"""From new files of the publishers to new forecasts, with nobody there: `housing serve` alone."""

import signal
from pathlib import Path

import httpx
from loopback import publishing
from platform_fixtures import CommandLine, command_line, free_port, wait_for
from streamlit.testing.v1 import AppTest

from housing_assets.core.sample.spec import SampleSpec
from housing_assets.store.vintages import list_vintages

APP = Path(__file__).parents[1] / "housing_dashboard/app.py"
SPEC = SampleSpec(12, "2015-12", "2019-08", 7)
KNOWN, NEXT, FORECAST = "2019-08", "2019-09", "2019-10"
ENV = {
    "HOUSING_PANEL_START": SPEC.start,
    "HOUSING_EVAL_START": "2019-01",
    "HOUSING_HOLDOUT_START": "2019-07",
    "HOUSING_PANEL_END": "",
    "HOUSING_TUNE_TRIALS": "1",
    "HOUSING_SOURCE_SECONDS": "1",
    "HOUSING_FOLLOW_SECONDS": "1",
}


def newest_vintages(line: CommandLine) -> str:
    return ", ".join(f"{kind} {list_vintages(line.store, kind)[-1].time}" for kind in ("zillow", "redfin"))


def page(name: str, **query: str) -> AppTest:
    shown = AppTest.from_file(str(APP), default_timeout=120)
    shown.query_params.update(query)
    shown.switch_page(f"views/{name}.py").run()
    assert not shown.exception
    assert not shown.error
    return shown


def test_a_second_publication_becomes_forecasts_over_http_and_on_the_dashboard(tmp_path, monkeypatch):
    ports = {f"{name}_PORT": str(free_port()) for name in ("DAGSTER", "API", "DASHBOARD", "MLFLOW")}
    api, dashboard = (f"http://127.0.0.1:{ports[f'{name}_PORT']}" for name in ("API", "DASHBOARD"))
    with publishing(tmp_path / "web") as publisher:
        publisher.publish(SPEC)
        line = command_line(tmp_path / "platform", "zillow redfin", **ENV, **ports, **publisher.addresses())
        first = line("run")
        assert first.code == 0, first.err
        first_vintages = newest_vintages(line)
        zipcode = line.store.months("monthly_forecasts").read(KNOWN)["zipcode"][0]

        def forecasts() -> dict:
            return httpx.get(f"{api}/forecasts/{zipcode}", timeout=60).json()

        def is_up() -> bool:
            assert server.poll() is None
            try:
                return httpx.get(f"{api}/health/ready", timeout=60).status_code == 200
            except httpx.TransportError:
                return False

        def is_new(month: str, vintage: str | None) -> bool:
            assert server.poll() is None
            return month == NEXT and vintage == newest_vintages(line) != first_vintages

        server = line.start("serve")
        try:
            wait_for(is_up, 180)
            assert (forecasts()["origin"], forecasts()["vintage"]) == (KNOWN, first_vintages)
            assert httpx.get(f"{api}/predictions", params={"month": NEXT}).status_code == 404

            publisher.publish(SPEC, 2)
            wait_for(lambda: is_new(forecasts()["origin"], forecasts()["vintage"]), 300)
            assert forecasts()["forecasts"][0]["month"] == FORECAST

            def predictions() -> dict:
                return httpx.get(f"{api}/latest_predictions", params={"limit": 1}, timeout=60).json()

            wait_for(lambda: is_new(predictions()["month"], predictions()["preview"][0]["vintage"]), 120)
            assert httpx.get(f"{dashboard}/_stcore/health", timeout=60).text == "ok"

            monkeypatch.setenv("HOUSING_STORE_URI", str(line.folder))
            monkeypatch.setenv("HOUSING_API_URL", api)
            wait_for(lambda: is_shown(forecasts()), 60)
            (vintages,) = [d.value for d in page("health").dataframe if "publisher" in d.value.columns]
            assert vintages["months"].to_list() == [f"{SPEC.start} to {NEXT}"] * 2
            assert vintages["vintages"].min() >= 2
        finally:
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=60)
    assert server.returncode == 0, said


def is_shown(answer: dict) -> bool:
    """True if the page of the zip shows what the API answers: another model may forecast from one to the next."""
    ahead = answer["forecasts"][0]
    shown = {metric.label: metric.value for metric in page("place", zip=answer["zipcode"], ahead="1").metric}
    return (
        shown.get(f"Known, {NEXT}") == f"${answer['last_known_price']:,.0f}"
        and shown.get(f"Forecast, {FORECAST}") == f"${ahead['predicted_price']:,.0f}"
    )
