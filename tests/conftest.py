"""What every test shares: no settings from outside, an S3 server, and skips that count under CI."""

import inspect
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock
from httpx._transports import default as httpx_transport
from hypothesis import settings
from platform_fixtures import (
    LONG,
    CommandLine,
    Platform,
    command_line,
    free_port,
    pictures,
    write_long_source,
    write_source,
)
from postgres_server import postgres_server
from quick_databases import close_idle_connections, quick_databases
from quick_expectations import quick_expectations

STRICT = "HOUSING_TEST_STRICT"
# A busy machine is no fault: no example of a property is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
S3_PAGE = 50
"""Keys the test server lists at a time: fewer than S3 does, so that paging is quick to test."""


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get(STRICT) == "1" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nA skip is a failure under {STRICT}=1."


_SLOWEST = (
    "test_stack.py",
    "test_unattended.py",
    "test_cli.py",
    "test_restart.py",
    "test_wheels.py",
    "test_second_vintage.py",
    "test_gates.py",
    "test_champion.py",
    "test_instance.py",
    "test_tracking.py",
    "test_pages.py",
    "test_faults.py",
    "test_checks_alone.py",
    "test_platform.py",
    "test_serve.py",
    "test_automation.py",
    "test_contract.py",
    "test_raw_months.py",
    "test_forecasts.py",
    "test_pauses.py",
    "test_forecast_pages.py",
    "test_history_over_http.py",
    "test_champions.py",
    "test_prices_alone.py",
    "test_other_places.py",
    "test_browser.py",
)
"""Names of files by how long they take, the longest first. Those that mostly wait for processes of their own stand
between others, so that not all processes wait at once. The browser's come last: by then the stack of containers, which
takes a processor to itself, has ended."""


_NEEDS = {
    "process": {"Popen", "check_call", "check_output", "multiprocessing", "shell", "start", "subprocess"},
    "browser": {"sync_playwright"},
    "database": {"postgres"},
    "s3": {"s3_server"},
    "slow": {"Platform", "command_line", "execute_in_process"},
}
"""Names in the code of a test, of its fixtures and of what both call, by the mark that they stand for."""
_TESTS = str(Path(__file__).parent)


@cache
def _names_reached(function: Callable) -> frozenset[str]:
    """Every name in the code of a function and of those functions of the tests that it calls, directly or not."""
    names: set[str] = set()
    seen: set[Callable] = set()
    functions = [function]
    while functions:
        current = inspect.unwrap(functions.pop())
        if current in seen or not inspect.isfunction(current) or not current.__code__.co_filename.startswith(_TESTS):
            continue
        seen.add(current)
        codes = [current.__code__]
        own: set[str] = set()
        while codes:
            code = codes.pop()
            own |= {*code.co_names, *code.co_freevars}
            codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
        names |= own
        functions += [current.__globals__[name] for name in own if callable(current.__globals__.get(name))]
    return frozenset(names)


def _mark_needs(item: pytest.Item) -> None:
    """Mark a test by what it needs, so that nobody has to think of it."""
    if not isinstance(item, pytest.Function):
        return
    fixtures = item._fixtureinfo.name2fixturedefs  # pytest has no public way to a test's fixtures
    names = {*fixtures, *_names_reached(item.function)}
    for definitions in fixtures.values():
        names |= _names_reached(definitions[-1].func)
    for mark, signs in _NEEDS.items():
        if names & signs:
            item.add_marker(mark)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks by need. The slowest files first: one that begins last would leave the other processes without work."""
    for item in items:
        _mark_needs(item)
    order = {name: place for place, name in enumerate(_SLOWEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    _refuse_skip(report)
    return report


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside(tmp_path_factory) -> Iterator[str]:
    """And one MLflow, whose address it gives, and one study database for all tests of a process: one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("HOUSING_", "DAGSTER_", "MLFLOW_")) and name != STRICT:
                patch.delenv(name)
        shared = tmp_path_factory.mktemp("databases")
        patch.setenv("MLFLOW_TRACKING_URI", tracking := f"sqlite:///{shared}/mlflow.db")
        patch.setenv("HOUSING_STUDY_STORAGE", f"sqlite:///{shared}/studies.db")
        yield tracking


