from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from housing_assets.core.errors import HousingError
from housing_assets.core.limits import MOST_ZIPS
from housing_assets.core.months import month_range
from housing_assets.core.panel.metros import METRO_BY_KEY, METROS, metro_key
from housing_assets.core.panel.schema import (
    BY_NAME,
    COLUMN_NAMES,
    NAMES_BY_ROLE,
    NUMBERS,
    RAW_SCHEMA,
    ZIP_PATTERN,
    Role,
)
from housing_assets.core.sample.profiles import PROFILES, ZIPS_PER_PREFIX
from housing_assets.core.sample.spec import (
    BLOCK_ZIPS,
    DIRT_LIMIT,
    DIRT_RATES,
    LIST_PRICE_OUTLIER,
    SampleReport,
    SampleSpec,
)
from housing_assets.core.sample.writers import sample_chunks, sample_frame, write_sample

MONTHS = 142
MARKET = NAMES_BY_ROLE[Role.MARKET]
CENSUS = NAMES_BY_ROLE[Role.CENSUS]
AMENITIES = NAMES_BY_ROLE[Role.AMENITY]


@cache
def clean() -> pl.DataFrame:
    return sample_frame(SampleSpec(zips=1200))


def growth() -> np.ndarray:
    return np.diff(np.log(clean()["price"].to_numpy().reshape(-1, MONTHS)), axis=1)


# --- the metro table


def test_metro_table_is_whole_and_unambiguous():
    assert len(METROS) == len({m.code for m in METROS}) == len({m.name for m in METROS}) == 30
    for metro in METROS:
        for text in (metro.code, metro.name, *metro.spellings):
            assert METRO_BY_KEY[metro_key(text)] is metro
        assert 24 < metro.latitude < 49
        assert -125 < metro.longitude < -66


@pytest.mark.parametrize(
    "text",
    [
        "denver-aurora-lakewood",
        "  DENVER -  Aurora-Lakewood ",
        "Denver\u2010Aurora\u2011Lakewood",
        "Denver\u2012Aurora\u2013Lakewood, CO",
        "Denver\u2014Aurora\u2015Lakewood",
        "Denver\u2212Aurora\u00adLakewood",
        "Denver\u00a0\u2013\u00a0Aurora\u200b-Lakewood",
        "Denver_Aurora/Lakewood, CO Metro Area",
        "Denver-Aurora-Centennial, CO",
        "DEN",
    ],
)
def test_metro_key_reads_every_spelling(text: str):
    assert METRO_BY_KEY[metro_key(text)].code == "DEN"


def test_metro_key_strips_states_only_after_a_comma():
    assert metro_key("New York-Newark-Jersey City, NY-NJ-PA") == "new york newark jersey city"
    assert metro_key("Washington\u2013Arlington\u2013Alexandria, DC\u2013VA\u2013MD\u2013WV").endswith("alexandria")
    assert METRO_BY_KEY[metro_key("dc metro")].code == "DC"
    assert metro_key("Atlantis") not in METRO_BY_KEY


# --- layout


def test_layout_is_that_of_the_schema():
    frame = clean()
    assert tuple(frame.columns) == COLUMN_NAMES
    assert dict(frame.schema) == RAW_SCHEMA
    assert frame.shape == (1200 * MONTHS, len(COLUMN_NAMES))
    assert sum(frame.null_count().row(0)) == 0
    assert frame["zipcode"].str.contains(ZIP_PATTERN).all()
    assert (frame["date"] == frame["date"].dt.month_end()).all()
    assert (frame["year"] == frame["date"].dt.year()).all()
    assert_frame_equal(frame, frame.sort("zipcode", "date"))
    assert not frame.select("zipcode", "date").is_duplicated().any()


def test_clean_values_are_possible():
    frame = clean()
    for name in NUMBERS:
        column = BY_NAME[name]
        values = frame[name].to_numpy()
        assert np.isfinite(values).all()
        gap = (values == 0) if column.role is Role.MARKET or column.role is Role.CENSUS else np.zeros_like(values, bool)
        assert (gap | (values >= (column.low or 0))).all(), name
        assert values.max() <= (column.high or np.inf), name
    assert frame["median_list_price"].max() < LIST_PRICE_OUTLIER  # pyright: ignore[reportOperatorIssue]
    assert not frame.drop("date").is_duplicated().any()


