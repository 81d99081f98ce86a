"""Models: the baseline with fixed hyperparameters, and the tuned one. Each is a reference to its bundle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field

from housing_assets.config.settings import Settings
from housing_assets.core.addresses import without_password
from housing_assets.core.baselines.prices import history_naive_predictions, naive_predictions
from housing_assets.core.catalogue import BASELINE_MODEL, CLEANED, TRAINING_FEATURES, TUNED_MODEL
from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.metrics import compare
from housing_assets.core.evaluation.models import ITSELF, decide_publication
from housing_assets.core.features.encoding import Encoders
from housing_assets.core.features.history import HISTORY_SCHEMA, History
from housing_assets.core.features.monthly import FEATURES, KEYS
from housing_assets.core.intervals.conformal import calibrate
from housing_assets.core.models.growth import fit_growth
from housing_assets.core.models.price import PriceModel, model_files
from housing_assets.core.models.publication import MODEL, widen
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.models.trees import TrainingParams, feature_importance
from housing_assets.core.months import Split
from housing_assets.core.tuning.space import TuningSpec, search_space
from housing_assets.core.tuning.study import TuningResult, tune
from housing_assets.engines.local import fit_trees
from housing_assets.ingestion.source import source_fingerprint
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import picture, table
from housing_assets.orchestration.names import CODE_VERSION
from housing_assets.orchestration.plots import bars, predicted_against_actual, trial_history
from housing_assets.orchestration.resources.io_manager import AS_FILE, MonthReader
from housing_assets.orchestration.resources.tracking import Tracker, git_commit
from housing_assets.store.bundles import BundleError, load_bundle, publish_bundle
from housing_assets.store.gates import require
from housing_assets.store.layout import Store
from housing_assets.store.table import TableFile

_DEFAULTS = TrainingParams()
_TUNING = TuningSpec()
_UNTUNED = TrainingParams(target="log_anchor")
_MOST_SHOWN = 25


class BaselineConfig(dg.Config):
    """Hyperparameters of the baseline; the defaults are the reference implementation's."""

    n_estimators: int = Field(_DEFAULTS.n_estimators, description="Number of trees")
    max_depth: int = Field(_DEFAULTS.max_depth, description="Depth of a tree")
    learning_rate: float = Field(_DEFAULTS.learning_rate, description="Shrinkage of each tree")
    subsample: float = Field(_DEFAULTS.subsample, description="Share of rows a tree sees")
    colsample_bytree: float = Field(_DEFAULTS.colsample_bytree, description="Share of features a tree sees")
    min_child_weight: float = Field(_DEFAULTS.min_child_weight, description="Least weight in a leaf")
    reg_alpha: float = Field(_DEFAULTS.reg_alpha, description="L1 penalty of leaf weights")
    reg_lambda: float = Field(_DEFAULTS.reg_lambda, description="L2 penalty of leaf weights")
    max_bin: int = Field(_DEFAULTS.max_bin, description="Histogram bins of a feature")
    target: str = Field(_DEFAULTS.target, description="What the trees fit: price, log_price or log_anchor")
    monotone: bool = Field(_DEFAULTS.monotone, description="Price may only rise with what is asked for homes")
    seed: int = Field(_DEFAULTS.seed, description="Of row and column samples")


class TuningConfig(dg.Config):
    """How to search for hyperparameters."""

    trials: int | None = Field(
        None,
        description="Optuna trials in all; 0: no search, the hyperparameters of the tuned model before; "
        "not given: HOUSING_TUNE_TRIALS",
    )
    time_limit: float = Field(_TUNING.time_limit, description="Seconds after which no trial begins; 0: none")
    folds: int = Field(_TUNING.folds, description="Rolling origins inside the train months")
    max_trees: int = Field(_TUNING.max_trees, description="Most trees of a fold")
    patience: int = Field(_TUNING.patience, description="Trees without a better validation error before it stops")
    seed: int = Field(_TUNING.seed, description="Of sampler and training")
    use_history: bool = Field(True, description="Predict zips that have a history from it")
    space: dict[str, Any] = Field(
        {}, description="Changes of the search space: [low, high], choices, or one value, by hyperparameter"
    )


