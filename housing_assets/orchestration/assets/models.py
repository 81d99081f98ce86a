"""Models: the baseline with fixed hyperparameters, and the tuned one. Each is a reference to its bundle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import BASELINE_MODEL, CLEANED, TRAINING_FEATURES, TUNED_MODEL
from housing_assets.core.features.history import HISTORY_SCHEMA, History
from housing_assets.core.models.trees import TrainingParams
from housing_assets.core.months import Split
from housing_assets.core.tuning.choice import choose_trial
from housing_assets.core.tuning.space import DEFAULT_SPACE, FINAL_LEARNING_RATE, TuningSpec, search_space
from housing_assets.core.tuning.study import TuningResult, tune
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import picture, table
from housing_assets.orchestration.model_training import Trained, Training, train_and_publish
from housing_assets.orchestration.names import CODE_VERSION
from housing_assets.orchestration.plots import bars, trial_history
from housing_assets.orchestration.resources.io_manager import AS_FILE, MonthReader
from housing_assets.orchestration.resources.tracking import Tracker
from housing_assets.store.bundles import BundleError, load_bundle
from housing_assets.store.gates import require, sound_months
from housing_assets.store.layout import Store
from housing_assets.store.table import TableFile

_DEFAULTS = TrainingParams()
_TUNING = TuningSpec()
_UNTUNED = TrainingParams(target="log_anchor", learning_rate=FINAL_LEARNING_RATE, n_estimators=250)
"""As far as the baseline's 500 trees learn at half the rate, see `FINAL_LEARNING_RATE`."""


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


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`baseline_model` and `tuned_model`."""
    before_holdout = [*settings.split_months(Split.TRAIN), *settings.split_months(Split.EVAL)]
    every = [*before_holdout, *settings.split_months(Split.HOLDOUT)]
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
        trained = train_and_publish(
            Training(settings, context, BASELINE_MODEL, params, training_features, encoders, rows), {}
        )
        context.add_output_metadata(trained.metadata)
        return {"version": trained.version}

    @described_asset(
        TUNED_MODEL,
        settings,
        required_resource_keys={"store", "mlflow"},
        ins={
            CLEANED: dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping(every)),
            TRAINING_FEATURES: AS_FILE,
        },
        description="XGBoost with hyperparameters from a seeded Optuna study over rolling-origin folds inside the "
        "train months, for zips without a history; growth of the last known price for those with one, refitted as "
        "months become known. No fit and no trial sees a month that it predicts. An interrupted study goes on where it "
        "stopped.",
    )
    def tuned_model(
        context: dg.AssetExecutionContext,
        config: TuningConfig,
        training_features: TableFile,
        encoders: pl.DataFrame,
        cleaned: MonthReader,
    ) -> dict:
        options = config.model_dump()
        use_history = options.pop("use_history")
        store: Store = context.resources.store
        require(store, TUNED_MODEL, {CLEANED: before_holdout if use_history else [golden]})
        if options["trials"] is None:
            options["trials"] = settings.tune_trials
        rows = cleaned.months.read(golden)
        history = None
        if use_history:
            later = sound_months(store, CLEANED, settings.split_months(Split.HOLDOUT))
            read = cleaned.months.iterate([*before_holdout, *later], list(HISTORY_SCHEMA))
            history = History.from_months(frame for _, frame in read)

        def train_with(params: TrainingParams, facts: Mapping[str, Any]) -> Trained:
            training = Training(
                settings, context, TUNED_MODEL, params, training_features, encoders, rows, history, is_final=True
            )
            return train_and_publish(training, facts)

        if options["trials"] == 0:
            params, origin = _params_without_search(store)
            context.log.info(f"no search: the hyperparameters are those of {origin}")
            trained = train_with(params, {"tuning": {"trials": 0, "hyperparameters_of": origin}})
            context.add_output_metadata({**trained.metadata, "hyperparameters of": origin})
            return {"version": trained.version}
        study, result = _search(settings, context, options, training_features.of(Split.TRAIN).read())
        trained = train_with(result.params, {"tuning": _tuning_facts(study, result, options)})
        context.add_output_metadata(_tuning_metadata(context, study, result, trained))
        return {"version": trained.version, "study": study}

    return [baseline_model, tuned_model]


def _search(
    settings: Settings, context: dg.AssetExecutionContext, options: Mapping[str, Any], train: pl.DataFrame
) -> tuple[str, TuningResult]:
    """Search hyperparameters on train; returns the name of the study and its result."""
    start = _last_choice(context.resources.store, settings.split_months(Split.TRAIN)[-1])
    spec = TuningSpec(**{**options, "space": search_space(options["space"]), "start": start})
    study = f"tuned-{_digest(train, options)}"
    tracker: Tracker = context.resources.mlflow
    best = float("inf")

    def log_trial(row: dict[str, Any]) -> None:
        nonlocal best
        scores = {k: v for k, v in row.items() if k == "score" or k.startswith("fold ")}
        if row["state"] == "complete":
            best = min(best, row["score"])
        context.log.info(
            f"trial {row['trial'] + 1} of {spec.trials}: {row['state']}, {100 * row['score']:.2f}% "
            f"(best {100 * best:.2f}%), {row['trees']} trees, {row['seconds']:.1f} s"
        )
        params = {k: v for k, v in row.items() if k in spec.space}
        tracker.trial(f"trial {row['trial']}", row["state"], params, scores | {"trees": row["trees"]})

    result = tune(train, spec, settings.study_storage, study, log_trial)
    tracker.params({"trials": spec.trials, "study": study, "folds": spec.folds}, "tuning.")
    return study, result


def _tuning_facts(study: str, result: TuningResult, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest of a bundle says of a search."""
    return {
        "study": study,
        "trials": result.trials.height,
        "folds": options["folds"],
        "seed": options["seed"],
        # Without their seconds, the one thing that a repeated search does not repeat.
        "history": result.trials.drop("seconds").to_dicts(),
    }


