"""Readers recognize a publisher's file by its content, in whatever it is packed, and refuse with a remedy."""

import gzip
import zipfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from housing_assets.core.errors import SourceError
from housing_assets.core.source.source import open_source

TODAY = date(2024, 6, 15)

ZILLOW = (
    "RegionID,SizeRank,RegionName,RegionType,StateName,State,City,Metro,CountyName,{months}\n"
    '1,1,2139,zip,MA,MA,Cambridge,"Boston-Cambridge-Newton, MA-NH",Middlesex County,,905000.5,910000\n'
    "2,2,99950,zip,AK,AK,Ketchikan,,Ketchikan Gateway Borough,250000,251000,252000\n"
)
SPELLINGS = {
    "as published": "2024-01-31,2024-02-29,2024-03-31",
    "slashes": "1/31/2024,2/29/2024,3/31/2024",
    "short years": "1/31/24,2/29/24,3/31/24",
}
PRICES = {
    ("02139", "2024-02"): 905000.5,
    ("02139", "2024-03"): 910000.0,
    ("99950", "2024-01"): 250000.0,
    ("99950", "2024-02"): 251000.0,
    ("99950", "2024-03"): 252000.0,
}
TRACKER_HEADER = [
    "period_begin",
    "period_end",
    "period_duration",
    "region_type",
    "region_type_id",
    "table_id",
    "is_seasonally_adjusted",
    "region",
    "city",
    "state",
    "state_code",
    "property_type",
    "property_type_id",
    "median_sale_price",
    "median_sale_price_mom",
    "homes_sold",
    "inventory",
    "median_dom",
    "avg_sale_to_list",
    "sold_above_list",
    "parent_metro_region",
    "last_updated",
]


def zillow(months: str = SPELLINGS["as published"]) -> str:
    return ZILLOW.format(months=months)


def tracker_row(**changes: object) -> list[str]:
    row = dict.fromkeys(TRACKER_HEADER, "") | {
        "period_begin": "2022-01-01",
        "period_end": "2022-03-31",
        "period_duration": "90",
        "region_type": "zip code",
        "is_seasonally_adjusted": "f",
        "region": "Zip Code: 02139",
        "state_code": "MA",
        "property_type": "All Residential",
        "median_sale_price": "900000",
        "homes_sold": "12",
        "median_dom": "21",
        "avg_sale_to_list": "1.02",
        "sold_above_list": "0.4",
        "parent_metro_region": "Boston, MA metro area",
    }
    return list(map(str, (row | changes).values()))


def tracker(*rows: Sequence[str], header: Sequence[str] = TRACKER_HEADER, quote: str = "") -> str:
    return "".join("\t".join(f"{quote}{v}{quote}" for v in row) + "\n" for row in (header, *(rows or [tracker_row()])))