@dataclass(frozen=True)
class _Trained:
    """A published model and what there is to say of it."""

    version: str
    report: pl.DataFrame
    metadata: dict[str, Any] = field(default_factory=dict)


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`baseline_model` and `tuned_model`."""
    before_holdout = [*settings.split_months(Split.TRAIN), *settings.split_months(Split.EVAL)]
    golden = settings.split_months(Split.EVAL)[0]

    @described_asset(
        BASELINE_MODEL,
        settings,
        required_resource_keys={"store", "mlflow"},
        # Its bundle's golden rows are of this month.
        ins={
            CLEANED: dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping([golden])),
            TRAINING_FEATURES: AS_FILE,
        },
        description="XGBoost with the reference's parameters, fitted on train, graded on eval beside naive "
        "baselines. The asset is a reference to its bundle under `models/`.",
    )
    def baseline_model(
        context: dg.AssetExecutionContext,
        config: BaselineConfig,
        training_features: TableFile,
        encoders: pl.DataFrame,
        cleaned: MonthReader,
    ) -> dict:
        require(context.resources.store, BASELINE_MODEL, {CLEANED: [golden]})
        params = TrainingParams(**config.model_dump())
        rows = cleaned.months.read(golden)
        made = _train_and_publish(settings, context, BASELINE_MODEL, params, training_features, encoders, rows, {})
        context.add_output_metadata(made.metadata)
        return {"version": made.version}

    @described_asset(
        TUNED_MODEL,
        settings,
        required_resource_keys={"store", "mlflow"},
        ins={
            CLEANED: dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping(before_holdout)),
            TRAINING_FEATURES: AS_FILE,
        },
        description="XGBoost with hyperparameters from a seeded Optuna study over rolling-origin folds inside the "
        "train months, for zips without a history; growth of the last known price for those with one. Eval and holdout "
        "take no part in either. An interrupted study goes on where it stopped.",
    )
    def tuned_model(
        context: dg.AssetExecutionContext,
        config: TuningConfig,
        training_features: TableFile,
        encoders: pl.DataFrame,
        cleaned: MonthReader,
    ) -> dict:
        asked = config.model_dump()
        use_history = asked.pop("use_history")
        require(context.resources.store, TUNED_MODEL, {CLEANED: before_holdout if use_history else [golden]})
        trials = settings.tune_trials if asked["trials"] is None else asked["trials"]
        rows = cleaned.months.read(golden)
        history = None
        if use_history:
            history = History.from_months(frame for _, frame in cleaned.iterate(list(HISTORY_SCHEMA)))
        if trials == 0:
            params, told_by = _known_params(context.resources.store)
            context.log.info(f"no search: the hyperparameters are those of {told_by}")
            facts = {"tuning": {"trials": 0, "hyperparameters_of": told_by}}
            made = _train_and_publish(
                settings, context, TUNED_MODEL, params, training_features, encoders, rows, facts, history
            )
            context.add_output_metadata({**made.metadata, "hyperparameters of": told_by})
            return {"version": made.version}
        spec = TuningSpec(**asked | {"trials": trials, "space": search_space(asked["space"])})
        train = training_features.of(Split.TRAIN).read()
        study = f"tuned-{_digest(train, asked)}"
        tracker: Tracker = context.resources.mlflow
        best = float("inf")

        def told(row: dict[str, Any]) -> None:
            nonlocal best
            scores = {k: v for k, v in row.items() if k == "score" or k.startswith("fold ")}
            if row["state"] == "complete":
                best = min(best, row["score"])
            context.log.info(
                f"trial {row['trial'] + 1} of {trials}: {row['state']}, {100 * row['score']:.2f}% "
                f"(best {100 * best:.2f}%), {row['trees']} trees, {row['seconds']:.1f} s"
            )
            params = {k: v for k, v in row.items() if k in spec.space}
            tracker.trial(f"trial {row['trial']}", row["state"], params, scores | {"trees": row["trees"]})

        found = tune(train, spec, settings.study_storage, study, told)
        tracker.params({"trials": trials, "study": study, "folds": spec.folds}, "tuning.")
        # Without their seconds, the one thing that a repeated search does not repeat.
        searched = found.trials.drop("seconds").to_dicts()
        facts = {
            "tuning": {
                "study": study,
                "trials": found.trials.height,
                "folds": spec.folds,
                "seed": spec.seed,
                "history": searched,
            }
        }
        made = _train_and_publish(
            settings, context, TUNED_MODEL, found.params, training_features, encoders, rows, facts, history
        )
        shown = _tuning_pictures(found, made.version)
        tracker.files({f"{name.replace(' ', '_')}.png": png for name, png in shown.items()}, "tuned_model/plots")
        context.add_output_metadata(
            {
                **made.metadata,
                "study": study,
                "best parameters": dg.MetadataValue.json(asdict(found.params)),
                "best trial, RMSE / mean price": float(_complete(found)["score"].min()),  # type: ignore[arg-type]
                "trials": table(found.trials),
                "parameter importances": table(found.importances),
                **{name: picture(png) for name, png in shown.items()},
            }
        )
        return {"version": made.version, "study": study}

    return [baseline_model, tuned_model]


def _train_and_publish(
    settings: Settings,
    context: dg.AssetExecutionContext,
    kind: str,
    params: TrainingParams,
    data: TableFile,
    encoders: pl.DataFrame,
    golden: pl.DataFrame,
    facts: Mapping[str, Any],
    history: History | None = None,
) -> _Trained:
    """Train on train, grade on eval, publish the bundle with golden rows, and log all of it."""
    train_months, eval_months = (settings.split_months(part) for part in (Split.TRAIN, Split.EVAL))
    store: Store = context.resources.store
    tracker: Tracker = context.resources.mlflow
    train, held = data.of(Split.TRAIN).read(KEYS), data.of(Split.EVAL).read()
    context.log.info(f"training {params.n_estimators} trees on {train.height:,} rows")

    def progress(done: int, total: int) -> None:
        if done % max(1, total // 5) == 0:
            context.log.info(f"{done} of {total} trees")

    trees = fit_trees(settings, data.of(Split.TRAIN), params, progress, context.log.info)
    growth = None
    if history is not None:
        try:
            growth = fit_growth(history, [settings.publication_lag], settings.eval_start)
        except HousingError as error:
            context.log.warning(f"zips are predicted without their history: {error}")
    fitted = PriceModel(
        trees,
        Encoders.from_table(encoders),
        pl.DataFrame(),
        growth=growth,
        lag=settings.publication_lag,
        max_list_price=settings.max_list_price,
    )
    actual, without = held["price"].to_numpy(), trees.prices(held)
    publication = decide_publication(fitted, held, without, history)
    if told_of_it := publication.words():
        context.log.warning(told_of_it)
    fitted = replace(fitted, publication=publication)
    known = fitted.history_prices(held, history)
    told = np.isfinite(known)
    predicted = np.where(told, known, without)
    naive = naive_predictions(train, held)
    graded = {kind: predicted, **({f"{kind} without history": without} if told.any() else {}), **naive}
    if publication.predictor != MODEL:
        own = fitted.itself().history_prices(held, history)
        graded[f"{kind}{ITSELF}"] = np.where(np.isfinite(own), own, without)
    if fitted.uses_history and history is not None:
        graded |= history_naive_predictions(held, history, settings.publication_lag, naive["last_known_price"])
    report = compare(actual, graded)
    measured = calibrate(
        pl.concat([held["city_full"], held["city_full"].filter(pl.Series(told))]),
        np.concatenate([actual, actual[told]]),
        np.concatenate([without, known[told]]),
        from_history=np.concatenate([np.zeros(held.height, dtype=bool), np.ones(int(told.sum()), dtype=bool)]),
        months=held["date"].n_unique(),
    )
    model = replace(fitted, intervals=widen(measured, publication.factors()))
    files = model_files(model, golden, {"eval": {r["predictor"]: r for r in report.to_dicts()}})
    origin = {
        "git_commit": git_commit(),
        "source_fingerprint": source_fingerprint(context.instance),
        "dagster_run": context.run_id,
    }
    version = publish_bundle(
        store,
        kind.removesuffix("_model"),
        files,
        {
            "parameters": asdict(params),
            "months": {
                "train": [train_months[0], train_months[-1]],
                "eval": [eval_months[0], eval_months[-1]],
            },
            "rows": {"train": train.height, "eval": held.height},
            "training_data_sha256": data.digest(),
            "source": "synthetic sample" if settings.uses_sample else without_password(settings.source_uri),
            "history": {"used": fitted.uses_history, "publication_lag": settings.publication_lag},
            "judged": asdict(settings.judged),
            "published": {"predictor": publication.predictor, "told": publication.words()},
            **facts,
        },
        origin,
    )
    figures = {name: report[name][0] for name in ("mae", "rmse", "r2", "mape", "mdape")}
    importance = feature_importance(trees.booster)
    pictures = {
        "predicted against actual": predicted_against_actual(actual, predicted, f"{version} on eval"),
        "feature importance": _importance_picture(importance, version),
    }
    tracker.tags(
        {
            "train_months": f"{train_months[0]}:{train_months[-1]}",
            "eval_months": f"{eval_months[0]}:{eval_months[-1]}",
            "source_fingerprint": origin["source_fingerprint"],
            kind: version,
        }
    )
    tracker.params(asdict(params), f"{kind}.")
    tracker.metrics(figures, f"{kind}.eval_")
    tracker.files({f"{name.replace(' ', '_')}.png": png for name, png in pictures.items()}, f"{kind}/plots")
    tracker.files(load_bundle(store, version).files, f"{kind}/bundle")
    example = feature_matrix(held.head(5))
    tracker.model(trees.booster, kind, example, trees.booster.inplace_predict(example, validate_features=False))
    return _Trained(
        version,
        report,
        {
            "version": version,
            "eval metrics": table(report),
            **figures,
            "published": publication.predictor,
            "published, in words": publication.words() or "the model's number, intervals as they were measured",
            "features": len(FEATURES),
            "feature importance, % of gain": table(importance),
            **{name: picture(png) for name, png in pictures.items()},
            **tracker.metadata(),
        },
    )


def _known_params(store: Store) -> tuple[TrainingParams, str]:
    """Hyperparameters without a search, and whose they are: those of the present tuned model, if there is one."""
    try:
        version = store.read_json("tuned_model.json")["version"]
        told = load_bundle(store, version).manifest["parameters"]
        known = {name.name for name in fields(TrainingParams)}  # a newer version of the platform may say more
        return TrainingParams(**{name: value for name, value in told.items() if name in known}), version
    except (FileNotFoundError, KeyError, TypeError, BundleError):
        return _UNTUNED, "the search's own starting point"


def _digest(train: pl.DataFrame, asked: Mapping[str, Any]) -> str:
    """Names a study by all that its trials depend on, so that only the very same search is resumed."""
    search = {name: value for name, value in asked.items() if name not in ("trials", "time_limit")}
    rows = hashlib.sha256(np.ascontiguousarray(train.hash_rows(seed=0).to_numpy()).tobytes()).hexdigest()
    return hashlib.sha256(json.dumps([CODE_VERSION, search, rows], sort_keys=True).encode()).hexdigest()[:12]


def _complete(found: TuningResult) -> pl.DataFrame:
    return found.trials.filter(pl.col("state") == "complete")


def _importance_picture(importance: pl.DataFrame, version: str) -> bytes:
    top = importance.head(_MOST_SHOWN)
    title = f"{version}: feature importance"
    return bars(top["feature"].to_list(), top["share"].to_list(), title, "% of the total gain of all splits")


def _tuning_pictures(found: TuningResult, version: str) -> dict[str, bytes]:
    rows = found.trials
    pruned = (rows["state"] != "complete").to_list()
    pictures = {
        "trial history": trial_history(
            rows["trial"].to_list(), rows["score"].to_list(), pruned, f"{version}: {rows.height} trials"
        )
    }
    if found.importances.height:
        names, shares = found.importances["parameter"].to_list(), found.importances["importance"].to_list()
        pictures["what the score depends on"] = bars(names, shares, f"{version}: what the score depends on", "share")
    return pictures
