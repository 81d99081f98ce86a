"""Logs as one JSON object a line on standard error, which log stores read without a parser of their own."""

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from pythonjsonlogger.msgspec import MsgspecFormatter

_OURS = ("housing_serving", "uvicorn")


def log_as_json(level: str) -> None:
    """Set up the loggers of the API and of uvicorn. Calling it again changes nothing but the level."""
    for name in _OURS:
        logger = logging.getLogger(name)
        logger.setLevel(level.upper())
        if not any(isinstance(h.formatter, MsgspecFormatter) for h in logger.handlers):
            handler = logging.StreamHandler()
            handler.setFormatter(
                MsgspecFormatter(
                    ["levelname", "name", "message"],
                    rename_fields={"levelname": "level", "name": "logger"},
                    timestamp="time",
                )
            )
            logger.handlers = [handler]
            logger.propagate = False
    # uvicorn's own line of each request would be a second one.
    logging.getLogger("uvicorn.access").disabled = True


_encode = msgspec.json.Encoder().encode


def log_request(logger: logging.Logger, fields: Mapping[str, object]) -> None:
    """Write one line of one request, where the level of the logger lets it.

    The line is as `log_as_json` would make it from a record, in a fifth of the time. Every request has one, and the
    record with its lock, formatter and handlers cost as much as to predict a row.

    Args:
        logger: that names the line.
        fields: of the request.
    """
    if logger.isEnabledFor(logging.INFO):
        line = {"level": "INFO", "logger": logger.name, "message": "request", **fields, "time": datetime.now(UTC)}
        sys.stderr.write(_encode(line).decode() + "\n")
