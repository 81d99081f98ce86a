"""Reading the raw panel: what is accepted, what is refused, and what the refusal says."""

import gzip
import os
import random
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from housing_assets.core.errors import MissingMonthError, SourceError
from housing_assets.core.panel.schema import COLUMN_NAMES, RAW_SCHEMA
from housing_assets.core.source import delimited, diagnosis, housets
from housing_assets.core.source import files as source_files
from housing_assets.core.source.panel import fingerprint, open_panel, read_rows

TODAY = date(2024, 1, 15)
HEADER = "date,zipcode,price,city_full"
ROWS = (
    "2022-01-31,2139,500000,Boston",
    "2022-02-28,2139,505000.5,Boston",
    "2022-01-31,20004,400000,DC_Metro",
)


def write(path: Path, *rows: str, header: str = HEADER) -> str:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


def read(uri: str | Path, months=None, **options) -> pl.DataFrame:
    """All rows of the asked months, in month order."""
    with open_panel(str(uri), months, today=TODAY, **options) as panel:
        frames = [panel.month(m) for m in (months or panel.months)]
        assert sum(f.height for f in frames) == panel.rows
        return pl.concat(frames)


def refusal(uri: str | Path) -> str:
    with pytest.raises(SourceError) as caught, open_panel(str(uri), today=TODAY):
        pass
    return str(caught.value)


# ---------------------------------------------------------------- what is accepted


def test_a_panel_offers_its_months_in_the_contracts_columns_and_the_sources_order(tmp_path):
    uri = write(tmp_path / "panel.csv", *ROWS)
    with open_panel(uri, today=TODAY) as panel:
        assert panel.months == ("2022-01", "2022-02")
        assert panel.rows == 3
        assert panel.notes == ()
        assert [(f.name, f.size) for f in panel.files] == [("panel.csv", Path(uri).stat().st_size)]
        frame = panel.month("2022-01")
        assert dict(frame.schema) == RAW_SCHEMA
        assert frame["zipcode"].to_list() == ["02139", "20004"]
        assert frame["date"].to_list() == [date(2022, 1, 31)] * 2
        assert frame["price"].to_list() == [500000, 400000]
        assert frame["bank"].to_list() == [None, None]
        assert panel.month("2022-02")["price"].to_list() == [505000.5]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(COLUMN_NAMES), seed=st.integers(0, 1000))
def test_the_order_of_columns_does_not_matter_and_that_of_rows_is_kept(tmp_path, order, seed):
    dice = random.Random(seed)
    texts = {"city": "DC", "city_full": "DC_Metro"}
    table = [
        {n: texts.get(n, str(dice.randint(0, 99))) for n in COLUMN_NAMES}
        | {"date": f"2022-{dice.randint(1, 3):02d}-{dice.randint(1, 28):02d}", "zipcode": f"{i}"}
        for i in range(12)
    ]
    path = tmp_path / "panel.csv"
    write(path, *(",".join(row[n] for n in order) for row in table), header=",".join(order))
    with open_panel(str(path), today=TODAY) as panel:
        for month in panel.months:
            mine = [row for row in table if row["date"].startswith(month)]
            frame = panel.month(month)
            assert frame.columns == list(COLUMN_NAMES)
            assert frame["zipcode"].to_list() == [row["zipcode"].zfill(5) for row in mine]
            assert frame["Median Rent"].to_list() == [float(row["Median Rent"]) for row in mine]


@pytest.mark.parametrize("written", ["2139", "02139", "2139.0", " 2139 ", '"02139"'])
def test_a_zipcode_is_five_characters_however_it_is_written(tmp_path, written):
    uri = write(tmp_path / "panel.csv", f"2022-01-31,{written},1,Boston")
    assert read(uri)["zipcode"].to_list() == ["02139"]


@pytest.mark.parametrize("written", ["2022-02-01", "2022-02-28", "2022-02-14 10:30:00", "2022-02-14T10:30:00Z"])
def test_any_day_of_a_month_is_stored_as_its_end(tmp_path, written):
    uri = write(tmp_path / "panel.csv", f"{written},2139,1,Boston")
    assert read(uri)["date"].to_list() == [date(2022, 2, 28)]


