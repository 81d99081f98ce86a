"""The Dockerfile as the tests read it: its stages, their instructions, and what a build sees of the checkout."""

import json
import re
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

PROJECT = Path(__file__).parents[2]


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