def save(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(*paths: Path) -> pl.DataFrame:
    with open_source(*paths, today=TODAY) as source:
        return pl.concat(source.frames())


def prices_of(*paths: Path) -> dict[tuple[str, str], float]:
    rows = rows_of(*paths).select("zipcode", pl.col("date").dt.strftime("%Y-%m"), "price").rows()
    return {(zipcode, month): price for zipcode, month, price in rows}


def notes_of(path: Path) -> dict[str, int]:
    with open_source(path, today=TODAY) as source:
        for _ in source.frames():
            pass
        return {note.text: note.count for note in source.notes}


def refusal(*paths: Path) -> str:
    with pytest.raises(SourceError) as caught:
        rows_of(*paths)
    return str(caught.value)


# ---------------------------------------------------------------- Zillow


@pytest.mark.parametrize("months", SPELLINGS.values(), ids=SPELLINGS)
def test_zillow_gives_prices_and_labels_in_each_spelling_of_its_months(tmp_path, months):
    with open_source(save(tmp_path / "anything.bin", zillow(months)), today=TODAY) as source:
        assert (source.kind, source.columns) == ("zillow", ("price",))
        frame = pl.concat(source.frames())
        assert dict(frame.schema) == {"date": pl.Date, "zipcode": pl.String, "price": pl.Float64}
        assert frame["date"].max() == date(2024, 3, 31)
        assert source.months == ("2024-01", "2024-02", "2024-03")
        labels = source.labels.rows_by_key("zipcode", named=True, unique=True)
        assert labels["02139"] == {
            "city_full": "Boston-Cambridge-Newton, MA-NH",
            "state": "MA",
            "county": "Middlesex County",
            "place": "Cambridge",
        }
        assert labels["99950"]["city_full"] is None
    assert prices_of(tmp_path / "anything.bin") == PRICES


def test_zillow_may_have_a_column_of_city_names(tmp_path):
    text = zillow().replace("RegionName,", "RegionName,city name,").replace(",2139,", ",2139,x,")
    assert prices_of(save(tmp_path / "z.csv", text.replace(",99950,", ",99950,y,"))) == PRICES


def test_zillow_as_parquet_with_numbers_for_zips(tmp_path):
    pl.read_csv(zillow().encode()).write_parquet(tmp_path / "z.parquet")
    assert prices_of(tmp_path / "z.parquet") == PRICES


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",zip,", ",msa,", "its regions are of level 'msa', where ZIP codes ('zip') are asked for"),
        ("CountyName,", "BaseDate,", "holds Zillow's own forecasts"),
        ("1,1,2139", "1,1,99950", "ZIP code 99950 has more than one row"),
        ("1,1,2139", "1,1,Boston", "row 1, column 'RegionName': 'Boston' is not a ZIP code"),
        ("910000", "soon", "row 1, column '2024-03-31': 'soon' is not a number"),
        ("910000", "-INF", "row 1, column '2024-03-31': '-inf' is not a number: write a finite number"),
        ("2024-02-29", "2024-03-30", "2024-03 has more than one column"),
        ("2024-03-31", "2024-07-31", "the column of 2024-07 lies in the future (this month is 2024-06)"),
        (SPELLINGS["as published"], "1/2/2024,2/2/2024,3/2/2024", "can be month/day or day/month"),
        ("RegionName", "RegionNam", "'RegionName' (did you mean 'RegionNam'?)"),
        ("252000", "252000,5", "line 3: has 13 fields, expected 12"),
        ("910000", "1910", "too low for homes in US dollars"),
    ],
)
def test_zillow_is_refused_with_what_where_and_the_remedy(tmp_path, old, new, words):
    text = zillow().replace(old, new)
    if words.startswith("too low"):
        text = text.replace("252000", "1852")
    message = refusal(save(tmp_path / "z.csv", text))
    assert message.startswith("z.csv")
    assert words in message


def test_what_zillow_leaves_empty_hides_no_bad_value_after_it(tmp_path):
    header, boston, alaska = zillow().splitlines()
    empty = [boston.replace(",2139,", f",{zipcode},").replace("910000", "N/A") for zipcode in range(2100, 2110)]
    lines = [header, *empty, boston.replace("910000", "soon"), alaska]
    message = refusal(save(tmp_path / "z.csv", "\n".join(lines)))
    assert "row 11, column '2024-03-31': 'soon' is not a number" in message


def test_an_infinite_price_of_zillow_in_parquet_is_refused_and_nan_is_none(tmp_path):
    frame = pl.read_csv(zillow().encode()).with_columns(pl.col("2024-03-31").cast(pl.Float64))
    odd = pl.Series("2024-03-31", [float("nan")] * (frame.height - 1) + [float("inf")])
    frame.with_columns(odd).write_parquet(tmp_path / "z.parquet")
    assert f"row {frame.height}, column '2024-03-31': 'inf' is not a number" in refusal(tmp_path / "z.parquet")


def test_zillow_without_a_month_is_read_with_a_note(tmp_path):
    path = save(tmp_path / "z.csv", zillow("2023-12-31,2024-02-29,2024-03-31"))
    assert notes_of(path) == {"z.csv: has no column for 2024-01": 1}


# ---------------------------------------------------------------- Redfin's tracker


