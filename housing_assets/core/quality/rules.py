"""What must hold of every asset, in one table: what is measured, its limits, whether it blocks, what to do.

The other modules of `housing_assets.core.quality` measure, `housing_assets.orchestration.checks.suites` has Great
Expectations judge, and every rule is one asset check. To make a soft rule hard, or to move a limit, change its row
here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from housing_assets.core.catalogue import (
    BASELINE_MODEL,
    CHAMPION_MODEL,
    CLEANED,
    DRIFT_REPORT,
    ENCODERS,
    FORECAST_EVALUATION,
    FORECAST_MODEL,
    INTERVAL_CALIBRATION,
    MODEL_EVALUATION,
    MONTHLY_FORECASTS,
    MONTHLY_PREDICTIONS,
    PREDICTION_ACCURACY,
    PRICE_HISTORY,
    RAW_SPLITS,
    REVISIONS,
    TRAINING_FEATURES,
    TUNED_MODEL,
)

if TYPE_CHECKING:
    from housing_assets.core.quality.measurement import Measurement


class Severity(StrEnum):
    """What a broken rule does."""

    ERROR = "ERROR"
    """Blocks: nothing downstream is made from this month."""
    WARN = "WARN"
    """Is shown, and stops nothing."""


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Attributes:
        name: of the asset check.
        assets: that it is a check of.
        severity: what a broken one does.
        measure: what `core.quality` measures, for a month and a column; several rules may judge one measure.
        low, high: limits of the measure, both included; None: no limit.
        protects: what it protects against.
        remedy: what to do when it is red.
    """

    name: str
    assets: tuple[str, ...]
    severity: Severity
    measure: str
    low: float | None
    high: float | None
    protects: str
    remedy: str


_RAW = (RAW_SPLITS,)
_CLEAN = (CLEANED,)
_PANEL = (RAW_SPLITS, CLEANED)
_PREDICTED = (MONTHLY_PREDICTIONS,)
_INTERVALS = (INTERVAL_CALIBRATION,)
_MONTHLY = (*_PANEL, *_INTERVALS, *_PREDICTED)
_HISTORY = (PRICE_HISTORY,)
_FORECASTS = (MONTHLY_FORECASTS,)
_MATRIX = (TRAINING_FEATURES,)
_ENCODERS = (ENCODERS,)
_MODELS = (BASELINE_MODEL, TUNED_MODEL)
_TABLES = (*_MONTHLY, *_HISTORY, *_FORECASTS, *_ENCODERS, *_MATRIX)
_E, _W = Severity.ERROR, Severity.WARN

_SOURCE = "Mend the month at the source and ingest it again"
_CODE = "This is a defect of the platform or a damaged file: materialize the asset again, and report it if it stays"
_LOOK = "Look at the month at the source; if it is right, nothing has to be done"
_RETRAIN = "Look at drift_report and prediction_accuracy, and run training_job"
_RETRAIN_FORECASTS = "Look at forecast_evaluation, and run forecast_job"

