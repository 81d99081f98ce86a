"""What the Dockerfile and `make images` say, without an engine. `tests/images` runs what they make."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from dockerfile import PROJECT, context, is_ignored, parse

TARGETS = ("dagster", "api", "dashboard")


def test_no_secret_and_nothing_but_sources_can_get_into_an_image():
    seen = context((PROJECT / ".dockerignore").read_text())
    assert {name.split("/")[0] for name in seen} == {
        "LICENSE", "README.md", "dagster.yaml", "housing_assets", "housing_dashboard", "housing_serving", "infra",
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
    (outside,) = {stage.base for stage in stages.values()} - stages.keys() - {"scratch"}
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", outside)
    for target in TARGETS:
        words = [step.keyword for step in stages[target].instructions]
        assert {"USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"} <= set(words), target
        assert all(step.text.startswith("[") for step in stages[target].instructions if step.keyword == "CMD")


def test_code_comes_after_libraries_so_that_a_change_of_it_leaves_their_layers():
    stages = parse((PROJECT / "Dockerfile").read_text())
    for target in TARGETS:
        copied = [i.flags["from"] for i in stages[target].instructions if i.keyword == "COPY"]
        assert copied[0] == f"{target}-libraries"
        assert copied[-1] == f"{target}-code"
        libraries = {w for i in stages[f"{target}-libraries"].instructions if i.keyword == "COPY" for w in i.words}
        assert not [word for word in libraries if word.startswith("housing_")]


# ---------------------------------------------------------------- make images, where it cannot


ENGINE = """#!/bin/sh
case "$*" in
  "version --format"*) {version} ;;
  "buildx version") {buildx} ;;
  "buildx inspect") echo "Platforms: {platforms}" ;;
  "info --format"*) echo {root} ;;
  "image inspect --format"*) {base} ;;
  "image inspect"*) exit 1 ;;
  "buildx bake"*) {bake} ;;
  *) exit 0 ;;
esac
"""
SOUND = {
    "version": "echo 26.1",
    "buildx": "exit 0",
    "platforms": "linux/amd64, linux/386",
    "root": "/nowhere",
    "base": "echo linux/amd64",
    "bake": "echo built >> $0.built",
}


def make_images(folder: Path, **engine: str) -> tuple[int, str, bool]:
    """Exit code and message of `make images` with an engine that answers as given, and whether a build began."""
    if engine != {"docker": "none"}:
        program = folder / "docker"
        program.write_text(ENGINE.format(**{**SOUND, **engine}))
        program.chmod(0o755)
    git = folder / "git"
    git.write_text("#!/bin/sh\necho 0123abc\n")
    git.chmod(0o755)
    path = str(folder) if engine == {"docker": "none"} else f"{folder}:/usr/bin:/bin"
    done = subprocess.run(
        [sys.executable, PROJECT / ".ci/images.py"],
        env={"PATH": path, "HOUSING_BASE_IMAGE": "base:1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr, (folder / "docker.built").exists()


NO_SPACE = "echo 'write /x: no space left on device' >&2; exit 1"
REFERENCE = re.findall(r"python:3.*@sha256:[0-9a-f]+", (PROJECT / "Dockerfile").read_text())[0]
NO_BASE = f"echo '{REFERENCE}: failed to do request' >&2; exit 1"


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"docker": "none"}, "there is no container engine"),
        ({"version": "echo 'Cannot connect to the Docker daemon' >&2; exit 1"}, "no container engine answers (Cannot"),
        ({"buildx": "exit 1"}, "the engine has no BuildKit: install Docker's buildx plugin"),
        ({"platforms": "linux/arm64"}, "the engine builds for linux/arm64, and the images are for linux/amd64"),
        ({"base": "exit 1"}, "HOUSING_BASE_IMAGE=base:1: the engine has no such image: `.ci/engine base` makes one"),
        ({"base": "echo linux/arm64"}, "HOUSING_BASE_IMAGE=base:1 is for linux/arm64"),
        ({"bake": NO_SPACE}, "the engine's disk is full: make room"),
        ({"bake": NO_BASE}, "cannot be fetched: reach its registry, or set HOUSING_BASE_IMAGE"),
    ],
)
def test_what_an_engine_lacks_is_one_line_before_anything_is_built(tmp_path, engine, message):
    code, said, built = make_images(tmp_path, **engine)
    assert code == 1
    assert said.startswith("images: ")
    assert message in said
    assert said.count("\n") == 1
    assert not built


def test_too_small_a_disk_is_seen_before_the_build(tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small disk is a file system of its own, which only root may mount")
    script = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"'
    engine = tmp_path / "docker"
    engine.write_text(ENGINE.format(**{**SOUND, "root": mount}))
    engine.chmod(0o755)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", mount, sys.executable,
         PROJECT / ".ci/images.py"],
        capture_output=True, text=True, check=False, env={"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"images: .*/disk has 0\.0 GB free, and the images take \d GB: make room.*\n", done.stderr), (
        done.stderr
    )
    assert not (tmp_path / "docker.built").exists()


# ---------------------------------------------------------------- .ci/engine and smoke.sh, where they cannot


TOOLS = ("bash", "cat", "df", "dirname", "grep", "head", "mkdir", "rm", "sed", "setpriv", "tail", "touch")
NO_BUILDKIT = 'case "$1" in buildx) exit 1 ;; esac'


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, as pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="housing-tools-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def with_tools(folder: Path, **programs: str) -> str:
    """A PATH with a few tools, and programs that are given as text."""
    for name in set(TOOLS) - set(programs):
        (folder / name).symlink_to(str(shutil.which(name)))
    for name, text in {"uname": "echo x86_64", **programs}.items():
        file = folder / name.replace("_", "-")
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("programs", "user", "message"),
    [
        ({"docker": NO_BUILDKIT}, 0, "the engine that is there has no BuildKit: install docker-buildx"),
        ({}, 65_534, "no container engine answers, and starting one takes root"),
        ({"uname": "echo aarch64"}, 0, "the images are for x86_64, and this machine is aarch64"),
        ({}, 0, "an engine is made of Debian's packages, and this is no Debian"),
        ({"apt_get": ""}, 0, "apt has no lists of"),
        ({"apt_get": "echo http://debian.example", "df": "echo 1"}, 0, "has less than 1 GB free: make room"),
    ],
)  # fmt: skip
def test_where_no_engine_can_be_started_is_one_line_and_nothing_is_left(tmp_path, open_folder, programs, user, message):
    if os.geteuid() != 0:
        pytest.skip("root starts an engine")
    path = with_tools(open_folder, **programs)
    places = {"HOUSING_ENGINE_CACHE": str(tmp_path / "cache"), "HOUSING_ENGINE_RUN": str(tmp_path / "run")}
    done = subprocess.run(
        ["setpriv", f"--reuid={user}", "--clear-groups", "bash", PROJECT / ".ci/engine", "up"],
        env={"PATH": path, "HOME": str(tmp_path), **places}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("engine: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["api", "housing-api:local"], "there is no docker to run housing-api:local with"),
        (["api"], "usage: infra/smoke.sh api IMAGE"),
        (["mlflow", "x"], "usage: infra/smoke.sh dagster|api|dashboard IMAGE"),
    ],
)
def test_what_cannot_be_smoked_is_one_line(tmp_path, words, message):
    done = subprocess.run(
        ["bash", PROJECT / "infra/smoke.sh", *words],
        env={"PATH": with_tools(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{message}\n")
