"""Bytes by key in a folder and in S3: the same behaviour, whole files, errors that can be mended."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from housing_assets.core.errors import StoreError
from housing_assets.store.blobs import Blobs, FolderBlobs, open_blobs
from housing_assets.store.s3 import S3Blobs

KEYS = ("champion.json", "raw/2020-01.parquet", "raw/2020-02.parquet", "rawer/2020-01.parquet", "m/v 1/ü.json")
operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(KEYS), st.binary(max_size=300)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.none()),
    ),
    max_size=12,
)


# ---------------------------------------------------------------- both places


def test_what_is_written_is_read_replaced_listed_and_deleted(blobs: Blobs):
    assert blobs.keys("") == []
    blobs.write("raw/b", b"1")
    blobs.write("raw/a", b"")
    blobs.write("other", b"\x00" * 100_000)
    blobs.write("raw/b", b"2")
    assert blobs.read("raw/b") == b"2"
    assert blobs.read("raw/a") == b""
    assert len(blobs.read("other")) == 100_000
    assert blobs.keys("") == ["other", "raw/a", "raw/b"]
    assert blobs.keys("raw/") == ["raw/a", "raw/b"]
    assert blobs.keys("raw/b") == ["raw/b"]
    assert blobs.keys("nothing/") == []
    blobs.delete("raw/b")
    blobs.delete("raw/b")
    assert blobs.keys("raw/") == ["raw/a"]
    with pytest.raises(FileNotFoundError):
        blobs.read("raw/b")


def test_many_files_are_read_at_once_without_those_that_are_not_there(blobs: Blobs):
    blobs.write("checks/a.json", b"1")
    blobs.write("checks/b/c.json", b"")
    wanted = ["checks/b/c.json", "checks/none.json", "checks/a.json"]
    assert blobs.read_all(wanted) == {"checks/a.json": b"1", "checks/b/c.json": b""}
    assert blobs.read_all([]) == {}


def test_a_prefix_may_end_within_a_name(blobs: Blobs):
    for key in ("cleaned/2020-01", "cleaned/2020-02", "cleaned_more/2020-01", "other/cleaned/2020-01"):
        blobs.write(key, key.encode())
    assert blobs.keys("cleaned") == ["cleaned/2020-01", "cleaned/2020-02", "cleaned_more/2020-01"]
    assert blobs.keys("cleaned/2020-02") == ["cleaned/2020-02"]
    assert sorted(blobs.stamps("cleaned/")) == ["cleaned/2020-01", "cleaned/2020-02"]
    assert blobs.keys("*") == blobs.keys("cleaned/[2]") == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations)
def test_any_writes_and_deletes_leave_what_a_dict_would_hold(blobs: Blobs, steps):
    for key in blobs.keys(""):
        blobs.delete(key)
    expected: dict[str, bytes] = {}
    for action, key, data in steps:
        if action == "write":
            blobs.write(key, data)
            expected[key] = data
        else:
            blobs.delete(key)
            expected.pop(key, None)
    assert blobs.keys("") == sorted(expected)
    assert blobs.keys("raw") == sorted(k for k in expected if k.startswith("raw"))
    assert {key: blobs.read(key) for key in blobs.keys("")} == expected


def test_two_stores_of_one_place_see_the_same_files_and_those_beside_it_do_not(blobs: Blobs):
    blobs.write("a/b", b"1")
    assert open_blobs(blobs.uri).read("a/b") == b"1"
    assert open_blobs(blobs.uri + "-other").keys("") == []
    assert open_blobs(blobs.uri + "/a").keys("") == ["b"]


def test_a_reader_beside_a_writer_sees_whole_files_alone(blobs: Blobs):
    size = 3_000_000
    blobs.write("months/x", b"a" * size)
    done = threading.Event()

    def rewrite() -> None:
        for i in range(25):
            blobs.write("months/x", (b"b" if i % 2 else b"a") * size)
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = set()
    try:
        while not done.is_set():
            data = blobs.read("months/x")
            assert len(data) == size
            assert data in (b"a" * size, b"b" * size)
            assert blobs.keys("months/") == ["months/x"]
            seen.add(data[:1])
    finally:
        writer.join()
    assert seen == {b"a", b"b"}


# ---------------------------------------------------------------- names of places


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://", "has no bucket: write s3://bucket/prefix"),
        ("s3:///prefix", "has no bucket"),
        ("gs://bucket/x", "use a folder or s3://bucket/prefix"),
        ("https://bucket/x", "use a folder or s3://bucket/prefix"),
    ],
)
def test_a_place_that_is_no_store(uri, words):
    with pytest.raises(StoreError, match=f"HOUSING_STORE_URI='{uri}'") as caught:
        open_blobs(uri)
    assert words in str(caught.value)


def test_folders_by_path_and_by_file_uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_blobs("data/my store").write("k", b"1")
    assert (tmp_path / "data/my store/k").read_bytes() == b"1"
    for uri in (f"file://{tmp_path}/data/my%20store", str(tmp_path / "data/my store"), "./data/my store"):
        assert open_blobs(uri).read("k") == b"1"


def test_a_part_of_a_store_may_be_a_link_to_another_disk(tmp_path):
    (tmp_path / "large" / "redfin").mkdir(parents=True)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "vintages").symlink_to(tmp_path / "large")
    blobs = FolderBlobs(tmp_path / "store")
    blobs.write("vintages/redfin/rows", b"1")
    for prefix in ("", "vint", "vintages/", "vintages/redfin/r"):
        assert blobs.keys(prefix) == ["vintages/redfin/rows"], prefix


# ---------------------------------------------------------------- a folder that fails


def files_of(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    blobs = FolderBlobs(tmp_path)
    blobs.write("cleaned/2020-01.parquet", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError) as caught:
        blobs.write("cleaned/2020-01.parquet", b"new")
    told = str(caught.value)
    assert str(tmp_path / "cleaned/2020-01.parquet") in told
    assert "No space left on device" in told
    assert "free space, or set HOUSING_STORE_URI to another place" in told
    assert files_of(tmp_path) == {"cleaned/2020-01.parquet": b"old"}


WRITE_UNDER_A_LIMIT = """
import sys
from pathlib import Path
from housing_assets.core.errors import StoreError
from housing_assets.store.blobs import FolderBlobs
blobs = FolderBlobs(Path(sys.argv[1]))
blobs.write("x", b"old")
try:
    blobs.write("x", b"n" * 100_000)
