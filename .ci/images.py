"""Builds the three images with whatever container engine answers: `make images`.

What an engine lacks is said in one line before anything is begun. Images get their names together, once all of them are
built. Ends with a table of their sizes. Exit code 0: all are built; 1: they are not, and the ones before stay.

    HOUSING_BASE_IMAGE   an image of the engine that stands in for the one in the Dockerfile's FROM line
    PIP_CONFIG_FILE, UV_CONFIG_FILE, SSL_CERT_FILE   how the package index is reached, as secrets of the build
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGETS = ("api", "dashboard", "dagster")
PLATFORM = "linux/amd64"
"""That of the task definitions, and of the wheels that are locked with it."""
SPACE = 7_000_000_000
"""Bytes that a first build takes: layers of libraries twice, and the package cache."""
START_ONE = 'as root on Debian, `eval "$(.ci/engine up)"` starts one'
_SECRETS = {"certificates": "SSL_CERT_FILE", "pip.conf": "PIP_CONFIG_FILE", "uv.toml": "UV_CONFIG_FILE"}


class BuildError(Exception):
    """Why no image can be built, in one line, with the remedy."""


def main() -> int:
    """Build all images and print their sizes; returns the exit code."""
    base = os.environ.get("HOUSING_BASE_IMAGE", "")
    begun = time.monotonic()
    try:
        check_engine()
        check_space()
        if base:
            check_base(base)
        build(base)
    except BuildError as reason:
        print(f"images: {reason}", file=sys.stderr)
        return 1
    print(f"{'image':<26}{'MB':>6}")
    for target in TARGETS:
        size = int(ask("image", "inspect", "--format", "{{.Size}}", name(target)))
        print(f"{name(target):<26}{size / 1e6:>6.0f}")
    print(f"built in {time.monotonic() - begun:.0f} s")
    return 0


def name(target: str, tag: str = "local") -> str:
    """The image's name, as `infra/compose.yaml` has it."""
    return f"housing-{target}:{tag}"


def check_engine() -> None:
    """Refuse an engine that does not answer, has no BuildKit, or builds for other processors."""
    if shutil.which("docker") is None:
        raise BuildError(f"there is no container engine: install Docker with buildx; {START_ONE}")
    answer = _docker("version", "--format", "{{.Server.Version}}")
    if answer.returncode:
        raise BuildError(f"no container engine answers ({_last(answer)}): start Docker; {START_ONE}")
    if _docker("buildx", "version").returncode:
        raise BuildError("the engine has no BuildKit: install Docker's buildx plugin (docker-buildx)")
    platforms = re.search(r"Platforms: *(.*)", ask("buildx", "inspect"))
    if platforms and PLATFORM not in re.split(r"[,* ]+", platforms[1]):
        raise BuildError(
            f"the engine builds for {platforms[1].strip()}, and the images are for {PLATFORM}: "
            "build on such a machine, or install its emulation (binfmt)"
        )


def check_space() -> None:
    """Refuse a disk that is too small, where the engine's folder is on this machine and no image is built yet."""
    folder = Path(ask("info", "--format", "{{.DockerRootDir}}"))
    if not folder.is_dir() or _docker("image", "inspect", name(TARGETS[-1])).returncode == 0:
        return
    if (free := shutil.disk_usage(folder).free) < SPACE:
        raise BuildError(
            f"{folder} has {free / 1e9:.1f} GB free, and the images take {SPACE / 1e9:.0f} GB: make room, "
            "for example with `docker system prune`"
        )


def check_base(base: str) -> None:
    """Refuse a stand-in of the base image that is not there or is for other processors."""
    found = _docker("image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", base)
    if found.returncode:
        raise BuildError(f"HOUSING_BASE_IMAGE={base}: the engine has no such image: `.ci/engine base` makes one")
    if (platform := found.stdout.strip()) != PLATFORM:
        raise BuildError(f"HOUSING_BASE_IMAGE={base} is for {platform}, and the images are for {PLATFORM}")


def build(base: str) -> None:
    """Build every target in one go, and name the images once all of them are there."""
    done = subprocess.run(
        ["docker", "buildx", "bake", "--progress", "plain", "--file", "-"],
        input=json.dumps({"group": {"default": {"targets": TARGETS}}, "target": {t: _plan(t, base) for t in TARGETS}}),
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    if done.returncode:
        _drop_half_built()
        raise BuildError(reason_of(done.stderr))
    for target in TARGETS:
        ask("tag", name(target, "building"), name(target))
    _drop_half_built()


def reason_of(log: str) -> str:
    """Why a build failed, in one line."""
    reference = base_reference()
    if "no space left on device" in log.lower():
        return "the engine's disk is full: make room, for example with `docker system prune`"
    if reference in log and re.search(r"failed to resolve source metadata|failed to do request|not found", log):
        return (
            f"the base image {reference} cannot be fetched: reach its registry, or set HOUSING_BASE_IMAGE to what "
            "`.ci/engine base` prints"
        )
    last = [line for line in log.splitlines() if line.strip()][-12:]
    return "the build failed:\n" + "\n".join(last)


def base_reference() -> str:
    """The image of the Dockerfile's first FROM line."""
    return re.findall(r"^FROM (\S+@sha256:\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]


def _plan(target: str, base: str) -> dict[str, object]:
    """A target as `docker buildx bake` takes it."""
    files = {secret: os.environ.get(variable, "") for secret, variable in _SECRETS.items()}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "context": ".",
        "dockerfile": "Dockerfile",
        "target": target,
        "platforms": [PLATFORM],
        "tags": [name(target, "building")],
        "args": {"GIT_COMMIT": os.environ.get("GIT_COMMIT") or commit.stdout.strip() or "unknown"},
        "contexts": {base_reference(): f"docker-image://{base}"} if base else {},
        "secret": [f"id={secret},src={file}" for secret, file in files.items() if file and Path(file).is_file()],
        "output": ["type=docker"],
    }


def _drop_half_built() -> None:
    _docker("image", "rm", "--no-prune", *(name(target, "building") for target in TARGETS))


def ask(*words: str) -> str:
    """What a command of the engine prints.

    Raises:
        BuildError: if it fails.
    """
    answer = _docker(*words)
    if answer.returncode:
        raise BuildError(f"`docker {' '.join(words)}` failed: {_last(answer)}")
    return answer.stdout.strip()


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def _last(answer: subprocess.CompletedProcess[str]) -> str:
    return next((line for line in reversed(answer.stderr.splitlines()) if line.strip()), "no output").strip()


if __name__ == "__main__":
    sys.exit(main())
