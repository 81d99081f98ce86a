"""From new files of the publishers to new forecasts, with nobody there: `housing serve` alone."""

import signal
from pathlib import Path

import httpx
from loopback import publishing
from platform_fixtures import CommandLine, command_line, free_port, wait_for
from streamlit import config
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
    "HOUSING_REFIT_MONTHS": "12",
}


def newest_vintages(line: CommandLine) -> str:
    return ", ".join(f"{kind} {list_vintages(line.store, kind)[-1].time}" for kind in ("zillow", "redfin"))


def page(name: str, **query: str) -> AppTest:
    config.set_option("runner.magicEnabled", False)  # as in the dashboard's own configuration
    shown = AppTest.from_file(str(APP), default_timeout=120)
    shown.query_params.update(query)
    shown.switch_page(f"views/{name}.py").run()
    assert not shown.exception
    # The sample's months are long past, so the next file of its publishers is late by now.
    assert not [error.value for error in shown.error if error.icon != ":material/schedule:"]
    return shown


def shows(place: AppTest, answer: dict) -> bool:
    """True if the page of a zip has the forecasts that the API answers."""
    ahead = answer["forecasts"][0]
    shown = {metric.label: metric.value for metric in place.metric}
    return (
        shown.get(f"Known, {NEXT}") == f"${answer['last_known_price']:,.0f}"
        and shown.get(f"Forecast, {FORECAST}") == f"${ahead['predicted_price']:,.0f}"
    )


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

        def answered(path: str) -> dict:
            """Nothing while files are newer than their checks: these follow at once."""
            assert server.poll() is None
            answer = httpx.get(f"{api}/{path}", timeout=240)
            assert answer.status_code == 200 or answer.json()["title"] == "Not checked yet", answer.text
            return answer.json() if answer.status_code == 200 else {}

        def is_up() -> bool:
            assert server.poll() is None
            try:
                return httpx.get(f"{api}/health/ready", timeout=240).status_code == 200
            except httpx.TransportError:
                return False

        def is_of_second(month: str | None, vintage: str | None) -> bool:
            return month == NEXT and vintage == newest_vintages(line) != first_vintages

        def is_forecast() -> bool:
            answer = answered(f"forecasts/{zipcode}")
            return is_of_second(answer.get("origin"), answer.get("vintage"))

        def is_predicted() -> bool:
            answer = answered("latest_predictions?limit=1")
            return bool(answer) and is_of_second(answer["month"], answer["preview"][0]["vintage"])

        def is_shown() -> bool:
            answer = answered(f"forecasts/{zipcode}")
            return bool(answer) and shows(page("place", zip=zipcode, ahead="1"), answer)

        server = line.start("serve")
        try:
            wait_for(is_up, 180)
            answer = answered(f"forecasts/{zipcode}")
            assert (answer["origin"], answer["vintage"]) == (KNOWN, first_vintages)
            assert httpx.get(f"{api}/predictions", params={"month": NEXT}).status_code == 404

            publisher.publish(SPEC, 2)
            wait_for(lambda: is_forecast() and is_predicted(), 900)  # seconds on a quiet machine, minutes on a busy one

            monkeypatch.setenv("HOUSING_STORE_URI", str(line.folder))
            monkeypatch.setenv("HOUSING_API_URL", api)
            wait_for(is_shown, 240)
            assert httpx.get(f"{dashboard}/_stcore/health", timeout=240).text == "ok"
            (vintages,) = [d.value for d in page("health").dataframe if "publisher" in d.value.columns]
            assert vintages["months"].to_list() == [f"{SPEC.start} to {NEXT}"] * 2
            assert vintages["vintages"].min() >= 2
        finally:
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=240)
    assert server.returncode == 0, said
