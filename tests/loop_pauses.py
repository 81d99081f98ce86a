"""How long a server's event loop stands still, measured from within it."""

import asyncio
import time

from fastapi import FastAPI

_TICK = 0.001


def add_pauses(app: FastAPI) -> None:
    """`GET /pause`: the longest pause of the loop since the call before, in milliseconds."""
    found: dict[str, float] = {}
    tasks: list[asyncio.Task[None]] = []

    async def tick() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(_TICK)
            found["longest"] = max(found.get("longest", 0), time.perf_counter() - begun - _TICK)

    @app.get("/pause", include_in_schema=False)
    async def pause() -> float:
        if not tasks:
            tasks.append(asyncio.create_task(tick()))
        await asyncio.sleep(2 * _TICK)
        return 1e3 * found.pop("longest", 0)


def longest_pause(client, call, attempts: int = 3) -> float:
    """Milliseconds that the loop stands still at most during a call: the least of some attempts, since whatever else
    runs on the machine only adds to it.

    Args:
        client: of the server, an `httpx.Client`.
        call: of the server.
        attempts: how often it is called.
    """
    pauses = []
    for _ in range(attempts):
        client.get("/pause")
        call()
        pauses.append(client.get("/pause").json())
    return min(pauses)
