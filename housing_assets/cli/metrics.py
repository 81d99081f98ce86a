"""`housing metrics` and `housing status --metrics`: how the platform's work stands, in Prometheus' text format.

Times are Unix seconds, so that an age is `time() - metric`. The API's own metrics are in `housing_serving.middleware`.
"""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from housing_assets.config.instance import open_instance
from housing_assets.config.settings import Settings
from housing_assets.core.errors import HousingError
from housing_assets.core.text import first_line
from housing_assets.orchestration.build import build_definitions
from housing_assets.orchestration.operations import Operations, read_operations
from housing_assets.store.layout import Store

Samples = Iterable[tuple[tuple[str, ...], float | datetime | None]]
"""Label values with what was measured; None is left out."""


@dataclass(frozen=True)
class _Metric:
    """A gauge: its name, what it says, its labels, and its samples of what was read."""

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Callable[[Operations], Samples]


METRICS = (
    _Metric(
        "housing_job_last_success_timestamp_seconds",
        "When the newest successful run of a job ended",
        ("job",),
        lambda o: (((name,), job.last_success) for name, job in o.jobs.items()),
    ),
    _Metric(
        "housing_job_last_failure_timestamp_seconds",
        "When the newest failed run of a job ended",
        ("job",),
        lambda o: (((name,), job.last_failure) for name, job in o.jobs.items()),
    ),
    _Metric(
        "housing_job_runs",
        "Runs of a job that are going on, or wait",
        ("job", "state"),
        lambda o: (
            ((name, state), count)
            for name, job in o.jobs.items()
            for state, count in (("running", job.running), ("queued", job.queued))
        ),
    ),
    _Metric(
        "housing_asset_last_success_timestamp_seconds",
        "When an asset was last materialized",
        ("asset",),
        lambda o: (((name,), asset.last_success) for name, asset in o.assets.items()),
    ),
    _Metric(
        "housing_asset_months",
        "Months that a monthly asset has",
        ("asset",),
        lambda o: (((name,), asset.months) for name, asset in o.assets.items()),
    ),
    _Metric(
        "housing_asset_months_behind",
        "Months of the panel that follow the newest month of an asset",
        ("asset",),
        lambda o: (((name,), asset.months_behind) for name, asset in o.assets.items()),
    ),
    _Metric(
        "housing_asset_failed_checks",
        "Broken rules of the newest month of an asset, or of an asset without months",
        ("asset", "severity"),
        lambda o: (
            ((name, severity), count) for name, asset in o.assets.items() for severity, count in asset.failed.items()
        ),
    ),
    _Metric(
        "housing_failed_checks",
        "Checks whose newest evaluation did not pass, over all months",
        ("severity",),
        lambda o: (
            ((severity,), sum(check.severity == severity for check in o.failed_checks))
            for severity in ("ERROR", "WARN")
        ),
    ),
    _Metric(
        "housing_source_vintage_timestamp_seconds",
        "Since when the figures of the vintage in use are known",
        ("source",),
        lambda o: (((name,), source.known_at) for name, source in o.sources.items()),
    ),
    _Metric(
        "housing_source_months_behind",
        "Calendar months that ended since the last month of the vintage in use",
        ("source",),
        lambda o: (((name,), source.months_behind) for name, source in o.sources.items()),
    ),
    _Metric(
        "housing_source_late",
        "1 if the next file of a publisher should have come long ago",
        ("source",),
        lambda o: (((name,), source.late) for name, source in o.sources.items()),
    ),
    _Metric(
        "housing_source_refused",
        "1 if the files that were read last are not used, since they cannot be a revision",
        ("source",),
        lambda o: (((name,), bool(source.refused)) for name, source in o.sources.items()),
    ),
    _Metric(
        "housing_source_unreadable",
        "1 if the last look at the sources could not read one",
        (),
        lambda o: [((), bool(o.unreadable))],
    ),
    _Metric(
        "housing_champion_info",
        "The version that predicts or forecasts: 1",
        ("kind", "version", "provisional"),
        lambda o: (
            ((kind, champion.version, str(bool(champion.provisional)).lower()), 1)
            for kind, champion in o.champions.items()
        ),
    ),
    _Metric(
        "housing_champion_created_timestamp_seconds",
        "When the version that predicts or forecasts was made",
        ("kind",),
        lambda o: (((kind,), champion.created) for kind, champion in o.champions.items()),
    ),
    _Metric(
        "housing_daemon_heartbeat_timestamp_seconds",
        "When a daemon of Dagster last was alive",
        ("daemon",),
        lambda o: (((name,), moment) for name, moment in o.heartbeats.items()),
    ),
    _Metric(
        "housing_status_timestamp_seconds",
        "When all of this was read",
        (),
        lambda o: [((), o.read_at)],
    ),
)