@pytest.fixture(autouse=True)
def _no_mlflow_of_another_test(_no_settings_from_outside) -> Iterator[None]:
    """MLflow keeps the address that it is given in the environment, where the next test's processes would find it."""
    os.environ["MLFLOW_TRACKING_URI"] = _no_settings_from_outside
    yield
    os.environ["MLFLOW_TRACKING_URI"] = _no_settings_from_outside


@pytest.fixture(autouse=True, scope="session")
def _placeholders_for_pictures() -> Iterator[None]:
    """`made`, `grown` and processes draw their pictures. Other platforms need none."""
    with pictures(drawn=False):
        yield


@pytest.fixture(autouse=True, scope="session")
def _quick_libraries() -> Iterator[None]:
    """In this process. Others have Dagster's and Great Expectations' own ways."""
    with quick_databases(), quick_expectations():
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_tls_context() -> Iterator[None]:
    """`httpx.get` reads the certificate authorities anew for each call, 25 ms, also where the address is http://."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx_transport, "create_ssl_context", cache(httpx_transport.create_ssl_context))
        yield


@pytest.fixture(scope="session")
def built_once(tmp_path_factory, request) -> Callable[[str, Callable[[Path], object]], Path]:
    """A function that builds a folder in the first process that needs it, and gives its path to all of them."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if hasattr(request.config, "workerinput") else root

    def build(name: str, into: Callable[[Path], object]) -> Path:
        folder, whole = root / name, root / f"{name}.whole"
        with FileLock(root / f"{name}.lock"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed to build it
                folder.mkdir()
                try:
                    into(folder)
                finally:
                    close_idle_connections()  # whose databases another process may copy
                whole.touch()
        return folder

    return build


@pytest.fixture(scope="session")
def source(built_once) -> Path:
    """A small raw panel with dirt."""
    return built_once("source", lambda folder: write_source(folder / "panel.csv")) / "panel.csv"


@pytest.fixture(scope="session")
def made(built_once, source) -> Platform:
    """A platform with every stage run once. Nothing may change it: tests that do take a copy."""

    def run(folder: Path) -> None:
        with pictures(drawn=True):
            Platform(folder, source, kept_runs=True).run_all()

    return Platform(built_once("made", run), source, kept_runs=True)


@pytest.fixture(scope="session")
def ran(built_once, source) -> CommandLine:
    """A platform that `housing run` has made. Nothing may change it: tests that do take `copy_of` it."""

    def run(folder: Path) -> None:
        done = command_line(folder, source)("run")
        assert done.code == 0, done.err

    return command_line(built_once("ran", run), source)


@pytest.fixture(scope="session")
def grown(built_once) -> Platform:
    """A platform over months enough for history and forecasts. Nothing may change it."""

    def run(folder: Path) -> None:
        with pictures(drawn=True):
            Platform(folder, write_long_source(folder / "panel.csv"), dict(LONG), kept_runs=True).run_months()

    root = built_once("grown", run)
    return Platform(root, root / "panel.csv", dict(LONG), kept_runs=True)


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    return free_port()


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server of this test's own."""
    with postgres_server() as address:
        yield address


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server that speaks real HTTP."""
    port = free_port()
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": str(S3_PAGE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("the S3 server did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def s3_env(s3_server, monkeypatch, tmp_path) -> str:
    """An environment in which every AWS tool talks to that server; gives its address."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(scope="session")
def s3_page() -> int:
    return S3_PAGE


@pytest.fixture(scope="session")
def s3_admin(s3_server):
    """A client for tests to look behind the platform's back with."""
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.Session(region_name="us-east-1", **keys).client("s3", endpoint_url=s3_server)


@pytest.fixture
def bucket(s3_env, s3_admin) -> str:
    """A bucket of this test's own."""
    name = f"test-{time.monotonic_ns()}"
    s3_admin.create_bucket(Bucket=name)
    return name


@pytest.fixture
def refusing_s3(s3_env) -> Iterator[str]:
    """The server, knowing none of the credentials it is given."""
    import urllib.request

    def allowed_calls(count: str) -> None:
        request = urllib.request.Request(
            f"{s3_env}/moto-api/reset-auth", count.encode(), {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request).close()

    allowed_calls("0")
    yield s3_env
    allowed_calls("inf")
