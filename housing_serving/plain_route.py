"""An operation that takes the request and nothing else, called without what FastAPI does for others."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
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


def try_first(app: FastAPI, path: str) -> None:
    """Let the calls of one path reach its `PlainRoute` before the router tries its routes.

    To compare a path with a pattern, and to describe the match, costs as much as to predict a row. Other methods and
    paths go on to the router, and errors to the handlers of the application, as they do without this.

    Args:
        app: whose routes are all added.
        path: of one of them, without parameters.
    """
    route = next(r for r in app.router.routes if isinstance(r, PlainRoute) and r.path == path)
    methods, router = route.methods or (), app.router.middleware_stack

    async def first(scope: Scope, receive: Receive, send: Send) -> None:
        is_its = scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) == path
        if is_its and scope["method"] in methods:
            scope["route"], scope["endpoint"] = route, route.endpoint
            await route.app(scope, receive, send)
        else:
            await router(scope, receive, send)

    app.router.middleware_stack = first
