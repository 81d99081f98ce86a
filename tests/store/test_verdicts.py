"""Verdicts: what is known of a month after its checks, after a change, and after a copy."""

import polars as pl
import pytest

from housing_assets.store.layout import Store
from housing_assets.store.verdicts import (
    Problem,
    State,
    UnsoundError,
    Verdict,
    data_stamps,
    read_verdicts,
    require_sound,
    states,
    unsound,
    verdict_key,
    write_verdicts,
)

FRAME = pl.DataFrame({"a": [1]})


def check(store, asset: str, month: str = "", state: State = State.GREEN, problems: tuple[Problem, ...] = ()) -> None:
    stamp = data_stamps(store, asset)[month]
    write_verdicts(store, [Verdict(asset, month, state, stamp, 1, "here", "run", problems)])


@pytest.fixture
def checked(store):
    """Two months that were checked."""
    for month in ("2020-01", "2020-02"):
        store.months("cleaned").write(month, FRAME)
        check(store, "cleaned", month)
    return store


def test_a_month_that_was_checked_is_vouched_for(checked):
    assert states(checked, "cleaned", ["2020-01", "2020-02"]) == {"2020-01": State.GREEN, "2020-02": State.GREEN}
    require_sound(checked, "cleaned", ["2020-01", "2020-02"])


def test_a_month_that_was_never_checked_is_not(checked):
    checked.months("cleaned").write("2020-03", FRAME)
    assert states(checked, "cleaned", ["2020-03"]) == {"2020-03": State.ABSENT}
    with pytest.raises(UnsoundError, match="cleaned is never checked for 2020-03"):
        require_sound(checked, "cleaned", ["2020-01", "2020-03"])


def test_a_month_that_changed_since_is_not(checked):
    checked.months("cleaned").write("2020-02", FRAME.with_columns(b=pl.lit(2)))
    assert states(checked, "cleaned", ["2020-02"]) == {"2020-02": State.STALE}
    assert unsound(checked, "cleaned", ["2020-01", "2020-02"]) == "cleaned is newer than its check for 2020-02"


def test_a_warning_stops_nothing_and_an_error_says_why(checked):
    check(checked, "cleaned", "2020-01", State.WARN, (Problem("odd", "WARN", "price", "1 row is odd"),))
    require_sound(checked, "cleaned", ["2020-01"])
    problems = (Problem("odd", "WARN", "a", "1 row is odd"), Problem("hard", "ERROR", "price", "7 rows are wrong"))
    check(checked, "cleaned", "2020-02", State.RED, problems)
    with pytest.raises(UnsoundError) as told:
        require_sound(checked, "cleaned", ["2020-01", "2020-02"])
    assert str(told.value).startswith("cleaned is red for 2020-02 (hard: price: 7 rows are wrong). Mend what is red")


def test_a_verdict_is_read_back_as_it_was_written(checked):
    problems = (Problem("odd", "WARN", "price", "1 row is odd"),)
    written = Verdict("cleaned", "2020-01", State.WARN, "stamp", 9, "here", "run", problems)
    write_verdicts(checked, [written])
    assert read_verdicts(checked, "cleaned", ["2020-01"]) == {"2020-01": written}
    assert set(read_verdicts(checked, "cleaned")) == {"2020-01", "2020-02"}


def test_assets_of_like_names_do_not_vouch_for_each_other(checked):
    checked.write_table("cleaned_more", FRAME)
    check(checked, "cleaned_more")
    assert set(read_verdicts(checked, "cleaned")) == {"2020-01", "2020-02"}
    assert states(checked, "cleaned_more") == {"": State.GREEN}


@pytest.mark.parametrize("name", ["encoders.parquet", "tuned_model.json"])
def test_an_asset_without_months_is_vouched_for_as_a_whole(store, name):
    asset = name.partition(".")[0]
    store.blobs.write(name, b"1")
    assert states(store, asset) == {"": State.ABSENT}
    check(store, asset)
    assert states(store, asset) == {"": State.GREEN}
    store.blobs.write(name, b"22")
    assert unsound(store, asset) == f"{asset} is newer than its check"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"state": "purple", "problems": []}'])
def test_a_damaged_verdict_vouches_for_nothing(checked, damage):
    checked.blobs.write(verdict_key("cleaned", "2020-01"), damage)
    assert states(checked, "cleaned", ["2020-01", "2020-02"]) == {"2020-01": State.ABSENT, "2020-02": State.GREEN}


