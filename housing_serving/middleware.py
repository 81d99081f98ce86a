"""What every request passes through: ids, log lines and metrics, API keys, limits.

What belongs here: what holds for every call alike. What one call does belongs in `routes`.
"""

import hmac
import logging
import random
import re
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from housing_serving.bodies import header
from housing_serving.logs import log_request
from housing_serving.problems import RETRY_LATER, kind_of, problem

log = logging.getLogger("housing_serving.requests")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~:;,/+=@|-]{1,128}")
"""Ids that are taken as they come: UUIDs, ULIDs, those of traces and balancers. Nothing that a log could misread."""

OPEN = frozenset(("/health", "/health/live", "/health/ready", "/metrics", "/ping"))
"""Paths that need no key and have no limit, since monitoring must always get an answer."""


class Metrics:
    """What `/metrics` shows, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        options: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("housing_requests_total", "Requests", ["path", "method", "status"], **options)
        self.seconds = Histogram("housing_request_seconds", "Seconds to answer", ["path"], **options)
        self.rows = Counter("housing_rows_total", "Rows predicted", **options)
        self.errors = Counter("housing_errors_total", "Answers of 400 and above", ["kind"], **options)
        self.reloads = Counter("housing_reloads_total", "Looks for a new champion", ["outcome", "error"], **options)
        self.model = Gauge("housing_model_info", "The model that serves: 1", ["version"], **options)
        self.age = Gauge("housing_model_age_seconds", "Since the model that serves was made", **options)
        self.loaded = Gauge("housing_model_loaded_timestamp_seconds", "When it was loaded", **options)
        # A look-up of labels takes a lock and builds a key: once for each combination is enough.
        self.request_of = lru_cache(1_024)(self.requests.labels)
        self.seconds_of = lru_cache(1_024)(self.seconds.labels)


class Rooted:
    """ASGI middleware: a path that a load balancer leaves in front of that of every call. Calls without it work too.

    uvicorn's `--root-path` is for balancers that take it off: with one that leaves it on, no call would be found.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self.app, self.path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await self.app({**scope, "root_path": self.path} if scope["type"] == "http" else scope, receive, send)


class Observed:
    """ASGI middleware: a request id on every answer, and its time and status in the log and the metrics."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = header(scope, b"x-request-id")
        ident = given if _REQUEST_ID.fullmatch(given) else b"%032x" % random.getrandbits(128)
        begun = time.perf_counter()
        status = 500

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", ident)]
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        finally:
            seconds = time.perf_counter() - begun
            route = scope.get("route")
            path, method = (route.path, scope["method"]) if route else ("other", "other")
            self.metrics.request_of(path, method, str(status)).inc()
            self.metrics.seconds_of(path).observe(seconds)
            kind = scope.get("problem") or (kind_of(status) if status >= 400 else None)
            if kind:
                self.metrics.errors.labels(kind).inc()
            fields = {"id": ident.decode(), "method": method, "path": path, "status": status}
            fields["milliseconds"] = round(1e3 * seconds, 2)
            if kind:
                fields["problem"] = kind
            log_request(log, fields)


class Failing:
    """ASGI middleware: an answer of 500 where the server fails, within what adds headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what it raises goes on to the log."""
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        except Exception:
            if scope["type"] == "http" and not begun:
                message = "the server failed: the log has the reason under this request's X-Request-ID"
                await problem("failed", message)(scope, receive, send)
            raise


class Guarded:
    """ASGI middleware: calls need one of the API keys, except those of `OPEN`."""

    def __init__(self, app: ASGIApp, keys: Sequence[bytes]) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        if scope["type"] == "http" and not _is_open(scope) and _key_number(scope, self.keys) is None:
            answer = problem("no_key", "send one of the API keys in the header X-API-Key")
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Limited:
    """ASGI middleware: limits of concurrent calls, and of the calls of one client in a span of time.

    A client is identified by its key if that is one of the API keys, else by its address, so that an invented key gives
    no further calls. So this goes around `Guarded`.
    """

    def __init__(self, app: ASGIApp, most: int, rate: str, keys: Sequence[bytes] = ()) -> None:
        self.app, self.most, self.keys, self.running = app, most, keys, 0
        self.wait_of = _waits(rate) if rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 429 or 503."""
        if scope["type"] != "http" or _is_open(scope):
            await self.app(scope, receive, send)
            return
        if self.wait_of and (wait := self.wait_of(_client(scope, self.keys))):
            message = f"more calls than this server takes of one client: wait {wait} seconds"
            await problem("too_often", message, headers={"Retry-After": str(wait)})(scope, receive, send)
            return
        if self.running >= self.most:
            message = f"{self.running} calls run, which is the most at a time: try again"
            await problem("busy", message, headers=RETRY_LATER)(scope, receive, send)
            return
        self.running += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.running -= 1


def _waits(rate: str) -> Callable[[str], int]:
    """A function of a client that returns the seconds it has to wait, 0 if its call is within the rate."""
    import limits

    item = limits.parse(rate)
    limiter = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())

    def wait_of(client: str) -> int:
        if limiter.hit(item, client):
            return 0
        return max(1, round(limiter.get_window_stats(item, client).reset_time - time.time()))

    return wait_of


def _is_open(scope: Scope) -> bool:
    return scope["path"].removeprefix(scope.get("root_path", "")) in OPEN


def _client(scope: Scope, keys: Sequence[bytes]) -> str:
    """The client of a call: its API key if it has one of them, else its address."""
    number = _key_number(scope, keys)
    return f"key {number}" if number is not None else (scope.get("client") or ("unknown",))[0]


def _key_number(scope: Scope, keys: Sequence[bytes]) -> int | None:
    """The position of the API key that a call has; None if it has none of them."""
    given = header(scope, b"x-api-key")
    # Every key is compared, in constant time, so that the time of an answer gives nothing away.
    return next((i for i, same in enumerate([hmac.compare_digest(given, key) for key in keys]) if same), None)
