"""A rule judges what is measured, or the platform does not start."""

import shutil
from dataclasses import replace

import dagster as dg
import pytest
from platform_fixtures import Platform

from housing_assets.config.settings import Settings
from housing_assets.core.errors import HousingError
from housing_assets.core.quality.measures import all_measures
from housing_assets.core.quality.raw import measure_raw_months
from housing_assets.core.quality.rules import CHECKED, RULES
from housing_assets.orchestration.build import build_definitions
from housing_assets.orchestration.checks import common

SETTLED = next(rule for rule in RULES if rule.name == "has_rows")


@pytest.mark.parametrize(
    "wrong",
    [
        replace(SETTLED, name="rows_are_many", measure="rowz"),
        replace(SETTLED, name="rows_are_many", measure="figures_missing", assets=("cleaned",)),
        replace(SETTLED, name="rows_are_many", measure="rows", assets=("nobody",)),
    ],
    ids=["a measure of nothing", "a measure of another asset", "an asset that is not measured"],
)
def test_a_rule_whose_measure_nobody_takes_is_refused_when_definitions_are_built(tmp_path, monkeypatch, wrong):
    settings = Settings(**{"store_uri": str(tmp_path)})
    build_definitions(settings)
    monkeypatch.setattr("housing_assets.orchestration.build.RULES", (*RULES, wrong))
    told = f"the rule rows_are_many of {wrong.assets[0]} judges {wrong.measure}, which is not measured of it"
    with pytest.raises(HousingError, match=told):
        build_definitions(settings)


def test_what_is_said_to_be_measured_is_measured_and_nothing_else(made, grown, months, tmp_path, monkeypatch):
    """On two platforms whose checks all ran, and on 60 zips, which the order of columns needs."""
    found: dict[str, set[str]] = {asset: set() for asset in CHECKED}
    judge = common.judge

    def noted(asset, measurements):
        found[asset] |= {m.measure for m in measurements}
        return judge(asset, measurements)

    monkeypatch.setattr(common, "judge", noted)
    for name, platform in (("made", made), ("grown", grown)):
        shutil.copytree(platform.folder, tmp_path / name / "store")
        copy = Platform(tmp_path / name, platform.source, platform.changes)
        copy.select(dg.AssetSelection.all_asset_checks())
    for _, _, measured in measure_raw_months(months.items(), months):
        found["raw_splits"] |= {m.measure for m in measured}
    assert found == {asset: set(taken) for asset, taken in all_measures().items()}