def _tuning_metadata(
    context: dg.AssetExecutionContext, study: str, result: TuningResult, trained: Trained
) -> dict[str, Any]:
    """Metadata of `tuned_model` after a search, whose plots are also logged to MLflow."""
    pictures = _tuning_pictures(result, trained.version)
    files = {f"{name.replace(' ', '_')}.png": png for name, png in pictures.items()}
    context.resources.mlflow.files(files, "tuned_model/plots")
    return {
        **trained.metadata,
        "study": study,
        "best parameters": dg.MetadataValue.json(asdict(result.params)),
        "best trial, RMSE / mean price": float(_complete(result)["score"].min()),  # type: ignore[arg-type]
        "trained trial, the smallest within noise of the best": result.chosen,
        "trials": table(result.trials),
        "parameter importances": table(result.importances),
        **{name: picture(png) for name, png in pictures.items()},
    }


def _params_without_search(store: Store) -> tuple[TrainingParams, str]:
    """Hyperparameters without a search, and whose they are: those of the present tuned model, if there is one."""
    try:
        version = store.read_json("tuned_model.json")["version"]
        parameters = load_bundle(store, version).manifest["parameters"]
        names = {field.name for field in fields(TrainingParams)}  # a newer version of the platform may say more
        return TrainingParams(**{name: value for name, value in parameters.items() if name in names}), version
    except (FileNotFoundError, KeyError, TypeError, BundleError):
        return _UNTUNED, "the search's own starting point"


def _last_choice(store: Store, last_month: str) -> dict[str, Any] | None:
    """The hyperparameters of the trial that the search of the present tuned model chose; None if it had no search, or
    knew a month after `last_month`, which is the last one of train now."""
    try:
        manifest = load_bundle(store, store.read_json("tuned_model.json")["version"]).manifest
        if manifest["months"]["train"][1] > last_month:
            return None
        chosen = choose_trial(manifest["tuning"]["history"])
        return {name: chosen[name] for name in DEFAULT_SPACE}
    except (FileNotFoundError, KeyError, ValueError, BundleError):
        return None


def _digest(train: pl.DataFrame, options: Mapping[str, Any]) -> str:
    """Names a study by all that its trials depend on but its start, which the study keeps: only the very same search is
    resumed."""
    search = {name: value for name, value in options.items() if name not in ("trials", "time_limit")}
    rows = hashlib.sha256(np.ascontiguousarray(train.hash_rows(seed=0).to_numpy()).tobytes()).hexdigest()
    return hashlib.sha256(json.dumps([CODE_VERSION, search, rows], sort_keys=True).encode()).hexdigest()[:12]


def _complete(result: TuningResult) -> pl.DataFrame:
    return result.trials.filter(pl.col("state") == "complete")


def _tuning_pictures(result: TuningResult, version: str) -> dict[str, bytes]:
    rows = result.trials
    pruned = (rows["state"] != "complete").to_list()
    pictures = {
        "trial history": trial_history(
            rows["trial"].to_list(), rows["score"].to_list(), pruned, f"{version}: {rows.height} trials"
        )
    }
    if result.importances.height:
        names, shares = result.importances["parameter"].to_list(), result.importances["importance"].to_list()
        pictures["what the score depends on"] = bars(names, shares, f"{version}: what the score depends on", "share")
    return pictures