UP = "housing_status_up"


class OperationsCollector(Collector):
    """What was read last, as gauges.

    Attributes:
        operations: None before the first read.
        up: True if the last read succeeded.
    """

    def __init__(self, operations: Operations | None = None) -> None:
        self.operations, self.up = operations, operations is not None

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Every gauge that has a sample."""
        yield GaugeMetricFamily(UP, "1 if the last look at the store and the instance succeeded", self.up)
        if self.operations is None:
            return
        for metric in METRICS:
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.samples(self.operations):
                if value is not None:
                    family.add_metric(labels, value.timestamp() if isinstance(value, datetime) else float(value))
            if family.samples:
                yield family


def metrics_text(operations: Operations) -> str:
    """All gauges in Prometheus' text format."""
    return generate_latest(_registry(OperationsCollector(operations))).decode()


def _registry(collector: OperationsCollector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def serve_metrics(settings: Settings, home: Path, host: str, port: int, every: float) -> None:
    """Serve the gauges until SIGTERM or Ctrl-C, and log one JSON line each time they are read.

    What cannot be read is logged, and leaves the figures of the last read, with `housing_status_up` 0.

    Args:
        settings: of the platform.
        home: DAGSTER_HOME.
        host, port: to listen on.
        every: seconds between two reads.

    Raises:
        HousingError: nothing can listen there, or the instance's database does not answer.
    """
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    store, definitions = Store.open(settings.store_uri), build_definitions(settings)
    collector = OperationsCollector()
    with open_instance(home) as instance:
        try:
            server, thread = start_http_server(port, host, _registry(collector))
        except OSError as error:
            raise HousingError(
                f"--port {port}: nothing can listen on {host}:{port} ({error.strerror}): choose another port"
            ) from error
        while True:
            try:
                collector.operations = read_operations(settings, store, instance, definitions)
                collector.up = True
                log_line(summary(collector.operations))
            except Exception as error:  # whatever it is, the next look may succeed
                collector.up = False
                log_line({"message": "status", "up": 0, "error": first_line(error)})
            if leaving.wait(every):
                break
        server.shutdown()
        thread.join()


def summary(operations: Operations) -> dict[str, object]:
    """The few figures that alarms are made of, as one flat object for a log."""
    assets = operations.assets.values()
    return {
        "message": "status",
        "up": 1,
        "months_behind": max((asset.months_behind or 0 for asset in assets), default=0),
        "newest_prediction": operations.assets["monthly_predictions"].newest_month,
        "failed_checks": sum(asset.failed.get("ERROR", 0) for asset in assets),
        "drift_warnings": sum(operations.assets["drift_report"].failed.values()),
        "failing_jobs": sum(job.is_failing for job in operations.jobs.values()),
        "source_trouble": sum(bool(source.refused or source.late) for source in operations.sources.values())
        + bool(operations.unreadable),
        "vintage_age_days": max((source.age_days for source in operations.sources.values()), default=0),
        "attention": operations.attention(),
    }


def log_line(content: dict[str, object]) -> None:
    """One JSON object on a line of stdout."""
    print(json.dumps(content), file=sys.stdout, flush=True)
