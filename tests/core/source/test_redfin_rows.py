"""Redfin's rows: which of them count, what a repeat means, and what periods, numbers, labels and columns say."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from housing_assets.core.errors import SourceError
from housing_assets.core.source.source import open_source

TODAY = date(2024, 6, 15)

Row = Mapping[str, str | None]

TRACKER_ROW: Row = {
    "period_begin": "2024-02-01",
    "period_end": "2024-04-30",
    "period_duration": "90",
    "region_type": "zip code",
    "is_seasonally_adjusted": "f",
    "region": "Zip Code: 02139",
    "city": "",
    "state_code": "MA",
    "property_type": "All Residential",
    "median_sale_price": "615000",
    "homes_sold": "25",
    "parent_metro_region": "Boston, MA metro area",
}
DATA_CENTER_ROW: Row = {
    "PERIOD BEGIN": "2024-02-01",
    "PERIOD END": "2024-04-30",
    "REGION TYPE": "Zip",
    "REGION NAME": "02139",
    "METRO": "Boston, MA metro area",
    "HOMES SOLD": "25",
    "MEDIAN SALE PRICE NSA ($)": "615000",
    "AVERAGE SALE TO LIST RATIO (%)": "98.4",
}
ROWS = pytest.mark.parametrize("row", [TRACKER_ROW, DATA_CENTER_ROW], ids=["tracker", "Data Center"])


def like(row: Row, **changes: str | None) -> Row:
    """The row with other values; underscores are spaces where its names have those."""
    spaced = "PERIOD END" in row
    return {**row, **{name.upper().replace("_", " ") if spaced else name: value for name, value in changes.items()}}


def save(path: Path, *rows: Row, header: Mapping[str, str] | None = None, mark: str = "\t") -> Path:
    """Rows as text; `header` gives other names to columns."""
    names = [(header or {}).get(name, name) for name in rows[0]]
    path.write_text("".join(mark.join(map(str, line)) + "\n" for line in (names, *(row.values() for row in rows))))
    return path


def rows_of(path: Path) -> pl.DataFrame:
    with open_source(path, today=TODAY) as source:
        return pl.concat(source.frames())


def notes_of(path: Path) -> dict[str, int]:
    with open_source(path, today=TODAY) as source:
        for _ in source.frames():
            pass
        return {note.text: note.count for note in source.notes}


def labels_of(path: Path) -> list[tuple[str | None, ...]]:
    with open_source(path, today=TODAY) as source:
        for _ in source.frames():
            pass
        return source.labels.rows()


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        rows_of(path)
    return str(caught.value)


# ---------------------------------------------------------------- repeats


@ROWS
def test_rows_of_one_zip_and_month_that_differ_are_refused(tmp_path, row):
    path = save(tmp_path / "r.tsv", row, like(row, homes_sold="99"))
    told = "r.tsv: ZIP code 02139 has 2 rows of 2024-04 that differ, and 1 of 2 rows are like that: keep one of them"
    assert refusal(path) == told


@ROWS
def test_rows_that_differ_are_found_in_blocks_far_apart(tmp_path, row, monkeypatch):
    monkeypatch.setattr("housing_assets.core.source.delimited.BLOCK_BYTES", 600)
    name = "region name" if row is DATA_CENTER_ROW else "region"
    others = [like(row, **{name.replace(" ", "_"): f"{zipcode:05d}"}) for zipcode in range(601, 641)]
    path = save(tmp_path / "r.tsv", row, *others, like(row, homes_sold=""))
    with open_source(path, today=TODAY) as source:
        frames = source.frames()
        assert next(frames)["zipcode"][0] == "02139"  # who stops here is not told
    assert "ZIP code 02139 has 2 rows of 2024-04 that differ" in refusal(path)


@ROWS
def test_exact_repeats_stay_with_a_note(tmp_path, row):
    other = like(row, period_begin="2024-01-01", period_end="2024-03-31", homes_sold="99")
    path = save(tmp_path / "r.tsv", row, row, other, row)
    assert rows_of(path)["homes_sold"].to_list() == [25, 25, 99, 25]
    assert notes_of(path)["r.tsv: rows given more than once"] == 2


@ROWS
def test_the_same_figures_of_another_month_or_zip_are_no_repeat(tmp_path, row):
    name = "region_name" if row is DATA_CENTER_ROW else "region"
    earlier = like(row, period_begin="2024-01-01", period_end="2024-03-31")
    old = like(row, period_begin="1930-02-01", period_end="1930-04-30")
    path = save(tmp_path / "r.tsv", row, earlier, old, like(row, **{name: "99950"}), like(row, **{name: "00501"}))
    assert rows_of(path).height == 5
    assert "r.tsv: rows given more than once" not in notes_of(path)


# ---------------------------------------------------------------- which rows count


def test_adjusted_rows_of_the_data_center_beside_others_are_refused(tmp_path):
    rows = [like(DATA_CENTER_ROW, is_seasonally_adjusted=flag, homes_sold=n) for flag, n in (("True", 9), ("F", 25))]
    assert "ZIP code 02139 has 2 rows of 2024-04 that differ" in refusal(save(tmp_path / "d.tsv", *rows))
    assert rows_of(save(tmp_path / "d.tsv", rows[0])).height == 1, "which figures are adjusted is not known"


@ROWS
def test_a_slip_of_the_publisher_is_noted_and_the_first_row_counts(tmp_path, row):
    name = "region_name" if row is DATA_CENTER_ROW else "region"
    others = [like(row, **{name: f"{zipcode:05d}"}) for zipcode in range(3000, 3200)]
    path = save(tmp_path / "r.tsv", row, *others, like(row, homes_sold="99"))
    assert rows_of(path).filter(zipcode="02139")["homes_sold"].to_list() == [25, 99]
    words = "r.tsv: rows that differ from the first one of their zip and month, which counts (for example of ZIP code "
    assert notes_of(path)[f"{words}02139 in 2024-04)"] == 1


@pytest.mark.parametrize("level", ["Zip", "zip code", "ZIP_CODE", " ZipCode "])
@ROWS
def test_every_spelling_of_the_level_of_zips_counts(tmp_path, row, level):
    assert rows_of(save(tmp_path / "r.tsv", like(row, region_type=level)))["zipcode"].to_list() == ["02139"]


def test_a_level_that_only_sounds_like_zips_is_named(tmp_path):
    path = save(tmp_path / "d.tsv", like(DATA_CENTER_ROW, region_type="Zip3"))
    assert "its rows are of level 'zip3', where 'zip code' is asked for" in refusal(path)


def test_a_property_type_may_have_blanks_or_be_categorical(tmp_path):
    rows = [like(DATA_CENTER_ROW, property_type=kind) for kind in (" All Residential ", "Condo/Co-op")]
    assert rows_of(save(tmp_path / "d.tsv", *rows)).height == 1
    path = tmp_path / "d.parquet"
    pl.DataFrame(rows).with_columns(pl.col("PROPERTY TYPE").cast(pl.Categorical)).write_parquet(path)
    assert rows_of(path).height == 1


def test_property_types_that_are_all_empty_are_refused_plainly(tmp_path):
    path = tmp_path / "d.parquet"
    pl.DataFrame([like(DATA_CENTER_ROW, property_type=None)]).write_parquet(path)
    assert "no row is of a ZIP code and of All Residential (1 not of All Residential)" in refusal(path)


# ---------------------------------------------------------------- labels


@ROWS
def test_a_label_is_the_newest_that_is_given_in_whatever_order_months_come(tmp_path, row, monkeypatch):
    metro = "metro" if row is DATA_CENTER_ROW else "parent_metro_region"
    state = None if row is DATA_CENTER_ROW else "MA"
    rows = [
        like(row, period_begin=f"2023-{begin}", period_end=f"2023-{end}", **{metro: name})
        for begin, end, name in (
            ("01-01", "03-31", "Oldest, MA"),
            ("02-01", "04-30", "Old, MA"),
            ("03-01", "05-31", "New, MA metro area"),
            ("04-01", "06-30", ""),
        )
    ]
    for size in (1 << 20, 300):
        monkeypatch.setattr("housing_assets.core.source.delimited.BLOCK_BYTES", size)
        for waiting in (1, 1000):
            monkeypatch.setattr("housing_assets.core.source.redfin.labels._WAITING_ROWS", waiting)
            for ordered in (rows, rows[::-1], rows[2:] + rows[:2]):
                assert labels_of(save(tmp_path / "r.tsv", *ordered)) == [("02139", "New, MA", state, None, None)]


def test_each_label_is_the_newest_of_its_own(tmp_path):
    rows = [
        like(TRACKER_ROW, period_end="2024-04-30", city="Cambridge", parent_metro_region="", state_code=""),
        like(TRACKER_ROW, period_end="2024-03-31", city="", parent_metro_region="Boston, MA", state_code=""),
        like(TRACKER_ROW, period_end="2024-02-29", city="Boston", parent_metro_region="Salem, MA"),
        like(TRACKER_ROW, region="99950", city="", parent_metro_region="", state_code=""),
    ]
    expected = [("02139", "Boston, MA", "MA", None, "Cambridge"), ("99950", None, None, None, None)]
    for ordered in (rows, rows[::-1]):
        assert labels_of(save(tmp_path / "t.tsv", *ordered)) == expected


# ---------------------------------------------------------------- periods


@pytest.mark.parametrize(
    ("begin", "end"), [("4/22/2024", "4/28/2024"), ("22.4.2024", "28.4.2024"), ("2024-04-22", "2024-04-28 00:00:00")]
)
def test_weeks_are_refused_however_their_days_are_written(tmp_path, begin, end):
    row = like(DATA_CENTER_ROW, period_begin=begin, period_end=end)
    assert "d.tsv: has periods of 7 days" in refusal(save(tmp_path / "d.tsv", row))


@pytest.mark.parametrize(
    ("begin", "end"), [("2/1/2024", "4/30/2024"), ("2024-02", "2024-04"), ("February 2024", "Apr 2024")]
)
def test_rolling_periods_have_their_note_however_they_are_written(tmp_path, begin, end):
    path = save(tmp_path / "d.tsv", like(DATA_CENTER_ROW, period_begin=begin, period_end=end))
    assert notes_of(path)["d.tsv: rolling periods of 90 days belong to the month of period_end"] == 1


def test_periods_as_days_of_parquet_are_measured(tmp_path):
    path = tmp_path / "d.parquet"
    days = pl.col("PERIOD BEGIN", "PERIOD END").str.to_datetime("%Y-%m-%d")
    for kind in (pl.Date(), pl.Datetime("ns")):
        rows = pl.DataFrame([like(DATA_CENTER_ROW, period_begin="2024-04-24")]).with_columns(days.cast(kind))
        rows.write_parquet(path)
        assert "d.parquet: has periods of 7 days" in refusal(path)


@pytest.mark.parametrize("duration", ["", "weekly"])
def test_where_the_tracker_tells_no_length_the_first_day_does(tmp_path, duration):
    week = like(TRACKER_ROW, period_begin="2024-04-24", period_duration=duration)
    assert "t.tsv: has periods of 7 days" in refusal(save(tmp_path / "t.tsv", week))
    other = like(TRACKER_ROW, region="99950")
    assert "t.tsv: has periods of 7 days" in refusal(save(tmp_path / "t.tsv", other, week))


# ---------------------------------------------------------------- numbers and columns


def test_decimal_commas_of_the_data_center_are_known_by_the_whole_file(tmp_path):
    row = {**DATA_CENTER_ROW, "AVERAGE SALE TO LIST RATIO (%)": "98,375", "MEDIAN SALE PRICE NSA ($)": "402,500"}
    told = {**like(row, region_name="99950"), "AVERAGE SALE TO LIST RATIO (%)": "98,4"}
    rows = rows_of(save(tmp_path / "d.csv", row, told, mark=";"))
    assert rows["avg_sale_to_list"].to_list() == pytest.approx([0.98375, 0.984])
    assert rows["median_sale_price"].to_list() == [402.5, 402.5]
    assert "d.csv: the number '402,500' of a file separated by semicolons can be 402500 or 402.500" in refusal(
        save(tmp_path / "d.csv", {**row, "AVERAGE SALE TO LIST RATIO (%)": "98"}, mark=";")
    )


@pytest.mark.parametrize(
    ("row", "again", "name"),
    [
        (TRACKER_ROW, "Median Sale Price", "median_sale_price"),
        (TRACKER_ROW, "homes_sold", "homes_sold"),
        (TRACKER_ROW, "REGION", "region"),
        (DATA_CENTER_ROW, "HOMES SOLD (#)", "homes sold"),
        (DATA_CENTER_ROW, "homes_sold", "homes sold"),
    ],
)
def test_a_column_that_comes_twice_is_refused(tmp_path, row, again, name):
    twice = like(row, is_seasonally_adjusted="f") | {"again": "1"}
    path = save(tmp_path / "r.tsv", twice, header={"again": again})
    assert refusal(path) == f"r.tsv: column {name!r} occurs more than once: keep one of them"


def test_a_column_that_is_not_read_may_come_twice(tmp_path):
    path = save(tmp_path / "r.tsv", {**TRACKER_ROW, "a": "1", "b": "2"}, header={"a": "table_id", "b": "TABLE_ID"})
    assert rows_of(path).height == 1


def test_a_column_of_the_download_that_comes_twice_is_refused(tmp_path):
    row = {"Region": "02139", "Month of Period End": "April 2024", "Homes Sold": "25", "again": "99"}
    path = save(tmp_path / "r.tsv", row, header={"again": "homes_sold"})
    assert refusal(path) == "r.tsv: column 'homes sold' occurs more than once: keep one of them"
