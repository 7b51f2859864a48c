"""What a check looks at, where an agent that is not ours may not emit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harness import contract
from harness.records.history import ArmHistory
from harness.records.seen import Span
from harness.records.setup import no_call_served


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One kind of evidence.

    Attributes:
        what: is missing, when it is.
        add: what the owner of the agent does about it.
        present: whether an arm has any, or enough of it.
        seen: what was seen of an arm in its place, where that says more than `what`; None for nothing.
    """

    what: str
    add: str
    present: Callable[[ArmHistory], bool]
    seen: Callable[[ArmHistory], str | None] = lambda _: None

    def lacking(self, history: ArmHistory) -> str:
        """Say what an arm lacks, and what to do about it."""
        return f"{self.seen(history) or self.what}; {self.add}"


ENOUGH_JOINED: Final = 0.95
"""With a larger share of the model calls given to nobody, what is wrong may be in these alone."""


def joined(history: ArmHistory) -> bool:
    """Whether enough model calls are known to be of a request; without any there is nothing to join."""
    share = history.joins.share
    return share is None or share >= ENOUGH_JOINED


def share_joined(history: ArmHistory) -> str:
    """Say how many model calls are known to be of a request."""
    joins = history.joins
    return f"{joins.joined} of {joins.received} ({joins.share or 0.0:.1%}) could be given to their request"


def calls_elsewhere(history: ArmHistory) -> str | None:
    """Say where the calls of an arm went of which the simulator served none; None when none was seen."""
    facts = history.facts
    if history.journal or not (facts.unserved or facts.outside):
        return None
    return no_call_served(facts.unserved, facts.outside)


TOO_FEW: Final = "too few model calls can be given to the request that made them"


def calls_of_nobody(history: ArmHistory) -> str:
    """Say how many model calls are known to be of a request, or where they went when none was served."""
    return calls_elsewhere(history) or f"{TOO_FEW}: {share_joined(history)}"


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
TOOL_INIT_SPANS: Final = Evidence(
    what="no span tells when the tool client is built",
    add=f"put a span named `client.init {contract.TOOL_CLIENT}` around its building (docs/telemetry.md)",
    present=lambda history: any(
        span.attributes.get(contract.CLIENT_NAME) == contract.TOOL_CLIENT for span in history.inits
    ),
)
AGENT_IDS: Final = Evidence(
    what=f"no invoke_agent span tells which Agent object worked ({contract.AGENT_ID})",
    add=f"set {contract.AGENT_ID} on the invoke_agent span, an id for each Agent object (docs/telemetry.md)",
    present=lambda history: any(
        agent_id(span) is not None for request in history.requests for span in request.invocations
    ),
)
MODEL_CALL_SPANS: Final = Evidence(
    what="no span tells of the attempts of a model call",
    add="emit a CLIENT span `chat` for each model call, and one for each HTTP attempt below it",
    present=lambda history: any(request.attempts for request in history.requests),
)
INVOCATIONS: Final = Evidence(
    what="no `invoke_agent` span tells of the Agent's work",
    add="put a span named `invoke_agent NAME` around the Agent's work on a request (docs/telemetry.md)",
    present=lambda history: any(request.invocations for request in history.requests),
)
MODEL_CALLS: Final = Evidence(
    what="the model API simulator received no call",
    add="point the agent's model client at {simulator} in [agent.env]",
    present=lambda history: bool(history.journal),
    seen=calls_elsewhere,
)
WHOSE_CALLS: Final = Evidence(
    what=TOO_FEW,
    add="hand the `traceparent` header on to the model API, or leave the prompt's words in the user message",
    present=lambda history: bool(history.joins.joined) and joined(history),
    seen=calls_of_nobody,
)
"""With a trace handed on, or the prompt's canary word in the user's message."""
PINGS: Final = Evidence(
    what="/ping gave no AgentCore status",
    add='answer GET /ping with {"status": "Healthy"} or "HealthyBusy" (docs/patterns.md)',
    present=lambda history: bool(history.pings),
)
STAMPS: Final = Evidence(
    what="/ping gave no time_of_last_update",
    add="answer GET /ping with the Unix seconds of the last change of its status (docs/patterns.md)",
    present=lambda history: bool(history.stamps),
)
GAUGE: Final = Evidence(
    what=f"/metrics has no {contract.INFLIGHT}",
    add=f"give the count of requests in work as the gauge {contract.INFLIGHT} on GET /metrics",
    present=lambda history: bool(history.gauges),
)
HANDSHAKES: Final = Evidence(
    what="no session was opened at our tool server",
    add="point the agent's tool client at {mcp} in [agent.env]",
    present=lambda history: bool(history.handshakes),
)
SESSION_LOADS: Final = Evidence(
    what="no span tells when a session is loaded",
    add=f"put a span named `{contract.SPAN_SESSION_LOAD}` around it (docs/telemetry.md)",
    present=lambda history: _has_span(history, contract.SPAN_SESSION_LOAD),
)
SESSION_SAVES: Final = Evidence(
    what="no span tells when a turn is saved",
    add=f"put a span named `{contract.SPAN_SESSION_SAVE}` around it (docs/telemetry.md)",
    present=lambda history: _has_span(history, contract.SPAN_SESSION_SAVE),
)
HOOKED: Final = Evidence(
    what="the start-up hook was not loaded: what was restored is no copy",
    add="start it by a Python that reads PYTHONPATH (not with -I, -E or -S); other languages have none",
    present=lambda history: (
        bool(history.facts.restored) and all(copy.hooked for copy in history.facts.restored)
    ),
)
COPIES: Final = Evidence(
    what=HOOKED.what,
    add=HOOKED.add,
    present=lambda history: not history.facts.restored or HOOKED.present(history),
)
"""Of what is looked at without a restore as well."""
MINTED: Final = Evidence(
    what="no answer to a request without a session told one",
    add=f"hand the id of the session back, as {contract.SESSION_HEADER} or as `session_id` in the answer",
    present=lambda history: any(copy.sessions for copy in history.facts.restored),
)
COPIES_STAMPS: Final = Evidence(
    what="/ping of a restored container gave no time_of_last_update, or each request changes it (one slot)",
    add="answer GET /ping with the Unix seconds of the last change of its status, at a limit of 2 or more",
    present=lambda history: any(copy.stamp is not None for copy in history.facts.restored),
)
HELD: Final = Evidence(
    what="nobody could look at what the containers hold",
    add="let `command` start them: what runs elsewhere is not seen",
    present=lambda history: bool(history.growth),
)
RECALL: Final = Evidence(
    what="no answer recalled a word that was told",
    add="let the answer hold the model's text, and give the model the messages of the session",
    present=lambda history: any(request.row.recalled for request in history.requests),
)


READ_IN_PARTS: Final = Evidence(
    what="no answer came in parts, so that nobody could leave in the middle of one",
    add="let it stream, and say so in request.stream",
    present=lambda history: any(request.row.left for request in history.requests),
)


def agent_id(span: Span) -> str | None:
    """Return the id of the Agent object that a span tells; None where it tells none, or an empty one."""
    told = span.attributes.get(contract.AGENT_ID)
    return None if told is None or told == "" else str(told)


def _has_span(history: ArmHistory, name: str) -> bool:
    return any(span.name == name for request in history.requests for span in request.spans)


def missing(needs: tuple[Evidence, ...], history: ArmHistory) -> Evidence | None:
    """Return the first kind of evidence that an arm has none of, None when it has all."""
    return next((evidence for evidence in needs if not evidence.present(history)), None)
