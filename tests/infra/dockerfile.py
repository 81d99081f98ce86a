"""Builds and runs the images of the Dockerfile without an engine.

The Dockerfile is read, not repeated: each stage's COPY and RUN are carried out as they stand there, in a mount
namespace in which /app, /opt and /etc are the stage's own and /usr/local is this machine's Python. A container is
that again with a read-only root, the stage's user without capabilities, its environment and nothing else, and a
network of its own. What it cannot show is the base image: its libraries are this machine's.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from string import Template

PROJECT = Path(__file__).parents[2]
OWN = ("app", "opt", "etc")
"""Folders of the root that a stage has for itself."""
_ENTER = """
import fcntl, json, os, socket, struct, subprocess, sys
plan = json.loads(sys.argv[1])
def mount(*words): subprocess.run(["mount", *words], check=True)
for source, place in plan["binds"]:
    os.makedirs(place, exist_ok=True)
    mount("--bind", source, place)
if plan["read_only"]:
    for place in [place for _, place in plan["binds"] if place not in plan["writable"]] + ["/", "/tmp"]:
        if os.path.ismount(place):
            mount("-o", "remount,bind,ro", place)
    with socket.socket() as probe:
        fcntl.ioctl(probe, 0x8914, struct.pack("16sh14x", b"lo", 0x41))  # SIOCSIFFLAGS: up and running
os.chdir(plan["folder"])
os.execvpe(plan["command"][0], plan["command"], plan["env"])
"""


@dataclass(frozen=True)
class Instruction:
    """One of a Dockerfile: `COPY --from=x a b` is keyword COPY, flags {"from": "x"}, text "a b"."""

    keyword: str
    flags: dict[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the text: a JSON array's, or a shell's."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


@dataclass
class Stage:
    """One stage: what it begins from, and its instructions."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


def parse(text: str) -> dict[str, Stage]:
    """The stages of a Dockerfile by name."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stages: dict[str, Stage] = {}
    stage = Stage("", "")
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if not keyword:
            continue
        if keyword == "FROM":
            base, _, name = rest.strip().partition(" AS ")
            stage = stages[name.strip()] = Stage(name.strip(), base)
            continue
        flags = {}
        while rest.lstrip().startswith("--") and keyword in ("COPY", "RUN", "HEALTHCHECK"):
            flag, _, rest = rest.lstrip().partition(" ")
            name, _, value = flag.removeprefix("--").partition("=")
            flags[name] = value
        stage.instructions.append(Instruction(keyword, flags, rest.strip()))
    return stages


def context(ignored: str) -> list[str]:
    """The files of the checkout that a build sees, as `.dockerignore` leaves them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [n for n in listed.stdout.splitlines() if not is_ignored(n, ignored) and (PROJECT / n).is_file()]


def is_ignored(name: str, ignored: str) -> bool:
    """Whether `.dockerignore` keeps a file out: the last pattern that fits the file or a folder above it decides."""
    out = False
    above = [str(p) for p in (PurePosixPath(name), *PurePosixPath(name).parents)]
    for line in ignored.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        fits = re.compile(
            re.escape(pattern.lstrip("!")).replace(re.escape("**/"), "(.*/)?").replace(re.escape("*"), "[^/]*")
        )
        if any(fits.fullmatch(path) for path in above):
            out = not pattern.startswith("!")
    return out


@dataclass
class Image:
    """A built stage: its folders, and what its instructions say of a container."""

    root: Path
    env: dict[str, str]
    folder: str
    user: str
    volume: str
    command: list[str]
    health: list[str]
    ports: list[int]
    stop_signal: str

    @contextlib.contextmanager
    def container(self, *command: str, **env: str) -> Iterator["Container"]:
        """A running container; without a command, that of the image."""
        volume = self.root / "volume"
        shutil.rmtree(volume, ignore_errors=True)
        # An engine fills a new volume from the image, with its owner.
        shutil.copytree(self.root / self.volume.lstrip("/"), volume)
        os.chown(volume, *map(int, self.user.split(":")))
        uid, gid = self.user.split(":")
        drop = [
            "setpriv",
            f"--reuid={uid}",
            f"--regid={gid}",
            "--clear-groups",
            "--no-new-privs",
            "--bounding-set=-all",
        ]
        plan = _plan(
            self.root,
            self.folder,
            [*drop, *(command or self.command)],
            {**self.env, **env},
            {self.volume: volume},
            True,
        )
        log = self.root / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(_entered("--net", plan=plan), stdout=file, stderr=file, start_new_session=True)
        try:
            yield Container(self, process, log, drop)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(20)


@dataclass
class Container:
    """A process in the image."""

    image: Image
    process: subprocess.Popen
    log: Path
    drop: list[str]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside the process, as its user."""
        space = ["nsenter", "--target", str(self.process.pid), "--mount", "--net", "env", "-C", self.image.folder]
        return subprocess.run(
            [*space, *self.drop, *command], env=self.image.env, capture_output=True, text=True, check=False, timeout=120
        )

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a call to the image's port."""
        ask = (
            "import sys, urllib.request as r, urllib.error as e\n"
            "try: a = r.urlopen(sys.argv[1], timeout=20)\n"
            "except e.HTTPError as a_: a = a_\n"
            "print(a.status); print(a.read().decode())"
        )
        told = self.run("python", "-c", ask, f"http://127.0.0.1:{self.image.ports[0]}{path}")
        assert told.returncode == 0, told.stderr + self.log.read_text()
        status, _, body = told.stdout.partition("\n")
        return int(status), body

    def wait_healthy(self, seconds: float) -> None:
        """Until the image's own health check passes."""
        until = time.monotonic() + seconds
        while (checked := self.run(*self.image.health)).returncode:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, checked.stderr + self.log.read_text()
            time.sleep(0.3)


