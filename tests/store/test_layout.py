"""Months, tables and JSON in the store: what is kept, what is asked for in vain, what is damaged."""

import threading
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from housing_assets.core.errors import MissingMonthError, StoreError
from housing_assets.store.blobs import FolderBlobs
from housing_assets.store.layout import Store
from housing_assets.store.parquet import decode_parquet, encode_parquet

FRAME = pl.DataFrame(
    {
        "date": [date(2020, 1, 31)] * 3,
        "zipcode": ["02139", "10001", "94105"],
        "price": [500_000.5, None, 1_200_000.0],
        "repeats_previous": [True, False, None],
    }
)


def month_frame(month: str) -> pl.DataFrame:
    return pl.DataFrame({"month": [month] * 2, "zipcode": ["00001", "00002"], "price": [1.0, 2.0]})


@pytest.fixture
def folder(tmp_path) -> Store:
    return Store.open(str(tmp_path))


# ---------------------------------------------------------------- kept


def test_a_month_comes_back_as_it_was_written(store):
    months = store.months("cleaned")
    assert months.available() == []
    size = months.write("2020-01", FRAME)
    assert len(store.blobs.read("cleaned/2020-01.parquet")) == size
    assert_frame_equal(months.read("2020-01"), FRAME)
    months.write("2020-01", FRAME.head(1))
    assert_frame_equal(months.read("2020-01"), FRAME.head(1))
    assert store.blobs.keys("") == ["cleaned/2020-01.parquet"]


def test_months_are_listed_in_order_for_their_own_asset(store):
    for month in ("2021-02", "2020-12", "2021-01"):
        store.months("cleaned").write(month, month_frame(month))
    store.months("cleaned_more").write("1999-01", FRAME)
    assert store.months("cleaned").available() == ["2020-12", "2021-01", "2021-02"]


def test_files_that_are_no_months_are_not_listed(store):
    store.months("cleaned").write("2020-01", FRAME)
    for name in ("2020-01 (copy).parquet", "notes.parquet", "2020-01.parquet.bak", "old/2019-01.parquet"):
        store.blobs.write(f"cleaned/{name}", b"x")
    assert store.months("cleaned").available() == ["2020-01"]


def test_columns_may_be_chosen_and_come_in_the_order_asked(store):
    months = store.months("cleaned")
    months.write("2020-01", FRAME)
    assert_frame_equal(months.read("2020-01", ["price", "zipcode"]), FRAME.select("price", "zipcode"))
    assert months.read_many(["2020-01"], ["zipcode"]).columns == ["zipcode"]
    store.write_table("encoders", FRAME)
    assert store.read_table("encoders", ["date"]).columns == ["date"]


def test_several_months_come_in_the_order_asked(store):
    months = store.months("cleaned")
    names = [f"2020-{i:02d}" for i in range(1, 12)]
    for name in names:
        months.write(name, month_frame(name))
    asked = names[::-1]
    assert [name for name, _ in months.iterate(asked)] == asked
    assert months.read_many(asked)["month"].to_list() == [n for n in asked for _ in range(2)]
    assert list(months.iterate([])) == []


def test_iterating_may_be_left_early(store):
    months = store.months("cleaned")
    for i in range(1, 10):
        months.write(f"2020-{i:02d}", month_frame("x"))
    before = threading.active_count()
    for _ in months.iterate(months.available()):
        break
    assert threading.active_count() <= before


def test_a_table_and_json_come_back(store):
    size = store.write_table("training_features", FRAME)
    assert len(store.blobs.read("training_features.parquet")) == size
    assert_frame_equal(store.read_table("training_features"), FRAME)
    store.write_json("baseline_model.json", {"version": "b-1", "a": [1, None, "ü"]})
    assert store.read_json("baseline_model.json") == {"version": "b-1", "a": [1, None, "ü"]}
    assert store.blobs.read("baseline_model.json").index(b'"a"') < store.blobs.read("baseline_model.json").index(b'"v')


# ---------------------------------------------------------------- asked for in vain


def test_a_missing_month_is_told_with_those_that_are_there(store):
    months = store.months("cleaned")
    for month in ("2020-01", "2020-02", "2020-03", "2021-05"):
        months.write(month, FRAME)
    with pytest.raises(MissingMonthError) as caught:
        months.read("2020-04")
    told = str(caught.value)
    assert "cleaned has no 2020-04" in told
    assert store.uri in told
    assert "it has 2020-01 to 2020-03, 2021-05" in told
    assert "Materialize cleaned for 2020-04 first" in told


def test_all_missing_months_are_told_before_any_is_read(store):
    months = store.months("cleaned")
    months.write("2020-01", FRAME)
    with pytest.raises(MissingMonthError) as caught:
        months.read_many(["2020-01", "2020-02", "2020-03", "2020-07"])
    told = str(caught.value)
    assert "cleaned lacks 2020-02 to 2020-03, 2020-07" in told
    assert "it has 2020-01." in told
    with pytest.raises(MissingMonthError, match="it has none"):
        store.months("raw_splits").require(["2020-01"])
    months.require(["2020-01"])


def test_a_missing_table_is_told_with_its_asset(store):
    with pytest.raises(StoreError, match="encoders.parquet does not exist: materialize encoders first"):
        store.read_table("encoders")


def test_missing_json_is_an_ordinary_missing_file(store):
    with pytest.raises(FileNotFoundError):
        store.read_json("models/champion.json")


# ---------------------------------------------------------------- damaged

WHOLE = encode_parquet(FRAME)


