"""A log of one short line a message, for people at a terminal."""

import logging
import sys

import dagster as dg


@dg.logger({}, description="Time, step and message on one line, on standard error")
def progress_logger(_: dg.InitLoggerContext) -> logging.Logger:
    """The logger `progress` of every job: what `housing run` shows."""
    log = logging.Logger("housing.progress", logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    log.addHandler(handler)
    return log


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        message = meta.get("orig_message", record.getMessage())
        return f"{self.formatTime(record, '%H:%M:%S')}  {meta.get('step_key') or '':<20} {message}"
