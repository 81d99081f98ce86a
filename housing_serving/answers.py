"""Answers: as JSON, from the store, and of long work off the event loop; and what an operation may answer with.

What belongs here: what several route modules answer in the same way. Errors and their kinds belong in `problems`.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import polars as pl
from fastapi import Response

from housing_assets.core.errors import HousingError
from housing_assets.store.gates import Gate
from housing_assets.store.verdicts import PASSING, State
from housing_serving.bodies import JSON
from housing_serving.model_holder import ModelHolder
from housing_serving.problems import KINDS, MEDIA_TYPE, RETRY_LATER, problem
from housing_serving.schemas import answers

log = logging.getLogger("housing_serving")

_encode = msgspec.json.Encoder().encode
# What the middleware may answer with, whatever the operation.
_ANYWHERE = (401, 429, 503)
_BODY = (400, 408, 413, 415, 422)


def answer(value: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(_encode(value), status, media_type=JSON)


def no_model(holder: ModelHolder) -> Response:
    """The answer while there is no model."""
    return problem("no_model", holder.reason, headers=RETRY_LATER)


def held_back(gate: Gate, month: str = "") -> Response | None:
    """The answer for a month that its checks do not vouch for; None if they do.

    Raises:
        StoreError: the store cannot be read.
    """
    state = gate.state(month)
    if state in PASSING:
        return None
    if state is State.RED:
        return problem("not_sound", f"{gate.problem(month)}: it is given out once that is mended")
    return problem("not_checked", f"{gate.problem(month)}: try later", headers=RETRY_LATER)


def answered(struct: type, *problems: int, status: int = 200, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """What an operation may answer with, for OpenAPI.

    Args:
        struct: of its answer.
        problems: statuses of its own; those of the middleware are added.
        status: of its answer.
        body: True if the operation reads one, which adds the statuses of bodies.
    """
    titles: dict[int, list[str]] = {}
    for code, title in KINDS.values():
        titles.setdefault(code, []).append(title)
    schema = {"$ref": "#/components/schemas/Problem"}
    codes = sorted({*_ANYWHERE, *problems, *(_BODY if body else ())})
    return answers(struct, status) | {
        code: {"description": "; ".join(titles[code]), "content": {MEDIA_TYPE: {"schema": schema}}} for code in codes
    }


# One pool for all models: a pool of each would keep its memory when the next model replaces it.
_POOL = ThreadPoolExecutor(2, thread_name_prefix="rows")


async def answer_from_store(work: Callable[[], Response]) -> Response:
    """The answer of work that reads the store, off the event loop; a problem if the store cannot be read."""
    try:
        return await asyncio.to_thread(work)
    except (HousingError, FileNotFoundError, pl.exceptions.PolarsError) as error:
        log.warning("the store cannot be read: %s", error)
        return problem("no_store", "the store cannot be read now: try later", headers=RETRY_LATER)


async def run_in_pool(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run work on many rows in a bounded pool, off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, work, *arguments)