def test_metros_have_unequal_shares_and_their_own_zips():
    zips = clean().select("zipcode", "city", "city_full").unique()
    shares = zips.group_by("city").len().sort("len", descending=True)
    assert len(zips) == 1200
    assert len(shares) == 30
    assert shares["city"][:2].to_list() == ["NY", "LA"]
    assert set(zips["city_full"]) == {m.spellings[0] for m in METROS}
    assert zips.filter(city="BOS")["zipcode"].str.starts_with("0").all()
    assert sample_frame(SampleSpec(zips=20, end="2012-04"))["city"].n_unique() >= 8


def test_gaps_are_zeros_as_in_the_source():
    frame = clean()
    share = {n: float((frame[n] == 0).mean()) for n in COLUMN_NAMES if n in NUMBERS}  # pyright: ignore[reportArgumentType]
    assert 0.001 < share["median_sale_price"] < 0.006
    none = frame.filter(median_sale_price=0)
    assert none.select(pl.sum_horizontal(MARKET).sum()).item() == 0
    assert 0.03 < share["pending_sales"] < 0.07
    assert 0.08 < share["sold_above_list"] < 0.16
    assert 0.08 < share["off_market_in_two_weeks"] < 0.18
    assert share["bus"] > 0.5


def test_new_jersey_has_no_census():
    frame = clean()
    jersey = frame["zipcode"].str.contains("^0[78]")
    assert set(frame.filter(jersey)["city"]) == {"NY", "PHL"}
    assert (frame.filter(jersey).select(pl.max_horizontal(CENSUS)).to_series() == 0).all()
    assert (frame.filter(~jersey).select(pl.min_horizontal("Total Population", "Median Rent")) > 0).to_series().all()
    assert 0.06 < float(jersey.mean()) < 0.10  # pyright: ignore[reportArgumentType]


def test_census_by_year_and_amenities_for_good():
    frame = clean()
    by_year = frame.group_by("zipcode", "year").agg(pl.col(CENSUS).n_unique()).select(CENSUS)
    assert by_year.max().row(0) == (1,) * len(CENSUS)
    by_zip = frame.group_by("zipcode").agg(pl.col(AMENITIES).n_unique()).select(AMENITIES)
    assert by_zip.max().row(0) == (1,) * len(AMENITIES)
    assert (frame["Total School Enrollment"] == frame["Total School Age Population"]).all()
    surveyed = frame.filter(pl.col("Total Population") > 0)
    ratio = surveyed["Median Commute Time"] / surveyed["Total Population"]
    assert ratio.median() == pytest.approx(0.435, abs=0.02)
    logs = np.log(surveyed.select("price", "Median Home Value", "Per Capita Income", "Median Rent").to_numpy())
    assert (np.corrcoef(logs.T)[0, 1:] > [0.9, 0.6, 0.6]).all()


# --- dynamics of the price, against the figures of the real panel


def test_price_quantiles():
    real = {0.01: 46e3, 0.25: 193e3, 0.5: 311e3, 0.75: 483e3, 0.99: 1.70e6}
    for q, value in real.items():
        assert clean()["price"].quantile(q) == pytest.approx(value, rel=0.12)


def test_growth_is_that_of_a_smoothed_index():
    g = growth()
    lag = np.mean([np.corrcoef(z[1:], z[:-1])[0, 1] for z in g])
    assert lag == pytest.approx(0.87, abs=0.03)
    assert g.mean() == pytest.approx(0.0041, abs=0.0006)
    assert g.std() == pytest.approx(0.0062, abs=0.0008)
    assert np.abs(np.expm1(g)).max() < 0.06
    assert np.abs(np.expm1(-g)).mean() == pytest.approx(0.0065, abs=0.0008)  # carrying the price forward


def test_growth_moves_together_within_a_metro():
    g, city = growth(), clean()["city"].to_numpy()[::MONTHS]
    means = []
    for code in np.unique(city):
        corr = np.corrcoef(g[city == code])
        means.append((corr.sum() - len(corr)) / (corr.size - len(corr)))
    assert np.mean(means) == pytest.approx(0.52, abs=0.06)