except StoreError as error:
    print(error)
"""


def test_a_write_that_the_system_cuts_off_leaves_the_old_file_and_nothing_else(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WRITE_UNDER_A_LIMIT, str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{tmp_path / 'x'} cannot be written: File too large" in done.stdout
    assert files_of(tmp_path) == {"x": b"old"}


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from housing_assets.store.blobs import FolderBlobs
blobs = FolderBlobs(Path(sys.argv[1]))
i = 0
while True:
    i += 1
    blobs.write("x", (b"a" if i % 2 else b"b") * 2_000_000)
"""


def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)])
    try:
        until = time.monotonic() + 30
        while not (tmp_path / "x").exists() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    blobs = FolderBlobs(tmp_path)
    assert blobs.keys("") == ["x"]
    data = blobs.read("x")
    assert data in (b"a" * 2_000_000, b"b" * 2_000_000)


@pytest.mark.parametrize("root", ["{tmp}/file/store", "/proc/nowhere/store"])
def test_a_place_that_cannot_be_written(tmp_path, root):
    (tmp_path / "file").write_bytes(b"a file where a folder should be")
    blobs = open_blobs(root.format(tmp=tmp_path))
    with pytest.raises(StoreError, match="cannot be written: .*HOUSING_STORE_URI to another place") as caught:
        blobs.write("cleaned/2020-01.parquet", b"1")
    assert f"{blobs.uri}/cleaned/2020-01.parquet" in str(caught.value)
    assert blobs.keys("") == []


def test_a_key_that_is_a_folder_is_told_apart_from_one_that_is_missing(tmp_path):
    blobs = FolderBlobs(tmp_path)
    blobs.write("a/b", b"1")
    with pytest.raises(StoreError, match="cannot be read: Is a directory"):
        blobs.read("a")
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        blobs.write("a", b"1")
    assert files_of(tmp_path) == {"a/b": b"1"}


def test_files_are_readable_for_other_users(tmp_path):
    FolderBlobs(tmp_path).write("x", b"1")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


# ---------------------------------------------------------------- S3 that fails


def refusals(blobs: Blobs) -> list[str]:
    """What each kind of call says."""
    told = []
    for call in (
        lambda: blobs.read("x"),
        lambda: blobs.write("x", b"1"),
        lambda: blobs.keys(""),
        lambda: blobs.delete("x"),
    ):
        with pytest.raises(StoreError) as caught:
            call()
        told.append(str(caught.value))
    for message, done in zip(told, ("read", "written", "listed", "deleted"), strict=True):
        assert message.startswith(blobs.uri)
        assert f"cannot be {done}" in message
    return told


def test_a_missing_bucket(s3_env):
    for told in refusals(S3Blobs("no-such-bucket", "store")):
        assert "Create the bucket, or set HOUSING_STORE_URI to one that exists" in told


def test_no_credentials(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for told in refusals(S3Blobs(bucket, "store")):
        assert "no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role" in told


def test_credentials_that_the_service_does_not_know(bucket, refusing_s3):
    for told in refusals(S3Blobs(bucket, "store")):
        assert "Check AWS_ACCESS_KEY_ID" in told


def test_credentials_without_the_right(bucket, s3_admin):
    blobs = S3Blobs(bucket, "store")
    blobs.write("x", b"1")
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3_admin.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    for call in (lambda: blobs.read("x"), lambda: blobs.write("x", b"2")):
        with pytest.raises(StoreError, match="cannot be .*Give these credentials the right to it"):
            call()
    s3_admin.delete_bucket_policy(Bucket=bucket)
    assert blobs.read("x") == b"1"


def test_an_endpoint_that_does_not_answer(s3_env, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for told in refusals(S3Blobs("bucket", "store")):
        assert "Check AWS_ENDPOINT_URL, AWS_REGION and the network" in told


def test_a_missing_object_is_no_failure_of_the_store(bucket):
    with pytest.raises(FileNotFoundError, match=f"s3://{bucket}/store/x"):
        S3Blobs(bucket, "store").read("x")


def test_more_keys_than_one_page_lists(bucket, s3_admin, s3_page):
    names = [f"{i:03d}" for i in range(2 * s3_page + 1)]
    for name in names:
        s3_admin.put_object(Bucket=bucket, Key=f"p/{name}", Body=b"")
    assert len(s3_admin.list_objects_v2(Bucket=bucket)["Contents"]) == s3_page
    assert S3Blobs(bucket, "p").keys("") == names


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_is_that_of_the_environment(s3_env, monkeypatch, name):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv(name, "eu-west-1")
    assert S3Blobs("bucket", "").client.meta.region_name == "eu-west-1"
