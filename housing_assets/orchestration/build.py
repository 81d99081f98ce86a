"""The one place where assets, checks, jobs and resources meet."""

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

from housing_assets.config.settings import Settings, load_settings
from housing_assets.core.quality.measures import require_measures
from housing_assets.core.quality.rules import RULES
from housing_assets.ingestion.panel_split import definition_settings
from housing_assets.orchestration.assets import collect_assets
from housing_assets.orchestration.automation.chain import chain_sensors
from housing_assets.orchestration.automation.jobs import all_jobs, checks_job
from housing_assets.orchestration.automation.schedules import all_schedules
from housing_assets.orchestration.automation.sensors import all_sensors
from housing_assets.orchestration.checks.forecasts import forecast_checks
from housing_assets.orchestration.checks.monitoring import monitoring_checks
from housing_assets.orchestration.checks.monthly import monthly_checks
from housing_assets.orchestration.checks.sources import source_checks
from housing_assets.orchestration.checks.training import training_checks
from housing_assets.orchestration.resources.io_manager import StoreIOManager
from housing_assets.orchestration.resources.progress import progress_logger
from housing_assets.orchestration.resources.tracking import artifact_root, tracking_resource
from housing_assets.orchestration.resources.webhook import Webhook
from housing_assets.store.layout import Store


def build_definitions(settings: Settings | None = None, overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Fresh definitions.

    Args:
        settings: None reads the environment.
        overrides: resources by name, in place of the usual ones.

    Raises:
        HousingError: a rule judges what is not measured, so that it would be green for ever; or the panel has too few
            months for the time split.
    """
    require_measures(RULES)
    settings = settings or load_settings()
    store = Store.open(settings.store_uri)
    # Sensors and schedules get the settings as given: what the store knows of the panel changes while they run.
    given, settings = settings, definition_settings(settings, store)
    with warnings.catch_warnings():
        # Backfill policies and nonexistent upstream partitions are beta in Dagster; the tests hold them to it.
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = collect_assets(settings)
    jobs = all_jobs()
    return dg.Definitions(
        assets=assets,
        asset_checks=[
            *source_checks(),
            *monthly_checks(settings),
            *training_checks(settings),
            *monitoring_checks(),
            *forecast_checks(),
        ],
        jobs=[*jobs, checks_job()],
        schedules=all_schedules(given, store),
        sensors=[*all_sensors(given, store, jobs), *chain_sensors(given, store, jobs)],
        loggers={"console": dg.colored_console_logger, "progress": progress_logger},
        executor=dg.in_process_executor,
        resources={
            "store": store,
            "io_manager": StoreIOManager(store),
            "webhook": Webhook(url=settings.webhook_url.get_secret_value()),
            "mlflow": tracking_resource(settings.mlflow_tracking_uri, artifact_root(settings.mlflow_tracking_uri)),
            **(overrides or {}),
        },
    )
