"""An operation that takes the request and nothing else, called without what FastAPI does for those with parameters."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send


class PlainRoute(APIRoute):
    """A route that hands the request to its operation as it is. OpenAPI describes it as any other.

    FastAPI's own way of calling an operation looks for parameters, dependencies and files to close, which costs more
    than it does to predict a row. What the operation raises goes to the handlers of the application.
    """

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], **described: Any) -> None:
        super().__init__(path, endpoint, **described)

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = call
