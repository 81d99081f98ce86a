"""Traces: one OpenTelemetry span for each call, made by FastAPI and posted to the collector of the environment.

What belongs here: which calls are traced, and where to. Sampling, the service's name and headers for the collector are
OpenTelemetry's own variables.
"""

from collections.abc import MutableMapping
from importlib.util import find_spec
from typing import Any

from fastapi.telemetry import TelemetryConfig

from housing_assets.core.errors import HousingError
from housing_serving.middleware import OPEN


def traces(endpoint: str, root_path: str) -> TelemetryConfig:
    """What FastAPI is told of telemetry.

    Metrics and logs are left to `/metrics` and stdout, and calls that only watch the server are left out.

    Args:
        endpoint: address of the collector; empty: nothing is traced, and no package that traces is imported.
        root_path: path that a load balancer leaves in front of that of every call.

    Raises:
        HousingError: there is a collector, and the packages that post to it are not installed.
    """
    if endpoint and not (find_spec("opentelemetry.sdk") and find_spec("opentelemetry.exporter")):
        raise HousingError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}: what posts traces is not installed: install the extra `traces`"
        )

    def only_watches(scope: MutableMapping[str, Any]) -> bool:
        return scope["path"].removeprefix(root_path) in OPEN

    return {
        "auto_configure": bool(endpoint),
        # Else each call would look through the environment for a tracer.
        "tracing": bool(endpoint),
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "exclude": only_watches,
    }
