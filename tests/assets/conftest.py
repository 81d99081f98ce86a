import shutil
from pathlib import Path

import pytest
from platform_fixtures import Platform, write_source


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("source") / "panel.csv")


@pytest.fixture(scope="session")
def made(tmp_path_factory, source) -> Platform:
    """A platform with every stage run once. Tests that change anything take `copy`."""
    return Platform(tmp_path_factory.mktemp("made"), source).run_all()


@pytest.fixture
def copy(made, tmp_path) -> Platform:
    """The same files in a place of this test's own, with no runs yet."""
    shutil.copytree(made.folder, tmp_path / "store")
    return Platform(tmp_path, made.source)
