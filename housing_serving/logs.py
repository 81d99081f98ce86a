"""Logs as one JSON object a line on standard error, which log stores read without a parser of their own."""

import logging

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
