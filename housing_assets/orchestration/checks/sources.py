"""Checks of `revisions`: what the comparison of each new vintage with the one before it said."""

import dagster as dg

from housing_assets.core.catalogue import REVISIONS
from housing_assets.core.quality.measurement import Measurement
from housing_assets.orchestration.checks.common import Measured, checks_of
from housing_assets.store.layout import Store
from housing_assets.store.sources import read_record


def source_checks() -> list[dg.AssetChecksDefinition]:
    """The checks of `revisions`."""

    def measure(context: dg.AssetCheckExecutionContext) -> Measured:
        store: Store = context.resources.store
        found, rows = [], 0
        for kind, source in read_record(store).sources.items():
            rows += 1
            refused = [source.refused] if source.refused else []
            for name, told in (("impossible_revisions", refused), ("unusual_revisions", source.warnings)):
                found.append(Measurement("", kind, name, len(told), " ".join(told)))
        yield "", rows, found

    return [checks_of(REVISIONS, measure)]
