"""The data path through Dagster: one run over all months, one over the features, and one over a single month."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from data_path import MONTHS

from housing_assets.config.instance import load_instance_settings, write_instance
from housing_assets.config.settings import Settings
from housing_assets.core.months import PANEL_END
from housing_assets.core.run_tags import month_tags
from housing_assets.orchestration.build import build_definitions

RESULT = "dagster.json"


def run(source: Path, folder: Path, month: str) -> None:
    """Run them and keep, of each, the seconds of the run and of the checks in it."""
    home = folder / "home"
    os.environ["DAGSTER_HOME"] = str(home)
    write_instance(home, load_instance_settings(), "")
    settings = Settings(
        source_uri=str(source),
        store_uri=str(folder / "store"),
        panel_end=PANEL_END,
        mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db",  # pyright: ignore[reportCallIssue]
    )
    definitions = build_definitions(settings)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        found = {
            "all": _run(definitions, instance, "ingest_job", MONTHS),
            "features": _run(definitions, instance, "training_job", (), ["encoders", "training_features"]),
            "month": _run(definitions, instance, "ingest_job", [month]),
        }
    (folder / RESULT).write_text(json.dumps(found))


def _run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    months: Sequence[str],
    assets: Sequence[str] | None = None,
) -> dict[str, float]:
    begun = time.perf_counter()
    done = definitions.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags=month_tags(months) if months else {},
        run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        asset_selection=[dg.AssetKey(asset) for asset in assets] if assets else None,
    )
    seconds = time.perf_counter() - begun
    took = {
        step.step_key: step.end_time - step.start_time
        for step in instance.get_run_step_stats(done.run_id)
        if step.start_time and step.end_time
    }
    checks = sum(took[name] for name in took if name.endswith("_checks"))
    return {"seconds": seconds, "checks": checks}
