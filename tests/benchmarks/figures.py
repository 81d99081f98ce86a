"""What the report of `make bench` is made of, and how a piece of work is measured."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

HERE = Path(__file__).parent
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Figure:
    """What was measured, and what it should be.

    Attributes:
        group: of figures.
        name: what it is.
        value: as people read it.
        target: what it should be; empty: it has none.
        met: is it so? None without a target.
        memory: most memory of the processes that did it, MiB; None where it was not watched.
    """

    group: str
    name: str
    value: str
    target: str = ""
    met: bool | None = None
    memory: float | None = None


@dataclass(frozen=True)
class Cost:
    """What a piece of work took.

    Attributes:
        seconds: wall time.
        memory: most memory of the process and all below it at one time, MiB.
    """

    seconds: float
    memory: float


@contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """The most memory of a process tree, MiB, in a list of one that grows true while the block runs."""
    most, ended = [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            most[0] = max(most[0], _memory(pid))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()


def _memory(pid: int) -> float:
    """What a process and those below it have resident, MiB; pages of files mapped by them count as well."""
    total = 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total / 2**20


def command(arguments: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Cost:
    """A command from start to end."""
    begun = time.perf_counter()
    process = subprocess.Popen(arguments, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with watched(process.pid) as most:
        _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {said.decode()[-2_000:]}")
    return Cost(time.perf_counter() - begun, most[0])


def piece(name: str, *arguments: object) -> Cost:
    """One piece of `pieces.py` in a process of its own; the seconds are its own, without start and imports."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "pieces.py"), name, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with watched(process.pid) as most:
        out, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{name} failed: {said.decode()[-2_000:]}")
    told = json.loads(out.decode().splitlines()[-1])
    return Cost(told["seconds"], max(most[0], told["memory"]))


def typical(costs: Sequence[Cost]) -> Cost:
    """The median of repeated runs, and the most memory of any."""
    return Cost(median(cost.seconds for cost in costs), max(cost.memory for cost in costs))
