"""Log lines as JSON, each with the trace that it belongs to. Never a prompt, never a key."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
import warnings
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from opentelemetry import trace

WITHOUT_WORDS: Final = ("reference_agent.", "uvicorn.", "opentelemetry.exporter.", "opentelemetry.sdk.")
"""Loggers whose messages hold none. Others write what a tool or a model said: Strands, MCP, asyncio. The
rest of OpenTelemetry quotes headers: a caller's, and the one with the key of the receiver of spans."""
logger = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """One JSON object a line, with the current trace's ids.

    Args:
        words: whether the messages of every package are written, and those of exceptions.
    """

    def __init__(self, *, words: bool = False) -> None:
        super().__init__()
        self._words = words

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if self._words or f"{record.name}.".startswith(WITHOUT_WORDS):
            line["message"] = record.getMessage()
        else:
            line["where"] = f"{record.pathname}:{record.lineno} {record.funcName}"
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = trace.format_trace_id(context.trace_id)
            line["span_id"] = trace.format_span_id(context.span_id)
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
            line["frames"] = _frames(record.exc_info[2])
            if self._words:
                line["exception_message"] = str(record.exc_info[1])
        return json.dumps(line)


def _frames(where: TracebackType | None) -> list[str]:
    """Return where an exception was raised, without its message: it may quote a prompt, or a key."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(where)]


def log_as_json(*, words: bool) -> None:
    """Send every logger's warnings, and this agent's and uvicorn's INFO, to stdout as JSON lines.

    Args:
        words: whether they may hold words of prompts, answers, tools and errors.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(words=words))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("reference_agent", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    _log_what_python_would_print(words=words)


def _log_what_python_would_print(*, words: bool) -> None:
    """Log warnings, and exceptions that nobody catches: Python itself prints them, with their words."""

    def warned(
        message: Any, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
    ) -> None:
        told = f": {message}" if words else ""
        logger.warning("%s at %s:%d%s", category.__name__, filename, lineno, told)

    def raised(kind: type[BaseException], error: BaseException | None, where: TracebackType | None) -> None:
        if not issubclass(kind, SystemExit):
            logger.error("nobody caught this", exc_info=(kind, error or kind(), where))

    warnings.showwarning = warned
    sys.excepthook = raised
    threading.excepthook = lambda told: raised(told.exc_type, told.exc_value, told.exc_traceback)
    sys.unraisablehook = lambda told: raised(told.exc_type, told.exc_value, told.exc_traceback)
