"""Balancers and proxies that send spans of their own: Envoy and Istio, nginx, Traefik, HAProxy, gateways."""

from __future__ import annotations

from typing import Final

from harness.observe.dialects import values
from harness.records.observed import Hop, Part
from harness.records.seen import Span

SDKS: Final = {"envoy"}
SCOPES: Final = ("nginx", "traefik", "github.com/traefik", "haproxy", "kong", "envoy")
SERVICES: Final = (
    "envoy",
    "istio-proxy",
    "istio-ingressgateway",
    "nginx",
    "ingress-nginx",
    "traefik",
    "haproxy",
)
FAILED_FROM: Final = 500
UNANSWERED: Final = {"UF", "UC", "UT"}
"""Envoy's flags for what got no answer."""
LEFT: Final = "DC"
"""Its flag for a caller that closed its connection."""
CLIENT_CLOSED: Final = 499
"""What others say then."""


def read(span: Span) -> Part | None:
    """Return the hop that a span tells of, None where it is no proxy's."""
    of_proxy = (
        span.resource.get("telemetry.sdk.name") in SDKS
        or span.scope.lower().startswith(SCOPES)
        or span.service.lower().startswith(SERVICES)
        or "upstream_cluster" in span.attributes
    )
    if not of_proxy or span.kind not in {"server", "client"}:
        return None
    status = values.status(span)
    flags = set((values.text(span, "response_flags") or "").split(","))
    if LEFT in flags:
        status = CLIENT_CLOSED
    elif status == 0 or flags & UNANSWERED:
        status = 0
    failed = status is not None and (status >= FAILED_FROM or status == 0)
    return Hop(error=str(status) if failed else None, status=status)
