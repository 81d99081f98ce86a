"""The images as `infra/compose.yaml` runs them: one stack, one small store made in it, and what happens to both."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import yaml
from engine import COMPOSE, PROJECT, TARGETS, Stack, docker, make_stand_ins, temporary_folder, wait_until, why_not
from platform_fixtures import HELD, MONTHS, WINDOW

pytestmark = [pytest.mark.images, pytest.mark.slow]

SMALL = {**WINDOW, "HOUSING_SAMPLE_ZIPS": "24", "HOUSING_TUNE_TRIALS": "1"}
LARGEST = {"api": 450, "dashboard": 600, "dagster": 1_300}
"""Megabytes of an image, uncompressed."""
SERVING = ("webserver", "daemon", "metrics", "api", "dashboard", "mlflow")
BESIDE_THE_API = tuple(service for service in SERVING if service != "api")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The stack after `make stack`, over a store that `housing run` made in a container of it."""
    if reason := why_not():
        pytest.skip(reason)
    make_stand_ins()
    folder = temporary_folder()
    stack = Stack.create(folder, **SMALL)
    try:
        # The daemon is not there yet, so that the run is alone with the sample.
        stack.compose("up", "--detach", "--wait", "mlflow")
        made = stack.compose("run", "--rm", "--no-TTY", "daemon", "housing", "run", "--trials", "1")
        assert "champion" in made.stdout, made.stdout + made.stderr
        started = stack.run("up")
        assert started.returncode == 0, started.stdout + started.stderr + stack.logs("daemon")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5", check=False)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def row(stack) -> dict[str, str]:
    """A raw row of a zip that is in the store."""
    wait_ready(stack)
    with stack.api() as api:
        newest = api.get("/latest_predictions", params={"limit": 1}).json()
    assert newest["month"] == HELD[-1]
    return {"date": f"{HELD[-1]}-28", "zipcode": newest["preview"][0]["zipcode"]}


@contextmanager
def traffic(stack: Stack, row: dict[str, str], pause: float = 0.05) -> Iterator[list[str]]:
    """Predictions over HTTP, one after the other and each on a connection of its own, as long as the API is ready.

    A balancer does the same: it asks whether the server is ready, and sends it nothing once it is not. Yields what
    went wrong.

    Args:
        pause: seconds between an answer and the next request.
    """
    failures: list[str] = []
    answered = 0
    done = threading.Event()

    def ask() -> None:
        nonlocal answered
        while not done.wait(pause):
            try:
                with stack.api() as api:
                    if api.get("/health/ready").status_code != 200:
                        return
                    answer = api.post("/predict", json=[row])
                    answered += 1
                    if answer.status_code != 200:
                        failures.append(f"{answer.status_code} {answer.text[:300]}")
            except httpx.HTTPError as error:
                failures.append(repr(error))

    sender = threading.Thread(target=ask)
    sender.start()
    try:
        wait_until(lambda: answered or failures, 30, "a first answer")
        yield failures
    finally:
        done.set()
        sender.join(60)
    assert answered > 3


def wait_ready(stack: Stack) -> None:
    """Until the API has its model: its health check, which has it restarted, asks only whether it is alive."""
    with stack.api() as api:
        wait_until(lambda: api.get("/health/ready").status_code == 200, 60, "the API is ready")


def predict(stack: Stack, row: dict[str, str]) -> dict:
    """A prediction over HTTP."""
    with stack.api() as api:
        return api.post("/predict", json=[row]).raise_for_status().json()


# ---------------------------------------------------------------- images


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_is_small_and_has_nothing_that_builds_or_belongs_to_a_gpu(stack, target):
    size = int(docker("image", "inspect", "--format", "{{.Size}}", f"housing-{target}:local").stdout)
    assert size / 1e6 <= LARGEST[target]
    service = {"dagster": "webserver"}.get(target, target)
    packages = stack.execute(service, "ls", "/opt/venv/lib/python3.11/site-packages").stdout.split()
    assert not [name for name in packages if re.match(r"nvidia|cuda|cupy|triton|pip$|uv$|pytest|moto", name)]
    for program in ("pip", "uv", "apt-get", "strip", "gcc", "perl"):
        assert stack.execute(service, "sh", "-c", f"command -v {program}", check=False).returncode != 0, program
    assert stack.execute(service, "sh", "-c", "command -v script").returncode == 0  # `aws ecs execute-command` needs it


