"""A panel of metros that HouseTS does not have goes from raw rows to predictions and forecasts."""

import polars as pl
from platform_fixtures import LONG, Platform

from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame

PLACES = {
    "96813": "Urban Honolulu, HI", "96814": "Honolulu, HI", "96720": "Hilo, HI", "59715": "Bozeman, MT",
    "59718": "Bozeman, MT metro area", "59301": "Montana nonmetropolitan area",
    "59001": "New Atlantis", "00901": "San Juan-Carolina, PR",
    "02139": "Boston, MA", "04101": "Portland, ME", "00801": "New Atlantis", "79830": "Texas (no metro)",
}  # fmt: skip
STANDARD = {
    "Urban Honolulu, HI", "Hilo-Kailua, HI", "Bozeman, MT", "Montana (no metro)", "Boston-Cambridge-Newton",
    "Portland-South Portland, ME", "US Virgin Islands (no metro)", "Texas (no metro)",
}  # fmt: skip


def test_other_metros_go_from_raw_rows_to_forecasts(tmp_path):
    raw = sample_frame(SampleSpec(len(PLACES), LONG["panel_start"], LONG["panel_end"], 7, False))
    zips = dict(zip(raw["zipcode"].unique().sort(), PLACES, strict=True))
    raw = raw.with_columns(pl.col("zipcode").replace_strict(zips)).with_columns(
        pl.col("zipcode").replace_strict(PLACES, return_dtype=pl.String).alias("city_full"), pl.lit(None).alias("city")
    )
    source = tmp_path / "panel.parquet"
    raw.write_parquet(source)
    platform = Platform(tmp_path, source, LONG).run_months()
    month = LONG["panel_end"]
    cleaned = platform.read("cleaned", month)
    assert set(cleaned["city_full"]) > STANDARD
    assert cleaned["latitude"].null_count() == 0
    assert set(platform.read("monthly_predictions", month)["zipcode"]) == set(PLACES)
    forecasts = platform.read("monthly_forecasts", month)
    assert set(forecasts["zipcode"]) == set(PLACES)
    assert set(forecasts["city_full"]) > STANDARD