class Builder:
    """Builds stages, each once."""

    def __init__(self, folder: Path, build_arguments: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.stages = parse((PROJECT / "Dockerfile").read_text())
        self.given = dict(build_arguments or {})
        self.files = context((PROJECT / ".dockerignore").read_text())
        self._built: dict[str, Image] = {}

    def build(self, name: str) -> Image:
        """The image of a stage."""
        if name not in self._built:
            self._built[name] = self._build(self.stages[name])
        return self._built[name]

    def _build(self, stage: Stage) -> Image:
        root = self.folder / stage.name
        if stage.base in self.stages:
            before = self.build(stage.base)
            _link_tree(before.root, root)
            image = Image(**{**vars(before), "root": root, "env": dict(before.env)})
        else:
            for name in OWN:
                (root / name).mkdir(parents=True)
            shutil.copytree("/etc", root / "etc", symlinks=True, dirs_exist_ok=True)
            env = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}
            image = Image(root, env, "/", "0:0", "", [], [], [], "")
            # As the base image does: its own Python library comes before one of the system.
            self._run(Instruction("RUN", {}, "ldconfig"), image)
        for step in stage.instructions:
            self._carry_out(step, image)
        return image

    def _carry_out(self, step: Instruction, image: Image) -> None:
        match step.keyword:
            case "COPY" if "from" in step.flags:
                self._copy_from_stage(step, image)
            case "COPY":
                self._copy_from_context(step.words, image)
            case "RUN":
                self._run(step, image)
            case "ENV":
                for word in shlex.split(step.text):
                    name, _, value = word.partition("=")
                    image.env[name] = Template(value).substitute(image.env)
            case "ARG":
                name, _, default = step.text.partition("=")
                image.env[name] = self.given.get(name, default)
            case "WORKDIR":
                image.folder = step.text
            case "USER":
                image.user = step.text
            case "VOLUME":
                image.volume = step.text
            case "EXPOSE":
                image.ports = [*image.ports, int(step.text)]
            case "STOPSIGNAL":
                image.stop_signal = step.text
            case "CMD":
                image.command = json.loads(step.text)  # exec form alone: a shell would keep signals from the process
            case "HEALTHCHECK":
                image.health = json.loads(step.text.removeprefix("CMD").strip())
            case _:
                raise AssertionError(f"the tests do not know how to carry out {step.keyword}")

    def _copy_from_stage(self, step: Instruction, image: Image) -> None:
        source, target = step.words
        _link_tree(self.build(step.flags["from"]).root / source.lstrip("/"), image.root / target.lstrip("/"))

    def _copy_from_context(self, words: Sequence[str], image: Image) -> None:
        *sources, target = words
        place = image.root / image.folder.lstrip("/") / target
        for source in sources:
            found = [f for f in self.files if f == source or f.startswith(f"{source.rstrip('/')}/")]
            assert found, f"COPY {source}: .dockerignore leaves no such file"
            for name in found:
                inside = name.removeprefix(source).lstrip("/") or Path(name).name
                to = place / inside if found != [source] or target.endswith("/") else place
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PROJECT / name, to)

    def _run(self, step: Instruction, image: Image) -> None:
        more = {}
        if "mount" in step.flags:
            options = dict(part.partition("=")[::2] for part in step.flags["mount"].split(","))
            assert options["type"] == "cache"
            more[options["target"]] = Path.home() / ".cache/uv"
            more[options["target"]].mkdir(parents=True, exist_ok=True)
        # How this machine reaches its package registry, and nothing of the tests' own environment.
        outside = {
            n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "VIRTUAL_ENV", "HOUSING", "UV_C"))
        }
        plan = _plan(image.root, image.folder, ["/bin/sh", "-ec", step.text], {**outside, **image.env}, more, False)
        done = subprocess.run(_entered(plan=plan), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"RUN {step.text}\n{done.stdout}{done.stderr}"


def _link_tree(source: Path, target: Path) -> None:
    """Copy a folder by hard links: what installs into one stage makes new files and changes none of the other's."""
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "--archive", "--link", f"{source}/.", str(target)], check=True)


def _plan(
    root: Path, folder: str, command: Sequence[str], env: Mapping[str, str], more: Mapping[str, Path], read_only: bool
) -> str:
    binds = [(sys.base_prefix, "/usr/local"), *((str(root / name), f"/{name}") for name in OWN)]
    binds += [(str(path), place) for place, path in more.items()]
    plan = {"binds": binds, "folder": folder, "command": list(command), "env": dict(env)}
    return json.dumps(plan | {"read_only": read_only, "writable": list(more) if read_only else []})


def _entered(*spaces: str, plan: str) -> list[str]:
    return ["unshare", "--mount", "--propagation", "private", *spaces, sys.executable, "-c", _ENTER, plan]


def can_build() -> str:
    """Why this machine cannot; empty if it can."""
    if os.geteuid() != 0:
        return "images are built in namespaces, which only root may make"
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip()