@pytest.mark.parametrize("size", [0, len(WHOLE) // 2])
def test_a_truncated_month_is_named(store, size):
    store.blobs.write("cleaned/2020-01.parquet", WHOLE[:size])
    for read in (store.months("cleaned").read, lambda m: store.months("cleaned").read_many([m])):
        with pytest.raises(StoreError) as caught:
            read("2020-01")
        told = str(caught.value)
        assert f"{store.uri}/cleaned/2020-01.parquet is damaged" in told
        assert "materialize it again" in told
        assert "\n" not in told


def test_a_file_truncated_anywhere_is_not_taken_for_a_frame():
    for size in range(len(WHOLE)):
        with pytest.raises(StoreError, match="name is damaged"):
            decode_parquet(WHOLE[:size], "name")


@pytest.mark.parametrize("data", [b"zipcode,price\n1,2\n", b"\x00" * 200, b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_named(folder, data):
    folder.blobs.write("encoders.parquet", data)
    with pytest.raises(StoreError, match=f"{folder.uri}/encoders.parquet is damaged"):
        folder.read_table("encoders")


def test_a_panic_of_the_parquet_reader_is_a_damaged_file(folder, monkeypatch):
    def panic(*_, **__):
        raise pl.exceptions.PanicException("assertion failed: offset + length <= self.length")

    folder.months("cleaned").write("2020-01", FRAME)
    monkeypatch.setattr(pl, "read_parquet", panic)
    with pytest.raises(StoreError, match="2020-01.parquet is damaged"):
        folder.months("cleaned").read("2020-01")


def test_a_month_without_an_asked_column_is_named(folder):
    folder.months("cleaned").write("2020-01", FRAME)
    with pytest.raises(StoreError, match="cleaned/2020-01.parquet is damaged or not the file it should be"):
        folder.months("cleaned").read("2020-01", ["city_full"])


@pytest.mark.parametrize("data", [b"", b'{"version": "b-1', b"{", b"\xff\xfe", b'{"version": }'])
def test_truncated_json_is_named(folder, data):
    folder.blobs.write("models/champion.json", data)
    with pytest.raises(StoreError, match=f"{folder.uri}/models/champion.json is damaged"):
        folder.read_json("models/champion.json")


@pytest.mark.parametrize("data", [b"[]", b"3", b'"text"', b"null"])
def test_json_that_is_no_object_is_named(folder, data):
    folder.blobs.write("models/champion.json", data)
    with pytest.raises(StoreError, match="champion.json is no JSON object: materialize it again"):
        folder.read_json("models/champion.json")


def test_a_month_being_replaced_is_always_one_of_its_two_contents(tmp_path):
    months = Store(FolderBlobs(tmp_path)).months("cleaned")
    wide = pl.DataFrame({"x": range(200_000)})
    months.write("2020-01", wide)
    done = threading.Event()

    def rewrite() -> None:
        for i in range(20):
            months.write("2020-01", wide.head(50_000) if i % 2 else wide)
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    heights = set()
    try:
        while not done.is_set():
            heights.add(months.read("2020-01").height)
            assert months.available() == ["2020-01"]
    finally:
        writer.join()
    assert heights == {50_000, 200_000}


# ---------------------------------------------------------------- tables in pieces


def split_frames(count: int = 6) -> list[pl.DataFrame]:
    """Frames of three rows, the later half of them eval."""
    parts = ["train"] * (count // 2) + ["eval"] * (count - count // 2)
    return [
        pl.DataFrame({"place": [f"{i}-{j}" for j in range(3)], "split": part, "x": float(i)})
        for i, part in enumerate(parts)
    ]


def test_a_table_written_in_pieces_is_the_table(store):
    frames = split_frames()
    rows, size = store.write_pieces("table", frames, 5)
    assert (rows, size) == (18, len(store.blobs.read("table.parquet")))
    assert_frame_equal(store.read_table("table"), pl.concat(frames))
    table = store.table("table")
    assert_frame_equal(table.read(), pl.concat(frames))
    assert [piece.height for piece in table.pieces()] == [6, 6, 6]


def test_one_split_of_a_table_is_read_without_the_row_groups_of_others(store):
    store.write_pieces("table", split_frames(), 6)
    train = store.table("table").of("train")
    assert train.groups() == {0: 6, 1: 6}  # the second holds the last rows of train and the first of eval
    assert train.read(["x"])["x"].to_list() == [0.0] * 3 + [1.0] * 3 + [2.0] * 3
    assert store.table("table").of("holdout").groups().keys() <= {1}


def test_columns_of_a_piece_come_in_the_order_asked(store):
    store.write_pieces("table", split_frames())
    assert [piece.columns for piece in store.table("table").of("eval").pieces(["x", "place"])] == [["x", "place"]]


def test_a_table_of_frames_that_fail_leaves_the_one_before(store):
    store.write_pieces("table", split_frames())
    before = store.table("table").digest()

    def failing():
        yield split_frames()[0]
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        store.write_pieces("table", failing(), 1)
    assert store.table("table").digest() == before
    assert store.blobs.keys("") == ["table.parquet"]


def test_a_table_without_frames_is_refused(store):
    with pytest.raises(StoreError, match="table has no rows to write"):
        store.write_pieces("table", [])
    assert store.blobs.keys("") == []


def test_a_missing_or_damaged_table_is_told_when_it_is_read_in_pieces(store):
    with pytest.raises(StoreError, match=r"table.parquet does not exist: materialize table first"):
        store.table("table").read()
    store.blobs.write("table.parquet", b"PAR1 nothing of the kind PAR1")
    with pytest.raises(StoreError, match=r"table.parquet is damaged .*materialize table again"):
        store.table("table").read()
    with pytest.raises(StoreError, match="does not exist"):
        store.table("other").digest()
