"""Monitoring: how far a month is from what the champion was trained on, and how far its errors are from eval's.

Distances are Wasserstein's in standard deviations of the reference, which is Evidently's `wasserstein` method; the
tests hold both to the same numbers. Evidently draws the report people read, which takes it four seconds a month.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from housing_assets.core.catalogue import DRIFT_REPORT, PREDICTION_ACCURACY
from housing_assets.core.evaluation.metrics import price_metrics
from housing_assets.core.features.history import History
from housing_assets.core.features.monthly import FEATURES, make_features
from housing_assets.core.models.price import PriceModel
from housing_assets.core.quality.measurement import Measurement
from housing_assets.core.quality.rules import RULES

MEASURES: Mapping[str, frozenset[str]] = {
    DRIFT_REPORT: frozenset({"drifted_share", "prediction_drift"}),
    PREDICTION_ACCURACY: frozenset({"error_ratio"}),
}
"""Measures taken of each asset."""

DRIFTED = 0.5
"""Distance from which on a feature has drifted. Prices and rents rise: on a sound panel up to a quarter of the
features reach it within four years of train; Evidently's default of 0.1 would call half of them drifted."""
DRIFTED_SHARE: float = next(rule.high for rule in RULES if rule.measure == "drifted_share" and rule.high)
"""Share of drifted features above which a month is unlike train: the limit of the rule."""
REFERENCE_ROWS = 5_000
"""Rows of train a month is compared with, drawn evenly over its months."""
LEAST_KNOWN = 0.05
"""Share of train's rows that must have a feature for its drift to count."""
PREDICTION = "predicted_price"

_DATE_PARTS = ("year", "quarter", "month")
DRIFT_FEATURES: tuple[str, ...] = tuple(f for f in FEATURES if f not in _DATE_PARTS)
"""Features whose distribution may stay: a date always moves on."""

DRIFT_SCHEMA: dict[str, pl.DataType] = {
    "feature": pl.String(),
    "distance": pl.Float64(),
    "drifted": pl.Boolean(),
    "train_rows": pl.UInt32(),
    "rows": pl.UInt32(),
    "train_mean": pl.Float64(),
    "mean": pl.Float64(),
    "train_missing": pl.Float64(),
    "missing": pl.Float64(),
}
"""Columns of `drift_report`."""
DRIFT_DESCRIPTIONS: dict[str, str] = {
    "feature": "Feature of the model, or predicted_price",
    "distance": "Wasserstein distance from train, in standard deviations of train; null where train has no values",
    "drifted": f"Is the distance {DRIFTED:g} or more?",
    "train_rows": "Rows of the train sample with a value",
    "rows": "Rows of the month with a value",
    "train_mean": "Mean over the train sample",
    "mean": "Mean over the month",
    "train_missing": "Share of the train sample without a value",
    "missing": "Share of the month without a value",
}

ACCURACY_SCHEMA: dict[str, pl.DataType] = {
    "city_full": pl.String(),
    "rows": pl.UInt32(),
    "mae": pl.Float64(),
    "mape": pl.Float64(),
    "mdape": pl.Float64(),
    "bias": pl.Float64(),
    "coverage": pl.Float64(),
    "eval_mape": pl.Float64(),
    "ratio": pl.Float64(),
    "model_version": pl.String(),
    "first_rows": pl.UInt32(),
    "first_mae": pl.Float64(),
    "first_mape": pl.Float64(),
    "first_mdape": pl.Float64(),
    "first_bias": pl.Float64(),
    "first_coverage": pl.Float64(),
}
"""Columns of `prediction_accuracy`: against the newest price, and `first_...` against the price as first published."""
ACCURACY_DESCRIPTIONS: dict[str, str] = {
    "city_full": "Metro; null: all of the month",
    "rows": "Rows whose newest price is known, which the errors are of",
    "mae": "Mean absolute error (US dollars)",
    "mape": "Mean absolute error (% of the price)",
    "mdape": "Median absolute error (% of the price)",
    "bias": "Mean error, positive: predicted too high (US dollars)",
    "coverage": "Share of prices inside the 90% interval (%)",
    "eval_mape": "Mean absolute error of the same champion on eval (% of the price)",
    "ratio": "mape / eval_mape",
    "model_version": "The champion that predicted",
    "first_rows": "Rows whose price as first published is known; the further figures are against it",
    "first_mae": "Mean absolute error (US dollars)",
    "first_mape": "Mean absolute error (% of the price)",
    "first_mdape": "Median absolute error (% of the price)",
    "first_bias": "Mean error, positive: predicted too high (US dollars)",
    "first_coverage": "Share of prices inside the 90% interval (%)",
}