@pytest.mark.parametrize("written", ["", "nan", "NaN", "null", "NA"])
def test_an_empty_number_is_null(tmp_path, written):
    uri = write(tmp_path / "panel.csv", f"2022-01-31,2139,{written},Boston")
    assert read(uri)["price"].to_list() == [None]


def test_numbers_may_have_signs_and_exponents(tmp_path):
    uri = write(tmp_path / "p.csv", *(f"2022-01-31,2139,{n},Boston" for n in ("-1.5", "2e3", "+7", " 8 ")))
    assert read(uri)["price"].to_list() == [-1.5, 2000, 7, 8]


def test_a_byte_order_mark_crlf_blank_lines_and_gzip_are_tolerated(tmp_path):
    text = "\r\n".join([HEADER, ROWS[0], "", ROWS[1]])
    path = tmp_path / "panel.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    assert read(path)["price"].to_list() == [500000, 505000.5]


def test_quoted_commas_and_newlines_survive_the_cut_into_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 64)
    rows = [f'2022-01-31,{i},1,"a, metro\nof ""{i}"""' for i in range(200)]
    uri = write(tmp_path / "panel.csv", *rows)
    assert read(uri)["city_full"].to_list() == [f'a, metro\nof "{i}"' for i in range(200)]


def test_extra_columns_and_files_are_ignored_with_a_note(tmp_path):
    write(tmp_path / "a.csv", ROWS[0] + ",x", header=HEADER + ",Unnamed: 0")
    (tmp_path / "README.md").write_text("about")
    with open_panel(str(tmp_path), today=TODAY) as panel:
        assert panel.rows == 1
        assert "README.md" in panel.notes[0]
        assert panel.notes[1] == "a.csv: ignored columns that are not in the contract: 'Unnamed: 0'"


@pytest.mark.parametrize(
    "columns",
    [
        {"date": [date(2022, 1, 5), date(2022, 2, 1)], "zipcode": [2139, 20004]},
        {"date": [datetime(2022, 1, 5, 1), datetime(2022, 2, 1)], "zipcode": [2139.0, 20004.0]},
        {"date": ["2022-01-05", "2022-02-28"], "zipcode": ["2139", "20004"]},
    ],
)
def test_parquet_of_any_usual_types(tmp_path, columns):
    frame = pl.DataFrame(columns | {"city_full": ["Boston", "DC"], "price": ["1", "NaN"], "bank": [3, None]})
    frame.write_parquet(tmp_path / "panel.parquet")
    result = read(tmp_path / "panel.parquet")
    assert dict(result.schema) == RAW_SCHEMA
    assert result.select("date", "zipcode", "price", "bank").rows() == [
        (date(2022, 1, 31), "02139", 1.0, 3.0),
        (date(2022, 2, 28), "20004", None, None),
    ]


def test_parquet_with_categories_time_zones_and_nan(tmp_path):
    pl.DataFrame(
        {
            "date": pl.Series([datetime(2022, 1, 5)]).dt.replace_time_zone("UTC"),
            "zipcode": pl.Series(["02139"], dtype=pl.Categorical),
            "city_full": pl.Series(["Boston"], dtype=pl.Categorical),
            "price": [float("nan")],
        }
    ).write_parquet(tmp_path / "panel.parquet")
    row = read(tmp_path / "panel.parquet").row(0, named=True)
    assert (row["date"], row["zipcode"], row["price"]) == (date(2022, 1, 31), "02139", None)


def test_a_folder_is_read_file_by_file_in_the_order_of_names(tmp_path):
    write(tmp_path / "b.csv", ROWS[1])
    write(tmp_path / "a.csv", ROWS[2], ROWS[0])
    pl.DataFrame({"date": [date(2022, 1, 1)], "zipcode": [1], "city_full": ["X"], "price": [9.0]}).write_parquet(
        tmp_path / "c.parquet"
    )
    assert read(tmp_path)["zipcode"].to_list() == ["20004", "02139", "00001", "02139"]


def test_only_the_asked_months_are_kept(tmp_path):
    uri = write(tmp_path / "panel.csv", *ROWS)
    with open_panel(uri, ["2022-02"], today=TODAY) as panel:
        assert panel.months == ("2022-01", "2022-02")
        assert panel.rows == panel.month("2022-02").height == 1
        with pytest.raises(MissingMonthError, match="2022-01 was not asked for"):
            panel.month("2022-01")
        with pytest.raises(MissingMonthError, match="no rows for 2023-05: the source has 2022-01 to 2022-02"):
            panel.month("2023-05")
    wanted = ["2022-02", "2022-03", "2022-04"]
    with (
        pytest.raises(MissingMonthError, match="2022-03 to 2022-04: the source has 2022-01 to 2022-02"),
        open_panel(uri, wanted, today=TODAY),
    ):
        pass