RULES: tuple[Rule, ...] = (
    # Vintages
    Rule("revisions_are_possible", (REVISIONS,), _E, "impossible_revisions", None, 0,
         "A file that is no revision of the vintage before it: other units, a quarter of the zips or a month gone, an "
         "older file. It is refused, and the vintage before it stays in use",
         "Look at what was published. If it is right: housing run --accept-restated WHY, or HOUSING_ACCEPT_RESTATED"),
    Rule("revisions_are_usual", (REVISIONS,), _W, "unusual_revisions", None, 0,
         "A vintage that changes the past more than publications do", "Look at the plot of `revisions`"),
    # Shape and keys
    Rule("columns_are_declared", _TABLES, _E, "undeclared", None, 0,
         "A column missing, renamed, of another type, or not in the contract", _CODE),
    Rule("has_rows", _TABLES, _E, "rows", 1, None, "An empty month or table", _SOURCE),
    Rule("dates_are_in_their_month", (*_PANEL, *_PREDICTED), _E, "other_dates", None, 0,
         "Rows of another month, past or future", _SOURCE),
    Rule("keys_are_known", (*_PANEL, *_PREDICTED), _E, "keys_missing", None, 0,
         "Rows that nobody can place: no zip code", _SOURCE),
    Rule("zip_codes_have_5_digits", (*_PANEL, *_PREDICTED), _E, "zip_format", None, 0,
         "Zip codes that lost their leading zeros or became numbers", "Export zip codes as text, and ingest it again"),
    Rule("one_row_a_zip", (*_CLEAN, *_HISTORY, *_PREDICTED), _E, "repeated_keys", None, 0,
         "A zip that counts twice in its month", _CODE),
    Rule("few_repeated_zips", _RAW, _E, "repeated_share", None, 0.03,
         "A month delivered twice, or mixed of two deliveries; a stray repeat is resolved by cleaning", _SOURCE),
    Rule("metros_are_known", _RAW, _W, "unknown_metros", None, 0,
         "A metro by a name that the Census never gave it: its zips are pooled with their state",
         "If it is another spelling of a metro, add it to housing_assets/core/panel/tables/former_names.csv and ingest "
         "the month again; otherwise nothing has to be done"),
    Rule("metros_stay_known", _RAW, _E, "metros_lost", None, 0.5,
         "A source that spells its metros in a new way or no longer names them: most rows would change their place",
         "Mend the names at the source, or add the spellings to housing_assets/core/panel/tables/former_names.csv, and "
         "ingest the month again"),
    # Values
    Rule("values_are_numbers", _PANEL, _E, "not_finite", None, 0,
         "NaN and infinity, which spread into every mean", _SOURCE),
    Rule("few_impossible_values", _RAW, _E, "impossible_share", None, 0.01,
         "A column of negative or impossible values; a stray one is quarantined with its row by cleaning", _SOURCE),
    Rule("values_are_in_range", _CLEAN, _E, "impossible", None, 0,
         "A value outside the valid range of the schema", _CODE),
    Rule("prices_are_known", _PANEL, _E, "price_missing", None, 0.5,
         "A month whose target is not there", _SOURCE),
    Rule("columns_are_filled", _RAW, _E, "missing_rise", None, 0.5,
         "A column that is empty or mostly empty, and was not in the year before", _SOURCE),
    Rule("columns_are_filled_as_usual", _RAW, _W, "missing_rise", None, 0.2,
         "More gaps in a column than in the year before", _LOOK),
    Rule("columns_vary", _RAW, _E, "frozen", None, 0,
         "A column that is one value (such as 0) in every row, and was not in the year before", _SOURCE),
    Rule("units_are_unchanged", _RAW, _E, "magnitude", -0.8, 0.8,
         "Values times or divided by 10, 100, 1000; columns of different size swapped", _SOURCE),
    Rule("zips_keep_their_order", _RAW, _E, "order_lost", None, 0.6,
         "Two columns swapped, or rows shifted against their zips: values no longer resemble the months before",
         _SOURCE),
    # Against the months before
    Rule("row_count_is_plausible", _RAW, _E, "row_ratio", 0.7, 1.5,
         "A truncated or a multiplied delivery", _SOURCE),
    Rule("row_count_is_usual", _RAW, _W, "row_ratio", 0.9, 1.1, "A delivery that is getting smaller or larger", _LOOK),
    Rule("zips_are_covered", _RAW, _E, "zip_coverage", 0.7, None, "Many zips of the months before missing", _SOURCE),
    Rule("zips_are_covered_as_usual", _RAW, _W, "zip_coverage", 0.95, None, "Some zips missing", _LOOK),
    Rule("prices_do_not_jump", _RAW, _E, "jump_share", None, 0.01,
         "Prices of other zips or months: an index as smooth as this never moved by more than 9% in a month "
         "on the real sample; more than 28% in over 1% of zips is no market", _SOURCE),
    Rule("no_price_jumps", _RAW, _W, "jumps", None, 0, "A single zip whose price is off", _LOOK),
    Rule("little_is_quarantined", _CLEAN, _E, "quarantined_share", None, 0.2,
         "A month of which cleaning could not keep much", "Read quarantined/<month>.parquet, which has the reasons"),
    Rule("quarantine_is_usual", _CLEAN, _W, "quarantined_share", None, 0.1,
         "More rows quarantined than strays", "Read quarantined/<month>.parquet, which has the reasons"),
    # Encoders and matrix
    Rule("encodings_are_numbers", _ENCODERS, _E, "not_finite", None, 0, "An encoding that is missing or infinite",
         _CODE),
    Rule("each_value_is_encoded_once", _ENCODERS, _E, "repeated_keys", None, 0, "Two encodings of one zip or metro",
         _CODE),
    Rule("unseen_values_have_an_encoding", _ENCODERS, _E, "unseen_undefined", None, 0,
         "A new zip or metro that could not be predicted", _CODE),
    Rule("encodings_are_of_train", _ENCODERS, _E, "not_of_train", None, 1e-9,
         "Leakage: encodings that are not those of exactly the train months", "Materialize encoders again"),
    Rule("encoders_cover_eval", _ENCODERS, _W, "unencoded_share", None, 0.2,
         "Many rows of eval whose zip or metro train never saw", "Compare the zips of train and eval at the source"),
    Rule("no_row_of_the_holdout", _MATRIX, _E, "holdout_rows", None, 0,
         "Leakage: rows of the holdout in training", "Materialize training_features again"),
    Rule("every_month_is_in", _MATRIX, _E, "months_missing", None, 0, "Training without some of its months",
         "Materialize cleaned for these months, then training_features"),
    Rule("targets_are_prices", _MATRIX, _E, "not_a_price", None, 0, "Training on gaps", _CODE),
    Rule("no_barred_feature", _MATRIX, _E, "barred", None, 0,
         "Leakage: a column that the schema bars (the month's own prices) among the features", _CODE),
    Rule("no_feature_is_the_price", _MATRIX, _E, "price_correlation", None, 0.995,
         "Leakage: a feature that is a function of the same month's price",
         "Take the feature out, or show where it comes from"),
    # Models
    Rule("bundle_is_trusted", (*_MODELS, CHAMPION_MODEL), _E, "bundle_problems", None, 0,
         "A damaged bundle, or one that no longer predicts as when it was made (hashes, golden rows)",
         "Train again, or roll back with `housing promote VERSION --reason WHY`"),
    Rule("twin_agrees", (*_MODELS, CHAMPION_MODEL), _E, "twin_difference", None, 1e-4,
         "An ONNX twin that answers otherwise than the trees (difference in log price)", "Train again"),
    Rule("trained_on_train_alone", _MODELS, _E, "months_after_train", None, 0,
         "Leakage: trees that are graded on eval and learned from it, or from holdout", "Train again"),
    Rule("nothing_learned_from_holdout", _MODELS, _E, "months_of_holdout", None, 0,
         "Leakage: trees that predict the holdout and learned from it", "Train again"),
    Rule("eval_is_predicted", _MODELS, _E, "not_a_price", None, 0,
         "A model that gives no finite, positive price for some row of eval", "Train again"),
    Rule("error_is_believable", _MODELS, _W, "median_error", 0.001, None,
         "Leakage: a median error on eval that is too good to be true", "Look at the most important features"),
    Rule("every_predictor_is_graded", (MODEL_EVALUATION,), _E, "figures_missing", None, 0,
         "A comparison without a model, a naive baseline, or a finite error", "Materialize model_evaluation again"),
    # Predictions
    Rule("interval_ends_are_numbers", _INTERVALS, _E, "not_finite", None, 0, "Intervals that are not there", _CODE),
    Rule("zero_is_inside", _INTERVALS, _E, "inverted", None, 0, "An interval without its own prediction", _CODE),
    Rule("calibrated_on_the_past", _INTERVALS, _E, "not_past", None, 0,
         "Leakage: an interval from the month itself or later ones", "Materialize interval_calibration again"),
    Rule("every_zip_is_predicted", _PREDICTED, _E, "zips_unmatched", None, 0,
         "Zips of the month without a prediction, or predictions of no zip of the month",
         "Materialize monthly_predictions of the month again"),
    Rule("predictions_are_prices", _PREDICTED, _E, "not_a_price", None, 0, "No, infinite or negative prices", _CODE),
    Rule("interval_contains_prediction", _PREDICTED, _E, "inverted", None, 0,
         "An interval without its own prediction", _CODE),
    Rule("predictions_fit_history", _PREDICTED, _E, "far_share", None, 0.01,
         "Predictions of over 1% of zips beyond 3 times, or under a third, of what the zip cost in the months before",
         _RETRAIN),
    Rule("no_prediction_is_far", _PREDICTED, _W, "far", None, 0,
         "A single zip whose prediction is far from what it cost", _RETRAIN),
    # History and forecasts
    Rule("months_follow_each_other", _HISTORY, _W, "months_missing", None, 0,
         "A history with a hole: growth over it is not known", "Ingest the months that are missing"),
    Rule("forecast_bundle_is_trusted", (FORECAST_MODEL,), _E, "bundle_problems", None, 0,
         "A damaged bundle, or one that no longer forecasts as when it was made (hashes, golden answers)",
         "Materialize forecast_model again"),
    Rule("fitted_before_its_origins", (FORECAST_MODEL,), _E, "months_after_train", None, 0,
         "Leakage: a fit on months that the history does not have", "Materialize forecast_model again"),
    Rule("every_horizon_is_graded", (FORECAST_EVALUATION,), _W, "figures_missing", None, 0,
         "A horizon that eval is too short to grade",
         "Set HOUSING_EVAL_START earlier, so that eval has 13 months or more"),
    Rule("published_is_not_far_worse", (FORECAST_EVALUATION,), _E, "regret", None, 1.5,
         "A forecast that errs half as much again on eval as a naive one: something is broken",
         "Materialize forecast_model and forecast_evaluation again"),
    Rule("published_is_the_better", (FORECAST_EVALUATION,), _W, "regret", None, 1 + 1e-9,
         "A horizon at which a naive forecaster turned out better on eval than the weighted forecast",
         "Nothing: its weight grows as its errors become known. Look at the weights on the Model page"),
    Rule("one_row_a_zip_and_horizon", _FORECASTS, _E, "repeated_keys", None, 0,
         "A zip that is forecast twice for one month", _CODE),
    Rule("origins_are_of_their_month", _FORECASTS, _E, "other_dates", None, 0,
         "Forecasts of another origin, or of a month that is not its horizon ahead", _CODE),
    Rule("every_horizon_is_there", _FORECASTS, _E, "horizons_missing", None, 0,
         "A zip without one of its 12 months", "Materialize monthly_forecasts of the month again"),
    Rule("forecasts_are_prices", _FORECASTS, _E, "not_a_price", None, 0, "No, infinite or negative prices", _CODE),
    Rule("interval_contains_forecast", _FORECASTS, _E, "inverted", None, 0,
         "An interval without its own forecast", _CODE),
    Rule("forecasts_have_intervals", _FORECASTS, _W, "intervals_missing", None, 0,
         "A horizon without outcomes to measure an interval by", "Nothing: they come with the months"),
    Rule("forecasts_stay_near", _FORECASTS, _E, "far_share", None, 0.01,
         "Forecasts of over 1% of zips beyond 2 times, or under half, of what the zip costs", _RETRAIN_FORECASTS),
    # Monitoring
    Rule("features_are_as_in_train", (DRIFT_REPORT,), _W, "drifted_share", None, 1 / 3,
         "Months unlike the ones the champion was trained on", _RETRAIN),
    Rule("predictions_are_as_in_train", (DRIFT_REPORT,), _W, "prediction_drift", None, 1.0,
         "Predictions far from those for train (Wasserstein distance in standard deviations)", _RETRAIN),
    Rule("error_is_as_evaluated", (PREDICTION_ACCURACY,), _W, "error_ratio", None, 2.5,
         "A champion that errs far more than on eval (ratio of mean absolute % errors)", _RETRAIN),
)  # fmt: skip
"""Every rule. Limits that compare with the months before leave at least twice the room that the real DC sample and
the synthetic panel need in any of their 142 months."""

