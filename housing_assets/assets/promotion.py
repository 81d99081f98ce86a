"""Promotion: whether the candidate becomes the champion, with the evidence kept beside its bundle."""

import dagster as dg
import polars as pl
from pydantic import Field

from housing_assets.assets.common import CODE_VERSION, ML_OWNERS, table
from housing_assets.assets.evaluation import CANDIDATE, CHAMPION
from housing_assets.core.evaluation import NAIVE
from housing_assets.core.model import twin_problem
from housing_assets.core.months import Split
from housing_assets.core.promotion import MARGIN, Evidence, decide
from housing_assets.resources.tracking import Tracker
from housing_assets.settings import Settings
from housing_assets.store.bundles import BundleError, champion_version, load_bundle, point_to, record_decision
from housing_assets.store.gates import problems
from housing_assets.store.layout import Store


class PromotionConfig(dg.Config):
    """How a candidate is judged."""

    margin: float = Field(MARGIN, ge=0, lt=1, description="Share of the champion's eval MAE to be better by")
    override: str = Field("", description="Promote in spite of failed tests, for this reason; it is recorded")


def promotion_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`champion_model`."""
    panel = [*settings.split_months(Split.TRAIN), *settings.split_months(Split.EVAL)]

    @dg.asset(
        group_name="models",
        owners=ML_OWNERS,
        kinds={"xgboost", "mlflow"},
        code_version=CODE_VERSION,
        required_resource_keys={"store", "mlflow"},
        description="The model that predictions use: one pointer to an immutable bundle. The candidate must pass "
        "every test (data checks, naive baselines, interval coverage, golden rows, ONNX twin, the champion before "
        "it) on eval; else the champion stays. The decision and its numbers are kept beside the bundle.",
    )
    def champion_model(
        context: dg.AssetExecutionContext, config: PromotionConfig, tuned_model: dict, model_evaluation: pl.DataFrame
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
            champion_mae=figures[CHAMPION]["mae"] if champion and CHAMPION in figures else None,
            naive_mae={name: figures[name]["mae"] for name in NAIVE},
            coverage=None if coverage is None else coverage / 100,
            coverage_rows=figures[CANDIDATE]["interval_rows"],
            checks=problems(store, "champion_model", {"raw_splits": panel, "cleaned": panel}),
            bundle_problem=_bundle_problem(store, candidate),
            champion_problem=champion_problem,
            margin=config.margin,
            override=config.override,
        )
        decision = decide(evidence)
        context.log.info(f"{candidate} is {decision.outcome}: {decision.reason}")
        if decision.outcome == "promoted":
            point_to(store, candidate)
        where = record_decision(store, candidate, decision.record(evidence) | {"dagster_run": context.run_id})
        tracker: Tracker = context.resources.mlflow
        tracker.tags({"decision": decision.outcome, "decision_reason": decision.reason})
        if decision.outcome != "refused":
            tracker.register_champion(candidate, CANDIDATE, decision.reason)
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
                "champion": candidate if decision.outcome == "promoted" else str(champion),
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


def _bundle_problem(store: Store, version: str) -> str | None:
    """Why a bundle cannot be trusted: hashes, golden rows, ONNX twin; None if it can."""
    try:
        bundle = load_bundle(store, version)
        return twin_problem(bundle.files, bundle.model())
    except BundleError as error:
        return str(error)