def test_progress_is_told_in_words(tmp_path):
    told: list[str] = []
    read(write(tmp_path / "panel.csv", *ROWS), progress=told.append)
    assert told == ["reading panel.csv (0.0 MB)"]


def test_rows_on_disk_equal_rows_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 2000)
    dice = random.Random(1)
    rows = [f"2022-{dice.randint(1, 12):02d}-01,{dice.randint(1, 99999)},{dice.random()},Metro" for _ in range(600)]
    uri = write(tmp_path / "panel.csv", *rows)
    in_memory = read(uri)
    assert_frame_equal(read(uri, spool_bytes=0), in_memory)
    assert_frame_equal(read(uri, spool_bytes=100_000), in_memory)
    assert in_memory.height == 600
    with open_panel(uri, today=TODAY, spool_bytes=0) as panel:
        folder = panel._spool.folder
        kept = panel.month("2022-03")
        assert list(folder.glob("*.arrow"))
    assert not folder.exists()
    assert kept["price"].sum() > 0  # a frame outlives the panel it came from


def test_the_fingerprint_follows_the_content(tmp_path):
    uri = write(tmp_path / "panel.csv", *ROWS)
    with open_panel(uri, today=TODAY) as panel:
        first = panel.fingerprint
    assert first == fingerprint(uri)
    assert len(first) == 64
    write(tmp_path / "panel.csv", *(r.replace("Boston", "Bosten") for r in ROWS))
    assert fingerprint(uri) != first


# ---------------------------------------------------------------- what is refused: columns and files


def test_a_missing_required_column_is_named_with_its_near_spelling(tmp_path):
    uri = write(tmp_path / "panel.csv", ROWS[0], header="date,zipcode,pirce,city_full")
    assert "panel.csv: column 'price' is missing; did you mean 'pirce'? Rename it" in refusal(uri)
    uri = write(tmp_path / "panel.csv", "2022-01-31,1,x", header="date,zipcode,city_full")
    assert "column 'price' is missing; the file has date, zipcode, city_full" in refusal(uri)


def test_a_misspelled_optional_column_does_not_vanish(tmp_path):
    uri = write(tmp_path / "panel.csv", ROWS[0] + ",5", header=HEADER + ",median rnet")
    assert "column 'median rnet' is unknown; did you mean 'Median Rent'? Rename it, or remove it" in refusal(uri)


def test_a_repeated_column(tmp_path):
    uri = write(tmp_path / "panel.csv", ROWS[0] + ",5", header=HEADER + ",price")
    assert "column 'price' occurs more than once" in refusal(uri)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_values_may_be_separated_by_other_marks(tmp_path, mark):
    uri = write(tmp_path / "panel.csv", ROWS[0].replace(",", mark), header=HEADER.replace(",", mark))
    assert read(uri).select("zipcode", "price").rows() == [("02139", 500000)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"\n\n", "the file is empty"),
        ("a.csv", HEADER.encode(), "has a header but no rows"),
        ("a.csv", b"\x89PNG\r\n\x00\x00\x01", "binary content, not CSV text"),
        ("a.csv", b"PAR1\x15", "not a whole Parquet file"),
        ("a.csv", f"{HEADER}\n2022-01-31,2139,1,Québec\n".encode("latin-1"), "not UTF-8: save it again"),
        ("a.csv", "date,zipcode,price,city_full,Größe\n".encode("latin-1"), "not UTF-8"),
        ("a.csv.gz", gzip.compress(os.urandom(5000))[:2000], "damaged"),
        ("a.csv.gz", b"plain text", "has a header but no rows"),
        ("a.parquet", b"", "the file is empty"),
        ("a.parquet", b"not parquet at all", "not a whole Parquet file"),
        ("a.txt", b"x", "has a header but no rows"),
    ],
)
def test_a_file_that_is_no_panel(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    assert name in message
    assert words in message


def test_a_truncated_corrupt_empty_or_nested_parquet(tmp_path):
    path = tmp_path / "panel.parquet"
    frame = pl.DataFrame({"date": [date(2022, 1, 1)] * 500, "zipcode": range(500), "city_full": "X", "price": 1.0})
    frame.write_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "panel.parquet: not a whole Parquet file" in refusal(path)
    path.write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])
    assert "panel.parquet" in refusal(path)
    frame.clear().write_parquet(path)
    assert "has columns but no rows" in refusal(path)
    frame.with_columns(price=pl.concat_list("price")).write_parquet(path)
    assert "column 'price' holds" in refusal(path)