@pytest.mark.parametrize("case", [str.lower, str.upper])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_tracker_gives_market_columns_of_zips(tmp_path, case, quote):
    rows = [
        tracker_row(),
        tracker_row(property_type="Townhouse"),
        tracker_row(is_seasonally_adjusted="t"),
        tracker_row(region_type="county", region="Middlesex County, MA"),
    ]
    text = tracker(*rows, header=[case(n) for n in TRACKER_HEADER], quote=quote)
    path = save(tmp_path / "t.tsv000.gz", gzip.compress(text.encode()))
    with open_source(path, today=TODAY) as source:
        assert source.kind == "redfin"
        (row,) = pl.concat(source.frames()).to_dicts()
        assert row == {
            "date": date(2022, 3, 31),
            "zipcode": "02139",
            "median_sale_price": 900000,
            "homes_sold": 12,
            "inventory": None,
            "median_dom": 21,
            "avg_sale_to_list": 1.02,
            "sold_above_list": 0.4,
        }
        assert source.labels.row(0) == ("02139", "Boston, MA", "MA", None, None)
    assert notes_of(path) == {
        "t.tsv000.gz: left out rows that are not of a ZIP code": 1,
        "t.tsv000.gz: left out rows that are not of All Residential": 1,
        "t.tsv000.gz: left out rows that are seasonally adjusted": 1,
        "t.tsv000.gz: rolling periods of 90 days belong to the month of period_end": 1,
    }


def test_an_invalid_value_is_named_by_its_row_of_the_file(tmp_path):
    rows = [tracker_row(property_type="Townhouse"), tracker_row(), tracker_row(homes_sold="many")]
    with pytest.raises(SourceError, match=r"row 3, column 'homes_sold': 'many' is not a number"):
        rows_of(save(tmp_path / "t.tsv", tracker(*rows)))


def test_a_tracker_without_all_residential_property_is_refused_with_what_it_has(tmp_path):
    rows = [tracker_row(property_type=kind) for kind in ("Townhouse", "Condo/Co-op")]
    with pytest.raises(SourceError, match="no row is of a ZIP code, of All Residential.*2 not of All Residential"):
        rows_of(save(tmp_path / "t.tsv", tracker(*rows)))


def test_the_level_that_is_told_is_that_of_rows_that_might_count(tmp_path):
    rows = [tracker_row(property_type="Townhouse"), tracker_row(region_type="metro", region="Boston, MA metro area")]
    with pytest.raises(
        SourceError, match=r"t\.tsv: its rows of All Residential are of level 'metro', where 'zip code'"
    ):
        rows_of(save(tmp_path / "t.tsv", tracker(*rows)))


def test_percent_is_read_as_fractions_when_the_values_say_so(tmp_path):
    text = tracker(tracker_row(avg_sale_to_list=102, sold_above_list=40))
    path = save(tmp_path / "t.tsv", text)
    assert rows_of(path).select("avg_sale_to_list", "sold_above_list").row(0) == pytest.approx((1.02, 0.4))
    assert notes_of(path)["t.tsv: column 'avg_sale_to_list': percent read as fractions"] == 1
    few = save(tmp_path / "few.tsv", tracker(tracker_row(avg_sale_to_list=102, sold_above_list=0.5)))
    assert rows_of(few)["sold_above_list"][0] == pytest.approx(0.005)  # half a percent


def test_a_tracker_in_parts_of_folders_is_one_source(tmp_path):
    save(tmp_path / "year=2021" / "part.tsv", tracker(tracker_row(period_end="2021-12-31")))
    save(tmp_path / "year=2022" / "part.tsv", tracker())
    assert rows_of(tmp_path)["date"].to_list() == [date(2021, 12, 31), date(2022, 3, 31)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [tracker_row(region_type="national", region=" National")],
            "its rows of All Residential are of level 'national', where",
        ),
        ([tracker_row(property_type="Townhouse")], "no row is of a ZIP code, of All Residential"),
        ([tracker_row(is_seasonally_adjusted="t")], "(1 seasonally adjusted)"),
        ([tracker_row(period_duration="7")], "has periods of 7 days"),
        ([tracker_row(), tracker_row(period_duration="30")], "has both months (1 rows) and rolling 90 days (1 rows)"),
        ([tracker_row(), tracker_row(avg_sale_to_list="98")], "column 'avg_sale_to_list' can be fractions or percent"),
        ([tracker_row(region="Cambridge")], "row 1, column 'region': 'Cambridge' is not a ZIP code"),
        ([tracker_row(), tracker_row(homes_sold="many")], "row 2, column 'homes_sold': 'many' is not a number"),
        ([tracker_row(), tracker_row(homes_sold="inf")], "row 2, column 'homes_sold': 'inf' is not a number"),
        ([tracker_row(period_end="2030-03-31")], "lies in the future (this month is 2024-06)"),
    ],
)
def test_the_tracker_is_refused_with_what_where_and_the_remedy(tmp_path, rows, words):
    message = refusal(save(tmp_path / "t.tsv", tracker(*rows)))
    assert message.startswith("t.tsv")
    assert words in message


