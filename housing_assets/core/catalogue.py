"""Every asset, described once: jobs, gates, run order, status and pages derive from these descriptions.

To add an asset, add its name and its description here, write the asset in a module of
`housing_assets.orchestration.assets`, and test it. What the asset computes, its partitions' dates, and how it reads its
inputs stay with the asset itself.
"""

from dataclasses import dataclass
from enum import StrEnum

SOURCES_JOB = "sources_job"
INGEST_JOB = "ingest_job"
TRAINING_JOB = "training_job"
PREDICTIONS_JOB = "predictions_job"
MONITORING_JOB = "monitoring_job"
FORECAST_JOB = "forecast_job"

JOBS: dict[str, str] = {
    SOURCES_JOB: "What the publishers' files say now, kept as vintages, and what they revise",
    INGEST_JOB: "The vintages in use to cleaned months",
    TRAINING_JOB: "Encoders, features, models, evaluation, promotion",
    PREDICTIONS_JOB: "History and intervals from the months before, and months through the champion",
    MONITORING_JOB: "Drift and errors of predicted months, and the data quality page",
    FORECAST_JOB: "The forecast model, its grades, and forecasts from the months as origins",
}
"""The description of each job, in the order in which `housing run` runs them."""

ZILLOW_HOME_VALUES = "zillow_home_values"
REDFIN_MARKET = "redfin_market"
HOUSETS_PANEL = "housets_panel"
REVISIONS = "revisions"
RAW_SPLITS = "raw_splits"
CLEANED = "cleaned"
PRICE_HISTORY = "price_history"
ENCODERS = "encoders"
TRAINING_FEATURES = "training_features"
BASELINE_MODEL = "baseline_model"
TUNED_MODEL = "tuned_model"
MODEL_EVALUATION = "model_evaluation"
CHAMPION_MODEL = "champion_model"
INTERVAL_CALIBRATION = "interval_calibration"
MONTHLY_PREDICTIONS = "monthly_predictions"
FORECAST_MODEL = "forecast_model"
FORECAST_EVALUATION = "forecast_evaluation"
MONTHLY_FORECASTS = "monthly_forecasts"
DRIFT_REPORT = "drift_report"
PREDICTION_ACCURACY = "prediction_accuracy"
DATA_QUALITY = "data_quality"

QUARANTINED = "quarantined"
"""Monthly files of the rows that `cleaned` leaves out. No asset of its own."""


class Months(StrEnum):
    """Which months an asset has, one partition each."""

    NONE = "none"
    PANEL = "panel"
    HOLDOUT = "holdout"
    """From the first month of the holdout on, or from an earlier one that was predicted once."""


class Team(StrEnum):
    """Who owns an asset."""

    DATA = "team:data-platform"
    ML = "team:ml-platform"


@dataclass(frozen=True)
class Asset:
    """What the platform knows of an asset.

    Attributes:
        key: its name in Dagster and in the store.
        label: what it is, in a few words for people.
        group: under which the Dagster UI shows it.
        jobs: that materialize it.
        rests_on: assets whose checks have to pass before it is made, see `housing_assets.store.gates`.
        owner: the team that answers for it.
        kinds: technologies, which the Dagster UI shows as tags.
        months: which months it has.
        pool: runs that materialize assets of one pool wait for each other; empty: no pool.
        is_predicted: True for an asset whose months a model predicts from `price_history`. Its rows name the
            `model_version`, and each file keeps the digest of the history it was made from.
        files_beside: further monthly files that it writes.
        is_checked: True if it has checks.
    """

    key: str
    label: str
    group: str
    jobs: tuple[str, ...]
    rests_on: tuple[str, ...]
    owner: Team
    kinds: tuple[str, ...]
    months: Months = Months.NONE
    pool: str = ""
    is_predicted: bool = False
    files_beside: tuple[str, ...] = ()
    is_checked: bool = True

    @property
    def is_monthly(self) -> bool:
        """True if it has a file for each month."""
        return self.months is not Months.NONE


