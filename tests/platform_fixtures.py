"""A tiny platform for tests: its source, its folders, and ways to run it in and out of process."""

import base64
import contextlib
import hashlib
import io
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import dagster as dg
import httpx
import numpy as np
import polars as pl
import pytest
from quick_databases import close_idle_connections

from housing_assets.config.settings import Settings
from housing_assets.core.months import add_months, month_index, month_range
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame, write_sample
from housing_assets.orchestration import plots
from housing_assets.orchestration.assets import monitoring
from housing_assets.orchestration.build import build_definitions
from housing_assets.store.layout import Store

START, EVAL, HOLDOUT, END = "2019-01", "2019-10", "2020-01", "2020-03"
MONTHS = month_range(START, END)
TRAIN = [m for m in MONTHS if m < EVAL]
HELD = [m for m in MONTHS if m >= HOLDOUT]
ZIPS = 24
QUICK_TUNING = {"trials": 2, "folds": 1, "max_trees": 25}
FEW_TREES = {
    "ops": {
        "baseline_model": {"config": {"n_estimators": 60, "learning_rate": 0.2}},
        "tuned_model": {"config": QUICK_TUNING},
    }
}
NEWEST_REPORT = {"ops": {"drift_report": {"config": {"newest_report_only": True}}}}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
WINDOW = {
    "HOUSING_PANEL_START": START,
    "HOUSING_PANEL_END": END,
    "HOUSING_EVAL_START": EVAL,
    "HOUSING_HOLDOUT_START": HOLDOUT,
    "HOUSING_TUNE_TRIALS": "2",
}


def write_source(path: Path, last: str = END, zips: int = ZIPS, first: str = START) -> Path:
    """A dirty synthetic panel."""
    write_sample(SampleSpec(zips, first, last, 7, True), path)
    return path


def tree(folder: Path) -> dict[str, str]:
    """The sha256 of every file under a folder, but for what says when it was made: verdicts, reports, vintages."""
    return {
        name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
        and not (name := str(p.relative_to(folder))).startswith(("checks/", "vintages/"))
        and p.suffix != ".html"
    }


LONG = {"panel_start": "2015-06", "eval_start": "2019-01", "holdout_start": "2020-01", "panel_end": "2020-06"}
"""Settings of a panel that is long enough for history and forecasts."""


def write_long_source(path: Path, zips: int = 12) -> Path:
    """A clean synthetic panel over the months of `LONG`."""
    write_sample(SampleSpec(zips, LONG["panel_start"], LONG["panel_end"], 7, False), path)
    return path


def turning_panel(zips: int, start: str, end: str, eval_start: str, noise_grows: float) -> pl.DataFrame:
    """A clean raw panel of a market that turns: prices wander until three months before eval, and from then on each zip
    grows at a rate of its own.

    That the growth of the last months goes on is all there is to know of eval, and nothing before it says so: a model
    does worse.

    Args:
        zips, start, end: as in `SampleSpec`.
        eval_start: first month of eval, from which the noise grows.
        noise_grows: by which factor a month. Above 1, intervals that rest on the months before miss.
    """
    raw = sample_frame(SampleSpec(zips, start, end)).sort("zipcode", "date")
    draws = np.random.default_rng(5)
    months, turn = month_range(start, end), month_index(add_months(eval_start, -3)) - month_index(start)
    growth = draws.normal(0, 0.005, (zips, len(months)))
    growth[:, turn:] = draws.normal(0.003, 0.01, (zips, 1))
    late = np.maximum(np.arange(len(months)) - turn - 3, 0)
    noise = draws.normal(size=growth.shape) * 3e-4 * noise_grows**late
    price = draws.uniform(2e5, 8e5, (zips, 1)) * np.exp(np.cumsum(growth, axis=1) + noise)
    return raw.with_columns(pl.Series("price", price.ravel())).sort("date", "zipcode", maintain_order=True)


_CANVAS, _DRAW, _REPORT = plots._canvas, plots._png, monitoring.drift_html
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)


@contextlib.contextmanager
def pictures(drawn: bool) -> Iterator[None]:
    """Draw plots and Evidently's reports in this process, or write placeholders for them.

    Drawing them takes half of the time of a run over the small platform.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "_canvas", _CANVAS if drawn else lambda width, height: (MagicMock(), MagicMock()))
        patch.setattr(plots, "_png", _DRAW if drawn else lambda figure: _PIXEL)
        patch.setattr(monitoring, "drift_html", _REPORT if drawn else lambda reference, current: b"<html></html>")
        yield


@dataclass
class Platform:
    """One platform in a folder of its own, run in process."""

    root: Path
    source: Path
    changes: dict[str, Any] = field(default_factory=dict)
    kept_runs: bool = False
    """True if its runs are kept in its folder, where another process finds them."""

    def __post_init__(self) -> None:
        window = {k.removeprefix("HOUSING_").lower(): v for k, v in WINDOW.items()}
        values = {"source_uri": str(self.source), "store_uri": str(self.folder), **window, **self.changes}
        self.settings = Settings(**values)
        self.store = Store.open(self.settings.store_uri)
        self.definitions = build_definitions(self.settings)
        if self.kept_runs:
            runs = self.root / "runs"
            runs.mkdir(exist_ok=True)
            self.instance = dg.DagsterInstance.local_temp(str(runs))
        else:
            self.instance = dg.DagsterInstance.ephemeral()

    @property
    def folder(self) -> Path:
        return self.root / "store"

    def job(
        self, name: str, months: Sequence[str] = (), config: Mapping[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        """One run of a job, over its months."""
        job = self.definitions.resolve_job_def(name)
        return job.execute_in_process(
            instance=self.instance,
            tags=range_tags(months),
            run_config={**QUIET, **(config or {})},
            raise_on_error=False,
        )

    def select(
        self, selection: dg.AssetSelection, months: Sequence[str] = (), config: Mapping[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        """One run of some assets or checks."""
        job = dg.define_asset_job("some", selection=selection, executor_def=dg.in_process_executor)
        definitions = dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job]))
        return definitions.resolve_job_def("some").execute_in_process(
            instance=self.instance,
            tags=range_tags(months),
            run_config={**QUIET, **(config or {})},
            raise_on_error=False,
        )

    def run_all(self) -> "Platform":
        """Every stage, as `housing run` has it."""
        for name, months, config in (
            ("sources_job", (), None),
            ("ingest_job", MONTHS, None),
            ("training_job", (), FEW_TREES),
            ("predictions_job", HELD, None),
            ("monitoring_job", HELD, NEWEST_REPORT),
        ):
            assert self.job(name, months, config).success, name
        return self

    def run_months(self, trials: Mapping[str, Any] = FEW_TREES) -> "Platform":
        """Every stage over the platform's own months, forecasts included."""
        months = self.settings.months
        held = [m for m in months if m >= self.settings.holdout_start]
        for name, asked, config in (
            ("ingest_job", months, None),
            ("training_job", (), trials),
            ("predictions_job", held, None),
            ("forecast_job", held, None),
        ):
            made = self.job(name, asked, config)
            assert made.success, f"{name}: {failure_text(made)}"
        return self

    def read(self, asset: str, month: str) -> pl.DataFrame:
        return self.store.months(asset).read(month)