def test_stamps_tell_contents_apart(blobs):
    assert blobs.stamps("a/") == {}
    blobs.write("a/1", b"one")
    blobs.write("a/2", b"one")
    before = blobs.stamps("a/")
    assert set(before) == {"a/1", "a/2"}
    assert blobs.stamps("a/") == before
    blobs.write("a/1", b"two")
    after = blobs.stamps("a/")
    assert after["a/1"] != before["a/1"]
    assert after["a/2"] == before["a/2"]


def test_a_store_that_is_copied_keeps_its_verdicts(tmp_path, bucket):
    """To another folder, whatever becomes of the files' times, and to S3."""
    import os

    from housing_assets.store.layout import Store

    here = Store.open(str(tmp_path / "here"))
    here.months("cleaned").write("2020-01", FRAME)
    check(here, "cleaned", "2020-01")
    for uri in (str(tmp_path / "there"), f"s3://{bucket}/copy"):
        there = Store.open(uri)
        for key in here.blobs.keys(""):
            there.blobs.write(key, here.blobs.read(key))
        assert states(there, "cleaned", ["2020-01"]) == {"2020-01": State.GREEN}
    os.utime(tmp_path / "here/cleaned/2020-01.parquet", (0, 0))
    assert states(here, "cleaned", ["2020-01"]) == {"2020-01": State.GREEN}


def test_what_a_newer_version_says_beside_is_passed_over(checked):
    check(checked, "cleaned", "2020-01", State.WARN, (Problem("odd", "WARN", "price", "1 row is odd"),))
    key = verdict_key("cleaned", "2020-01")
    told = checked.read_json(key)
    before = read_verdicts(checked, "cleaned", ["2020-01"])
    newer = told | {"judged_by": "a later version", "problems": [p | {"share": 0.1} for p in told["problems"]]}
    checked.write_json(key, newer)
    assert read_verdicts(checked, "cleaned", ["2020-01"]) == before
    assert states(checked, "cleaned", ["2020-01"]) == {"2020-01": State.WARN}


LARGE = 9 << 20
"""Bytes from which AWS's tools upload and copy in parts, and a bit more."""


def test_verdicts_survive_copies_of_large_objects(tmp_path, bucket, s3_admin):
    """By AWS's own tools, which copy in parts: up, from bucket to bucket, and down again."""
    import os

    here, there = Store.open(str(tmp_path / "here")), Store.open(f"s3://{bucket}/there")
    here.blobs.write("cleaned/2020-01.parquet", os.urandom(LARGE))
    check(here, "cleaned", "2020-01")
    for key in here.blobs.keys(""):
        s3_admin.upload_file(str(tmp_path / "here" / key), bucket, f"there/{key}")
        s3_admin.copy({"Bucket": bucket, "Key": f"there/{key}"}, bucket, f"again/{key}")
        (tmp_path / "back" / key).parent.mkdir(parents=True, exist_ok=True)
        s3_admin.download_file(bucket, f"again/{key}", str(tmp_path / "back" / key))
    assert "-" in s3_admin.head_object(Bucket=bucket, Key="there/cleaned/2020-01.parquet")["ETag"]
    for store in (there, Store.open(f"s3://{bucket}/again"), Store.open(str(tmp_path / "back"))):
        assert states(store, "cleaned", ["2020-01"]) == {"2020-01": State.GREEN}
    check(there, "cleaned", "2020-01")
    there.blobs.write("cleaned/2020-01.parquet", b"another")
    assert states(there, "cleaned", ["2020-01"]) == {"2020-01": State.STALE}


def test_a_large_object_keeps_its_stamp_with_it_and_is_not_read_for_it(bucket, s3_admin):
    import hashlib

    store = Store.open(f"s3://{bucket}/own")
    with store.blobs.writing("large.parquet") as file:
        file.write(b"1" * LARGE)
    store.blobs.write("small.parquet", b"1")
    expected = {"large.parquet": b"1" * LARGE, "small.parquet": b"1"}
    for key, data in expected.items():
        told = s3_admin.head_object(Bucket=bucket, Key=f"own/{key}")["Metadata"]
        assert told["sha256"] == store.blobs.stamps("")[key] == hashlib.sha256(data).hexdigest()


def test_a_verdict_with_the_stamp_of_an_earlier_version_still_vouches(checked):
    stamp = data_stamps(checked, "cleaned")["2020-01"]
    write_verdicts(checked, [Verdict("cleaned", "2020-01", State.GREEN, stamp.etag, 1)])
    assert states(checked, "cleaned", ["2020-01"]) == {"2020-01": State.GREEN}
