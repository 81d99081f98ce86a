"""Checks of what training rests on, and of what it makes."""

from collections.abc import Callable

import dagster as dg
import numpy as np

from housing_assets.config.settings import Settings
from housing_assets.core.baselines.prices import NAIVE
from housing_assets.core.catalogue import (
    BASELINE_MODEL,
    CHAMPION_MODEL,
    CLEANED,
    ENCODERS,
    MODEL_EVALUATION,
    TRAINING_FEATURES,
    TUNED_MODEL,
)
from housing_assets.core.features.encoding import ENCODER_COLUMNS
from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.models.engine import CORES
from housing_assets.core.models.price import PriceModel, twin_difference
from housing_assets.core.months import Split, month_range
from housing_assets.core.quality.measurement import Measurement
from housing_assets.core.quality.training import (
    measure_champion,
    measure_encoders,
    measure_evaluation,
    measure_matrix,
    measure_model,
)
from housing_assets.orchestration.assets.evaluation import CANDIDATE
from housing_assets.orchestration.checks.common import Measured, checks_of
from housing_assets.orchestration.work import training_digest
from housing_assets.store.bundles import BundleError, load_bundle
from housing_assets.store.gates import Gate
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version
from housing_assets.store.verdicts import read_verdicts


def training_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of `encoders`, `training_features`, the models, `model_evaluation` and `champion_model`."""
    train, held = (settings.split_months(part) for part in (Split.TRAIN, Split.EVAL))

    def encoders(store: Store) -> tuple[int, list[Measurement]]:
        table = store.read_table(ENCODERS)
        cleaned = store.months(CLEANED)
        available = set(cleaned.available())
        fitted = (frame for _, frame in cleaned.iterate(train, ENCODER_COLUMNS))
        later = (frame for _, frame in cleaned.iterate([m for m in held if m in available], ["zipcode", "city_full"]))
        return table.height, measure_encoders(table, fitted, later)

    def matrix(store: Store) -> tuple[int, list[Measurement]]:
        frame = store.read_table(TRAINING_FEATURES)
        return frame.height, measure_matrix(frame, [*train, *held], settings.split.holdout_start)

    def evaluation(store: Store) -> tuple[int, list[Measurement]]:
        table = store.read_table(MODEL_EVALUATION)
        return table.height, measure_evaluation(table, [CANDIDATE, BASELINE_MODEL, *NAIVE])

    def champion(store: Store) -> tuple[int, list[Measurement]]:
        try:
            _, problem, difference, *_ = _bundle(store, champion_version(store) or "")
        except BundleError as error:
            problem, difference = str(error), float("inf")
        return 1, measure_champion(problem, difference)

    def model(name: str) -> Callable[[Store], tuple[int, list[Measurement]]]:
        def measure(store: Store) -> tuple[int, list[Measurement]]:
            loaded, problem, difference, months, learned = _bundle(store, store.read_json(f"{name}.json")["version"])
            rows = store.table(TRAINING_FEATURES).of(Split.EVAL).read([*FEATURES, "price"])
            said = loaded.graded_trees.prices(rows) if loaded else np.full(rows.height, np.nan)
            measurements = measure_model(
                months, settings.split, learned, rows["price"].to_numpy(), said, problem, difference
            )
            return rows.height, measurements

        return measure

    return [
        _checks_of_table(ENCODERS, encoders),
        _checks_of_table(TRAINING_FEATURES, matrix, lambda store: _training_months(store, settings)),
        _checks_of_table(BASELINE_MODEL, model(BASELINE_MODEL)),
        _checks_of_table(TUNED_MODEL, model(TUNED_MODEL)),
        _checks_of_table(MODEL_EVALUATION, evaluation),
        _checks_of_table(CHAMPION_MODEL, champion, _as_trained),
    ]


def _training_months(store: Store, settings: Settings) -> Callable[[str], str]:
    cleaned = Gate(store, TRAINING_FEATURES, CLEANED)
    digest = training_digest(cleaned.stamps, cleaned.newest(), settings.split, settings.refit_months)
    return lambda _: digest


def _as_trained(store: Store) -> Callable[[str], str]:
    """What the matrix was made from: months that changed since then are not what the decision rests on."""
    verdict = read_verdicts(store, TRAINING_FEATURES, [""]).get("")
    return lambda _: verdict.rests_on if verdict else ""


def _checks_of_table(
    asset: str,
    measure: Callable[[Store], tuple[int, list[Measurement]]],
    rests_on: Callable[[Store], Callable[[str], str]] = lambda _: lambda _: "",
) -> dg.AssetChecksDefinition:
    def measured(context: dg.AssetCheckExecutionContext) -> Measured:
        rows, measurements = measure(context.resources.store)
        yield "", rows, measurements

    return checks_of(asset, measured, rests_on=rests_on)


def _bundle(store: Store, version: str) -> tuple[PriceModel | None, str | None, float, list[str], str]:
    """The model of a bundle, what is wrong with it, how far its twin is off, the months that the trees which are graded
    learned from, and the month before which all lies that those which serve learned; empty where it is not recorded."""
    try:
        bundle = load_bundle(store, version)
        model = bundle.model(threads=CORES)
        months = month_range(*bundle.manifest["months"]["train"])
        learned = bundle.manifest.get("trees_learned_before", "")
        return model, None, twin_difference(bundle.files, model), months, learned
    except BundleError as error:
        return None, str(error), float("inf"), [], ""
