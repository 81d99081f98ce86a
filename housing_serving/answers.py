"""Answers as JSON, and what an operation may answer with."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from fastapi import Response

from housing_assets.store.gates import Gate
from housing_assets.store.verdicts import PASSING, State
from housing_serving.bodies import JSON
from housing_serving.model_holder import ModelHolder
from housing_serving.problems import KINDS, MEDIA_TYPE, RETRY_LATER, problem
from housing_serving.schemas import answers

_encode = msgspec.json.Encoder().encode
# What the middleware may answer with, whatever the operation.
_ANYWHERE = (401, 429, 503)
_BODY = (400, 408, 413, 415, 422)


def answer(value: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(_encode(value), status, media_type=JSON)


def no_model(holder: ModelHolder) -> Response:
    """What is answered while there is no model."""
    return problem("no_model", holder.reason, headers=RETRY_LATER)


def held_back(gate: Gate, month: str = "") -> Response | None:
    """What is answered for what its checks do not vouch for; None if they do.

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
        body: does it read one? Then the statuses of bodies are added.
    """
    titles: dict[int, list[str]] = {}
    for code, title in KINDS.values():
        titles.setdefault(code, []).append(title)
    schema = {"$ref": "#/components/schemas/Problem"}
    codes = sorted({*_ANYWHERE, *problems, *(_BODY if body else ())})
    return answers(struct, status) | {
        code: {"description": "; ".join(titles[code]), "content": {MEDIA_TYPE: {"schema": schema}}} for code in codes
    }


# One for all models to come: threads of their own would each keep memory when the next model replaces them.
_POOL = ThreadPoolExecutor(2, thread_name_prefix="rows")


async def run_in_pool(work: Callable[..., Any], *given: Any) -> Any:
    """Run work on many rows in a bounded pool, off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, work, *given)