def test_a_missing_path_an_empty_folder_and_an_unknown_scheme(tmp_path):
    assert "no such file or folder" in refusal(tmp_path / "nowhere.csv")
    assert "holds no data file: put a CSV" in refusal(tmp_path)
    assert "cannot read gs://: use a local path or s3://bucket/key" in refusal("gs://bucket/panel.csv")


# ---------------------------------------------------------------- what is refused: values


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("soon,2139,1,Boston", "date", "'soon' is not a date of 1900 to 2100: write YYYY-MM-DD"),
        ("2022-02-30,2139,1,Boston", "date", "'2022-02-30' is not a date"),
        ("0022-02-03,2139,1,Boston", "date", "'0022-02-03' is not a date"),
        (",2139,1,Boston", "date", "is empty: fill it in, or remove the row"),
        ("2024-02-01,2139,1,Boston", "date", "'2024-02-01' lies in the future (this month is 2024-01)"),
        ("2022-01-31,ABCDE,1,Boston", "zipcode", "'ABCDE' is not a ZIP code: write at most 5 digits"),
        ("2022-01-31,123456,1,Boston", "zipcode", "'123456' is not a ZIP code"),
        ("2022-01-31,-2139,1,Boston", "zipcode", "'-2139' is not a ZIP code"),
        ("2022-01-31,2139.5,1,Boston", "zipcode", "'2139.5' is not a ZIP code"),
        ("2022-01-31,NA,1,Boston", "zipcode", "is empty"),
        ("2022-01-31,2139,abc,Boston", "price", "'abc' is not a number: write a finite number"),
        ('2022-01-31,2139,"$1,00",Boston', "price", "'$1,00' is not a number"),
        ("2022-01-31,2139,1_000,Boston", "price", "'1_000' is not a number"),
        ("2022-01-31,2139,inf,Boston", "price", "'inf' is not a number"),
        ("2022-01-31,2139,1e999,Boston", "price", "'1e999' is not a number"),
        ("2022-01-31,2139,1, ", "city_full", "is empty"),
    ],
)
def test_a_bad_value_is_named_with_file_line_column_and_remedy(tmp_path, row, column, words):
    message = refusal(write(tmp_path / "panel.csv", *ROWS, "", row))
    assert message.startswith("panel.csv breaks the column contract")
    assert f"line 6, column '{column}': " in message
    assert words in message


def test_a_blank_is_no_number(tmp_path):
    message = refusal(write(tmp_path / "panel.csv", *ROWS, "2022-01-31,2139, ,Boston"))
    assert "line 5, column 'price': ' ' is not a number" in message
    assert "leave it empty" in message


def test_a_quote_that_is_never_closed_does_not_swallow_rows(tmp_path):
    message = refusal(write(tmp_path / "panel.csv", *ROWS, '2022-01-31,2139,1,"Boston', *ROWS))
    assert "panel.csv" in message
    assert "line 5: unexpected end of data: mend its quotes" in message
    message = refusal(write(tmp_path / "panel.csv", '2022-01-31,2139,1,5" Boston', *ROWS))
    assert "panel.csv: cannot be read as CSV (a double quote is never closed)" in message


def test_a_row_without_an_end_is_refused_before_it_fills_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 100)
    monkeypatch.setattr(delimited, "_LONGEST_ROW_BYTES", 1000)
    message = refusal(write(tmp_path / "panel.csv", '2022-01-31,2139,1,"Boston', *ROWS * 100))
    assert "line 2: unexpected end of data: mend its quotes" in message


def test_the_current_month_is_not_the_future(tmp_path):
    assert read(write(tmp_path / "panel.csv", "2024-01-31,2139,1,Boston")).height == 1


