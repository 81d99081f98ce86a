import shutil

import pytest
from platform_fixtures import Platform


@pytest.fixture
def copy(made, tmp_path) -> Platform:
    """The same files in a place of this test's own, with no runs yet."""
    shutil.copytree(made.folder, tmp_path / "store")
    return Platform(tmp_path, made.source)
