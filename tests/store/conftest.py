import pytest

from housing_assets.store.blobs import Blobs, open_blobs
from housing_assets.store.layout import Store


@pytest.fixture(params=["folder", pytest.param("s3", marks=[pytest.mark.s3, pytest.mark.process])])
def blobs(request, tmp_path) -> Blobs:
    """An empty place: a folder, and a prefix of a bucket."""
    if request.param == "folder":
        return open_blobs(str(tmp_path / "store"))
    return open_blobs(f"s3://{request.getfixturevalue('bucket')}/some/store")


@pytest.fixture
def store(blobs) -> Store:
    return Store(blobs)
