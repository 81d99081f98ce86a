"""The policies of assets in one place: what the catalogue says of an asset becomes arguments of `dagster.asset`."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import dagster as dg

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import ASSETS, INGEST_JOB, SOURCES_JOB, Months
from housing_assets.core.errors import UnknownPanelError
from housing_assets.orchestration.names import CODE_VERSION
from housing_assets.orchestration.partitions import panel_partitions, prediction_partitions

_FRESHNESS = dg.FreshnessPolicy.cron(deadline_cron="0 0 16 * *", lower_bound_delta=timedelta(days=15))
"""A monthly asset is materialized in the first half of each month, else the UI shows it as late."""
_PARTITIONS = {Months.PANEL: panel_partitions, Months.HOLDOUT: prediction_partitions}


def described_asset(
    key: str, settings: Settings, **options: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dagster.asset` with group, owner, kinds, pool, code version and partitions as `core.catalogue` describes them.

    A monthly asset also gets the freshness policy, and a backfill policy by which a range of months is one run.
    Dagster has no mapping of backfill policies and pools over finished definitions, so they are given here.

    Args:
        key: of the asset, one of `housing_assets.core.catalogue.ASSETS`.
        settings: which tell its months.
        options: further arguments of `dagster.asset`, such as `description`, `ins` and `metadata`.

    While the time split is not known, an asset that rests on it refuses to be made.

    Raises:
        KeyError: the catalogue has no such asset.
    """
    asset = ASSETS[key]
    monthly = {
        "partitions_def": _PARTITIONS[asset.months](settings),
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "freshness_policy": _FRESHNESS,
    } if asset.is_monthly else {}  # fmt: skip
    describe = dg.asset(
        name=key,
        group_name=asset.group,
        owners=[str(asset.owner)],
        kinds=set(asset.kinds),
        pool=asset.pool or None,
        code_version=CODE_VERSION,
        **monthly,
        **options,
    )
    problem = "" if {SOURCES_JOB, INGEST_JOB} & set(asset.jobs) else settings.split_problem
    return (lambda compute: describe(_refusing(compute, problem))) if problem else describe


def _refusing(compute: Callable[..., Any], problem: str) -> Callable[..., Any]:
    """A function with the same parameters that only says why nothing can be made."""

    @wraps(compute)
    def refuse(*_args: object, **_options: object) -> None:
        raise UnknownPanelError(problem)

    return refuse


def described_spec(key: str, **options: Any) -> dg.AssetSpec:
    """`dagster.AssetSpec` of an asset without months that is one of several of a `multi_asset`, as described.

    Args:
        key: of the asset.
        options: further arguments, such as `description`.

    Raises:
        KeyError: the catalogue has no such asset.
    """
    asset = ASSETS[key]
    return dg.AssetSpec(
        key,
        group_name=asset.group,
        owners=[str(asset.owner)],
        kinds=set(asset.kinds),
        code_version=CODE_VERSION,
        **options,
    )
