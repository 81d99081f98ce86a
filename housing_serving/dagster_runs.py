"""Runs of `predictions_job`, launched and looked up through Dagster's GraphQL.

These are the calls of the `dagster-graphql` client. The client itself imports dagster, which would double the memory
and the start-up time of a process that has no other use for it.

What belongs here: what Dagster is sent and what it answers. What a client of the API gets belongs in `routes.batches`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from housing_assets.core.months import consecutive, month_range
from housing_assets.core.run_tags import FIRST_MONTH_TAG, LAST_MONTH_TAG, MONTH_TAG

if TYPE_CHECKING:
    import httpx

JOB = "predictions_job"
ASSET = "monthly_predictions"
_ASKED_BY = {"key": "housing/asked_by", "value": "run_batch"}
_RUNNING = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "MANAGED", "CANCELING")
_SECONDS = 20

_PLACE = """
query Place($asset: AssetKeyInput!) {
  repositoriesOrError {
    __typename
    ... on RepositoryConnection { nodes { name location { name } jobs { name } } }
  }
  assetNodeOrError(assetKey: $asset) { __typename ... on AssetNode { partitionKeys } }
}"""
_RUN = "runId status tags { key value }"
_FIND = (
    f"query Find($filter: RunsFilter!) {{ runsOrError(filter: $filter) {{ ... on Runs {{ results {{ {_RUN} }} }} }} }}"
)
_LAUNCH = f"""
mutation Launch($executionParams: ExecutionParams!) {{
  launchRun(executionParams: $executionParams) {{
    __typename
    ... on LaunchRunSuccess {{ run {{ {_RUN} }} }}
    ... on Error {{ message }}
  }}
}}"""


class DagsterAwayError(Exception):
    """Dagster does not answer, or its answer cannot be used."""


class MonthsError(Exception):
    """Months that cannot be predicted; the message names them."""


@dataclass(frozen=True)
class Run:
    """One run: its months and its status (`QUEUED`, `STARTED`, `SUCCESS`, `FAILURE`, …).

    `launched` is False for a run that was there already.
    """

    run_id: str
    months: tuple[str, ...]
    status: str
    launched: bool = False


@dataclass(frozen=True)
class _JobLocation:
    repository: str
    location: str
    months: frozenset[str]


class DagsterRuns:
    """Launches runs of `predictions_job` and looks them up."""

    def __init__(self, url: str) -> None:
        """Point at a webserver. Nothing is sent yet."""
        self.url = f"{url.rstrip('/')}/graphql"
        self._one_at_a_time = asyncio.Lock()

    async def launch(self, months: Sequence[str] | None, cleaned_months: Sequence[str]) -> list[Run]:
        """Launch a run for each stretch of consecutive months. One that runs already is not launched again.

        Args:
            months: `YYYY-MM`; None for all that can be predicted.
            cleaned_months: months whose rows are cleaned, so that they can be predicted.

        Raises:
            DagsterAwayError: Dagster does not answer, has no such job, or refuses.
            MonthsError: some month cannot be predicted.
        """
        import httpx

        async with self._one_at_a_time, httpx.AsyncClient(timeout=_SECONDS) as client:
            location = await self._locate(client)
            possible = sorted(location.months & set(cleaned_months))
            wanted = possible if months is None else sorted(set(months))
            missing = sorted(set(wanted) - set(possible))
            if missing or not wanted:
                message = f"{', '.join(missing)} cannot be predicted" if wanted else "no month can be predicted"
                remedy = f"{possible[0]} to {possible[-1]} can" if possible else "run ingest_job first"
                raise MonthsError(f"{message}: {remedy}")
            return [await self._run_of(client, location, part) for part in consecutive(wanted)]

    async def find(self, run_id: str) -> Run | None:
        """A run of `predictions_job` by its id; None if there is none.

        Raises:
            DagsterAwayError: Dagster does not answer.
        """
        import httpx

        async with httpx.AsyncClient(timeout=_SECONDS) as client:
            runs = await self._runs(client, {"runIds": [run_id], "pipelineName": JOB})
        return runs[0] if runs else None

    async def _run_of(self, client: "httpx.AsyncClient", location: _JobLocation, months: Sequence[str]) -> Run:
        # One month is a run as the UI launches it, so that the UI shows it under its partition.
        wanted = {FIRST_MONTH_TAG: months[0], LAST_MONTH_TAG: months[-1]} if len(months) > 1 else {MONTH_TAG: months[0]}
        tags = [{"key": key, "value": value} for key, value in wanted.items()]
        running = await self._runs(client, {"pipelineName": JOB, "statuses": list(_RUNNING), "tags": tags})
        if running:
            return running[0]
        selector = {"repositoryName": location.repository, "repositoryLocationName": location.location, "jobName": JOB}
        parameters = {"selector": selector, "mode": "default", "executionMetadata": {"tags": [*tags, _ASKED_BY]}}
        answer = (await self._ask(client, _LAUNCH, {"executionParams": parameters}))["launchRun"]
        if "run" not in answer:
            raise DagsterAwayError(f"Dagster refused the run: {answer['__typename']}")
        run = _run(answer["run"])
        return Run(run.run_id, tuple(months), run.status, launched=True)

    async def _locate(self, client: "httpx.AsyncClient") -> _JobLocation:
        """The location of the job, and the partitions of its asset."""
        data = await self._ask(client, _PLACE, {"asset": {"path": [ASSET]}})
        for repository in data["repositoriesOrError"].get("nodes", ()):
            if JOB in (job["name"] for job in repository["jobs"]):
                months = frozenset(data["assetNodeOrError"].get("partitionKeys", ()))
                return _JobLocation(repository["name"], repository["location"]["name"], months)
        raise DagsterAwayError(f"Dagster has no {JOB}: its code location may have failed to load")

    async def _runs(self, client: "httpx.AsyncClient", wanted: Mapping[str, Any]) -> list[Run]:
        data = await self._ask(client, _FIND, {"filter": wanted})
        return [_run(fields) for fields in data["runsOrError"].get("results", ())]

    async def _ask(self, client: "httpx.AsyncClient", query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        import httpx

        try:
            answer = await client.post(self.url, json={"query": query, "variables": variables})
            body = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise DagsterAwayError(
                f"Dagster does not answer ({type(error).__name__}): start it, or try later"
            ) from error
        if body.get("errors") or not body.get("data"):
            raise DagsterAwayError("Dagster does not know what it was asked: its version may be another")
        return body["data"]


def _run(fields: Mapping[str, Any]) -> Run:
    tags = {tag["key"]: tag["value"] for tag in fields["tags"]}
    if MONTH_TAG in tags:
        months = (tags[MONTH_TAG],)
    else:
        months = tuple(month_range(tags[FIRST_MONTH_TAG], tags[LAST_MONTH_TAG])) if FIRST_MONTH_TAG in tags else ()
    return Run(fields["runId"], months, fields["status"])
