"""Checks that run without their asset: from the Dagster UI, for chosen months, and one check of many."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import httpx
import pytest
from platform_fixtures import HELD, MONTHS, Platform, dagster_dev, red_checks, wait_for

from housing_assets.core.quality.rules import CHECKED, rules_of
from housing_assets.store.histories import stale_months
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import State, read_verdicts, states

MONTH = "2019-08"

CHECKS = """
query Checks {
  repositoriesOrError { ... on RepositoryConnection { nodes {
    name location { name } jobs { name isAssetJob }
  } } }
  assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks {
    name canExecuteIndividually jobNames partitionDefinition { description }
  } } } }
}"""
LAUNCH = """
mutation LaunchPipelineExecution($executionParams: ExecutionParams!) {
  launchPipelineExecution(executionParams: $executionParams) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on InvalidSubsetError { message }
  }
}"""
RUN = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status assets { key { path } } } } }"


@dataclass
class Webserver:
    """Dagster's webserver and daemon over a store."""

    store: Store
    url: str

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=240).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def checks(self, asset: str) -> list[dict[str, Any]]:
        nodes = {node["assetKey"]["path"][-1]: node for node in self.ask(CHECKS)["assetNodes"]}
        return nodes[asset]["assetChecksOrError"]["checks"]

    def launch(self, job: str, config: str, **selected: Any) -> tuple[str, str]:
        """Launch as the UI does; gives the run and its status once it has ended."""
        (repository,) = self.ask(CHECKS)["repositoriesOrError"]["nodes"]
        place = {"repositoryName": repository["name"], "repositoryLocationName": repository["location"]["name"]}
        params = {
            "mode": "default",
            "executionMetadata": {},
            "runConfigData": config,
            "selector": {"jobName": job, **place, **selected},
        }
        told = self.ask(LAUNCH, executionParams=params)["launchPipelineExecution"]
        run = told.get("run", {}).get("runId")
        assert run, told

        def ended() -> bool:
            found = self.ask(RUN, id=run)["runOrError"]
            assert found["assets"] == []
            return found["status"] in ("SUCCESS", "FAILURE", "CANCELED")

        wait_for(ended, 120)
        return run, self.ask(RUN, id=run)["runOrError"]["status"]


@pytest.fixture(scope="module")
def webserver(made, tmp_path_factory) -> Iterator[Webserver]:
    home = tmp_path_factory.mktemp("webserver")
    shutil.copytree(made.folder, home / "store")
    with dagster_dev(made.source, home) as url:
        yield Webserver(Store.open(str(home / "store")), url)


@pytest.mark.parametrize("asset", CHECKED)
def test_the_ui_offers_to_execute_every_check(webserver, asset):
    found = webserver.checks(asset)
    assert {check["name"] for check in found} == {rule.name for rule in rules_of(asset)}
    assert {check["canExecuteIndividually"] for check in found} == {"CAN_EXECUTE"}
    # The UI's own button is off for checks that have partitions of their own.
    assert {check["partitionDefinition"] for check in found} == {None}


def test_the_button_of_the_checks_page_checks_every_month_and_makes_none(webserver):
    found = webserver.checks("raw_splits")
    before = {m: v.run for m, v in read_verdicts(webserver.store, "raw_splits").items()}
    job = next(name for name in found[0]["jobNames"] if all(name in check["jobNames"] for check in found))
    named = [{"assetKey": {"path": ["raw_splits"]}, "name": check["name"]} for check in found]
    run, status = webserver.launch(job, "{}", assetSelection=[], assetCheckSelection=named)
    assert status == "SUCCESS"
    after = {m: v.run for m, v in read_verdicts(webserver.store, "raw_splits").items()}
    assert set(after) == set(before) == set(MONTHS)
    assert set(after.values()) == {run}


def test_the_launchpad_of_checks_job_checks_chosen_months(webserver):
    (repository,) = webserver.ask(CHECKS)["repositoriesOrError"]["nodes"]
    # The UI has a launchpad for jobs that are no asset jobs.
    assert {job["name"]: job["isAssetJob"] for job in repository["jobs"]}["checks_job"] is False
    months = webserver.store.months("cleaned")
    sound = months.read(MONTH)
    config = f'ops: {{cleaned_checks: {{config: {{months: "2019-07:{MONTH}"}}}}}}'
    chosen: dict[str, Any] = {"assetSelection": [], "assetCheckSelection": [], "solidSelection": ["cleaned_checks"]}
    months.write(MONTH, sound.reverse().head(3).vstack(sound.head(3)).vstack(sound.head(1)))
    run, status = webserver.launch("checks_job", config, **chosen)
    assert status == "FAILURE"
    verdicts = read_verdicts(webserver.store, "cleaned")
    assert [m for m, v in verdicts.items() if v.run == run] == ["2019-07", MONTH]
    assert verdicts[MONTH].state is State.RED

    months.write(MONTH, sound)
    assert webserver.launch("checks_job", config, **chosen)[1] == "SUCCESS"
    assert set(states(webserver.store, "cleaned", MONTHS).values()) == {State.GREEN}


# ---------------------------------------------------------------- verdicts


def test_one_check_alone_shows_itself_and_the_verdict_is_that_of_all_rules(copy):
    months = copy.store.months("raw_splits")
    months.write(MONTH, months.read(MONTH).head(12))
    key = dg.AssetCheckKey(dg.AssetKey("raw_splits"), "keys_are_known")
    result = copy.select(dg.AssetSelection.checks(key), [MONTH])
    assert [e.asset_check_key for e in result.get_asset_check_evaluations()] == [key]
    assert result.success
    assert not red_checks(result)
    assert states(copy.store, "raw_splits", [MONTH]) == {MONTH: State.RED}
    assert "zips_are_covered" in {p.rule for p in read_verdicts(copy.store, "raw_splits")[MONTH].problems}


def test_months_in_the_config_go_before_those_of_the_run(copy):
    checks = dg.AssetSelection.checks_for_assets("cleaned")
    config = {"ops": {"cleaned_checks": {"config": {"months": MONTH}}}}
    result = copy.select(checks, MONTHS, config)
    assert result.success
    assert [m for m, v in read_verdicts(copy.store, "cleaned").items() if v.run == result.run_id] == [MONTH]


@pytest.mark.parametrize("asset", ["interval_calibration", "monthly_predictions"])
def test_a_stale_month_that_is_checked_again_stays_stale(copy, asset):
    months = copy.store.months("cleaned")
    restated = HELD[0]
    months.write(restated, months.read(restated).reverse())
    assert copy.select(dg.AssetSelection.checks_for_assets("cleaned"), [restated]).success
    history = dg.AssetSelection.assets("price_history")
    assert copy.select(history | dg.AssetSelection.checks_for_assets("price_history")).success
    stale = stale_months(copy.store, asset)
    assert stale == HELD
    assert copy.select(dg.AssetSelection.checks_for_assets(asset), HELD).success
    assert stale_months(copy.store, asset) == stale
    assert Platform(copy.root, copy.source).job("predictions_job", HELD).success
    assert stale_months(copy.store, asset) == []
