"""What was lost or overwritten in a versioned bucket comes back as it was, and is trusted again."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from platform_fixtures import HELD

from housing_assets.core.errors import BundleError
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version, load_champion
from housing_assets.store.verdicts import PASSING, states

SCRIPT = Path(__file__).parents[1] / "infra/restore.py"
MONTH = HELD[0]


def restore(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False, timeout=240
    )


@pytest.fixture
def copy(made, bucket, s3_admin) -> Store:
    """The platform's store in a bucket that keeps versions."""
    s3_admin.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = Store.open(f"s3://{bucket}/store")
    for asset in ("cleaned", "checks/cleaned", "models"):
        for key in made.store.blobs.keys(f"{asset}/"):
            store.blobs.write(key, made.store.blobs.read(key))
    return store


def moment() -> str:
    """Now; what was written is a second before it, what comes is a second after it."""
    time.sleep(1.1)
    now = datetime.now(UTC).isoformat()
    time.sleep(1.1)
    return now


def test_a_month_comes_back_with_its_verdict(copy, bucket):
    before = copy.months("cleaned").read(MONTH)
    as_of = moment()
    copy.months("cleaned").write(MONTH, before.with_columns(pl.col("price") * 2))
    assert states(copy, "cleaned", [MONTH])[MONTH] not in PASSING
    keys = f"s3://{bucket}/store/cleaned/{MONTH}.parquet", f"s3://{bucket}/store/checks/cleaned/{MONTH}.json"

    told = restore("--as-of", as_of, *keys)
    assert "1 objects would be restored" in told.stdout, told.stderr
    assert f"s3://{bucket}/store/cleaned/{MONTH}.parquet: version " in told.stdout
    assert states(copy, "cleaned", [MONTH])[MONTH] not in PASSING

    assert "1 objects restored" in restore("--as-of", as_of, "--apply", *keys).stdout
    assert copy.months("cleaned").read(MONTH).equals(before)
    assert states(copy, "cleaned", [MONTH])[MONTH] in PASSING
    assert "0 objects restored" in restore("--as-of", as_of, "--apply", *keys).stdout


def test_a_model_that_was_deleted_and_damaged_serves_again(copy, bucket):
    version = champion_version(copy)
    as_of = moment()
    copy.blobs.delete(f"models/{version}/model.ubj")
    copy.blobs.write(f"models/{version}/encoders.parquet", b"other")
    copy.blobs.write(f"models/{version}/stray.txt", b"was not there")
    with pytest.raises(BundleError):
        load_champion(copy)
    told = restore("--as-of", as_of, "--apply", f"s3://{bucket}/store/models/{version}/")
    assert "3 objects restored" in told.stdout, told.stderr
    assert f"{version}/stray.txt: deleted" in told.stdout
    assert load_champion(copy).model().version == version
    assert not [key for key in copy.blobs.keys(f"models/{version}/") if "stray" in key]


def test_one_key_is_no_prefix(copy, bucket):
    as_of = moment()
    for name in ("models/champion.json", "models/champion.json.bak"):
        copy.blobs.write(name, b'{"version": "other"}')
    told = restore("--as-of", as_of, f"s3://{bucket}/store/models/champion.json")
    assert "champion.json.bak" not in told.stdout
    assert "1 objects would be restored" in told.stdout


def test_a_bucket_without_versions_is_said(bucket):
    told = restore("--as-of", "2026-01-01", f"s3://{bucket}/store/models/champion.json")
    assert told.returncode == 1
    assert told.stderr == f"error: the bucket {bucket} keeps no versions: restore it from a backup\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--as-of", "yesterday", "s3://b/k"), "invalid fromisoformat value: 'yesterday'"),
        (("--as-of", "2026-01-01", "/local/file"), "/local/file: write s3://BUCKET/KEY"),
        (("--as-of", "2026-01-01", "s3://no-such-bucket/k"), "NoSuchBucket"),
    ],
)
def test_bad_arguments_are_named(s3_env, arguments, words):
    told = restore(*arguments)
    assert told.returncode != 0
    assert words in told.stderr
    assert "Traceback" not in told.stderr
