"""What `baseline_model` and `tuned_model` have in common: train, grade on eval, publish, log to MLflow."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.addresses import without_password
from housing_assets.core.baselines.prices import history_naive_predictions, naive_predictions
from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.metrics import compare
from housing_assets.core.evaluation.models import ITSELF, decide_publication
from housing_assets.core.features.encoding import Encoders
from housing_assets.core.features.history import History
from housing_assets.core.features.monthly import FEATURES, KEYS
from housing_assets.core.intervals.conformal import calibrate
from housing_assets.core.models.price import PriceModel, model_files
from housing_assets.core.models.publication import MODEL, widen
from housing_assets.core.models.refitted import fit_refitted
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.models.trees import PriceTrees, SavedTrees, TrainingParams, feature_importance
from housing_assets.core.months import Split
from housing_assets.engines.local import fit_trees
from housing_assets.ingestion.source import source_fingerprint
from housing_assets.orchestration.metadata import picture, table
from housing_assets.orchestration.plots import bars, predicted_against_actual
from housing_assets.orchestration.resources.tracking import Tracker, git_commit
from housing_assets.store.bundles import load_bundle, publish_bundle
from housing_assets.store.table import TableFile

_MOST_SHOWN = 25


@dataclass(frozen=True)
class Trained:
    """A published model and what there is to say of it."""

    version: str
    report: pl.DataFrame
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """What a model is trained from.

    Attributes:
        settings: of the platform.
        context: of the asset's run.
        kind: key of the asset.
        params: hyperparameters of the trees.
        data: `training_features`.
        encoders: the encoder table.
        golden: standardized rows whose predictions are kept in the bundle.
        history: of all zips; None: the model does not use it.
        is_final: True to fit the trees that serve on eval too, after they were graded on it.
    """

    settings: Settings
    context: dg.AssetExecutionContext
    kind: str
    params: TrainingParams
    data: TableFile
    encoders: pl.DataFrame
    golden: pl.DataFrame
    history: History | None = None
    is_final: bool = False

    @property
    def months(self) -> dict[str, list[str]]:
        """First and last month of train and of eval."""
        parts = ((part, self.settings.split_months(part)) for part in (Split.TRAIN, Split.EVAL))
        return {str(part): [months[0], months[-1]] for part, months in parts}


@dataclass(frozen=True)
class _Graded:
    """A model with what it publishes and its intervals, and how it did on eval.

    Attributes:
        model: as it is published.
        report: errors of the model and of the naive baselines, as `compare` returns them.
        actual, predicted: prices of eval in US dollars, shape (n,).
        example: some rows of eval.
    """

    model: PriceModel
    report: pl.DataFrame
    actual: np.ndarray
    predicted: np.ndarray
    example: pl.DataFrame


def train_and_publish(training: Training, facts: Mapping[str, Any]) -> Trained:
    """Train on train, grade on eval, fit the trees that serve on both, publish the bundle with golden rows, and log it.

    Args:
        training: what the model is trained from.
        facts: further ones for the manifest of its bundle.
    """
    train, held = training.data.of(Split.TRAIN).read(KEYS), training.data.of(Split.EVAL).read()
    training.context.log.info(f"training {training.params.n_estimators} trees on {train.height:,} rows")
    graded = _grade(training, _fit(training), train, held)
    if training.is_final:
        graded = replace(graded, model=_final_fit(training, graded.model))
    fingerprint = source_fingerprint(training.context.instance)
    rows = {"train": train.height, "eval": held.height}
    version = _publish(training, graded, {"rows": rows, **facts}, fingerprint)
    return Trained(version, graded.report, _log_model(training, graded, version, fingerprint))


def _fit(training: Training) -> PriceModel:
    """The trees and the growth model, without intervals."""
    settings, log = training.settings, training.context.log
    trees = _fit_trees(training, training.data.of(Split.TRAIN))
    growth = None
    if training.history is not None:
        try:
            growth = fit_refitted(
                training.history,
                [settings.publication_lag],
                settings.split.eval_start,
                settings.refit_months,
                log.info,
            )
        except HousingError as error:
            log.warning(f"zips are predicted without their history: {error}")
    return PriceModel(
        trees,
        Encoders.from_table(training.encoders),
        pl.DataFrame(),
        growth=growth,
        lag=settings.publication_lag,
        max_list_price=settings.max_list_price,
    )


def _fit_trees(training: Training, rows: TableFile) -> PriceTrees:
    log = training.context.log

    def progress(done: int, total: int) -> None:
        if done % max(1, total // 5) == 0:
            log.info(f"{done} of {total} trees")

    return fit_trees(training.settings, rows, training.params, progress, log.info)


def _final_fit(training: Training, graded: PriceModel) -> PriceModel:
    """The model with trees that learned from eval too; those that were graded on it stay beside them."""
    training.context.log.info("fitting the trees that serve on train and eval")
    return replace(
        graded,
        trees=_fit_trees(training, training.data),
        judged=SavedTrees.of(graded.trees),
        unseen_from=training.settings.split.holdout_start,
    )


def _grade(training: Training, fitted: PriceModel, train: pl.DataFrame, held: pl.DataFrame) -> _Graded:
    """Decide on eval what a model publishes, compare it with the naive baselines, and measure its intervals."""
    history, kind = training.history, training.kind
    actual, without = held["price"].to_numpy(), fitted.trees.prices(held)
    publication = decide_publication(fitted, held, without, history)
    if words := publication.words():
        training.context.log.warning(words)
    fitted = replace(fitted, publication=publication)
    by_history = fitted.history_prices(held, history)
    has_history = np.isfinite(by_history)
    predicted = np.where(has_history, by_history, without)
    naive = naive_predictions(train, held)
    predictions = {kind: predicted, **({f"{kind} without history": without} if has_history.any() else {}), **naive}
    if publication.predictor != MODEL:
        own = fitted.itself().history_prices(held, history)
        predictions[f"{kind}{ITSELF}"] = np.where(np.isfinite(own), own, without)
    if fitted.uses_history and history is not None:
        predictions |= history_naive_predictions(
            held, history, training.settings.publication_lag, naive["last_known_price"]
        )
    intervals = calibrate(
        pl.concat([held["city_full"], held["city_full"].filter(pl.Series(has_history))]),
        np.concatenate([actual, actual[has_history]]),
        np.concatenate([without, by_history[has_history]]),
        from_history=np.repeat([False, True], [held.height, int(has_history.sum())]),
        months=held["date"].n_unique(),
    )
    model = replace(fitted, intervals=widen(intervals, publication.factors()))
    return _Graded(model, compare(actual, predictions), actual, predicted, held.head(5))


def _publish(training: Training, graded: _Graded, facts: Mapping[str, Any], fingerprint: str) -> str:
    """Write the bundle of a model; returns its version."""
    settings, model = training.settings, graded.model
    publication = model.publication
    files = model_files(model, training.golden, {"eval": {r["predictor"]: r for r in graded.report.to_dicts()}})
    return publish_bundle(
        training.context.resources.store,
        training.kind.removesuffix("_model"),
        files,
        {
            "parameters": asdict(training.params),
            "months": training.months,
            "training_data_sha256": training.data.digest(),
            "source": "synthetic sample" if settings.uses_sample else without_password(settings.source_uri),
            "history": {
                "used": model.uses_history,
                "publication_lag": settings.publication_lag,
                "fitted_before": model.fitted_before,
            },
            "judged": asdict(settings.judged),
            "trees_learned_before": model.unseen_from or settings.split.eval_start,
            "published": {"predictor": publication.predictor, "told": publication.words()},
            **facts,
        },
        {
            "git_commit": git_commit(),
            "source_fingerprint": fingerprint,
            "dagster_run": training.context.run_id,
            **training.context.resources.mlflow.origin(),
        },
    )


def _log_model(training: Training, graded: _Graded, version: str, fingerprint: str) -> dict[str, Any]:
    """Log a published model to MLflow; returns the metadata of its asset."""
    kind, report, publication = training.kind, graded.report, graded.model.publication
    tracker: Tracker = training.context.resources.mlflow
    booster = graded.model.trees.booster
    figures = {name: report[name][0] for name in ("mae", "rmse", "r2", "mape", "mdape")}
    importance = feature_importance(booster)
    pictures = {
        "predicted against actual": predicted_against_actual(graded.actual, graded.predicted, f"{version} on eval"),
        "feature importance": _importance_picture(importance, version),
    }
    months = {f"{part}_months": ":".join(ends) for part, ends in training.months.items()}
    tracker.tags({**months, "source_fingerprint": fingerprint, kind: version})
    tracker.params(asdict(training.params), f"{kind}.")
    tracker.metrics(figures, f"{kind}.eval_")
    tracker.files({f"{name.replace(' ', '_')}.png": png for name, png in pictures.items()}, f"{kind}/plots")
    tracker.files(load_bundle(training.context.resources.store, version).files, f"{kind}/bundle")
    example = feature_matrix(graded.example)
    tracker.model(booster, kind, example, booster.inplace_predict(example, validate_features=False))
    return {
        "version": version,
        "eval metrics": table(report),
        **figures,
        "published": publication.predictor,
        "published, in words": publication.words() or "the model's number, intervals as they were measured",
        "features": len(FEATURES),
        "feature importance, % of gain": table(importance),
        **{name: picture(png) for name, png in pictures.items()},
        **tracker.metadata(),
    }


def _importance_picture(importance: pl.DataFrame, version: str) -> bytes:
    top = importance.head(_MOST_SHOWN)
    title = f"{version}: feature importance"
    return bars(top["feature"].to_list(), top["share"].to_list(), title, "% of the total gain of all splits")