def test_blocks_of_different_units_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("housing_assets.core.source.delimited.BLOCK_BYTES", 400)
    rows = [tracker_row()] * 10 + [tracker_row(avg_sale_to_list="98")] * 10
    assert "avg_sale_to_list" in refusal(save(tmp_path / "t.tsv", tracker(*rows)))


def test_a_column_that_the_publisher_renamed_is_suggested(tmp_path):
    header = [n.replace("median_dom", "median_doms").replace("period_end", "period_ended") for n in TRACKER_HEADER]
    assert "'period_end' (did you mean 'period_ended'?)" in refusal(save(tmp_path / "t.tsv", tracker(header=header)))
    header = [n.replace("median_dom", "median_doms") for n in TRACKER_HEADER]
    assert "'median_doms' is unknown; did you mean 'median_dom'" in refusal(
        save(tmp_path / "t.tsv", tracker(header=header))
    )


# ---------------------------------------------------------------- Redfin's file of the Data Center

FIGURES = {
    "HOMES SOLD": "25",
    "MEDIAN SALE PRICE NSA ($)": "615000",
    "MEDIAN DAYS ON MARKET (DAYS)": "33",
    "AVERAGE SALE TO LIST RATIO (%)": "98.4",
    "SHARE SOLD ABOVE ORIGINAL LIST (%)": "12.5",
    "NEW LISTINGS": "31",
    "ACTIVE LISTINGS": "60",
    "INVENTORY": "44",
    "PENDING SALES": "NA",
    "MEDIAN NEW LISTING PRICE ($)": "640000",
    "MEDIAN NEW LISTING PRICE PER SQ.FT. ($)": "410.25",
    "MEDIAN SALE PRICE PER SQ.FT. ($)": "402.5",
    "MONTHS OF SUPPLY": "5.3",
    "PERCENT OFF MARKET IN TWO WEEKS (%)": "40",
}


def data_center_row(**changes: str) -> dict[str, str]:
    """One row of the layout; names of `changes` have underscores for spaces."""
    row = {
        "LAST UPDATED": "2024-05-09",
        "FREQUENCY": "Rolling 3 Months",
        "PERIOD BEGIN": "2024-02-01",
        "PERIOD END": "2024-04-30",
        "REGION ID": "902",
        "REGION TYPE": "Zip",
        "REGION NAME": "02139",
        "METRO": "Boston, MA metro area",
    }
    for name, value in FIGURES.items():
        plain = name.split(" (")[0]
        row |= {name: value, f"{plain} MOM (%)": "NA", f"{plain} YOY (%)": "-3.1"}
    return row | {name.replace("_", " "): value for name, value in changes.items()}


def data_center(*rows: dict[str, str]) -> str:
    """The file: text is quoted, numbers and NA are not."""

    def shown(value: str) -> str:
        return value if value == "NA" or value.replace(".", "").lstrip("-").isdigit() else f'"{value}"'

    table = [list(rows[0]), *(row.values() for row in rows)]
    return "".join(",".join(map(shown, row)) + "\n" for row in table).replace(",02139,", ',"02139",')


def test_the_data_center_gives_market_columns_of_zips_newest_first(tmp_path):
    earlier = data_center_row(PERIOD_BEGIN="2024-01-01", PERIOD_END="2024-03-31", METRO="NA", HOMES_SOLD="NA")
    path = save(tmp_path / "all_zips.csv", data_center(data_center_row(), earlier))
    with open_source(path, today=TODAY) as source:
        assert source.kind == "redfin"
        rows = pl.concat(source.frames())
        assert rows["date"].to_list() == [date(2024, 4, 30), date(2024, 3, 31)]
        assert rows["homes_sold"].to_list() == [25, None]
        assert rows.row(0, named=True) == {
            "date": date(2024, 4, 30),
            "zipcode": "02139",
            "median_sale_price": 615000,
            "median_list_price": 640000,
            "median_ppsf": 402.5,
            "median_list_ppsf": 410.25,
            "homes_sold": 25,
            "pending_sales": None,
            "new_listings": 31,
            "inventory": 44,
            "median_dom": 33,
            "avg_sale_to_list": pytest.approx(0.984),
            "sold_above_list": pytest.approx(0.125),
            "off_market_in_two_weeks": pytest.approx(0.4),
        }
    assert notes_of(path) == {
        "all_zips.csv: column 'avg_sale_to_list': percent read as fractions": 2,
        "all_zips.csv: column 'sold_above_list': percent read as fractions": 2,
        "all_zips.csv: column 'off_market_in_two_weeks': percent read as fractions": 2,
        "all_zips.csv: rolling periods of 90 to 91 days belong to the month of period_end": 2,
    }


