"""What runs out: the disk of the store, the disk of temporary files, memory. What was there before stays as it was."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
from platform_fixtures import Platform, tree

from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample
from housing_assets.store.layout import Store

_TABLE = """
import sys
from housing_assets.core.errors import HousingError
from housing_assets.store.layout import Store
store = Store.open(sys.argv[1])
frame = store.read_table("training_features")
try:
    store.write_pieces("training_features", [frame] * 200, 1_000)
except HousingError as error:
    sys.exit(str(error))
"""
_SPOOL = """
import sys
from housing_assets.core.errors import HousingError
from housing_assets.core.source.panel import open_panel
try:
    with open_panel(sys.argv[1], spool_bytes=0):
        pass
except HousingError as error:
    sys.exit(str(error))
"""
# Trees as deep as these over values that are all distinct need gigabytes of histograms, and little of anything else.
_TRAINING = """
import resource, sys
import polars, xgboost
from pathlib import Path
from housing_assets.core.errors import HousingError
from housing_assets.core.models.trees import TrainingParams
from housing_assets.engines.local import train_here
from housing_assets.store.layout import Store
rows = Store.open(sys.argv[1]).table("training_features").of("train")
list(rows.pieces(["price"], [0]))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20),) * 2)
try:
    train_here(rows, TrainingParams(n_estimators=5, max_depth=16, max_bin=4096), lambda done, total: None)
except HousingError as error:
    sys.exit(str(error))
"""


def limited(code: str, *args: object, limit: int, size: int, **env: str) -> subprocess.CompletedProcess:
    """Run Python under one limit of the operating system."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env={**os.environ, **env},
        preexec_fn=lambda: resource.setrlimit(limit, (size, size)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def copy_of(made: Platform, folder: Path) -> Platform:
    import shutil

    shutil.copytree(made.folder, folder / "store")
    return Platform(folder, made.source)


def test_a_disk_that_fills_up_while_the_matrix_is_written_leaves_the_one_before(made, tmp_path):
    platform = copy_of(made, tmp_path)
    before = tree(platform.folder)
    done = limited(_TABLE, platform.folder, limit=resource.RLIMIT_FSIZE, size=1_000_000)
    assert done.returncode == 1
    assert "training_features.parquet cannot be written" in done.stderr
    assert "free space" in done.stderr
    assert tree(platform.folder) == before
    assert not list(platform.folder.rglob("*.part"))


def test_a_full_temporary_folder_is_told_with_the_variable_that_moves_it(tmp_path):
    write_sample(SampleSpec(zips=60, start="2019-01", end="2020-12"), tmp_path / "panel.csv")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = limited(_SPOOL, tmp_path / "panel.csv", limit=resource.RLIMIT_FSIZE, size=100_000, TMPDIR=str(temporary))
    assert done.returncode == 1
    assert f"cannot write to the temporary folder {temporary}" in done.stderr
    assert "set TMPDIR to a larger disk" in done.stderr
    assert not list(temporary.iterdir())


def test_memory_that_runs_out_while_trees_are_trained_is_told_with_the_ways_out(tmp_path):
    random = np.random.default_rng(1)
    rows = pl.DataFrame({name: random.normal(size=20_000).astype(np.float32) for name in FEATURES})
    rows = rows.with_columns(pl.lit("train").alias("split"), price=np.exp(random.normal(size=20_000)))
    Store.open(str(tmp_path)).write_pieces("training_features", [rows])
    before = tree(tmp_path)
    # Nothing is limited yet: the process limits itself once everything is imported.
    done = limited(_TRAINING, tmp_path, limit=resource.RLIMIT_CORE, size=0)
    assert done.returncode == 1, done.stderr
    assert "memory ran out while 5 trees were trained on training_features" in done.stderr
    assert "HOUSING_TRAIN_ENGINE=dask" in done.stderr
    assert tree(tmp_path) == before