def test_national_cycle():
    monthly = dict(zip(month_range("2012-04", "2023-12"), growth().mean(axis=0), strict=True))

    def mean(first: str, last: str) -> float:
        return float(np.mean([monthly[m] for m in month_range(first, last)]))

    assert 0.002 < mean("2012-04", "2019-12") < 0.006
    assert 0.010 < mean("2021-04", "2022-03") < 0.016
    assert mean("2022-09", "2023-01") < 0
    assert mean("2023-05", "2023-12") > 0


def test_market_follows_the_price():
    frame = clean().filter(pl.col("median_sale_price") > 0)
    for name in ("median_sale_price", "median_list_price"):
        gap = (frame[name] / frame["price"]).log()
        assert gap.mean() == pytest.approx(0, abs=0.08)
        assert 0.12 < float(gap.std()) < 0.28  # pyright: ignore[reportArgumentType]
    year = frame.group_by("year").agg(pl.col("inventory", "median_dom", "avg_sale_to_list").mean()).sort("year")
    value = {int(r[0]): r[1:] for r in year.iter_rows()}
    assert value[2021][0] < value[2019][0] < value[2012][0]
    assert value[2023][0] > value[2021][0]
    assert value[2021][1] < value[2019][1]
    assert value[2021][2] > value[2019][2]


# --- determinism


def test_same_spec_same_sample_and_seed_matters():
    spec = SampleSpec(zips=40, end="2013-06", dirt=True)
    assert_frame_equal(sample_frame(spec), sample_frame(spec))
    other = sample_frame(SampleSpec(zips=40, end="2013-06", seed=8))
    assert not other["price"].equals(sample_frame(SampleSpec(zips=40, end="2013-06"))["price"])


def test_a_later_end_only_adds_rows():
    short = sample_frame(SampleSpec(zips=40, end="2020-06"))
    long = sample_frame(SampleSpec(zips=40, end="2024-03"))
    assert_frame_equal(long.filter(pl.col("date") <= short["date"].max()), short)


def test_chunks_are_the_frame_in_blocks_of_zips():
    spec = SampleSpec(zips=BLOCK_ZIPS + 3, end="2012-05")
    chunks = list(sample_chunks(spec))
    assert [len(c) for c in chunks] == [BLOCK_ZIPS * 3, 9]
    assert_frame_equal(pl.concat(chunks), sample_frame(spec))


def test_the_most_zips_are_those_that_the_prefixes_have_room_for():
    assert sum(ZIPS_PER_PREFIX * len(profile.prefixes.split()) for profile in PROFILES.values()) == MOST_ZIPS


def test_the_most_zips_are_all_different():
    frame = sample_frame(SampleSpec(zips=MOST_ZIPS, start="2020-01", end="2020-01"))
    assert frame["zipcode"].n_unique() == MOST_ZIPS


# --- dirt


