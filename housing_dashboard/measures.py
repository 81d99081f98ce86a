"""What the map can be coloured by, of zips and of metros: pure functions of one month's rows.

Rows are those of `data.month_of_zips` or `data.forecast_of_zips`. How a measure is drawn belongs in `charts.map`.
"""

from dataclasses import dataclass

import polars as pl

from housing_assets.core.panel.areas import PEOPLE, change_of_mean, weighted_mean

CHANGES: dict[str, int] = {"change1": 1, "change3": 3, "change": 12}
"""Months that a change is over, by the key of its measure."""


@dataclass(frozen=True)
class Measure:
    """One thing that places can be coloured by.

    Attributes:
        key: in the address.
        label: of the choice.
        unit: `$` or `%`.
        diverging: True if values above and below 0 have colours of their own.
        graded: True if it exists for predicted months alone.
    """

    key: str
    label: str
    unit: str
    diverging: bool = False
    graded: bool = False


MEASURES: dict[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure("price", "Price", "$"),
        Measure("change1", "Change in a month", "%", diverging=True),
        Measure("change3", "Change in 3 months", "%", diverging=True),
        Measure("change", "Change in a year", "%", diverging=True),
        Measure("forecast", "Forecast change", "%", diverging=True),
        Measure("error", "Mean % error", "%", graded=True),
        Measure("bias", "Too high or too low", "%", diverging=True, graded=True),
        Measure("width", "Width of the interval", "%", graded=True),
    )
}


def before_column(months: int) -> str:
    """The column of the price so many months before."""
    return f"before_{months}"


def zip_values(rows: pl.DataFrame, measure: Measure) -> pl.DataFrame:
    """Rows with the `value` of a measure for each zip, null where it is not known."""
    price, predicted, actual = pl.col("price"), pl.col("predicted_price"), pl.col("actual_price")
    if measure.key in CHANGES:
        value = 100 * (price / pl.col(before_column(CHANGES[measure.key])) - 1)
    else:
        value = {
            "price": price,
            "forecast": 100 * (predicted / pl.col(before_column(0)) - 1),
            "error": 100 * (predicted / actual - 1).abs(),
            "bias": 100 * (predicted / actual - 1),
            "width": 100 * (pl.col("predicted_high") - pl.col("predicted_low")) / predicted,
        }[measure.key]
    return rows.with_columns(value.alias("value"))


def metro_values(rows: pl.DataFrame, measure: Measure) -> pl.DataFrame:
    """The measure of each metro, weighted by the people in its zips: `city_full`, `zips`, `people`, `value`, and the
    weighted means `price`, `predicted_low` and `predicted_high` in US dollars.

    A change is that of the mean price over the zips that have both prices. Errors and widths are means of the zips'.
    """
    price = pl.col("price")
    if measure.key == "forecast":
        value = change_of_mean(pl.col("predicted_price"), pl.col(before_column(0)))
    elif measure.key in CHANGES:
        value = change_of_mean(price, pl.col(before_column(CHANGES[measure.key])))
    else:
        rows = zip_values(rows, measure)
        value = weighted_mean(pl.col("value"))
    return (
        rows.filter(pl.col("city_full").is_not_null())
        .group_by("city_full")
        .agg(
            pl.col("zipcode").n_unique().alias("zips"),
            pl.col(PEOPLE).sum(),
            value.alias("value"),
            *(weighted_mean(pl.col(name)).alias(name) for name in ("price", "predicted_low", "predicted_high")),
        )
        .sort("city_full")
    )