def range_tags(months: Sequence[str]) -> dict[str, str]:
    if not months:
        return {}
    ends = {"dagster/asset_partition_range_start": months[0], "dagster/asset_partition_range_end": months[-1]}
    return ends if len(months) > 1 else {"dagster/partition": months[0]}


def red_checks(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What every check of a run that did not pass says, by its name."""
    found = result.get_asset_check_evaluations()
    return {e.asset_check_key.name: e.description or "" for e in found if not e.passed}


def failure_text(result: dg.ExecuteInProcessResult) -> str:
    """What every failed step of a run says, with its causes."""
    told = []
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            while error:
                told.append(error.message)
                error = error.cause
    return "\n".join(told)


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass
class CommandLine:
    """`housing` with an environment of its own."""

    root: Path
    env: dict[str, str]

    @property
    def folder(self) -> Path:
        return Path(self.env["HOUSING_STORE_URI"])

    @property
    def store(self) -> Store:
        return Store.open(self.env["HOUSING_STORE_URI"])

    def changed(self, **env: str) -> "CommandLine":
        """The same with other variables."""
        return CommandLine(self.root, {**self.env, **env})

    def __call__(self, *args: object) -> Outcome:
        """Run in this process: the entry point itself, with its exit code."""
        from housing_assets.cli import main as cli

        out, err = io.StringIO(), io.StringIO()
        code = 0
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.chdir(self.root)
            patch.setattr(sys, "argv", ["housing", *map(str, args)])
            for name, value in self.env.items():
                patch.setenv(name, value)
            try:
                cli.main()
            except SystemExit as leaving:
                code = int(leaving.code or 0)
            finally:
                close_idle_connections()
        return Outcome(code, out.getvalue(), err.getvalue())

    def start(self, *args: object) -> subprocess.Popen:
        """Start the console script itself."""
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "housing"), *map(str, args)],
            cwd=self.root,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def shell(self, *args: object) -> Outcome:
        """Run the console script to its end."""
        process = self.start(*args)
        try:
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
        return Outcome(process.returncode, out, err)


def command_line(root: Path, source: Path | str, **env: str) -> CommandLine:
    root.mkdir(parents=True, exist_ok=True)
    return CommandLine(
        root,
        {
            **WINDOW,
            "HOUSING_SOURCE_URI": str(source),
            "HOUSING_STORE_URI": str(root / "store"),
            "DAGSTER_HOME": str(root / "home"),
            **env,
        },
    )


def copy_of(line: CommandLine, root: Path, **env: str) -> CommandLine:
    """The same platform in another folder, with its runs; `env` as for `command_line`."""
    for folder in ("store", "home"):
        shutil.copytree(line.root / folder, root / folder)
    return command_line(root, line.env["HOUSING_SOURCE_URI"], **env)


def free_port() -> int:
    """A port on which nothing listens, and that nothing is likely to take before a server does.

    The system gives those above 32,768 to connections: by the time a slow server starts, one may have its port.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Until a condition holds; a failure of the test if it does not in time.

    It is looked at ever less often, since looking takes time from what is waited for.
    """
    until = time.monotonic() + seconds
    pause = 0.05
    while not condition():
        assert time.monotonic() < until
        time.sleep(pause)
        pause = min(pause * 1.1, 1)


ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def dagster_dev(source: Path, home: Path) -> Iterator[str]:
    """Dagster's webserver and daemon over `home/store`, with their instance in `home/home`; gives their address."""
    (home / "home").mkdir()
    shutil.copy(ROOT / "dagster.yaml", home / "home")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {"HOUSING_SOURCE_URI": str(source), "HOUSING_STORE_URI": str(home / "store"), **WINDOW}
    command = ["dev", "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "dagster"), *command],
        cwd=home,
        env={**os.environ, **env, "DAGSTER_HOME": str(home / "home"), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def answers() -> bool:
        assert server.poll() is None
        try:
            return httpx.get(f"{url}/server_info").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for(answers, 120)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


OPEN = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]


def open_runs(line: CommandLine) -> list[dg.DagsterRun]:
    with dg.DagsterInstance.from_config(line.env["DAGSTER_HOME"]) as instance:
        return list(instance.get_runs(dg.RunsFilter(statuses=OPEN)))