def test_the_data_center_names_metros_and_may_give_fractions_without_units_in_its_header(tmp_path):
    row = data_center_row()
    row |= {name: "0.9" for name in row if name.startswith(("AVERAGE SALE", "SHARE SOLD", "PERCENT OFF"))}
    path = save(tmp_path / "all_zips.csv", data_center({n.replace(" (%)", ""): v for n, v in row.items()}))
    assert rows_of(path)["avg_sale_to_list"].to_list() == [0.9]
    with open_source(path, today=TODAY) as source:
        assert sum(1 for _ in source.frames()) == 1
        assert source.labels["city_full"].to_list() == ["Boston, MA"]


def test_a_list_price_that_is_none_is_empty_with_a_note(tmp_path):
    row = data_center_row() | {"MEDIAN NEW LISTING PRICE ($)": "999999999"}
    path = save(tmp_path / "all_zips.csv", data_center(row))
    assert rows_of(path)["median_list_price"].to_list() == [None]
    assert notes_of(path)["all_zips.csv: column 'MEDIAN NEW LISTING PRICE ($)': 999,999,999 read as empty"] == 1


def test_of_several_property_types_the_data_centers_all_residential_counts(tmp_path):
    rows = [data_center_row(PROPERTY_TYPE=kind) for kind in ("All Residential", "Condo/Co-op")]
    path = save(tmp_path / "all_zips.csv", data_center(*rows))
    assert rows_of(path).height == 1
    assert notes_of(path)["all_zips.csv: left out rows that are not of All Residential"] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"REGION TYPE": "County", "REGION NAME": "Essex County, MA"}, "its rows are of level 'county', where"),
        ({"PERIOD BEGIN": "2024-04-24"}, "has periods of 7 days"),
        ({"REGION NAME": "Cambridge"}, "row 1, column 'REGION NAME': 'Cambridge' is not a ZIP code"),
        ({"HOMES SOLD": "many"}, "row 1, column 'HOMES SOLD': 'many' is not a number"),
        ({"PERIOD END": "2030-03-31"}, "row 1, column 'PERIOD END': '2030-03-31' lies in the future"),
    ],
)
def test_the_data_center_is_refused_with_what_where_and_the_remedy(tmp_path, change, words):
    assert words in refusal(save(tmp_path / "all_zips.csv", data_center(data_center_row() | change)))


def test_a_figure_that_the_data_center_renamed_is_suggested(tmp_path):
    row = {
        name.replace("MEDIAN DAYS ON MARKET (", "MEDIAN DAYS ON MARKETS ("): v for name, v in data_center_row().items()
    }
    message = refusal(save(tmp_path / "all_zips.csv", data_center(row)))
    assert "'median days on markets' is unknown; did you mean 'median days on market'" in message


# ---------------------------------------------------------------- Redfin's download


def download(region: str) -> bytes:
    header = "Region\tMonth of Period End\tMedian Sale Price\tMedian Sale Price MoM \tHomes Sold\tDays on Market\t"
    row = f"{region}\tJanuary 2012\t$159K\t-6.5%\t1,273\t96\t95.6%\n"
    return (header + "Average Sale To List\n" + row).encode("utf-16")


def test_the_download_button_gives_numbers_written_for_people(tmp_path):
    path = save(tmp_path / "data.csv", download("Zip Code: 02139"))
    assert rows_of(path).to_dicts() == [
        {
            "date": date(2012, 1, 31),
            "zipcode": "02139",
            "median_sale_price": 159000,
            "homes_sold": 1273,
            "median_dom": 96,
            "avg_sale_to_list": pytest.approx(0.956),
        }
    ]
    assert notes_of(path)["data.csv: numbers read with dollar signs, K and M"] == 1


