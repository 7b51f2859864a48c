"""What a check looks at, where an agent that is not ours may not emit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harness import contract
from harness.records.history import ArmHistory
from harness.records.setup import no_call_served


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One kind of evidence.

    Attributes:
        what: is missing, when it is.
        add: what the owner of the agent does about it.
        present: whether an arm has any.
        seen: what was seen of an arm in its place, where that says more than `what`; None for nothing.
    """

    what: str
    add: str
    present: Callable[[ArmHistory], bool]
    seen: Callable[[ArmHistory], str | None] = lambda _: None

    def lacking(self, history: ArmHistory) -> str:
        """Say what an arm lacks, and what to do about it."""
        return f"{self.seen(history) or self.what}; {self.add}"


def calls_elsewhere(history: ArmHistory) -> str | None:
    """Say where the calls of an arm went of which the simulator served none; None when none was seen."""
    facts = history.facts
    if history.journal or not (facts.unserved or facts.outside):
        return None
    return no_call_served(facts.unserved, facts.outside)


SERVER_SPANS: Final = Evidence(
    what="no HTTP server span of the agent was seen",
    add="instrument its web framework with OpenTelemetry, and let it export to OTEL_EXPORTER_OTLP_ENDPOINT",
    present=lambda history: any(request.server is not None for request in history.requests),
)
INIT_SPANS: Final = Evidence(
    what="no span tells when a client is built",
    add="put a span named `client.init NAME` around the building of each client (docs/telemetry.md)",
    present=lambda history: bool(history.inits),
)
AGENT_IDS: Final = Evidence(
    what=f"no invoke_agent span tells which Agent object worked ({contract.AGENT_ID})",
    add=f"set {contract.AGENT_ID} on the invoke_agent span, an id for each Agent object (docs/telemetry.md)",
    present=lambda history: any(
        contract.AGENT_ID in span.attributes for request in history.requests for span in request.invocations
    ),
)
MODEL_CALL_SPANS: Final = Evidence(
    what="no span tells of the attempts of a model call",
    add="emit a CLIENT span `chat` for each model call, and one for each HTTP attempt below it",
    present=lambda history: any(request.attempts for request in history.requests),
)
MODEL_CALLS: Final = Evidence(
    what="the model API simulator received no call",
    add="point the agent's model client at {simulator} in [agent.env]",
    present=lambda history: bool(history.journal),
    seen=calls_elsewhere,
)
WHOSE_CALLS: Final = Evidence(
    what="no model call can be given to the request that made it",
    add="hand the `traceparent` header on to the model API, or leave the prompt's words in the user message",
    present=lambda history: any(request.journal for request in history.requests),
    seen=calls_elsewhere,
)
"""With a trace handed on, or the prompt's canary word in the user's message."""
PINGS: Final = Evidence(
    what="/ping gave no AgentCore status",
    add='answer GET /ping with {"status": "Healthy"} or "HealthyBusy" (docs/patterns.md)',
    present=lambda history: bool(history.pings),
)
RECALL: Final = Evidence(
    what="no answer recalled a word that was told",
    add="let the answer hold the model's text, and give the model the messages of the session",
    present=lambda history: any(request.row.recalled for request in history.requests),
)


def missing(needs: tuple[Evidence, ...], history: ArmHistory) -> Evidence | None:
    """Return the first kind of evidence that an arm has none of, None when it has all."""
    return next((evidence for evidence in needs if not evidence.present(history)), None)