CHECKED: tuple[str, ...] = tuple(dict.fromkeys(asset for rule in RULES for asset in rule.assets))
"""Every asset that has rules."""


def rules_of(asset: str) -> tuple[Rule, ...]:
    """The rules of one asset, in the order of the table."""
    return tuple(rule for rule in RULES if asset in rule.assets)


def broken_rules(asset: str, measurements: "Iterable[Measurement]") -> "list[tuple[Rule, Measurement]]":
    """The rules of an asset that measurements break, in the order of the table; a measure that is NaN breaks none.

    For who has to know before the asset is written: its checks have Great Expectations judge by the same limits.
    """
    measured = list(measurements)
    return [
        (rule, m)
        for rule in rules_of(asset)
        for m in measured
        if m.measure == rule.measure
        and ((rule.low is not None and m.observed < rule.low) or (rule.high is not None and m.observed > rule.high))
    ]


def rule_table() -> str:
    """The documentation of every check, as a Markdown table."""
    lines = ["| asset | check | protects against | when broken | what to do |", "| --- | --- | --- | --- | --- |"]
    for asset in CHECKED:
        for rule in rules_of(asset):
            does = "blocks" if rule.severity is Severity.ERROR else "warns"
            lines.append(f"| `{asset}` | `{rule.name}` | {rule.protects} | {does} | {rule.remedy} |")
    return "\n".join(lines) + "\n"


def rule_page() -> str:
    """The page on checks that people read: `housing_assets/orchestration/checks/README.md`."""
    return f"""# Checks

Every rule of `housing_assets/core/quality/rules.py` is one asset check. Months are measured one at a time, Great
Expectations judges the measurements, and each check shows a table of months in the Dagster UI. A check that blocks
stops what is downstream in its own run; it also leaves a verdict for each month under `checks/` in the store, and
whatever rests on a month (cleaning, training, promotion, intervals, predictions) asks for its verdict first, also when
it is launched alone: red, never checked, or changed since its check is refused. The other months go on.

{rule_table()}"""