@pytest.mark.parametrize(
    ("region", "level"), [(" National", "national"), ("Boston, MA metro area", "metro"), ("Essex County, MA", "county")]
)
def test_a_download_of_another_level_is_refused_plainly(tmp_path, region, level):
    assert f"its rows are of level {level!r}, where 'zip code'" in refusal(save(tmp_path / "d.csv", download(region)))


# ---------------------------------------------------------------- containers


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, zillow())
    return path


@pytest.mark.parametrize("name", ["z.csv", "z.csv.gz", "no suffix"])
def test_packed_files_are_known_by_their_first_bytes(tmp_path, name):
    assert prices_of(save(tmp_path / name, gzip.compress(zillow().encode()))) == PRICES
    assert prices_of(save(tmp_path / name, pa.compress(zillow().encode(), "zstd", asbytes=True))) == PRICES
    assert prices_of(zipped(tmp_path / name, "z.csv", "README.txt", "__MACOSX/._z.csv")) == PRICES
    assert prices_of(save(tmp_path / name, zillow().encode("utf-16"))) == PRICES
    assert prices_of(save(tmp_path / name, b"\xef\xbb\xbf" + zillow().encode())) == PRICES


def test_a_zip_of_two_files_and_other_archives_are_refused(tmp_path):
    assert "this zip holds 2 data files (a.csv, b.csv)" in refusal(zipped(tmp_path / "z.zip", "a.csv", "b.csv"))
    assert "z.csv.bz2: is packed by bzip2" in refusal(save(tmp_path / "z.csv.bz2", b"BZh91AY"))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zip", "parquet"])
