"""The nation from its publishers' files to forecasts, and a month later: `housing run` as a user starts it."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from figures import Figure, command, piece
from national_files import NATION_ZIPS, write_national

from housing_assets.config.settings import Settings
from housing_assets.core.months import add_months
from housing_assets.ingestion.sources import publish_sources
from housing_assets.store.layout import Store

FEWER_ZIPS = 1_000
_START, _END = "2012-03", "2025-12"
"""166 months."""
_RUN_SECONDS, _RUN_MIB = 8 * 60, 8 * 1_024
_MONTH_SECONDS = 45
_LOOK_SECONDS = 10
"""A sensor has a minute for all that it does."""
_HOUSING = str(Path(sys.executable).parent / "housing")
_SHOWN_STEPS = 8


def national_figures(folder: Path, full: bool, step_seconds: Callable[[Path], Mapping[str, float]]) -> Iterator[Figure]:
    """A run from nothing without a search, a look at the sources, a run after a month was added, and one after all
    were revised.

    Args:
        folder: for files and platform, which are removed when they have been measured.
        full: True for all zips of the nation, which the targets are set for.
        step_seconds: gives the time of each step from a DAGSTER_HOME.
    """
    try:
        yield from _figures(folder, NATION_ZIPS if full else FEWER_ZIPS, full, step_seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _figures(
    folder: Path, zips: int, full: bool, step_seconds: Callable[[Path], Mapping[str, float]]
) -> Iterator[Figure]:
    zillow, redfin = (path.absolute() for path in write_national(folder / "files", zips, _START, _END))
    platform = folder / "platform"
    platform.mkdir(parents=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "DAGSTER_", "MLFLOW_"))}
    env |= {"HOUSING_SOURCE_URI": f"{zillow} {redfin}"}
    run = command([_HOUSING, "run", "--trials", "0"], platform, env)
    name = f"{zips:,} zips, 166 months, prices and market: `housing run` from nothing, no search"
    met = run.seconds < _RUN_SECONDS and run.memory < _RUN_MIB
    target = (f"{_RUN_SECONDS} s, {_RUN_MIB:,} MiB", met) if full else ("", None)
    yield Figure("nation", name, f"{run.seconds:.0f} s", *target, run.memory)
    longest = sorted(step_seconds(platform / "data/dagster").items(), key=lambda step: step[1], reverse=True)
    steps = ", ".join(f"{step} {took:.0f}" for step, took in longest[:_SHOWN_STEPS])
    yield Figure("nation", "its longest steps, in seconds", steps)
    following = add_months(_END, 1)
    write_national(folder / "files", zips, _START, following)
    # In a copy: what is looked at is published, and the run after it is to read the files itself.
    looked = shutil.copytree(platform / "data/store", folder / "looked")
    look = piece("changed_months", looked, env["HOUSING_SOURCE_URI"])
    shutil.rmtree(looked)
    target = (f"{_LOOK_SECONDS} s", look.seconds < _LOOK_SECONDS) if full else ("", None)
    yield Figure(
        "nation", "a sensor asks which months new vintages change", f"{look.seconds:.1f} s", *target, look.memory
    )
    again = command([_HOUSING, "run", "--trials", "0"], platform, env)
    target = (f"{_MONTH_SECONDS} s", again.seconds < _MONTH_SECONDS) if full else ("", None)
    name = "`housing run` after both files gained a month and revised none; both are read"
    yield Figure("nation", name, f"{again.seconds:.0f} s", *target, again.memory)
    # The second vintage of a panel that ends a month earlier ends with the same month, and revises those before it.
    write_national(folder / "files", zips, _START, _END, vintage=2)
    revised = command([_HOUSING, "run", "--trials", "0"], platform, env)
    name = "`housing run` after both files revised every month, trained again"
    yield Figure("nation", name, f"{revised.seconds:.0f} s", memory=revised.memory)


# ---------------------------------------------------------------- pieces


def publish_and_settings(folder: Path, source: str) -> tuple[Settings, Store]:
    """The files as vintages, and what `changed_months` is asked with."""
    settings, store = Settings(source_uri=source), Store.open(str(folder))  # pyright: ignore[reportCallIssue]
    publish_sources(settings, store)
    return settings, store
