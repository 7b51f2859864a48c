"""Acme's client names the model in an attribute of its own."""

from harness.observe.dialects import values
from harness.records.observed import ModelCall, Part
from harness.records.seen import Span


def read(span: Span) -> Part | None:
    """Return what a span of Acme's client tells, None where it is none of these."""
    model = values.text(span, "acme.model")
    if model is None or span.kind != "client":
        return None
    return ModelCall(level="client", model=model, status=values.status(span), error=values.error(span))