def test_the_first_five_bad_values_are_listed(tmp_path):
    rows = [*ROWS, *(f"2022-01-31,2139,bad{i},Boston" for i in range(8))]
    message = refusal(write(tmp_path / "panel.csv", *rows))
    assert "the first 5" in message
    assert [f"line {i + 5}, column 'price': 'bad{i}'" in message for i in range(8)] == [True] * 5 + [False] * 3


def test_bad_values_of_several_columns_come_in_line_order(tmp_path):
    rows = ("2022-01-31,2139,x,Boston", "2022-01-31,ABC,1,Boston", "2022-01-31,2139,1,Boston,7")
    lines = refusal(write(tmp_path / "panel.csv", *rows)).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        "line 2, column 'price'",
        "line 3, column 'zipcode'",
        "line 4",
    ]


def test_a_ragged_row_is_named_with_its_fields_after_a_quoted_newline(tmp_path):
    message = refusal(write(tmp_path / "panel.csv", '2022-01-31,2139,1,"two\nlines"', "2022-01-31,2139,1"))
    assert "line 4: has 3 fields, expected 4: mend its commas and quotes" in message


def test_a_bad_value_far_into_the_file_has_the_right_line(tmp_path, monkeypatch):
    monkeypatch.setattr(diagnosis, "_DIAGNOSIS_ROWS", 10)
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 500)
    rows = ["2022-01-31,2139,1,Boston"] * 333
    assert "line 335, column 'price': 'x'" in refusal(write(tmp_path / "panel.csv", *rows, "2022-01-31,2139,x,Boston"))


def test_a_bad_value_in_parquet_is_named_with_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(housets, "PARQUET_ROWS", 3)
    pl.DataFrame(
        {"date": [date(2022, 1, 1)] * 9, "zipcode": [1, 2, 3, 4, -5, 6, 7, 8, 123456], "city_full": "X"}
    ).with_columns(price=pl.Series([1.0] * 6 + [float("inf")] * 3)).write_parquet(tmp_path / "panel.parquet")
    lines = refusal(tmp_path / "panel.parquet").splitlines()
    assert lines[0].startswith("panel.parquet breaks the column contract")
    assert lines[1].strip() == "row 5, column 'zipcode': '-5' is not a ZIP code: write at most 5 digits"
    assert lines[2].strip().startswith("row 7, column 'price': 'inf' is not a number")


def test_two_files_that_disagree_about_a_month(tmp_path):
    write(tmp_path / "a.csv", *ROWS)
    write(tmp_path / "b.csv", "2022-01-31,20004,1,DC_Metro")
    message = refusal(tmp_path)
    assert "a.csv and b.csv disagree about 2022-01 (for example ZIP 20004): keep that month in one" in message
    assert read(tmp_path, ["2022-02"]).height == 1  # a month nobody asked for is not compared


def test_two_files_may_share_a_month_or_repeat_rows(tmp_path):
    write(tmp_path / "a.csv", *ROWS)
    write(tmp_path / "b.csv", "2022-01-15,20004,400000,DC_Metro", "2022-01-31,77,1,X")
    assert read(tmp_path, ["2022-01"])["zipcode"].to_list() == ["02139", "20004", "20004", "00077"]


# ---------------------------------------------------------------- rows to predict


def test_rows_to_predict_need_a_date_and_a_zipcode_and_keep_order_and_duplicates(tmp_path):
    rows = ("20004,2030-05-02", "2139,2022-01-31", "20004,2030-05-02")
    frame = read_rows(write(tmp_path / "rows.csv", *rows, header="zipcode,date"))
    assert dict(frame.schema) == RAW_SCHEMA
    assert frame["zipcode"].to_list() == ["20004", "02139", "20004"]
    assert frame["date"].to_list() == [date(2030, 5, 31), date(2022, 1, 31), date(2030, 5, 31)]
    assert frame["price"].null_count() == 3
    kept = read_rows(tmp_path / write(tmp_path / "full.csv", *ROWS))
    assert kept["price"].to_list() == [500000, 505000.5, 400000]


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("zip,date", "2139,2022-01-31", "column 'zipcode' is missing; did you mean 'zip'?"),
        (
            "zipcode,date",
            "ABC,2022-01-31",
            "rows.csv breaks the column contract:\n  line 2, column 'zipcode': 'ABC'",
        ),
        ("zipcode,date,bank", "2139,2022-01-31,x", "line 2, column 'bank': 'x' is not a number"),
    ],
)
def test_rows_to_predict_are_validated_as_the_panel_is(tmp_path, header, row, words):
    with pytest.raises(SourceError) as caught:
        read_rows(write(tmp_path / "rows.csv", row, header=header))
    assert words in str(caught.value)