_DESCRIPTIONS = (
    Asset(
        ZILLOW_HOME_VALUES,
        "Prices of zips as Zillow publishes them, vintage by vintage",
        group="ingest",
        jobs=(SOURCES_JOB,),
        rests_on=(),
        owner=Team.DATA,
        kinds=("polars", "parquet"),
        is_checked=False,
    ),
    Asset(
        REDFIN_MARKET,
        "Market figures of zips as Redfin publishes them, vintage by vintage",
        group="ingest",
        jobs=(SOURCES_JOB,),
        rests_on=(),
        owner=Team.DATA,
        kinds=("polars", "parquet"),
        is_checked=False,
    ),
    Asset(
        HOUSETS_PANEL,
        "A panel in the platform's own layout, vintage by vintage; also the generated sample",
        group="ingest",
        jobs=(SOURCES_JOB,),
        rests_on=(),
        owner=Team.DATA,
        kinds=("polars", "parquet"),
        is_checked=False,
    ),
    Asset(
        REVISIONS,
        "What the newest vintages changed of the months before",
        group="ingest",
        jobs=(SOURCES_JOB,),
        rests_on=(),
        owner=Team.DATA,
        kinds=("polars", "parquet"),
    ),
    Asset(
        RAW_SPLITS,
        "The rows of a month from the vintages in use, typed to the schema",
        group="ingest",
        jobs=(INGEST_JOB,),
        rests_on=(),
        owner=Team.DATA,
        kinds=("polars", "parquet"),
        months=Months.PANEL,
        pool="ingest",
    ),
    Asset(
        CLEANED,
        "The rows of a month that are valid, one for each zip",
        group="ingest",
        jobs=(INGEST_JOB,),
        rests_on=(RAW_SPLITS,),
        owner=Team.DATA,
        kinds=("polars", "parquet"),
        months=Months.PANEL,
        pool="ingest",
        files_beside=(QUARANTINED,),
    ),
    Asset(
        PRICE_HISTORY,
        "Price and market figures of every zip in every month",
        group="predictions",
        jobs=(PREDICTIONS_JOB, FORECAST_JOB),
        rests_on=(CLEANED,),
        owner=Team.DATA,
        kinds=("polars", "parquet"),
    ),
    Asset(
        ENCODERS,
        "Numbers for zip codes and metros, fitted on train",
        group="features",
        jobs=(TRAINING_JOB,),
        rests_on=(CLEANED,),
        owner=Team.ML,
        kinds=("polars", "parquet"),
    ),
    Asset(
        TRAINING_FEATURES,
        "The matrix that models are fitted on",
        group="features",
        jobs=(TRAINING_JOB,),
        rests_on=(CLEANED, ENCODERS),
        owner=Team.ML,
        kinds=("polars", "parquet"),
    ),
    Asset(
        BASELINE_MODEL,
        "The model with fixed hyperparameters",
        group="models",
        jobs=(TRAINING_JOB,),
        rests_on=(TRAINING_FEATURES, ENCODERS, CLEANED),
        owner=Team.ML,
        kinds=("xgboost", "mlflow"),
        pool="training",
    ),
    Asset(
        TUNED_MODEL,
        "The model with hyperparameters from a search",
        group="models",
        jobs=(TRAINING_JOB,),
        rests_on=(TRAINING_FEATURES, ENCODERS, CLEANED),
        owner=Team.ML,
        kinds=("xgboost", "optuna", "mlflow"),
        pool="training",
    ),
    Asset(
        MODEL_EVALUATION,
        "Errors of models and naive baselines on the same rows",
        group="models",
        jobs=(TRAINING_JOB,),
        rests_on=(CLEANED, BASELINE_MODEL, TUNED_MODEL),
        owner=Team.ML,
        kinds=("polars", "mlflow"),
    ),
    Asset(
        CHAMPION_MODEL,
        "The model that predictions use",
        group="models",
        jobs=(TRAINING_JOB,),
        rests_on=(RAW_SPLITS, CLEANED, ENCODERS, TRAINING_FEATURES, BASELINE_MODEL, TUNED_MODEL, MODEL_EVALUATION),
        owner=Team.ML,
        kinds=("xgboost", "mlflow"),
    ),
    Asset(
        INTERVAL_CALIBRATION,
        "How wide the 90% intervals of a month are",
        group="predictions",
        jobs=(PREDICTIONS_JOB,),
        rests_on=(CHAMPION_MODEL, PRICE_HISTORY, CLEANED),
        owner=Team.ML,
        kinds=("polars", "parquet"),
        months=Months.HOLDOUT,
        pool="predictions",
        is_predicted=True,
    ),
    Asset(
        MONTHLY_PREDICTIONS,
        "Predicted prices of a month, with intervals",
        group="predictions",
        jobs=(PREDICTIONS_JOB,),
        rests_on=(CHAMPION_MODEL, PRICE_HISTORY, CLEANED, INTERVAL_CALIBRATION),
        owner=Team.ML,
        kinds=("xgboost", "parquet"),
        months=Months.HOLDOUT,
        pool="predictions",
        is_predicted=True,
    ),
    Asset(
        FORECAST_MODEL,
        "The model of prices 1 to 12 months ahead",
        group="forecasts",
        jobs=(FORECAST_JOB,),
        rests_on=(PRICE_HISTORY,),
        owner=Team.ML,
        kinds=("numpy", "mlflow"),
        pool="forecasts",
    ),
    Asset(
        FORECAST_EVALUATION,
        "Errors of forecasts, and what is published for each horizon",
        group="forecasts",
        jobs=(FORECAST_JOB,),
        rests_on=(FORECAST_MODEL, PRICE_HISTORY, CLEANED),
        owner=Team.ML,
        kinds=("polars", "mlflow"),
    ),
    Asset(
        MONTHLY_FORECASTS,
        "Forecasts from a month, 1 to 12 months ahead",
        group="forecasts",
        jobs=(FORECAST_JOB,),
        rests_on=(FORECAST_EVALUATION, PRICE_HISTORY),
        owner=Team.ML,
        kinds=("numpy", "parquet"),
        months=Months.HOLDOUT,
        pool="forecasts",
        is_predicted=True,
    ),
    Asset(
        DRIFT_REPORT,
        "How far features and predictions of a month are from train",
        group="monitoring",
        jobs=(MONITORING_JOB,),
        rests_on=(CHAMPION_MODEL, CLEANED, TRAINING_FEATURES, MONTHLY_PREDICTIONS, PRICE_HISTORY),
        owner=Team.ML,
        kinds=("polars", "evidently"),
        months=Months.HOLDOUT,
    ),
    Asset(
        PREDICTION_ACCURACY,
        "Errors of the predictions of a month, once prices are known",
        group="monitoring",
        jobs=(MONITORING_JOB,),
        rests_on=(MONTHLY_PREDICTIONS, CHAMPION_MODEL, TRAINING_FEATURES, PRICE_HISTORY),
        owner=Team.ML,
        kinds=("polars",),
        months=Months.HOLDOUT,
    ),
    Asset(
        DATA_QUALITY,
        "One page on what all checks say, for people without Dagster",
        group="monitoring",
        jobs=(MONITORING_JOB,),
        rests_on=(),
        owner=Team.DATA,
        kinds=("html",),
        is_checked=False,
    ),
)

