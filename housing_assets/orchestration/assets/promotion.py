"""Promotion: whether the candidate becomes the champion, with the evidence kept beside its bundle."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field

from housing_assets.config.settings import Settings
from housing_assets.core.baselines.prices import NAIVE
from housing_assets.core.catalogue import BASELINE_MODEL, CHAMPION_MODEL, CLEANED, RAW_SPLITS, TUNED_MODEL
from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.promotion import MARGIN, Evidence, Judged, decide, months_to_compare
from housing_assets.core.models.price import twin_problem
from housing_assets.core.months import Split
from housing_assets.orchestration.assets.evaluation import BASELINE, CANDIDATE, CHAMPION
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import table
from housing_assets.orchestration.resources.io_manager import AS_JSON
from housing_assets.orchestration.resources.tracking import Tracker
from housing_assets.store.bundles import Bundle, BundleError, load_bundle
from housing_assets.store.gates import problems
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version, point_to, provisional_reason, record_decision
from housing_assets.store.verdicts import unsound


class PromotionConfig(dg.Config):
    """How a candidate is judged."""

    margin: float = Field(
        MARGIN,
        ge=0,
        lt=1,
        description="Share of the champion's eval MAE to be better by, or for a refit: at most worse by",
    )
    override: str = Field("", description="Promote in spite of failed tests, for this reason; it is recorded")


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`champion_model`."""
    panel = [*settings.split_months(Split.TRAIN), *settings.split_months(Split.EVAL)]

    @described_asset(
        CHAMPION_MODEL,
        settings,
        ins={BASELINE_MODEL: AS_JSON, TUNED_MODEL: AS_JSON},
        required_resource_keys={"store", "mlflow"},
        description="The model that predictions use: one pointer to an immutable bundle. The candidate must pass "
        "every test (data checks, naive baselines, golden rows, ONNX twin, the champion before it) on eval; else the "
        "champion stays. While there is none, the best that there is serves, marked provisional. The decision and its "
        "numbers are kept beside the bundle.",
    )
    def champion_model(
        context: dg.AssetExecutionContext,
        config: PromotionConfig,
        baseline_model: dict,
        tuned_model: dict,
        model_evaluation: pl.DataFrame,
    ) -> dg.MaterializeResult:
        store: Store = context.resources.store
        candidate = tuned_model["version"]
        champion, champion_problem = _readable_champion(store)
        overall = model_evaluation.filter((pl.col("split") == "eval") & (pl.col("by") == "overall"))
        figures = {row["predictor"]: row for row in overall.to_dicts()}
        coverage = figures[CANDIDATE]["coverage"]
        evidence = Evidence(
            candidate=candidate,
            candidate_mae=figures[CANDIDATE]["mae"],
            champion=champion,
            **_compared(store, candidate, champion, model_evaluation),
            naive_mae={name: figures[name]["mae"] for name in NAIVE},
            coverage=None if coverage is None else coverage / 100,
            coverage_rows=figures[CANDIDATE]["interval_rows"],
            checks=problems(store, CHAMPION_MODEL, {RAW_SPLITS: panel, CLEANED: panel}),
            bundle_problem=_bundle_problem(store, candidate),
            champion_problem=champion_problem,
            champion_provisional=provisional_reason(store, champion) if champion else "",
            others=_others(store, {BASELINE: baseline_model["version"]}, figures),
            published=_published(store, candidate),
            margin=config.margin,
            override=config.override,
            judged=_judged(store, candidate),
        )
        decision = decide(evidence)
        context.log.info(f"{candidate} is {decision.outcome}: {decision.reason}")
        if decision.outcome == "promoted":
            point_to(store, decision.champion, decision.provisional)
        tracker: Tracker = context.resources.mlflow
        runs = {"dagster_run": context.run_id, **tracker.origin()}
        where = record_decision(store, candidate, decision.record(evidence) | runs)
        tracker.tags({"decision": decision.outcome, "decision_reason": decision.reason})
        serves = decision.champion or str(champion)
        if decision.provisional:
            context.log.warning(f"the champion {serves} is provisional: {decision.provisional}")
        if decision.outcome != "refused":
            name = BASELINE if serves == baseline_model["version"] else CANDIDATE
            tracker.register_champion(serves, name, decision.reason)
        elif champion is None:
            raise dg.Failure(
                f"{candidate} is not promoted: {decision.reason}. Mend that and train again, or promote it by hand: "
                "run config `override` of champion_model, with a reason",
                allow_retries=False,
            )
        tests = [{"test": name, "passed": passed, "figures": told} for name, passed, told in decision.tests]
        return dg.MaterializeResult(
            metadata={
                "outcome": decision.outcome,
                "reason": decision.reason,
                "champion": serves,
                "provisional": decision.provisional or "no",
                "candidate": candidate,
                "champion before": champion or champion_problem or "none",
                "tests": table(pl.DataFrame(tests)),
                "decision record": where,
                **tracker.metadata(),
            }
        )

    return [champion_model]


