"""The lineage is what assets read: each is run alone over a store that notes what is read of it."""

import io
import shutil
from pathlib import Path

import dagster as dg
import pytest
from platform_fixtures import QUIET, Platform, failure_text, range_tags

from housing_assets.orchestration.build import build_definitions
from housing_assets.orchestration.resources.io_manager import StoreIOManager
from housing_assets.store.blobs import FolderBlobs
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER

MADE_WITH = {
    "quarantined": {"cleaned"},
    "model_comparison": {"model_evaluation"},
    "forecast_intervals": {"forecast_evaluation"},
    "forecast_weights": {"forecast_evaluation"},
    "forecast_skill": {"forecast_evaluation"},
    "forecast_coverage": {"forecast_evaluation"},
    "forecast_record": {"forecast_evaluation"},
    "remembered": {"drift_report", "prediction_accuracy"},
    "baseline": {"baseline_model"},
    "tuned": {"tuned_model", "champion_model"},
    "forecast": {"forecast_model", "forecast_evaluation"},
    "vintages": {"zillow_home_values", "redfin_market", "housets_panel"},
}
"""Files and kinds of bundles that are not named after an asset: whose they are."""
_FIRST_PUBLISHED = {"raw_splits", "housets_panel"}
UNDECLARED = {
    "model_evaluation": {"champion_model"},
    "monthly_predictions": _FIRST_PUBLISHED,
    "monthly_forecasts": _FIRST_PUBLISHED,
    "forecast_evaluation": _FIRST_PUBLISHED,
}
"""What is read beside the inputs. The champion before is an opponent, and what comes of it the next one: to declare it
would be a cycle. Of raw months and vintages, which are ancestors anyway, the name and first published prices are read:
no number that is predicted depends on them."""


class NotingBlobs(FolderBlobs):
    """A folder that notes the keys that are read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.seen: set[str] = set()

    def read(self, key: str) -> bytes:
        self.seen.add(key)
        return super().read(key)

    def open(self, key: str) -> io.BufferedReader:
        self.seen.add(key)
        return super().open(key)


def owners(key: str) -> set[str]:
    """The assets of which one has to be declared for a file to be read; none for verdicts."""
    first, _, rest = key.partition("/")
    if first == "checks":
        return set()
    if first == "models":
        if key == FORECAST_POINTER:
            return {"forecast_evaluation"}
        kind = rest.split("-")[0]
        return MADE_WITH.get(kind, {"champion_model"})
    name = first.partition(".")[0]
    return MADE_WITH.get(name, {name})


ASSETS = sorted(spec.key.path[-1] for spec in build_definitions().resolve_all_asset_specs())


@pytest.fixture(scope="module")
def monitored(grown, tmp_path_factory) -> Platform:
    root = tmp_path_factory.mktemp("lineage")
    shutil.copytree(grown.folder, root / "store")
    copy = Platform(root, grown.source, grown.changes)
    held = [m for m in copy.settings.months if m >= copy.settings.holdout_start]
    assert copy.job("monitoring_job", held[:2], {"ops": {"drift_report": {"config": {"newest_report_only": True}}}})
    return copy


@pytest.fixture
def noting(monitored, tmp_path) -> tuple[Platform, NotingBlobs, dg.Definitions]:
    shutil.copytree(monitored.folder, tmp_path / "store")
    copy = Platform(tmp_path, monitored.source, monitored.changes)
    blobs = NotingBlobs(tmp_path / "store")
    store = Store(blobs)
    return copy, blobs, build_definitions(copy.settings, {"store": store, "io_manager": StoreIOManager(store)})


@pytest.mark.parametrize("asset", ASSETS)
def test_an_asset_reads_what_it_declares_and_nothing_else(noting, asset):
    copy, blobs, definitions = noting
    job = dg.define_asset_job("alone", dg.AssetSelection.assets(asset).without_checks())
    merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    spec = next(s for s in definitions.resolve_all_asset_specs() if s.key.path[-1] == asset)
    first = spec.partitions_def.get_partition_keys()[:1] if spec.partitions_def else []
    few = {"tuned_model": {"trials": 0}, "baseline_model": {"n_estimators": 20}}
    config = {"ops": {asset: {"config": few[asset]}}} if asset in few else {}
    blobs.seen.clear()
    result = merged.resolve_job_def("alone").execute_in_process(
        instance=copy.instance, tags=range_tags(first), run_config={**QUIET, **config}, raise_on_error=False
    )
    assert result.success, failure_text(result)
    declared = {dep.asset_key.path[-1] for dep in spec.deps} | {asset} | UNDECLARED.get(asset, set())
    hidden = {key for key in blobs.seen if (of := owners(key)) and not of & declared}
    assert not hidden, f"declared: {sorted(declared)}"