@pytest.mark.parametrize("zips", [20, 620])
def test_every_kind_of_dirt_is_planted_as_reported(tmp_path: Path, zips: int):
    report = write_sample(SampleSpec(zips=zips, dirt=True), tmp_path / "dirty.parquet")
    dirty = pl.read_parquet(tmp_path / "dirty.parquet")
    spotless = sample_frame(SampleSpec(zips=zips))
    assert report.rows == len(dirty)
    assert set(report.planted) == set(DIRT_RATES)
    assert min(report.planted.values()) >= 1
    assert sum(report.planted.values()) <= DIRT_LIMIT * len(spotless)

    exact = dirty.is_duplicated().sum() // 2
    single = dirty.unique(maintain_order=True)
    rival = single.select("zipcode", "date").is_duplicated().sum() // 2
    first = single.unique(["zipcode", "date"], keep="first", maintain_order=True)
    assert_frame_equal(first.select("zipcode", "date"), spotless.select("zipcode", "date"))
    values = [n for n in COLUMN_NAMES if n != "date"]
    previous = first.select(pl.col(values).shift(1))
    same = pl.DataFrame({n: first[n] == previous[n] for n in values})
    repeated = same.select(pl.all_horizontal(pl.all().fill_null(False))).to_series()
    was = spotless["median_sale_price"] > 0
    gaps = [n for n in MARKET if n not in {"homes_sold", "pending_sales", "new_listings", "inventory"}]
    counts = ["homes_sold", "pending_sales", "new_listings", "inventory"]
    zeroed = pl.DataFrame({n: (first[n] == 0) & (spotless[n] != 0) & ~repeated & was for n in gaps})
    found = {
        "repeated_month": repeated.sum(),
        "metro_spelling": (first["city_full"] != spotless["city_full"]).sum(),
        "exact_duplicate": exact,
        "conflicting_duplicate": rival,
        "list_price_outlier": (first["median_list_price"] > LIST_PRICE_OUTLIER).sum(),
        "negative_price": (first["price"] < 0).sum(),
        "zero_price": (first["price"] == 0).sum(),
        "negative_count": first.select(pl.any_horizontal(pl.col(counts) < 0)).to_series().sum(),
        "share_above_one": (first["sold_above_list"] > 1).sum(),
        "zero_gap": zeroed.select(pl.any_horizontal(pl.all())).to_series().sum(),
    }
    assert found == report.planted
    assert all(METRO_BY_KEY[metro_key(n)].code == c for n, c in first.select("city_full", "city").unique().iter_rows())
    changed = (pl.DataFrame({n: first[n] != spotless[n] for n in values})).select(pl.any_horizontal(pl.all()))
    assert changed.to_series().sum() == sum(report.planted.values()) - int(exact) - int(rival)


def test_dirt_stays_within_the_limit_in_the_smallest_panel():
    spec = SampleSpec(zips=1, end="2012-03", dirt=True)
    assert_frame_equal(sample_frame(spec), sample_frame(SampleSpec(zips=1, end="2012-03")))


# --- files


@pytest.mark.parametrize("dirt", [False, True])
def test_csv_and_parquet_hold_the_same_rows(tmp_path: Path, dirt: bool):
    spec = SampleSpec(zips=BLOCK_ZIPS + 10, end="2012-12", dirt=dirt)
    seen: list[tuple[int, int]] = []
    as_csv = write_sample(spec, tmp_path / "new" / "s.csv", lambda done, total: seen.append((done, total)))
    as_parquet = write_sample(spec, tmp_path / "s.parquet")
    assert as_csv == as_parquet
    assert seen == [(500, 510), (510, 510)]
    whole = sample_frame(spec)
    raw = pl.read_csv(tmp_path / "new" / "s.csv", try_parse_dates=True, schema_overrides={"zipcode": pl.String})
    assert raw["zipcode"].str.len_chars().min() == 4  # the leading zero is lost
    assert_frame_equal(raw.with_columns(pl.col("zipcode").str.zfill(5)), whole)
    assert_frame_equal(pl.read_parquet(tmp_path / "s.parquet"), whole)


def test_no_half_file_is_left(tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_text("old")

    def fail(done: int, total: int) -> None:
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        write_sample(SampleSpec(zips=3, end="2012-04"), path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["s.csv"]


def test_unwritable_place_and_unknown_suffix_are_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HousingError, match="cannot write the sample"):
        write_sample(SampleSpec(zips=1, end="2012-03"), tmp_path / "file" / "s.csv")
    with pytest.raises(HousingError, match=r"\.csv or \.parquet"):
        write_sample(SampleSpec(zips=1), tmp_path / "s.xlsx")
    assert write_sample(SampleSpec(zips=1, end="2012-03"), tmp_path / "s.csv") == SampleReport(1, {})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"zips": 0}, r"zips=0 .* 1 to"),
        ({"zips": MOST_ZIPS + 1}, r"zips=\d+ .*choose"),
        ({"start": "2012-13"}, r"start: '2012-13' is not a month"),
        ({"end": "2023"}, r"end: '2023' is not a month"),
        ({"start": "2020-02", "end": "2020-01"}, r"start=2020-02 .*end=2020-01.*swap"),
        ({"seed": -1}, r"seed=-1 .*0"),
    ],
)
def test_bad_specs_are_refused(fields: dict, message: str):
    with pytest.raises(HousingError, match=message):
        SampleSpec(**fields)
