"""Each image of the Dockerfile, built from its own instructions and run as it would be."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dockerfile import PROJECT, Builder, Container, Image, can_build, context, is_ignored, parse

pytestmark = pytest.mark.slow

TARGETS = ("dagster", "api", "dashboard")
HEAVY = ("dagster", "mlflow", "pandas", "great_expectations", "sklearn", "evidently", "optuna", "streamlit", "pytest")


@pytest.fixture(scope="module")
def builder(tmp_path_factory) -> Iterator[Builder]:
    if reason := can_build():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("images")
    yield Builder(folder, {"GIT_COMMIT": "0123abc"})
    # Gigabytes. The empty /app that stages were mounted on stays: a run beside this one may have its own there.
    subprocess.run(["rm", "--recursive", "--force", str(folder)], check=True)


@pytest.fixture(scope="module")
def api(builder) -> Iterator[Container]:
    with builder.build("api").container() as container:
        container.wait_healthy(60)
        yield container


@pytest.fixture(scope="module")
def dashboard(builder) -> Iterator[Container]:
    with builder.build("dashboard").container() as container:
        container.wait_healthy(60)
        yield container


@pytest.fixture(scope="module")
def dagster(builder) -> Iterator[Container]:
    with builder.build("dagster").container() as container:
        container.wait_healthy(120)
        yield container


def imports(container: Container, names: tuple[str, ...]) -> set[str]:
    """Those of some modules that the image has."""
    ask = "import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    return set(container.run("python", "-c", ask, *names).stdout.split())


# ---------------------------------------------------------------- built and run


def test_the_api_answers_from_its_own_lock_alone(api):
    assert api.get("/health/live")[0] == 200
    status, told = api.get("/health/ready")
    assert status == 503
    assert "models/champion.json does not exist" in told
    assert imports(api, HEAVY) == set()
    assert api.run("python", "-c", "import housing_assets.orchestration.build").returncode != 0
    assert api.run("python", "-c", "import housing_serving.app").returncode == 0


def test_the_dashboard_answers_from_its_own_lock_alone(dashboard):
    assert dashboard.get("/_stcore/health") == (200, "ok\n")
    shown = (
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('/app/housing_dashboard/app.py', default_timeout=60).run()\n"
        "assert not app.exception, app.exception\n"
        "print(*[told.value for told in [*app.subheader, *app.markdown]])"
    )
    told = dashboard.run("python", "-c", shown)
    assert told.returncode == 0, told.stderr
    assert "No month is predicted yet" in told.stdout
    assert imports(dashboard, tuple({*HEAVY, "fastapi"} - {"streamlit", "pandas"})) == set()


def test_dagster_serves_its_definitions_and_has_the_programs_that_other_containers_run(dagster):
    assert dagster.get("/server_info")[0] == 200
    told = dagster.run("dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert told.returncode == 0, told.stderr
    for program in ("dagster-daemon", "mlflow", "housing"):
        assert dagster.run(program, "--help").returncode == 0
    assert dagster.run("printenv", "GIT_COMMIT").stdout == "0123abc\n"
    assert (dagster.image.root / "volume/dagster/dagster.yaml").exists()
    assert imports(dagster, ("fastapi_cli", "streamlit", "pytest", "moto")) == set()


@pytest.mark.parametrize("target", TARGETS)
def test_it_runs_without_rights_and_writes_to_its_volume_alone(target, request):
    container: Container = request.getfixturevalue(target)
    assert container.run("id", "-u").stdout == "10001\n"
    assert container.run("id", "-un").stdout == "housing\n"
    status = Path(f"/proc/{container.process.pid}/status").read_text()
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^Uid:\t10001\t10001\t10001\t10001$", status, re.MULTILINE)
    for place in ("/app", "/opt/venv", "/etc", "/tmp", "/"):
        refused = container.run("touch", f"{place}/x")
        assert refused.returncode != 0, place
        assert "Read-only" in refused.stderr or "denied" in refused.stderr
    assert container.run("touch", "/app/data/x").returncode == 0
    where = container.run("python", "-c", "import pathlib, tempfile; print(pathlib.Path.home(), tempfile.gettempdir())")
    assert where.stdout == "/app/data /app/data\n"


@pytest.mark.parametrize("target", TARGETS)
def test_its_bytecode_is_there(target, request):
    container: Container = request.getfixturevalue(target)
    for folder in ("opt/venv/lib/python3.11/site-packages", "app/housing_assets/core"):
        sources = [p for p in (container.image.root / folder).rglob("*.py") if "templates" not in p.parts]
        compiled = list((container.image.root / folder).rglob("*.pyc"))
        assert len(compiled) > 0.95 * len(sources) > 0, folder


def test_on_the_stop_signal_the_api_leaves_by_itself(builder):
    image: Image = builder.build("api")
    with image.container(HOUSING_LEAVE_SECONDS="0.5") as container:
        container.wait_healthy(60)
        container.process.send_signal(getattr(signal, image.stop_signal))
        begun = time.monotonic()
        assert container.process.wait(20) == 0
        assert 0.5 <= time.monotonic() - begun < 15


# ---------------------------------------------------------------- read


def test_no_secret_and_nothing_but_sources_can_get_into_an_image():
    seen = context((PROJECT / ".dockerignore").read_text())
    assert {name.split("/")[0] for name in seen} == {
        "LICENSE", "README.md", "dagster.yaml", "housing_assets", "housing_dashboard", "housing_serving",
        "pyproject.toml", "requirements", "workspace.yaml",
    }  # fmt: skip
    stages = parse((PROJECT / "Dockerfile").read_text())
    named = {step.text.split("=")[0] for s in stages.values() for step in s.instructions if step.keyword == "ARG"}
    named |= {w.split("=")[0] for s in stages.values() for i in s.instructions if i.keyword == "ENV" for w in i.words}
    secret = re.compile("KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|POSTGRES|WEBHOOK", re.IGNORECASE)
    assert not [name for name in named if secret.search(name)]


@pytest.mark.parametrize("name", [".env", "infra/.env", "housing_assets/.env", "housing_serving/.env.production"])
def test_a_file_of_secrets_is_kept_out_wherever_it_lies(name):
    assert is_ignored(name, (PROJECT / ".dockerignore").read_text())


def test_every_image_is_pinned_and_says_how_it_is_checked_and_stopped():
    stages = parse((PROJECT / "Dockerfile").read_text())
    (outside,) = {stage.base for stage in stages.values()} - stages.keys()
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", outside)
    for target in TARGETS:
        words = [step.keyword for step in stages[target].instructions]
        assert {"USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"} <= set(words), target
        assert all(step.text.startswith("[") for step in stages[target].instructions if step.keyword == "CMD")
