"""Checks of `revisions`: what the comparison of each new vintage with the one before it said."""

import dagster as dg

from housing_assets.core.catalogue import REVISIONS
from housing_assets.core.quality.revisions import measure_revision
from housing_assets.orchestration.checks.common import Measured, checks_of
from housing_assets.store.layout import Store
from housing_assets.store.sources import read_record


def source_checks() -> list[dg.AssetChecksDefinition]:
    """The checks of `revisions`."""

    def measure(context: dg.AssetCheckExecutionContext) -> Measured:
        store: Store = context.resources.store
        sources = read_record(store).sources
        measurements = [
            measurement
            for kind, source in sources.items()
            for measurement in measure_revision(kind, source.refused, source.warnings)
        ]
        yield "", len(sources), measurements

    return [checks_of(REVISIONS, measure)]
