"""The HTTP conventions, the stable ones and those before: requests that are served, and those of clients."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from harness.observe.dialects import values
from harness.records.observed import Attempt, Part, Served
from harness.records.seen import Span

METHODS: Final = ("http.request.method", "http.method")
MODEL_PATHS: Final = re.compile(
    r"/(?:chat/completions|completions|responses|embeddings|messages|converse(?:-stream)?"
    r"|invoke(?:-with-response-stream)?|rerank)/?$"
    r"|:(?:(?:stream)?(?:generateContent|rawPredict)|predict|(?:batch)?embedContents?)$",
    re.IGNORECASE,
)
"""Paths of model APIs: OpenAI and what is compatible, Anthropic, Bedrock, Gemini, Vertex, rerankers."""
PROBES: Final = re.compile(
    r"/(?:_?health(?:z|[-_]?check)?(?:/(?:live|ready|started|liveness|readiness|startup))?|ping|livez|readyz|startupz"
    r"|liveness|readiness|metrics)/?$",
    re.IGNORECASE,
)
PROBERS: Final = (
    "kube-probe",
    "elb-healthchecker",
    "googlehc",
    "consul health",
    "envoy/hc",
    "amazon-route53-health",
)
"""How those that ask whether a container lives call themselves: hundreds of these requests would hide others
that fail."""
SESSIONS: Final = ("session.id", "gen_ai.conversation.id", "aws.bedrock.agentcore.session.id")
URLS: Final = ("url.full", "http.url")
NO_ANSWER: Final = 0
SWITCHED: Final = 101
"""What begins a WebSocket, and is no request: those are in it."""
FAILED_FROM: Final = 400
"""Statuses from here on are errors to a client; to a server its own begin a hundred later."""
EVENT_TYPE: Final = "asgi.event.type"
MESSAGES: Final = (" http send", " http receive", " websocket send", " websocket receive")


def read(span: Span) -> Part | None:
    """Return the request that a span tells of, None where it is none."""
    if span.kind not in {"server", "client"} or values.text(span, *METHODS) is None:
        return None
    if EVENT_TYPE in span.attributes or span.name.endswith(MESSAGES):
        return None
    status, error, asked = values.status(span), values.error(span), path(span)
    if span.kind == "server":
        if status == SWITCHED or is_probe(span, asked):
            return None
        bad = status is not None and status >= FAILED_FROM
        return Served(
            error=error or (str(status) if bad else None), status=status, session=values.text(span, *SESSIONS)
        )
    bad = status is not None and status >= FAILED_FROM
    unanswered = error is not None and status is None
    return Attempt(
        error=error or (str(status) if bad else None),
        status=NO_ANSWER if unanswered else status,
        resend=values.whole(span, "http.request.resend_count", "http.resend_count", "retry.count"),
        retry_after_s=values.retry_after_s(span),
        host=host(span),
        path=asked,
        of_model=MODEL_PATHS.search(asked) is not None,
    )


def is_probe(span: Span, asked: str) -> bool:
    """Whether a request only asks if a container lives."""
    who = values.text(span, "user_agent.original", "http.user_agent")
    return (who is not None and who.lower().startswith(PROBERS)) or PROBES.search(asked) is not None


def path(span: Span) -> str:
    """Return the path that was asked for, without its query; an empty text where nothing tells."""
    told = values.text(span, "url.path", "http.target", "http.route")
    if told is not None:
        return told.partition("?")[0]
    return _split(span)[1]


def host(span: Span) -> str:
    """Return the host that was asked, an empty text where nothing tells."""
    return values.text(span, "server.address", "net.peer.name", "http.host") or _split(span)[0]


def _split(span: Span) -> tuple[str, str]:
    try:
        parts = urlsplit(values.text(span, *URLS) or "")
    except ValueError:
        return "", ""
    return parts.netloc, parts.path