def drift_sample(
    rows: pl.DataFrame, model: PriceModel, history: History | None = None, published: pl.DataFrame | None = None
) -> pl.DataFrame:
    """`DRIFT_FEATURES` of standardized rows as the champion sees them, and `predicted_price` as is published.

    Args:
        rows: of train, or of a month.
        model: the champion.
        history: of the zips, that the champion predicts from where it can.
        published: the month of `monthly_predictions`; None: nothing is yet, and the champion says what would be.
    """
    features = make_features(rows, model.encoders).select(DRIFT_FEATURES).cast(pl.Float64)
    if published is None:
        return features.with_columns(pl.Series(PREDICTION, model.prices(rows, history), pl.Float64))
    said = rows.select("zipcode").join(
        published.select("zipcode", PREDICTION), on="zipcode", how="left", maintain_order="left"
    )
    return features.with_columns(said[PREDICTION])


def reference_rows(months: Iterable[pl.DataFrame], rows: int) -> pl.DataFrame:
    """At most `REFERENCE_ROWS` rows of train, every so many-th by date and zip.

    Args:
        months: of train, in order.
        rows: in all months.
    """
    step = max(1, -(-rows // REFERENCE_ROWS))
    chosen, before = [], 0
    for month in months:
        chosen.append(month.sort("date", "zipcode").gather_every(step, -before % step))
        before += month.height
    return pl.concat(chosen)


def drift_table(reference: pl.DataFrame, current: pl.DataFrame) -> pl.DataFrame:
    """How far each column of `current` is from `reference`: `DRIFT_SCHEMA`, the farthest first.

    Args:
        reference, current: what `drift_sample` gives of train and of a month.
    """
    from scipy.stats import wasserstein_distance

    rows = []
    for name in reference.columns:
        before, now = (frame[name].drop_nulls().drop_nans() for frame in (reference, current))
        distance = None
        if before.len() and now.len():
            spread = max(float(np.std(before.to_numpy())), 0.001)  # as Evidently bounds it
            distance = float(wasserstein_distance(before.to_numpy(), now.to_numpy())) / spread
        # A feature that train had and the month has not is as far as can be; one that train hardly had says nothing.
        usual = before.len() >= LEAST_KNOWN * reference.height
        gone = now.len() == 0
        rows.append(
            {
                "feature": name,
                "distance": distance,
                "drifted": usual and (gone or (distance is not None and distance >= DRIFTED)),
                "train_rows": before.len(),
                "rows": now.len(),
                "train_mean": before.mean(),
                "mean": now.mean(),
                "train_missing": 1 - before.len() / max(reference.height, 1),
                "missing": 1 - now.len() / max(current.height, 1),
            }
        )
    return pl.DataFrame(rows, schema=DRIFT_SCHEMA).sort("drifted", "distance", descending=True, nulls_last=True)


def drifted_share(table: pl.DataFrame) -> float:
    """Share of the features that train has, in `LEAST_KNOWN` of its rows or more, which have drifted."""
    known = table.filter(pl.col("train_missing") <= 1 - LEAST_KNOWN, pl.col("feature") != PREDICTION)
    return float(known["drifted"].mean() or 0) if known.height else 0.0  # type: ignore[arg-type]


def prediction_distance(table: pl.DataFrame) -> float | None:
    """Distance of the predictions from those for train."""
    return table.filter(pl.col("feature") == PREDICTION)["distance"][0]


def drift_html(reference: pl.DataFrame, current: pl.DataFrame) -> bytes:
    """Evidently's report of the same comparison, one HTML file that needs nothing else."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    named = [n for n in reference.columns if reference[n].count() and current[n].count()]
    definition = DataDefinition(numerical_columns=named)
    before, now = (
        Dataset.from_pandas(frame.select(named).to_pandas(), data_definition=definition)
        for frame in (reference, current)
    )
    preset = DataDriftPreset(
        columns=named, num_method="wasserstein", num_threshold=DRIFTED, drift_share=round(DRIFTED_SHARE, 3)
    )
    return Report([preset]).run(now, before).get_html_str(as_iframe=False).encode()


def measure_drift_month(table: pl.DataFrame, month: str) -> list[Measurement]:
    """Measure a month of `drift_report`."""
    share, distance = drifted_share(table), prediction_distance(table)
    farthest = table.filter("drifted")["feature"].head(5).to_list()
    known = table.filter(pl.col("train_missing") <= 1 - LEAST_KNOWN).height
    message = f"{share:.0%} of {known} features have drifted" + (
        f", farthest {', '.join(farthest)}" if farthest else ""
    )
    said = f"{distance or 0:.2f} standard deviations from the predictions for train"
    return [
        Measurement(month, "(rows)", "drifted_share", share, message),
        Measurement(month, PREDICTION, "prediction_drift", np.nan if distance is None else distance, said),
    ]


def eval_errors(rows: pl.DataFrame, model: PriceModel, history: History | None = None) -> dict[str | None, float]:
    """Mean absolute % error of the champion on eval rows, by metro; None: all of them."""
    known = rows.filter(pl.col("price").is_not_null())
    said = pl.Series(model.prices_beside(known, model.history_prices(known, history), unseen=True))
    errors = known.select("city_full", (said / pl.col("price") - 1).abs().alias("error"))
    errors_by_metro: dict[str | None, float] = dict(
        errors.drop_nulls("city_full").group_by("city_full").agg(100 * pl.col("error").mean()).iter_rows()
    )
    errors_by_metro[None] = 100 * float(errors["error"].mean())  # type: ignore[arg-type]
    return errors_by_metro


def accuracy_table(predictions: pl.DataFrame, on_eval: dict[str | None, float]) -> pl.DataFrame:
    """Errors of a month whose prices are known, overall and by metro, beside those on eval: `ACCURACY_SCHEMA`.

    Args:
        predictions: a month of `monthly_predictions`; rows without an actual price are passed over. One of an earlier
            version has no `first_price`.
        on_eval: what `eval_errors` gives.
    """
    if "first_price" not in predictions.columns:
        predictions = predictions.with_columns(pl.lit(None, pl.Float64).alias("first_price"))
    known = predictions.filter(pl.col("actual_price").is_not_null())
    groups: list[tuple[str | None, pl.DataFrame]] = [(None, known)]
    groups += [(str(metro), part) for (metro,), part in known.drop_nulls("city_full").group_by("city_full")]
    rows = []
    for metro, part in sorted(groups, key=lambda g: (g[0] is not None, g[0] or "")):
        first = part.drop_nulls("first_price")
        row: dict[str, object] = {"city_full": metro, "rows": part.height, "eval_mape": on_eval.get(metro)}
        row |= {"first_rows": first.height}
        row |= _errors(part, "actual_price")
        row |= {f"first_{name}": value for name, value in _errors(first, "first_price").items()}
        before, now = on_eval.get(metro), row.get("mape")
        row["ratio"] = now / before if before and isinstance(now, float) else None
        rows.append(row)
    version = predictions["model_version"][0] if predictions.height else None
    return pl.DataFrame(rows, schema=ACCURACY_SCHEMA).with_columns(pl.lit(version, pl.String).alias("model_version"))


def _errors(rows: pl.DataFrame, price: str) -> dict[str, float]:
    """`mae`, `mape`, `mdape`, `bias` and `coverage` against a column of prices; nothing without rows."""
    if rows.is_empty():
        return {}
    metrics = price_metrics(rows[price].to_numpy(), rows["predicted_price"].to_numpy())
    inside = rows[price].is_between(rows["predicted_low"], rows["predicted_high"])
    coverage = 100 * float(inside.mean())  # type: ignore[arg-type]
    return {name: metrics[name] for name in ("mae", "mape", "mdape", "bias")} | {"coverage": coverage}


def measure_accuracy_month(table: pl.DataFrame, month: str) -> list[Measurement]:
    """Measure a month of `prediction_accuracy`; NaN where no price is known yet."""
    row = table.filter(pl.col("city_full").is_null()).row(0, named=True)
    ratio = row["ratio"]
    message = "no price is known yet"
    if ratio is not None:
        message = (
            f"the mean absolute error of {row['rows']} rows is {row['mape']:.2f}%, {ratio:.2f} times the "
            f"{row['eval_mape']:.2f}% of eval"
        )
    return [Measurement(month, PREDICTION, "error_ratio", np.nan if ratio is None else ratio, message)]
