"""Which raw panel is read: the one the settings name, or the generated sample."""

from collections.abc import Callable

import dagster as dg

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import RAW_SPLITS
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample


def source_uri(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> str:
    """The source's URI. The synthetic sample is generated first if it is not there yet."""
    if not settings.uses_sample:
        return settings.source_uri
    path = settings.sample_path
    if not path.exists():
        progress(f"generating the synthetic sample {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        spec = SampleSpec(settings.sample_zips, settings.panel_start, settings.last_month, dirt=True)
        report = write_sample(spec, path)
        progress(f"{report.rows:,} synthetic rows; dirt planted: {report.planted}")
    return str(path)


FINGERPRINT = "source fingerprint"
"""Metadata of `raw_splits` that says which source it was made from."""


def source_fingerprint(instance: dg.DagsterInstance) -> str:
    """Fingerprint of the source that `raw_splits` was last made from; `unknown` on an instance that did not."""
    event = instance.get_latest_materialization_event(dg.AssetKey(RAW_SPLITS))
    made = event.asset_materialization if event else None
    return str(made.metadata[FINGERPRINT].value) if made and FINGERPRINT in made.metadata else "unknown"
