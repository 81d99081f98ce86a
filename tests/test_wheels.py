"""The wheel and the source distribution: they are built, installed into a fresh environment, and run away from here.

The environment shares the libraries of this one through a path file. Paths in such a file are searched. Path files in
them are not read, and so the project itself is not found there.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from platform_fixtures import END, WINDOW, free_port, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.process]

ROOT = Path(__file__).parents[1]
PACKAGES = ("housing_assets", "housing_serving", "housing_dashboard")


def build(project: Path, into: Path) -> None:
    """What `make wheels` does, without a look at an index."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(into)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)


@pytest.fixture(scope="module")
def built(built_once) -> Path:
    """A folder with the wheel and the source distribution."""
    return built_once("wheels", lambda folder: build(ROOT, folder))


def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def line(built, tmp_path_factory) -> Callable[..., list[str]]:
    """A fresh environment with the wheel; gives the command that runs a program of it."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False)
    (wheel,) = built.glob("*.whl")
    python = home / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True
    )
    shared = sysconfig.get_path("purelib")
    (Path(own.stdout.decode().strip()) / "libraries-of-the-tests.pth").write_text(f"{shared}\n")
    return lambda program, *words: [str(home / "bin" / program), *map(str, words)]


@pytest.fixture(scope="module")
def away(tmp_path_factory) -> Path:
    """A folder that is not the repository's."""
    return tmp_path_factory.mktemp("away")


@pytest.fixture(scope="module")
def environment(source) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, **WINDOW, "HOUSING_SOURCE_URI": str(source), "HOUSING_API_PORT": str(free_port())}


def test_the_source_distribution_builds_the_same_wheel(built, tmp_path):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (project,) = tmp_path.iterdir()
    build(project, tmp_path / "dist")
    (wheel,) = built.glob("*.whl")
    assert members(tmp_path / "dist" / wheel.name) == members(wheel)


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    inside = {name for name in members(wheel) if ".dist-info/" not in name}
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True)
    assert inside == set(listed.stdout.split())
    assert {"housing_dashboard/outlines/outlines.parquet", "housing_assets/config/dagster.yaml"} <= inside


def test_it_runs_away_from_the_repository(line, away, environment):
    def said(*words: str) -> str:
        done = subprocess.run(line(*words), cwd=away, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = "import housing_assets, housing_serving, housing_dashboard as d; print(housing_assets.__file__, d.__file__)"
    for place in said("python", "-c", code).split():
        assert not Path(place).is_relative_to(ROOT)
    said("housing", "run", "--trials", "0")
    status = json.loads(said("housing", "status", "--json"))
    assert status["assets"]["monthly_predictions"]["newest_month"] == END
    assert "max_concurrent_runs" in (away / "data/dagster/dagster.yaml").read_text(), "the project's own settings"
    for url in servers(line, away, environment):
        assert httpx.get(url).status_code == 200


def servers(line: Callable[..., list[str]], away: Path, environment: dict[str, str]) -> Iterator[str]:
    """The API and the dashboard, one after the other, each by the address that answers once it is up."""
    port, api = free_port(), environment["HOUSING_API_PORT"]
    options = ["--server.address", "127.0.0.1", "--server.port", str(port), "--server.headless", "true"]
    for command, url in (
        (line("python", "-m", "housing_serving"), f"http://127.0.0.1:{api}/health/ready"),
        (line("python", "-m", "housing_dashboard", *options), f"http://127.0.0.1:{port}/_stcore/health"),
    ):
        process = subprocess.Popen(command, cwd=away, env={**environment, "HOUSING_LEAVE_SECONDS": "0"})

        def answers(url: str = url, process: subprocess.Popen = process) -> bool:
            assert process.poll() is None
            try:
                return httpx.get(url).status_code == 200
            except httpx.TransportError:
                return False

        try:
            wait_for(answers, 120)
            yield url
        finally:
            process.terminate()
            process.wait(30)
