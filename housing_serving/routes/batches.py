"""`/run_batch`: months to predict again, by runs of `predictions_job` in Dagster.

What belongs here: what a client sends and gets. What Dagster is sent belongs in `dagster_runs`.
"""

import asyncio
from typing import Annotated

import msgspec
from fastapi import FastAPI, Path, Request, Response

from housing_assets.core.errors import HousingError
from housing_assets.store.layout import Store
from housing_serving.answers import answer, answered
from housing_serving.bodies import JSON, read_body
from housing_serving.dagster_runs import DagsterAwayError, DagsterRuns, MonthsError, Run
from housing_serving.json_rows import parse
from housing_serving.problems import RETRY_LATER, problem
from housing_serving.rows import BadRowsError, FieldError
from housing_serving.schemas import Batch, BatchAsked, Batches
from housing_serving.settings import ServingSettings

_RUN_ID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_MOST_BYTES = 100_000
"""Bytes of a body: several times those of all months that may be asked for."""
_BODY = {"$ref": "#/components/schemas/BatchAsked"}


def add_batches(app: FastAPI, settings: ServingSettings, store: Store) -> None:
    """`/run_batch`."""
    runs = DagsterRuns(settings.dagster_url)

    @app.post(
        "/run_batch",
        status_code=202,
        responses=answered(Batches, body=True, status=202),
        openapi_extra={"requestBody": {"required": False, "content": {JSON: {"schema": _BODY}}}},
    )
    async def run_batch(request: Request) -> Response:
        """Launch `predictions_job` over months; over all that can be predicted, if none are given."""
        request_body = await _read_months(request, settings)
        try:
            cleaned_months = await asyncio.to_thread(store.months("cleaned").available)
            launched = await runs.launch(request_body.months, cleaned_months)
        except DagsterAwayError as error:
            return problem("no_dagster", str(error), headers=RETRY_LATER)
        except HousingError:
            return problem("no_store", "the store cannot be read now: try later", headers=RETRY_LATER)
        except MonthsError as error:
            return problem("not_valid", str(error), [FieldError(-1, "months", str(error))])
        batches = [_batch(run, settings) for run in launched]
        first, launched_any = batches[0], any(batch.launched for batch in batches)
        return answer(
            Batches(first.run_id, first.months, first.status, first.status_url, launched_any, batches),
            202,
        )

    @app.get("/run_batch/{run_id}", responses=answered(Batch, 404, 422))
    async def batch(run_id: Annotated[str, Path(pattern=_RUN_ID)]) -> Response:
        """How a run stands: QUEUED, STARTED, SUCCESS, FAILURE, …"""
        try:
            run = await runs.find(run_id)
        except DagsterAwayError as error:
            return problem("no_dagster", str(error), headers=RETRY_LATER)
        if run is None:
            return problem("not_found", f"there is no run {run_id} of predictions_job")
        return answer(_batch(run, settings))


async def _read_months(request: Request, settings: ServingSettings) -> BatchAsked:
    """The months of the body; all of them if there is no body.

    Raises:
        BadRowsError: it is no JSON (400), or no list of months (422).
    """
    if "content-type" not in request.headers and request.headers.get("content-length", "0") == "0":
        return BatchAsked()
    body = await read_body(request, settings, most_bytes=_MOST_BYTES)
    try:
        return msgspec.convert(parse(body), BatchAsked)
    except msgspec.ValidationError as error:
        reason = str(error).partition(" - at ")[0]
        raise BadRowsError(422, [FieldError(-1, "months", f'{reason}: send {{"months": ["YYYY-MM", …]}}')]) from None


def _batch(run: Run, settings: ServingSettings) -> Batch:
    address = f"{settings.api_root_path}/run_batch/{run.run_id}"
    return Batch(run.run_id, list(run.months), run.status, address, run.launched)