LOADED = """
import os, sys, {modules}
missing = [m.__name__ for m in list(sys.modules.values())
           if (c := getattr(m, "__cached__", None)) and m.__name__ != "__main__" and not os.path.exists(c)]
print(len(missing), len(sys.modules), *missing[:20])
"""


@pytest.mark.parametrize(
    ("service", "modules"),
    [
        ("api", "housing_serving.__main__, xgboost, pyarrow"),
        ("dashboard", "streamlit.web.bootstrap, housing_dashboard.figures"),
        ("webserver", "dagster_webserver.cli, housing_assets.definitions"),
    ],
)
def test_what_a_program_loads_at_its_start_is_compiled(stack, service, modules):
    missing, loaded, *names = stack.execute(service, "python", "-c", LOADED.format(modules=modules)).stdout.split()
    assert int(missing) < 0.1 * int(loaded), names


# ---------------------------------------------------------------- rights and limits


@pytest.mark.parametrize("service", SERVING)
def test_a_service_runs_without_rights_on_a_read_only_root_within_the_memory_of_its_task(stack, service):
    state = stack.inspect(service)
    assert state["State"]["Health"]["Status"] == "healthy"
    host = state["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["Memory"] == int(COMPOSE["services"][service]["mem_limit"].removesuffix("m")) * 2**20
    assert not state["State"]["OOMKilled"]
    status = stack.execute(service, "cat", "/proc/1/status", "/proc/self/status").stdout
    assert set(re.findall(r"^Uid:\t(.*)$", status, re.MULTILINE)) == {"10001\t10001\t10001\t10001"}
    assert set(re.findall(r"^CapEff:\t(.*)$", status, re.MULTILINE)) == {"0" * 16}
    tried = [
        f"touch {place}/x 2>/dev/null && echo {place}" for place in ("/app", "/opt/venv", "/opt/bytecode", "/etc", "/")
    ]
    written = stack.execute(service, "sh", "-c", "; ".join([*tried, "touch /app/data/x && echo /app/data"]))
    assert written.stdout.split() == ["/app/data"]


# ---------------------------------------------------------------- answers


def test_a_prediction_comes_over_http_and_without_the_key_it_does_not(stack, row):
    answer = predict(stack, row)
    assert len(answer["predictions"]) == 1
    low, high = answer["intervals"][0]
    assert low < answer["predictions"][0] < high
    assert httpx.post(f"{stack.url('API_PORT')}/predict", json=[row]).status_code == 401


def test_mlflow_answers_to_its_name_in_the_network_and_to_no_other(stack):
    url = f"{stack.url('MLFLOW_PORT')}/api/2.0/mlflow/experiments/get?experiment_id=0"
    for host, status in (("mlflow:5000", 200), ("127.0.0.1:5000", 200), ("elsewhere.example", 403)):
        assert httpx.get(url, headers={"Host": host}).status_code == status


def test_the_dashboard_shows_the_store_in_a_browser(stack):
    from playwright.sync_api import expect, sync_playwright

    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("this machine has no chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(stack.url("DASHBOARD_PORT"))
        expect(page.get_by_test_id("stMetric").first).to_be_visible(timeout=90_000)
        assert page.get_by_test_id("stException").count() == 0
        browser.close()


ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"


def test_prometheus_gets_every_metric_of_its_alert_rules_where_it_looks(stack, row):
    predict(stack, row)
    monitoring = PROJECT / "infra/monitoring"
    jobs = yaml.safe_load((monitoring / "prometheus.yaml").read_text())["scrape_configs"]
    targets = [target for job in jobs for place in job["static_configs"] for target in place["targets"]]

    def answered() -> str:
        pages = [
            stack.execute("webserver", "python", "-c", ASK, f"http://{target}/metrics").stdout for target in targets
        ]
        told = all(words in pages[-1] for words in ("housing_status_up 1.0", "housing_daemon_heartbeat"))
        return "".join(pages) if told else ""

    page = wait_until(answered, 120, "a look at the store and at a daemon that has begun")
    exported = set(re.findall(r"^(housing_\w+)", page, re.MULTILINE))
    rules = re.findall(r"\bhousing_\w+", (monitoring / "alerts.yaml").read_text())
    assert set(rules) - exported <= {"housing_job_last_failure_timestamp_seconds"}, "no run failed here"


BACKFILL = """
mutation Launch($months: [String!]!) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["raw_splits"]}, {path: ["cleaned"]}], partitionNames: $months, title: "by hand"
  }) { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status runs { id status } } }
}
"""


def ask_dagster(stack: Stack, query: str, **variables: object) -> dict:
    """The data of a call of Dagster's GraphQL."""
    body = {"query": query, "variables": variables}
    answer = httpx.post(f"{stack.url('DAGSTER_PORT')}/graphql", json=body, timeout=240).raise_for_status().json()
    assert "errors" not in answer, answer
    return answer["data"]


@pytest.fixture(scope="module")
def backfilled(stack) -> str:
    """The id of a run of a backfill of three months, launched as the UI does; the daemon runs it."""
    launched = ask_dagster(stack, BACKFILL, months=MONTHS[-3:])["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def finished() -> dict:
        status = ask_dagster(stack, STATUS, id=launched["backfillId"])["partitionBackfillOrError"]
        assert status["status"] not in ("FAILED", "COMPLETED_FAILED", "CANCELED"), (status, stack.logs("daemon"))
        return status if status["status"] == "COMPLETED_SUCCESS" else {}

    status = wait_until(finished, 300, f"the backfill\n{stack.logs('daemon')}")
    assert {run["status"] for run in status["runs"]} == {"SUCCESS"}
    return status["runs"][0]["id"]


def kept(stack: Stack, run: str) -> list[str]:
    """What a backfill and a store left in PostgreSQL, in MLflow and in the S3-compatible store."""
    ask = "select status from runs where run_id = '{}'"
    sql = ["psql", "--username=housing", "--dbname=dagster", "--tuples-only", "--command", ask.format(run)]
    status = stack.execute("postgres", *sql).stdout.strip()
    logged = stack.execute("s3", "sh", "-c", f"find /data/housing/dagster -path '*{run}*' | wc -l").stdout.strip()
    runs = httpx.post(
        f"{stack.url('MLFLOW_PORT')}/api/2.0/mlflow/runs/search", json={"experiment_ids": ["1"], "max_results": 50}
    )
    return [status, logged, *sorted(run["info"]["run_id"] for run in runs.json().get("runs", []))]


def test_a_backfill_runs_in_the_daemon_with_its_records_in_postgresql_and_its_logs_in_s3(stack, backfilled):
    status, logs, *tracked = kept(stack, backfilled)
    assert status == "SUCCESS"
    assert int(logs) > 0
    assert tracked


# ---------------------------------------------------------------- faults


def test_the_api_stops_under_load_without_a_failed_request_and_ends_with_0(stack, row):
    before = predict(stack, row)
    with traffic(stack, row) as failures:
        begun = time.monotonic()
        stack.compose("stop", "api")
        took = time.monotonic() - begun
    assert failures == []
    assert stack.inspect("api")["State"]["ExitCode"] == 0
    assert took < 30
    stack.compose("start", "api")
    stack.wait_healthy("api")
    wait_ready(stack)
    assert predict(stack, row) == before


def test_a_variable_that_the_platform_refuses_is_named_and_nothing_starts(stack, tmp_path):
    del stack  # which has seen to the images
    refused = Stack.create(tmp_path, HOUSING_TUNE_TRIALS="many")
    refused.name += "-refused"
    done = refused.run("up")
    assert done.returncode == 1
    assert done.stderr.startswith("stack: HOUSING_TUNE_TRIALS='many': Input should be a valid integer")
    assert done.stderr.count("\n") == 1
    assert refused.compose("ps", "--all", "--quiet").stdout == ""
    assert docker("volume", "ls", "--quiet", "--filter", f"name={refused.name}").stdout == ""


def test_no_service_that_restarts_or_stops_fails_a_request_and_all_start_again_losing_nothing(stack, row, backfilled):
    before, records = predict(stack, row), kept(stack, backfilled)
    # Minutes in all: more requests would take the processor from the services that start.
    with traffic(stack, row, pause=0.25) as failures:
        for service in ("postgres", "s3"):
            stack.compose("restart", service)
            stack.wait_healthy(service)
        stack.compose("stop", *BESIDE_THE_API)
    assert failures == []
    assert predict(stack, row) == before
    stack.compose("stop")
    stopped = {service: stack.inspect(service)["State"] for service in SERVING}
    assert {service: state["ExitCode"] for service, state in stopped.items()} == dict.fromkeys(SERVING, 0)
    assert not [service for service, state in stopped.items() if state["OOMKilled"]]
    started = stack.run("up")
    assert started.returncode == 0, started.stderr
    wait_ready(stack)
    assert predict(stack, row) == before
    assert kept(stack, backfilled) == records
