"""Measurements of encoders, training matrices, models and evaluations."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from housing_assets.core.catalogue import (
    BASELINE_MODEL,
    CHAMPION_MODEL,
    ENCODERS,
    MODEL_EVALUATION,
    TRAINING_FEATURES,
    TUNED_MODEL,
)
from housing_assets.core.features.encoding import ENCODER_SCHEMA, Encoders, fit_encoders
from housing_assets.core.features.monthly import FEATURES, KEYS
from housing_assets.core.months import Split, TimeSplit, month_index, month_of
from housing_assets.core.panel.cleaning import CLEAN_SCHEMA
from housing_assets.core.panel.schema import NEVER_FEATURES
from housing_assets.core.quality.measurement import (
    FRAME_MEASURES,
    Measurement,
    MeasurementRecorder,
    as_percent,
    share_of,
    true_not_null,
)

_BUNDLE = frozenset({"bundle_problems", "twin_difference"})
_MODEL = _BUNDLE | {"months_after_train", "months_of_holdout", "not_a_price", "median_error"}

MEASURES: Mapping[str, frozenset[str]] = {
    ENCODERS: FRAME_MEASURES | {"not_finite", "repeated_keys", "unseen_undefined", "not_of_train", "unencoded_share"},
    TRAINING_FEATURES: FRAME_MEASURES
    | {"barred", "holdout_rows", "months_missing", "not_a_price", "price_correlation"},
    BASELINE_MODEL: _MODEL,
    TUNED_MODEL: _MODEL,
    CHAMPION_MODEL: _BUNDLE,
    MODEL_EVALUATION: frozenset({"figures_missing"}),
}
"""Measures taken of each asset."""

MATRIX_SCHEMA: dict[str, pl.DataType] = {k: CLEAN_SCHEMA[k] for k in KEYS} | {f: pl.Float32() for f in FEATURES}
"""Columns of `training_features`."""

_CORRELATED_ROWS = 250_000
"""Rows of train, drawn evenly, that correlations with the price are taken of, up to twice as many."""


# ---------------------------------------------------------------- encoders and matrix


def measure_encoders(
    table: pl.DataFrame, train: Iterable[pl.DataFrame], later: Iterable[pl.DataFrame]
) -> list[Measurement]:
    """Measure the encoder table.

    Args:
        table: the encoders.
        train: `ENCODER_COLUMNS` of the train months: what it must have been fitted on.
        later: `zipcode`, `city_full` of the eval months: what it will have to encode.
    """
    sheet = MeasurementRecorder("", table)
    if not sheet.schema(ENCODER_SCHEMA):
        return sheet.found
    sheet.count("not_finite", ~true_not_null(pl.col("encoding").is_finite()), "encoding", "are not finite")
    twice = pl.col("value").is_not_null() & pl.struct("encoder", "value").is_duplicated()
    sheet.count("repeated_keys", twice, "value", "encode a value that another row encodes")
    lacking = set(table["encoder"]) - set(table.filter(pl.col("value").is_null())["encoder"])
    message = f"{len(lacking)} encoders have no encoding of what was never seen: {', '.join(sorted(lacking))}"
    sheet.add("unseen_undefined", len(lacking) + (not table.height), message, "value")
    if any(m.observed for m in sheet.found if m.measure in ("not_finite", "repeated_keys", "unseen_undefined")):
        return sheet.found
    fitted = fit_encoders(train)
    both = table.join(fitted.table, on=["encoder", "value"], how="full", nulls_equal=True, suffix=" fitted")
    off = both.select(
        ((pl.col("encoding") - pl.col("encoding fitted")).abs() / pl.col("encoding fitted").abs().clip(1e-12))
        .fill_null(math.inf)
        .alias("off")
    )["off"]
    wrong = int((off > 1e-9).sum())
    worst = float(off.max())  # type: ignore[arg-type]
    sheet.add("not_of_train", worst, f"{wrong} of {both.height} rows are not those of the train months", "encoding")
    encoders = Encoders.from_table(table)
    rows = unseen = 0
    for frame in later:
        is_encoded = pl.col("zipcode").is_in(list(encoders.zipcode_frequency))
        is_encoded &= pl.col("city_full").is_in(list(encoders.city_full_target))
        rows += frame.height
        unseen += frame.filter(~is_encoded.fill_null(False)).height
    message = as_percent(unseen, rows, "of eval have a zip or metro that train never saw")
    sheet.add("unencoded_share", share_of(unseen, rows), message, "value")
    return sheet.found


def measure_matrix(frame: pl.DataFrame, months: Iterable[str], holdout_start: str) -> list[Measurement]:
    """Measure `training_features`; the correlations are of train rows.

    Args:
        frame: the matrix with its keys.
        months: every month of train and eval.
        holdout_start: first month that may not be in it.
    """
    sheet = MeasurementRecorder("", frame)
    for name in [c for c in frame.columns if c not in KEYS and c in NEVER_FEATURES]:
        sheet.add("barred", 1, "is barred from the features by the schema", name)
    if not sheet.schema(MATRIX_SCHEMA):
        return sheet.found
    sheet.add("barred", 0, "no barred column is among the features")
    first = pl.lit(f"{holdout_start}-01").str.to_date()
    late = (pl.col("split") == Split.HOLDOUT) | (pl.col("date") >= first)
    sheet.count("holdout_rows", late, "date", "are of the holdout")
    table_months = {month_of(day) for day in frame["date"].unique().drop_nulls()}
    lacking = sorted(set(months) - table_months)
    sheet.add("months_missing", len(lacking), f"{len(lacking)} months have no row: {', '.join(lacking[:5])}", "date")
    price = pl.col("price")
    sheet.count("not_a_price", ~true_not_null(price.is_finite() & (price > 0)), "price", "have no price")
    train = frame.filter(pl.col("split") == Split.TRAIN, price > 0, price.is_finite())
    # Ranks of every row of a national panel take longer than all other checks of the stage.
    some = train.gather_every(max(1, train.height // _CORRELATED_ROWS))
    for name in FEATURES:
        both = some.select(pl.col(name).cast(pl.Float64).alias("feature"), "price").drop_nulls()
        correlations = both.select(
            pl.corr("feature", "price").alias("values"),
            pl.corr(pl.col("feature").rank(), pl.col("price").rank()).alias("ranks"),
        ).row(0)
        strengths = [abs(value) for value in correlations if value is not None and not math.isnan(value)]
        if strengths:
            message = f"{some.height} rows of train correlate with the price by {max(strengths):.4f}"
            sheet.add("price_correlation", max(strengths), message, name)
    return sheet.found


# ---------------------------------------------------------------- models


def measure_model(
    months: Iterable[str],
    split: TimeSplit,
    learned_before: str,
    actual: np.ndarray,
    predicted: np.ndarray,
    bundle_problem: str | None,
    twin_difference: float,
) -> list[Measurement]:
    """Measure a model.

    Args:
        months: that the trees which are graded say they learned from: none of them is one of eval.
        split: the time split.
        learned_before: the month before which all lies that the trees which serve learned from: none of it is holdout.
        actual, predicted: prices of eval in US dollars, shape (n,).
        bundle_problem: what is wrong with its bundle; None if nothing is.
        twin_difference: of its ONNX twin, in log price.
    """
    sheet = MeasurementRecorder("", pl.DataFrame())
    _measure_bundle(sheet, bundle_problem, twin_difference)
    late = sorted(m for m in months if m >= split.eval_start)
    sheet.add(
        "months_after_train", len(late), f"{len(late)} months from {split.eval_start} on: {', '.join(late[:5])}", "date"
    )
    ahead = max(0, month_index(learned_before) - month_index(split.holdout_start)) if learned_before else 0
    message = f"the trees learned from months before {learned_before}, the holdout begins with {split.holdout_start}"
    sheet.add("months_of_holdout", ahead, message, "date")
    wrong = int((~(np.isfinite(predicted) & (predicted > 0))).sum())
    sheet.add("not_a_price", wrong, f"{wrong} of {predicted.size} rows are no price", "predicted_price")
    error = float(np.median(np.abs(predicted - actual) / actual)) if actual.size else None
    sheet.add("median_error", error, f"the median error of {actual.size} rows is {error or 0:.3%}", "predicted_price")
    return sheet.found


def measure_champion(bundle_problem: str | None, twin_difference: float) -> list[Measurement]:
    """Measure the bundle that the pointer names.

    Args:
        bundle_problem: what is wrong with it; None if nothing is.
        twin_difference: of its ONNX twin, in log price.
    """
    sheet = MeasurementRecorder("", pl.DataFrame())
    _measure_bundle(sheet, bundle_problem, twin_difference)
    return sheet.found


def _measure_bundle(sheet: MeasurementRecorder, problem: str | None, twin_difference: float) -> None:
    """Whether a bundle can be trusted, into a sheet."""
    sheet.add("bundle_problems", int(problem is not None), problem or "hashes and golden rows agree", "bundle")
    message = f"the ONNX twin differs by {twin_difference:.2g} in log price"
    sheet.add("twin_difference", twin_difference, message, "model.onnx")


def measure_evaluation(table: pl.DataFrame, predictors: Iterable[str]) -> list[Measurement]:
    """Measure `model_evaluation`: every predictor has finite errors on eval."""
    sheet = MeasurementRecorder("", table)
    overall = table.filter((pl.col("split") == "eval") & (pl.col("by") == "overall"))
    graded = set(overall.filter(pl.col("mae").is_finite() & pl.col("rmse").is_finite())["predictor"])
    lacking = sorted(set(predictors) - graded)
    message = f"{len(lacking)} predictors have no finite error on eval: {', '.join(lacking)}"
    sheet.add("figures_missing", len(lacking), message, "mae")
    return sheet.found
