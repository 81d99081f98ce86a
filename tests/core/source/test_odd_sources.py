"""What a stranger may give as a source: read with notes, or refused with what, where and the remedy."""

import gzip
import io
import zipfile

import polars as pl
import pytest
from test_readers import PRICES, TODAY, notes_of, panel, prices_of, refusal, save, tracker, zillow

from housing_assets.core.source.source import open_source


def test_a_source_on_s3_in_parts(bucket, s3_admin):
    s3_admin.put_object(Bucket=bucket, Key="zillow/first.csv.gz", Body=gzip.compress(zillow().encode()))
    s3_admin.put_object(Bucket=bucket, Key="zillow/README.md", Body=b"x")
    for uri in (f"s3://{bucket}/zillow/", f"s3://{bucket}/zillow/first.csv.gz"):
        with open_source(uri, today=TODAY) as source:
            assert pl.concat(source.frames()).height == len(PRICES)
            assert (source.kind, source.files) == ("zillow", ("first.csv.gz",))


def workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"):
            archive.writestr(name, "<xml/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (workbook(), "is an Excel workbook, not a text table: open it, save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "is an Excel workbook"),
        (b"%PDF-1.7 x", "is a PDF document"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (
            b"Home values\nby zip\n" + zillow().encode(),
            "has its header in row 3, below other lines: remove the 2 lines",
        ),
        (b"Home values,,\n" + zillow().encode(), "has its header in row 2"),
        (b"Market tracker\n" + tracker().encode(), "has its header in row 2"),
        (b"Home values\nby zip\n", "is of no known layout: its columns are 'Home values'"),
        (b"<html>\n<body>\n" + zillow().encode(), "is a web page or XML, not a table"),
        (zillow().replace("RegionName", "Region_Name"), "lacks 'RegionName' (did you mean 'Region_Name'?)"),
        (zillow("2024-01-31,2024-02-29,2024-02-29"), "2024-02 has more than one column"),
        (zillow().replace(",2139,", ",O2139,"), "row 1, column 'RegionName': 'O2139' is not a ZIP code"),
    ],
)
def test_an_odd_file_is_refused_by_name(tmp_path, content, words):
    message = refusal(save(tmp_path / "z.csv", content))
    assert message.startswith("z.csv")
    assert words in message


def test_lines_before_the_header_are_passed_over_with_a_note(tmp_path):
    path = save(tmp_path / "z.csv", "# made by hand\nsep=,\n" + zillow())
    assert prices_of(path) == PRICES
    assert notes_of(path) == {"z.csv: lines before the header passed over (comments, blank ones, sep=)": 2}


def test_lines_may_end_as_windows_ends_them_in_utf_16(tmp_path):
    path = save(tmp_path / "z.csv", zillow().replace("\n", "\r\n").encode("utf-16"))
    assert prices_of(path) == PRICES


def test_a_month_without_values_gives_no_rows(tmp_path):
    text = zillow().replace("910000", "").replace("252000", "")
    path = save(tmp_path / "z.csv", text)
    assert prices_of(path) == {k: v for k, v in PRICES.items() if k[1] != "2024-03"}
    assert notes_of(path) == {}


def test_a_folder_of_zillow_redfin_and_the_panel_is_refused_with_the_kind_of_each(tmp_path):
    save(tmp_path / "a.csv", zillow())
    save(tmp_path / "b.tsv", tracker())
    save(tmp_path / "c.csv", panel("2022-01-31,2139,500000,3"))
    assert "b.tsv (redfin), a.csv (zillow)" in refusal(tmp_path)
