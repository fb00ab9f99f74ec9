"""Logs: structured lines on standard error, JSON or for a console, with a level that can change at run time."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

__all__ = ["LEVELS", "LogFormat", "LogLevel", "configure_logging", "set_level", "shows_debug"]

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]
LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error")

_WATCHING = "watchfiles"
"""A library with a line for every change of a folder, which a log that is in the folder would answer with the next."""


def configure_logging(level: LogLevel, log_format: LogFormat, *, worker: int | None = None) -> None:
    """Send structlog's and the standard library's events through one chain to standard error.

    Args:
        level: lowest level shown.
        log_format: of a line.
        worker: number to be in every line, where there are several workers.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if worker is not None:
        shared.append(_naming(worker))
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), repr_native_str=True)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    set_level(level)


def _naming(worker: int) -> structlog.typing.Processor:
    def name(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["worker"] = worker
        return event

    return name


def set_level(level: LogLevel) -> None:
    """Change the level of all loggers; libraries stay at warning unless the level is debug."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(number if level == "debug" else max(number, logging.WARNING))
    logging.getLogger("guardsvc").setLevel(number)
    logging.getLogger(_WATCHING).setLevel(max(number, logging.WARNING))


def shows_debug() -> bool:
    """Whether debug logs are shown."""
    return logging.getLogger("guardsvc").isEnabledFor(logging.DEBUG)