def test_what_was_cut_off_or_damaged_is_refused_by_name(tmp_path, kind):
    rows = "".join(f"{i},{i},{i},zip,MA,MA,Town,Metro,County {i},{i * 7919 % 1e6 + 1e5},,5\n" for i in range(1, 9000))
    text = zillow().splitlines(keepends=True)[0] + rows
    if kind == "gzip":
        whole = gzip.compress(text.encode())
    elif kind == "zstd":
        whole = pa.compress(text.encode(), "zstd", asbytes=True)
    elif kind == "zip":
        whole = zipped(tmp_path / "x", "z.csv").read_bytes()
    else:
        pl.read_csv(text.encode()).write_parquet(tmp_path / "x")
        whole = (tmp_path / "x").read_bytes()
    message = refusal(save(tmp_path / "cut", whole[: len(whole) * 2 // 3]))
    assert message.startswith("cut: ")
    assert "damaged or cut off" in message or "not a whole Parquet file" in message


# ---------------------------------------------------------------- what is no table, and what is of two kinds


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<!DOCTYPE html><title>403 Forbidden</title>", "is a web page or XML"),
        ('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page or XML"),
        ('{"message": "Too Many Requests"}', "is JSON, not a table (it begins"),
        ("Service unavailable\ntry again later\n", "is of no known layout: its columns are 'Service unavailable'"),
        ("", "the file is empty"),
        (zillow().splitlines()[0], "has a header but no rows"),
        (ZILLOW.format(months="2024-01-31").split("\n")[0] + "\n1,1,2139,zip,MA,MA,x,y,z,\n", "no row has a value"),
        ("a,b\n1,2\n", "Known are: Zillow's home values"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, words):
    message = refusal(save(tmp_path / "file.csv", content))
    assert message.startswith("file.csv: ")
    assert words in message


def test_files_of_two_kinds_are_two_sources(tmp_path):
    save(tmp_path / "z.csv", zillow())
    save(tmp_path / "r.tsv", tracker())
    assert "holds files of more than one kind: r.tsv (redfin), z.csv (zillow)" in refusal(tmp_path)


# ---------------------------------------------------------------- the panel's own layout, tolerantly


def panel(*rows: str, header: str = "date,zipcode,price,homes_sold", mark: str = ",") -> str:
    return "\n".join([header, *rows]).replace(",", mark) + "\n"


def test_a_panel_gives_the_columns_that_it_has(tmp_path):
    with open_source(save(tmp_path / "p.csv", panel("2022-01-31,2139,500000,3")), today=TODAY) as source:
        assert (source.kind, source.columns) == ("housets", ("homes_sold", "price"))
        assert pl.concat(source.frames()).row(0) == (date(2022, 1, 31), "02139", 3, 500000)


@pytest.mark.parametrize(
    ("text", "note", "count"),
    [
        (panel('1/31/2022,2139,"$500,000",3'), "column 'date': dates read as month/day/year", 1),
        (
            panel('1/31/2022,2139,"$500,000",3'),
            "column 'price': numbers read with dollar signs, thousands separators",
            1,
        ),
        (panel("31.01.2022,2139,500000,3"), "column 'date': dates read as day/month/year", 1),
        (panel("2022-01,2139,500000,3", "2022-01,20004,1,3"), "column 'date': months read without a day", 2),
        (panel("2022-01-31,02139-1234,500000,3"), "column 'zipcode': ZIP codes read without four more digits", 1),
        (panel("2022-01-31,'02139,500000,3"), "column 'zipcode': ZIP codes read without a leading apostrophe", 1),
        (panel("2022-01-31,2139,500000,N/A"), "column 'homes_sold': words for no value read as empty", 1),
        (panel("2022-01-31,2139,500000,-"), "column 'homes_sold': words for no value read as empty", 1),
        (panel("2022-01-31,2139,500000,3", header="Date, ZipCode,PRICE,Homes Sold"), "columns recognized", 4),
        (panel("2022-01-31,2139,500.000.00,3", mark=";").replace("000.00", "000,00"), "decimal commas", 1),
    ],
)
def test_what_is_assumed_is_a_note_with_a_count(tmp_path, text, note, count):
    path = save(tmp_path / "p.csv", text)
    row = rows_of(path).row(0, named=True)
    assert (row["date"], row["zipcode"], row["price"]) == (date(2022, 1, 31), "02139", 500000)
    assert [n for t, n in notes_of(path).items() if note in t] == [count]


@pytest.mark.parametrize("before", ["sep=;\n", "# made by hand\n\n", '"sep=;"\r\n'])
def test_lines_before_the_header_are_passed_over(tmp_path, before):
    path = save(tmp_path / "p.csv", before + panel("2022-01-31,2139,500000,3", mark=";"))
    assert rows_of(path)["price"].to_list() == [500000]
    bad = save(tmp_path / "p.csv", before + panel("2022-01-31,2139,much,3", mark=";"))
    assert f"line {before.count(chr(10)) + 2}, column 'price': 'much' is not a number" in refusal(bad)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (panel("03/04/2020,2139,500000,3"), "the date '03/04/2020' can be 2020-03-04 or 2020-04-03"),
        (panel("2020-01-31,2139,500000,3", "03/04/2020,2139,5,3"), "'03/04/2020' can be 2020-03-04 or 2020-04-03"),
        (
            panel("2020-01-31,2139,1.234,3", mark=";"),
            "'1.234' of a file separated by semicolons can be 1234 or 1.234",
        ),
    ],
)
def test_what_has_two_readings_is_refused_with_both(tmp_path, text, words):
    assert words in refusal(save(tmp_path / "p.csv", text))


def test_one_telling_value_far_below_decides_for_the_whole_file(tmp_path):
    rows = ["03/04/2020,2139,500000,3"] * 200
    path = save(tmp_path / "p.csv", panel(*rows, "03/31/2020,20004,1,1"))
    assert rows_of(path)["date"].unique().to_list() == [date(2020, 3, 31)]
    rows = ["2020-01-31,2139,1.234,3"] * 200
    path = save(tmp_path / "q.csv", panel(*rows, "2020-01-31,20004,1234.5,1", mark=";"))
    assert rows_of(path)["price"][0] == 1.234


def test_hive_folders_give_the_columns_that_files_lack(tmp_path):
    save(tmp_path / "zipcode=02139" / "p.csv", panel("2022-01-31,5", header="date,price"))
    save(tmp_path / "zipcode=20004" / "p.csv", panel("2022-01-31,7", header="date,price"))
    assert rows_of(tmp_path).rows() == [(date(2022, 1, 31), "02139", 5), (date(2022, 1, 31), "20004", 7)]
