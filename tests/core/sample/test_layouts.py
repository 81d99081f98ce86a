"""The sample in the layouts of publishers, vintage by vintage."""

import gzip
import io
import zipfile
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from housing_assets.core.errors import HousingError
from housing_assets.core.sample.layouts import LAYOUTS
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame, write_sample
from housing_assets.core.vintages.revisions import judge_revision, revision_table

SPEC = SampleSpec(zips=120, start="2021-01", end="2023-12")


def tidy_zillow(path: Path) -> pl.DataFrame:
    wide = pl.read_csv(path, schema_overrides={"RegionName": pl.String})
    months = [c for c in wide.columns if c[0].isdigit()]
    long = wide.unpivot(months, index=["RegionName", "Metro"], variable_name="date", value_name="price")
    return long.rename({"RegionName": "zipcode"}).with_columns(pl.col("date").str.to_date()).sort("zipcode", "date")


def test_zillows_layout_has_the_samples_prices(tmp_path):
    path = tmp_path / "zhvi.csv"
    report = write_sample(SPEC, path, layout="zillow")
    long, frame = tidy_zillow(path), sample_frame(SPEC)
    assert report.rows == 120
    assert long["date"].max() == date(2023, 12, 31)
    there = long.drop_nulls("price")
    expected = there.join(frame, on=["zipcode", "date"], how="left", maintain_order="left")
    assert there["price"].to_list() == expected["price_right"].to_list()
    late = long.filter(pl.col("price").is_null())
    assert late["zipcode"].n_unique() == 120 // 17
    assert late["date"].max() == date(2021, 6, 30)
    assert long.filter(pl.col("Metro").is_null())["zipcode"].n_unique() == 120 // 50
    assert "Boston-Cambridge-Newton, MA-NH" in set(long["Metro"])


def test_redfins_layout_rolls_90_days_and_has_several_property_types(tmp_path):
    path = tmp_path / "zip_code_market_tracker.tsv000.gz"
    write_sample(SPEC, path, layout="redfin")
    text = gzip.decompress(path.read_bytes()).decode()
    assert text.startswith('"PERIOD_BEGIN"\t"PERIOD_END"\t"PERIOD_DURATION"\t"REGION_TYPE"')
    rows = pl.read_csv(text.encode(), separator="\t", infer_schema_length=None)
    assert len(rows.columns) == 58
    assert set(rows["PROPERTY_TYPE"]) == {"All Residential", "Single Family Residential", "Condo/Co-op"}
    frame = sample_frame(SPEC)
    place = frame["zipcode"][0]
    row = rows.row(
        by_predicate=(pl.col("REGION") == f"Zip Code: {place}")
        & (pl.col("PERIOD_END") == "2022-06-30")
        & (pl.col("PROPERTY_TYPE_ID") == -1),
        named=True,
    )
    assert (row["PERIOD_BEGIN"], row["PERIOD_DURATION"]) == ("2022-04-01", 90)
    quarter = frame.filter(pl.col("zipcode") == place, pl.col("date").is_between(date(2022, 4, 1), date(2022, 6, 30)))
    assert float(row["HOMES_SOLD"]) == quarter["homes_sold"].sum()
    assert float(row["INVENTORY"]) == quarter["inventory"][-1]
    assert 0 <= float(row["SOLD_ABOVE_LIST"]) <= 1


def test_a_further_vintage_is_a_month_longer_and_revised_a_little(tmp_path):
    for vintage in (1, 2, 3):
        write_sample(SPEC, tmp_path / f"{vintage}.csv", layout="zillow", vintage=vintage)
    first, second, third = (tidy_zillow(tmp_path / f"{n}.csv").drop_nulls("price") for n in (1, 2, 3))
    assert [f["date"].max() for f in (first, second, third)] == [
        date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 29)
    ]  # fmt: skip

    table = revision_table(first, second).filter(pl.col("old_zips") > 0)
    old = table.filter(pl.col("month") < "2023-01")["median_change"]
    assert 0.002 < old.median() < 0.004  # type: ignore[operator]
    assert table["median_change"].tail(2).mean() > 1.5 * old.mean()  # type: ignore[operator]
    for before, after in ((first, second), (second, third), (first, third)):
        verdict = judge_revision(revision_table(before, after), "zillow")
        assert (verdict.blocks, verdict.warnings) == ((), ())


@pytest.mark.slow
def test_revisions_of_redfin_are_usual_too(tmp_path):
    for vintage in (1, 2):
        write_sample(SPEC, tmp_path / f"{vintage}.tsv", layout="redfin", vintage=vintage)
    first, second = (
        pl.read_csv(tmp_path / f"{n}.tsv", separator="\t", infer_schema_length=None, try_parse_dates=True)
        .filter(pl.col("PROPERTY_TYPE_ID") == -1)
        .rename(str.lower)
        .select(pl.col("region").str.tail(5).alias("zipcode"), date="period_end", homes_sold="homes_sold",
                median_sale_price="median_sale_price")
        for n in (1, 2)
    )  # fmt: skip
    table = revision_table(first, second)
    verdict = judge_revision(table, "redfin")
    assert (verdict.blocks, verdict.warnings) == ((), ())
    sold = table.filter(pl.col("column") == "homes_sold")
    assert sold.filter(pl.col("month") == "2023-12")["median_change"].item() > 0.01
    assert sold.filter(pl.col("month") == "2023-06")["median_change"].item() == 0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("vintage", [1, 3])
def test_the_same_sample_is_the_same_file_however_it_is_packed(tmp_path, layout, vintage):
    spec = SampleSpec(zips=20, start="2023-01", end="2023-04")
    content = {}
    for suffix in ("", ".gz", ".zip", ".zst"):
        path = tmp_path / f"a.csv{suffix}"
        write_sample(spec, path, layout=layout, vintage=vintage)
        before = path.read_bytes()
        write_sample(spec, path, layout=layout, vintage=vintage)
        assert path.read_bytes() == before
        content[suffix] = before
    assert gzip.decompress(content[".gz"]) == content[""]
    with zipfile.ZipFile(io.BytesIO(content[".zip"])) as archive:
        assert archive.read("a.csv") == content[""]
    with pa.CompressedInputStream(pa.BufferReader(content[".zst"]), "zstd") as stream:
        assert stream.read() == content[""]


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        ("a.csv", {"layout": "corelogic"}, "choose one of housets, zillow, redfin"),
        ("a.parquet", {"layout": "zillow"}, r"end its name in .csv"),
        ("a.xlsx", {}, r"end its name in .csv or .parquet"),
        ("a.csv", {"vintage": 0}, "the first vintage is 1"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, name, told, words):
    with pytest.raises(HousingError, match=words):
        write_sample(SPEC, tmp_path / name, **told)
    assert not list(tmp_path.iterdir())
