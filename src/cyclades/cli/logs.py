"""Logs: one JSON object a line on standard error, or plain lines on a terminal.

What `structlog.contextvars` has bound (request and project; operation, kind, resource, step) is on each line that is
written meanwhile, in whichever room.
"""

from __future__ import annotations

import logging
import sys

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str) -> None:
    """What is below `level` is not even put together."""
    terminal = sys.stderr.isatty()
    shape: list[structlog.types.Processor] = (
        # Rich's traceback would show the values of variables, passwords among them.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    common: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*common, *shape],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _take_over(max(_LEVELS[level], logging.WARNING), common, shape)


def _take_over(level: int, common: list[structlog.types.Processor], shape: list[structlog.types.Processor]) -> None:
    """What libraries log in Python's own way comes out in the same form. They only warn: what some of them tell below
    that has headers and addresses with secrets in it."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*common, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shape],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
