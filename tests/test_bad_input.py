"""Bad input through `housing run`: exit code 1, a message that can be acted on, and an untouched store."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from platform_fixtures import END, MONTHS, CommandLine, copy_of, tree

from housing_assets.core.months import add_months

HEADER = "date,zipcode,price,city_full"
GOOD = "2019-01-31,2139,500000,Boston"


@pytest.fixture
def made(ran, tmp_path_factory) -> CommandLine:
    """A platform as it was before the bad input came, which must not change its months, models and tables."""
    return copy_of(ran, tmp_path_factory.mktemp("made"))


def refuse(line: CommandLine, store: Path, *args: str) -> str:
    """The message of a run that fails and leaves every file of a store as it was."""
    before = tree(store)
    done = line("run", *args)
    assert done.code == 1
    assert tree(store) == before
    assert "Traceback" not in done.out + done.err
    assert 'File "' not in done.err
    message = done.err[done.err.index("error: ") :]
    assert len(message) < 1_500
    return message


def lines(*rows: str, header: str = HEADER) -> Callable[[Path], str]:
    """Makes a CSV of its own; gives its path."""

    def make(folder: Path) -> str:
        (folder / "panel.csv").write_text("\n".join([header, *rows]) + "\n")
        return str(folder / "panel.csv")

    return make


def content(data: bytes, name: str = "panel.csv") -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(data)
        return str(folder / name)

    return make


def disagreeing(folder: Path) -> str:
    """A file with every month, and one that has another price for one of them."""
    whole = "".join(f"{month}-28,2139,1000,Boston\n" for month in MONTHS)
    (folder / "a.csv").write_text(f"{HEADER}\n{whole}")
    (folder / "b.csv").write_text(f"{HEADER}\n{MONTHS[0]}-28,2139,2000,Boston\n")
    return str(folder)


def truncated_parquet(folder: Path) -> str:
    path = folder / "panel.parquet"
    pl.DataFrame({"date": ["2019-01-31"] * 999, "zipcode": [2139] * 999}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-9])
    return str(path)


DATES = [f"2019-0{i}-99,2139,1,Boston" for i in range(1, 8)]
NUMBERS = [f"2019-01-31,2139,{word},Boston" for word in ("cheap", "dear", "12x", "1.2.3", "$$5", "six", "seven")]
FUTURE = f"{add_months(END, 1200)}-01"

CASES: dict[str, tuple[Callable[[Path], str], list[str]]] = {
    "missing file": (lambda f: str(f / "none.csv"), ["none.csv: no such file or folder: check the path"]),
    "unknown scheme": (lambda _: "ftp://host/x.csv", ["ftp://host/x.csv: cannot read ftp://: use a local path or s3"]),
    "ragged row": (lines(GOOD, "2019-02-28,2139,1"), ["panel.csv", "line 3: has 3 fields, expected 4: mend"]),
    "wrong delimiter": (
        lines(GOOD.replace(",", ":"), header=HEADER.replace(",", ":")),
        ["panel.csv: is of no known layout: its columns are 'date:zipcode:price:city_full'"],
    ),
    "binary file": (content(bytes(range(256)) * 20), ["panel.csv: holds binary content", "export it again as CSV"]),
    "missing column": (
        lines("2019-01-31,2139,Boston", header="date,zipcode,city_full"),
        ["panel.csv: column 'price' is missing"],
    ),
    "misspelled column": (
        lines(GOOD, header="date,zip_code,price,city_full"),
        ["panel.csv: is of no known layout", "lacks 'zipcode' (did you mean 'zip_code'?): rename or add these"],
    ),
    "dates": (
        lines(GOOD, *DATES),
        ["panel.csv", "the first 5", "write YYYY-MM-DD",
         *(f"line {n}, column 'date': '{DATES[n - 3][:10]}' is not a date" for n in range(3, 8))],
    ),
    "numbers": (
        lines(GOOD, *NUMBERS),
        ["panel.csv", "line 3, column 'price': 'cheap' is not a number", "line 7, column 'price': '$$5'",
         "write a finite number such as 1234.5, or leave it empty"],
    ),
    "future": (
        lines(GOOD, f"{FUTURE},2139,1,Boston"),
        [f"line 3, column 'date': '{FUTURE}' lies in the future", "correct it, or remove the row"],
    ),
    "months that the source lacks": (
        lines(GOOD),
        [f"no rows for {MONTHS[1]} to {END}", f"the source has {MONTHS[0]}"],
    ),
    "empty file": (content(b""), ["panel.csv: the file is empty: export it again"]),
    "header only": (lines(), ["panel.csv: has a header but no rows: export it again"]),
    "empty folder": (str, ["holds no data file: put a CSV"]),
    "disagreeing files": (
        disagreeing,
        ["a.csv and b.csv disagree about 2019-01", "ZIP 02139", "keep that month in one of them"],
    ),
    "no zips": (
        lines(GOOD, "2019-01-31,Boston,1,Boston", "2019-01-31,123456,1,Boston"),
        ["line 3, column 'zipcode': 'Boston' is not a ZIP code", "line 4", "write at most 5 digits"],
    ),
    "truncated Parquet": (truncated_parquet, ["panel.parquet: not a whole Parquet file", "export it again"]),
    "Parquet named CSV": (content(b"PAR1" + b"x" * 50), ["panel.csv: not a whole Parquet file"]),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), CASES.values(), ids=CASES)
def test_a_bad_source(made, tmp_path, make, words):
    uri = make(tmp_path)
    message = refuse(made.changed(HOUSING_SOURCE_URI=uri), made.folder)
    for word in words:
        assert word in message


def test_more_than_five_bad_values_are_not_listed(made, tmp_path):
    message = refuse(made.changed(HOUSING_SOURCE_URI=lines(GOOD, *DATES)(tmp_path)), made.folder)
    assert len(re.findall(r"line \d+,", message)) == 5


def test_a_month_that_was_asked_for_and_is_not_there(made, tmp_path, source):
    frame = pl.read_csv(source, infer_schema_length=None)
    frame.filter(~pl.col("date").str.starts_with(MONTHS[3])).write_csv(tmp_path / "gap.csv")
    line = made.changed(HOUSING_SOURCE_URI=str(tmp_path / "gap.csv"))
    message = refuse(line, made.folder, "--months", f"{MONTHS[2]}:{MONTHS[4]}")
    assert MONTHS[3] in message
    assert "housing run --accept-restated WHY" in message
    done = line("run", "--months", f"{MONTHS[2]}:{MONTHS[4]}", "--accept-restated", "there is no such month")
    assert done.code == 1
    assert f"no rows for {MONTHS[3]}: the source has {MONTHS[0]} to {MONTHS[2]}, {MONTHS[4]} to {END}" in done.err


# ---------------------------------------------------------------- S3


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://no-such-bucket/panel.csv", "no such bucket or object: check the name and AWS_ENDPOINT_URL"),
        ("s3://no-such-bucket/panels/", "no such bucket or object"),
        ("s3://{bucket}/panel.csv", "no such object: check the key, panel.csv"),
    ],
)
def test_a_source_that_is_not_in_s3(made, bucket, uri, words):
    uri = uri.format(bucket=bucket)
    assert f"{uri}: {words}" in refuse(made.changed(HOUSING_SOURCE_URI=uri), made.folder)


def test_a_source_in_s3_without_credentials(made, bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    line = made.changed(HOUSING_SOURCE_URI=f"s3://{bucket}/panel.csv")
    assert "no S3 credentials found: set AWS_ACCESS_KEY_ID" in refuse(line, made.folder)


def test_a_source_in_s3_with_refused_credentials(made, bucket, refusing_s3):
    line = made.changed(HOUSING_SOURCE_URI=f"s3://{bucket}/panel/")
    assert "S3 refuses access (InvalidAccessKeyId): check the credentials" in refuse(line, made.folder)


def test_a_store_in_a_bucket_that_is_not_there(made, s3_env):
    message = refuse(made.changed(HOUSING_STORE_URI="s3://no-such-bucket/x"), made.folder)
    assert "s3://no-such-bucket/x" in message
    assert "Create the bucket, or set HOUSING_STORE_URI" in message


def test_a_store_in_s3_without_credentials(made, bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    message = refuse(made.changed(HOUSING_STORE_URI=f"s3://{bucket}/x"), made.folder)
    assert "no AWS credentials. Set AWS_ACCESS_KEY_ID" in message


def test_a_store_in_s3_with_refused_credentials(made, bucket, refusing_s3):
    message = refuse(made.changed(HOUSING_STORE_URI=f"s3://{bucket}/x"), made.folder)
    assert f"s3://{bucket}/x" in message
    assert "Check AWS_ACCESS_KEY_ID" in message


# ---------------------------------------------------------------- the store


@pytest.mark.parametrize("place", ["{tmp}/file/store", "/proc/nowhere/store"])
def test_a_store_that_cannot_be_written(made, tmp_path, place):
    (tmp_path / "file").write_text("a file where a folder should be")
    place = place.format(tmp=tmp_path)
    message = refuse(made.changed(HOUSING_STORE_URI=place), made.folder)
    assert f"{place}/" in message
    assert "cannot be written" in message
    assert "set HOUSING_STORE_URI to another place" in message


def test_a_full_disk(made, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = refuse(made, made.folder, "--force")
    assert f"{made.folder}/raw_splits/" in message
    assert "No space left on device" in message
    assert "free space" in message
    assert not list(made.folder.rglob("*.part"))


@pytest.mark.parametrize("key", [f"monthly_predictions/{END}.parquet", f"cleaned/{MONTHS[0]}.parquet"])
def test_a_truncated_month_in_the_store_is_made_again(made, key):
    path = made.folder / key
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = made("run")
    assert done.code == 0, done.err
    assert pl.read_parquet(path).equals(pl.read_parquet(whole))


def test_a_truncated_pointer_in_the_store(made):
    path = made.folder / "models/champion.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        message = refuse(made, made.folder)
    finally:
        path.write_bytes(whole)
    assert f"{path} is damaged" in message
    assert "materialize it again" in message


def test_after_a_bad_source_the_platform_runs_as_before(made, tmp_path):
    before = tree(made.folder)
    refuse(made.changed(HOUSING_SOURCE_URI=lines(GOOD, *DATES)(tmp_path)), made.folder)
    done = made("run")
    assert done.code == 0, done.err
    assert tree(made.folder) == before