def _readable_champion(store: Store) -> tuple[str | None, str | None]:
    """The champion's version; or None, and what is wrong with it if there is one."""
    try:
        version = champion_version(store)
        if version is not None:
            load_bundle(store, version).model()
    except BundleError as error:
        return None, (
            f"the champion cannot be read ({error}): publish it again, or roll back with `housing promote VERSION`"
        )
    return version, None


def _compared(store: Store, candidate: str, champion: str | None, table: pl.DataFrame) -> dict[str, Any]:
    """The champion's eval MAE; of one that was judged otherwise, that on the months that both can be graded on."""
    if champion is None or champion == candidate:
        return {"champion_mae": None}
    mine, theirs = (load_bundle(store, version) for version in (candidate, champion))
    ours, other = Judged.from_manifest(mine.manifest), Judged.from_manifest(theirs.manifest)
    by_month = table.filter((pl.col("split") == "eval") & (pl.col("by") == "month"))
    months = by_month["group"].unique().sort().to_list()
    common = months_to_compare(ours, other, theirs.model().uses_history, months)
    graded = by_month.filter(pl.col("group").is_in(common))
    comparison: dict[str, Any] = {
        "champion_mae": _mae(graded, CHAMPION),
        "is_later": _fitted_before(mine) > _fitted_before(theirs),
    }
    if differs := ours.differs(other):
        comparison |= {"champion_judged": differs, "compared_months": common, "compared_mae": _mae(graded, CANDIDATE)}
    return comparison


def _fitted_before(bundle: Bundle) -> str:
    """The month before which all that a bundle's newest fit of growth learned lies; empty where it does not say it."""
    return bundle.manifest.get("history", {}).get("fitted_before", "")


def _mae(by_month: pl.DataFrame, predictor: str) -> float | None:
    """Mean absolute error over all rows of some months, US dollars; None without any."""
    part = by_month.filter(pl.col("predictor") == predictor)
    return float(np.average(part["mae"], weights=part["rows"])) if part.height else None


def _others(store: Store, versions: Mapping[str, str], figures: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    """Eval MAE of the other models that could serve, by version: those that nothing speaks against."""
    return {
        version: figures[name]["mae"]
        for name, version in versions.items()
        if name in figures and not unsound(store, name) and not _bundle_problem(store, version)
    }


def _judged(store: Store, version: str) -> Judged | None:
    """What a model was judged by; None of one that cannot be read or does not say it."""
    try:
        return Judged.from_manifest(load_bundle(store, version).manifest)
    except HousingError:
        return None


def _published(store: Store, version: str) -> str:
    """What a bundle publishes other than its own numbers as measured; empty also of one that cannot be read."""
    try:
        return load_bundle(store, version).model().publication.words()
    except BundleError:
        return ""


def _bundle_problem(store: Store, version: str) -> str | None:
    """Why a bundle cannot be trusted: hashes, golden rows, ONNX twin; None if it can."""
    try:
        bundle = load_bundle(store, version)
        return twin_problem(bundle.files, bundle.model())
    except BundleError as error:
        return str(error)