ASSETS: dict[str, Asset] = {asset.key: asset for asset in _DESCRIPTIONS}
"""The assets by key. Each comes after those it rests on."""

MONTHLY: tuple[str, ...] = tuple(key for key, asset in ASSETS.items() if asset.is_monthly)
"""Keys of the assets that have a file for each month."""

CHECKED_BY_MONTH: tuple[str, ...] = tuple(k for k, asset in ASSETS.items() if asset.is_checked and asset.is_monthly)
"""Keys of the monthly assets that have checks."""

CHECKED_AS_A_WHOLE: tuple[str, ...] = tuple(
    k for k, asset in ASSETS.items() if asset.is_checked and not asset.is_monthly
)
"""Keys of the assets without months that have checks."""

PREDICTED: tuple[str, ...] = tuple(key for key, asset in ASSETS.items() if asset.is_predicted)
"""Keys of the monthly assets that a model predicts from `price_history`."""

SOURCES: tuple[str, ...] = tuple(k for k, asset in ASSETS.items() if SOURCES_JOB in asset.jobs and k != REVISIONS)
"""Keys of the assets that stand for a publisher each."""

REPORTS: tuple[str, ...] = tuple(k for k, asset in ASSETS.items() if asset.is_monthly and MONITORING_JOB in asset.jobs)
"""Keys of the monthly assets that measure predictions."""


def assets_of(job: str) -> tuple[str, ...]:
    """Keys of the assets that a job materializes.

    Raises:
        KeyError: there is no such job.
    """
    if job not in JOBS:
        raise KeyError(f"{job!r} is no job: choose one of {', '.join(JOBS)}")
    return tuple(key for key, asset in ASSETS.items() if job in asset.jobs)


def monthly_assets_of(job: str) -> tuple[str, ...]:
    """Keys of the monthly assets that a job materializes; errors as of `assets_of`."""
    return tuple(key for key in assets_of(job) if ASSETS[key].is_monthly)