def test_rows_to_predict_come_from_one_file(tmp_path):
    write(tmp_path / "a.csv", *ROWS)
    write(tmp_path / "b.csv", *ROWS)
    with pytest.raises(SourceError, match="holds 2 data files: name one of them"):
        read_rows(tmp_path)


# ---------------------------------------------------------------- S3


@pytest.fixture
def s3(s3_env, s3_admin):
    client = s3_admin
    client.create_bucket(Bucket="raw")
    client.put_object(Bucket="raw", Key="all/panel.csv", Body="\n".join([HEADER, *ROWS]).encode())
    client.put_object(Bucket="raw", Key="parts/a.csv", Body="\n".join([HEADER, ROWS[0]]).encode())
    client.put_object(Bucket="raw", Key="parts/b.csv", Body="\n".join([HEADER, ROWS[1]]).encode())
    client.put_object(Bucket="raw", Key="parts/deeper/c.md", Body=b"no panel")
    return client


@pytest.mark.parametrize(
    ("uri", "files", "rows"),
    [
        ("s3://raw/all/panel.csv", ["panel.csv"], 3),
        ("s3://raw/parts/", ["a.csv", "b.csv"], 2),
        ("s3://raw/parts", ["a.csv", "b.csv"], 2),
    ],
)
def test_a_source_on_s3(s3, uri, files, rows):
    with open_panel(uri, today=TODAY) as panel:
        assert [f.name for f in panel.files] == files
        assert panel.rows == rows
        assert panel.month("2022-01")["zipcode"][0] == "02139"


def test_the_fingerprint_on_s3_follows_the_content(s3):
    with open_panel("s3://raw/parts/", today=TODAY) as panel:
        before = panel.fingerprint
    assert fingerprint("s3://raw/parts/") == before
    s3.put_object(Bucket="raw", Key="parts/b.csv", Body="\n".join([HEADER, ROWS[2]]).encode())
    assert fingerprint("s3://raw/parts/") != before


def test_rows_to_predict_on_s3(s3):
    assert read_rows("s3://raw/all/panel.csv").height == 3


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://nowhere/panel.csv", "no such bucket or object: check the name and AWS_ENDPOINT_URL"),
        ("s3://nowhere/parts/", "no such bucket or object"),
        ("s3://raw/all/other.csv", "no such object: check the key, all/other.csv"),
        ("s3://raw/empty/", "holds no data file"),
        ("s3://", "names no bucket: write s3://bucket/key"),
    ],
)
def test_what_is_missing_on_s3(s3, uri, words):
    assert f"{uri}: {words}" in refusal(uri)


def test_without_credentials(s3, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "s3://raw/all/panel.csv: no S3 credentials found: set AWS_ACCESS_KEY_ID" in refusal("s3://raw/all/panel.csv")


@pytest.mark.parametrize("uri", ["s3://raw/all/panel.csv", "s3://raw/parts/"])
def test_refused_credentials(s3, uri):
    s3.put_bucket_policy(
        Bucket="raw",
        Policy='{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*",'
        '"Resource":["arn:aws:s3:::raw","arn:aws:s3:::raw/*"]}]}',
    )
    try:
        message = refusal(uri)
    finally:
        s3.delete_bucket_policy(Bucket="raw")
    assert f"{uri}: S3 refuses access (403): check the credentials and their right to read it" in message


def test_an_unreachable_endpoint(s3, monkeypatch, unused_port):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_port}")
    message = refusal("s3://raw/all/panel.csv")
    assert "s3://raw/all/panel.csv: the S3 endpoint cannot be reached" in message
    assert "check AWS_ENDPOINT_URL and the network" in message


def test_an_object_that_goes_away_before_its_download(s3):
    files, _ = source_files.list_files("s3://raw/all/panel.csv")
    s3.delete_object(Bucket="raw", Key="all/panel.csv")
    with (
        pytest.raises(SourceError, match="no such bucket or object"),
        source_files.local_paths("s3://raw/all/panel.csv", files),
    ):
        pass
