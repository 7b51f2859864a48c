"""What is used of uvicorn beside its documented interface, for the speed: looked at when it is imported.

A version that lacks a part of it is named at once, where it would else answer each call with an error.
"""

from __future__ import annotations

import inspect
from typing import Final

import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

__all__ = ["HIGH_WATER_LIMIT", "STATUS_LINE", "HttpToolsProtocol", "RequestResponseCycle"]

TAKEN: Final = (
    *("scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers"),
    *("message_event", "expect_100_continue", "keep_alive", "on_response"),
)
"""What an exchange is made of."""
EXCHANGE: Final = ("run_asgi", "send")
CONNECTION: Final = (
    *("connection_made", "connection_lost", "data_received", "on_message_begin", "on_headers_complete"),
    *("on_response_complete", "timeout_keep_alive_handler"),
)
"""What they do."""
NEWEST: Final = "0.54"
"""That the tests run on; `make lowest` runs them on the oldest."""


def missing(exchange: type, connection: type) -> list[str]:
    """Return the names of what is used and not there.

    Args:
        exchange: that serves one request.
        connection: that reads them.
    """
    taken = inspect.signature(exchange).parameters
    lacking = [name for name in TAKEN if name not in taken]
    lacking += [name for name in EXCHANGE if not hasattr(exchange, name)]
    return lacking + [name for name in CONNECTION if not hasattr(connection, name)]


def check(exchange: type, connection: type) -> None:
    """Refuse a uvicorn that lacks what is used.

    Raises:
        ImportError: names the version, what it lacks, and what to install.
    """
    if lacking := missing(exchange, connection):
        raise ImportError(
            f"uvicorn {uvicorn.__version__} lacks {', '.join(lacking)}, which agentrig uses. "
            f"Install one that it was tested with: pip install 'uvicorn=={NEWEST}.*'"
        )


check(RequestResponseCycle, HttpToolsProtocol)
