"""Encoders: how a zip code and a metro become numbers, as tables a person can read.

They are fitted on train months only: callers of `fit_encoders` pass these months and no others.

What belongs here: fitting, and the tables. What a model sees of them belongs in `housing_assets.core.features.monthly`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from housing_assets.core.errors import BundleError, HousingError

ENCODER_COLUMNS: tuple[str, ...] = ("date", "zipcode", "city_full", "price")
"""What fitting needs of `cleaned`."""

ENCODER_SCHEMA: dict[str, pl.DataType] = {
    "encoder": pl.String(),
    "value": pl.String(),
    "rows": pl.UInt32(),
    "encoding": pl.Float64(),
}
"""Columns of `encoders`."""
_FREQUENCY, _TARGET = "zipcode_frequency", "city_full_target"


@dataclass(frozen=True)
class Encoders:
    """Fitted encodings.

    Attributes:
        zipcode_frequency: share of the train rows that a zip has. A zip that is not in train has 0.
        city_full_target: smoothed mean price of a metro in train, US dollars.
        prior: mean price of all of train, US dollars: the encoding of a metro that is not in train.
        table: the same as a frame: encoder, value (null for those not in train), rows, encoding.
    """

    zipcode_frequency: dict[str, float]
    city_full_target: dict[str, float]
    prior: float
    table: pl.DataFrame

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> "Encoders":
        """Read the encoders back from their table.

        Raises:
            BundleError: it is no encoder table.
        """
        if dict(table.schema) != ENCODER_SCHEMA:
            raise BundleError(f"an encoder table has columns {list(ENCODER_SCHEMA)}, this one {table.columns}")
        known_values = table.filter(pl.col("value").is_not_null())
        maps = {
            name: dict(known_values.filter(pl.col("encoder") == name).select("value", "encoding").iter_rows())
            for name in (_FREQUENCY, _TARGET)
        }
        unknown_metro = table.filter(pl.col("value").is_null() & (pl.col("encoder") == _TARGET))["encoding"]
        if unknown_metro.len() != 1:
            raise BundleError("the encoder table has no row for a metro never seen")
        return cls(maps[_FREQUENCY], maps[_TARGET], float(unknown_metro[0]), table)


def fit_encoders(months: Iterable[pl.DataFrame], smoothing: float = 20.0) -> Encoders:
    """Fit both encoders, a month in memory at a time.

    The target encoding is the m-estimate of Micci-Barreca (2001), "A preprocessing scheme for
    high-cardinality categorical attributes": `(sum + m * prior) / (n + m)`.

    Args:
        months: train months of `cleaned`, at least `ENCODER_COLUMNS`. Rows without a price are skipped.
        smoothing: m, the rows at which a metro's own mean and the prior weigh the same.

    Raises:
        HousingError: no row has a price.
    """
    zips: list[pl.DataFrame] = []
    metros: list[pl.DataFrame] = []
    for frame in months:
        priced = frame.filter(pl.col("price").is_not_null())
        zips.append(priced.group_by(pl.col("zipcode").alias("value"), maintain_order=True).agg(pl.len().alias("rows")))
        metros.append(
            priced.group_by(pl.col("city_full").alias("value"), maintain_order=True).agg(
                pl.len().alias("rows"), pl.col("price").sum().alias("total")
            )
        )
    zip_rows = _sum(zips)
    metro_rows = _sum(metros)
    count = int(zip_rows["rows"].sum()) if zip_rows.height else 0
    if not count:
        raise HousingError(
            "no train row has a price: the encoders and the model need train months with prices. "
            "Check HOUSING_EVAL_START and the source"
        )
    prior = float(metro_rows["total"].sum()) / count
    metro_mean = (pl.col("total") + smoothing * prior) / (pl.col("rows") + smoothing)
    table = pl.concat(
        [
            _rows(_FREQUENCY, zip_rows.with_columns((pl.col("rows") / count).alias("encoding"))),
            pl.DataFrame([(_FREQUENCY, None, 0, 0.0)], schema=ENCODER_SCHEMA, orient="row"),
            _rows(_TARGET, metro_rows.with_columns(metro_mean.alias("encoding"))),
            pl.DataFrame([(_TARGET, None, 0, prior)], schema=ENCODER_SCHEMA, orient="row"),
        ]
    )
    return Encoders.from_table(table)


def _sum(parts: list[pl.DataFrame]) -> pl.DataFrame:
    if not parts:
        return pl.DataFrame(schema={"value": pl.String(), "rows": pl.UInt32(), "total": pl.Float64()})
    # In order: threads would add floats up in another order each time, and a model's version would change by nothing.
    return pl.concat(parts).group_by("value", maintain_order=True).agg(pl.exclude("value").sum()).sort("value")


def _rows(encoder: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop_nulls("value").select(
        pl.lit(encoder).alias("encoder"),
        "value",
        pl.col("rows").cast(pl.UInt32),
        pl.col("encoding").cast(pl.Float64),
    )
