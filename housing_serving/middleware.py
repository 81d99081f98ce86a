"""What every request passes through: its id and figures, and the API keys."""

import hmac
import time
import uuid
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from housing_serving.problems import problem


class Metrics:
    """What `/metrics` shows, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("housing_requests_total", "Requests", ["path", "method", "status"], **made)
        self.seconds = Histogram("housing_request_seconds", "Seconds to answer", ["path"], **made)
        self.rows = Counter("housing_rows_total", "Rows predicted", **made)
        self.errors = Counter("housing_errors_total", "Answers of 400 and above", ["kind"], **made)
        self.reloads = Counter("housing_reloads_total", "Looks for a new champion", ["outcome"], **made)
        self.model = Gauge("housing_model_info", "The model that serves: 1", ["version"], **made)
        self.loaded = Gauge("housing_model_loaded_timestamp_seconds", "When it was loaded", **made)


class Observed:
    """ASGI middleware: a request id on every answer, and its time and status in the metrics."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        ident = given if 0 < len(given) <= 128 and given.isalnum() else uuid.uuid4().hex.encode()
        begun = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", ident)]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = scope.get("route")
            path = route.path if route else "other"
            self.metrics.requests.labels(path, scope["method"], str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - begun)
            if status >= 400:
                self.metrics.errors.labels(str(status)).inc()


class Guarded:
    """ASGI middleware: calls need one of the API keys, but for health and metrics."""

    _OPEN = ("/health", "/health/live", "/health/ready", "/metrics", "/ping")

    def __init__(self, app: ASGIApp, keys: Sequence[bytes]) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in self._OPEN:
            given = dict(scope["headers"]).get(b"x-api-key", b"")
            # Every key is compared, in constant time: the answer's time tells nothing.
            if not any([hmac.compare_digest(given, key) for key in self.keys]):  # noqa: C419
                answer = problem(401, "send one of the API keys in the header X-API-Key")
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)
