"""Histories written by hand: an arm, request by request, as all sides would have seen it.

    arm = Arm(containers=2, limit=1)
    arm.request(due_s=0.0, end_s=0.2, container=1)
    arm.request(due_s=0.1, begin_s=0.1, wait_s=0.1, end_s=0.3, container=1, calls=[["overloaded", "ok"]])
    history = arm.history()

All times are seconds since the load began.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import contract
from harness.analysis.join import join
from harness.records.history import ArmData, ArmHistory
from harness.records.seen import Attribute, FaultClass, JournalRow, MetricPoint, Span, SpanEvent, SpanKind
from harness.records.sent import RequestRow
from harness.records.setup import ArmFacts, Container, ProcessUsage

BEGIN_S = 1_700_000_000.0
BUSY = 503
FAULTS: Mapping[str, tuple[FaultClass | None, int]] = {
    "ok": (None, 200),
    "overloaded": ("transient", 503),
    "rate_limit_requests": ("transient", 429),
    "conn_reset": ("transient", 0),
    "eof_clean": ("stream", 200),
    "slow_stream": ("slow", 200),
    "slow_first_chunk": ("slow", 200),
    "auth": ("permanent", 401),
    "bad_request": ("permanent", 400),
}


@dataclass(frozen=True, kw_only=True)
class Try:
    """One attempt of a model call.

    Attributes:
        decision: what the simulator served.
        at_s: when it arrived there; None for soon after what came before.
        lasted_s: until the answer had gone out, as planned.
        noted_late_s: how long after that the journal has it, on a busy machine.
        retry_after_s: what the caller was told.
        connection: that it came over.
        hidden: whether the agent's own count leaves it out.
        unseen: whether no span tells of it.
        told_wait_s: the wait before it, as the agent's event has it; None where that does not say.
    """

    decision: str = "ok"
    at_s: float | None = None
    lasted_s: float = 0.001
    noted_late_s: float = 0.0
    retry_after_s: float | None = None
    connection: int = 1
    hidden: bool = False
    unseen: bool = False
    told_wait_s: float | None = None


class Arm:
    """An arm in the making."""

    def __init__(self, *, containers: int = 2, limit: int = 1, control: bool = False) -> None:
        self.facts = ArmFacts(
            experiment="experiment",
            arm="arm",
            control=control,
            containers=tuple(
                Container(name=f"agent-{n}", address=f"127.0.0.1:{9000 + n}")
                for n in range(1, containers + 1)
            ),
            concurrency_limit=limit,
            policy="busy-aware",
            start_s=BEGIN_S,
            end_s=BEGIN_S,
        )
        self.rows: list[RequestRow] = []
        self.spans: list[Span] = []
        self.journal: list[JournalRow] = []
        self.samples: list[MetricPoint] = []

    def set(self, *, end_s: float | None = None, **facts: object) -> None:
        """Change what was set up, or when the load ended."""
        if end_s is not None:
            facts["end_s"] = BEGIN_S + end_s
        self.facts = replace(self.facts, **facts)

    def moved(
        self,
        container: int,
        *,
        joined_s: float | None = None,
        left_s: float | None = None,
        told_s: float | None = None,
    ) -> None:
        """Say when a container came into the balancer's list, when it left it, and was told to stop."""
        times = {"joined_s": joined_s, "left_s": left_s, "told_s": told_s}
        known: dict[str, Any] = {name: None if t is None else BEGIN_S + t for name, t in times.items()}
        name = f"agent-{container}"
        self.set(
            containers=tuple(
                replace(each, **known) if each.name == name else each for each in self.facts.containers
            )
        )

    def used(self, cpu_s: float, wall_s: float, cores: int = 2, name: str = "agent-1") -> None:
        """Say what one of the run's processes cost."""
        usage = ProcessUsage(name=name, cpu_s=cpu_s, wall_s=wall_s, rss_mb=100.0)
        self.set(usage=(*self.facts.usage, usage), cores=cores)

    def request(
        self,
        *,
        due_s: float = 0.0,
        sent_s: float | None = None,
        begin_s: float | None = None,
        wait_s: float = 0.0,
        end_s: float | None = None,
        container: int | None = 1,
        refused_by: Sequence[int] = (),
        status: int = 200,
        error: str | None = None,
        calls: Sequence[Sequence[str | Try]] = (("ok",),),
        agent_id: str | None = None,
        client: str = "warm",
        after_s: float = 0.0,
        without: Sequence[str] = (),
    ) -> str:
        """Add a request and return its trace id.

        Args:
            due_s, sent_s, end_s: as the client has it; it ends 0.1 s after it was due by default.
            begin_s: when the container's server span began, `due_s` by default.
            wait_s: how long it then waited inside for a slot.
            container: number of the one that worked on it, None when none did.
            refused_by: numbers of those that refused it at once before.
            status: that the client got, 0 for none; error: why it is no success.
            calls: the attempts of each of its model calls.
            agent_id: of the Agent object; one of its own by default.
            client: `cold` when it waited for a client's init.
            after_s: how long the container went on working after the answer, with a model call.
            without: names of spans that were lost, such as `invoke_agent`.
        """
        number = len(self.rows) + 1
        trace = f"{number:032x}"
        end_s = due_s + 0.1 if end_s is None else end_s
        begin_s = due_s if begin_s is None else begin_s
        of = _Trace(self, trace, without)
        root = of.span("POST /invocations", "client", contract.SERVICE_LOAD, (due_s, end_s), None)
        sent_s = due_s if sent_s is None else sent_s
        self._row(root, (due_s, sent_s, end_s), status=status, error=error, container=container)
        edge = of.span("ingress", "server", contract.SERVICE_ENVOY, (sent_s, end_s), root)
        attributes: dict[str, Attribute] = {contract.STATUS_CODE: BUSY}
        for refuser in refused_by:
            at = (due_s, due_s + 0.001)
            of.agent("POST /invocations", "server", refuser, at, edge, attributes=attributes)
        if container is None:
            return trace
        attributes = {contract.STATUS_CODE: status} | ({contract.QUEUE_WAIT_S: wait_s} if wait_s else {})
        at = (begin_s, end_s)
        server = of.agent("POST /invocations", "server", container, at, edge, attributes=attributes)
        if after_s:
            after = (end_s, end_s + after_s)
            work = of.agent(contract.SPAN_AFTER_ANSWER, "internal", container, after, server, attributes={})
            of.call("after", container, after, work, [Try(lasted_s=after_s - 0.001)])
        attributes = {contract.AGENT_ID: agent_id or trace, contract.CLIENT_STATE: client}
        at = (begin_s + wait_s, end_s)
        name = "invoke_agent agentrig"
        invoked = of.agent(name, "internal", container, at, server, attributes=attributes)
        for call, attempts in enumerate(calls):
            of.call(f"call-{call}", container, at, invoked, attempts)
        return trace

    def change(self, **row: object) -> None:
        """Change what the client saw of the latest request."""
        self.rows[-1] = replace(self.rows[-1], **row)

    def init(
        self,
        client: str = "llm",
        container: int = 1,
        *,
        state: str = "cold",
        reason: str = "first_use",
        at_s: float = 0.0,
        trace: str | None = None,
        failed: bool = False,
    ) -> None:
        """Add the building of a client, in the trace of the latest request by default."""
        attributes = {
            contract.CLIENT_NAME: client,
            contract.CLIENT_INIT_STATE: state,
            contract.CLIENT_INIT_REASON: reason,
        }
        of = _Trace(self, trace or self.rows[-1].trace_id, ())
        name = f"client.init {client}"
        at = (at_s, at_s + 0.05)
        of.agent(name, "internal", container, at, None, attributes=attributes, error=failed)

    def span(
        self, name: str, begin_s: float, end_s: float, *, container: int = 1, failed: bool = False
    ) -> None:
        """Add a span of the agent to the trace of the latest request."""
        of = _Trace(self, self.rows[-1].trace_id, ())
        of.agent(name, "internal", container, (begin_s, end_s), None, attributes={}, error=failed)

    def passed_on(self, end_s: float) -> None:
        """Say when the balancer had the whole answer of the latest request."""
        of = _Trace(self, self.rows[-1].trace_id, ())
        begin_s = self.rows[-1].due_s - BEGIN_S
        of.span("router agents egress", "client", contract.SERVICE_ENVOY, (begin_s, end_s), None)

    def given_to(self, container: int, begin_s: float, end_s: float) -> None:
        """Say that the balancer gave the latest request to a container, from when to when."""
        of = _Trace(self, self.rows[-1].trace_id, ())
        told = {contract.UPSTREAM_ADDRESS: f"127.0.0.1:{9000 + container}"}
        at = (begin_s, end_s)
        of.span("router agents egress", "client", contract.SERVICE_ENVOY, at, None, attributes=told)

    def ping(self, at_s: float, *, busy: bool, container: int = 1, changed_s: float | None = None) -> None:
        """Add a look at a container's `/ping`, and at its stamp."""
        self.sample(contract.PING_BUSY, float(busy), at_s, f"agent-{container}")
        if changed_s is not None:
            stamp = float(math.floor(BEGIN_S + changed_s))
            self.sample(contract.PING_CHANGED, stamp, at_s, f"agent-{container}")

    def mute_ping(self, at_s: float, *, took_s: float = 1.0, container: int = 1) -> None:
        """Add a look at a container's `/ping` that got no answer."""
        self.sample(contract.PING_MUTE, 1.0, at_s, f"agent-{container}")
        self.samples[-1] = replace(self.samples[-1], took_s=took_s)

    def gauge(self, at_s: float, value: int, container: int = 1) -> None:
        """Add a look at a container's count of its requests in work."""
        self.sample(contract.INFLIGHT, float(value), at_s, f"agent-{container}")

    def handshakes(self, count: int) -> None:
        """Say how many sessions were opened at the tool server."""
        self.sample(contract.HANDSHAKES, float(count), 0.0, contract.SERVICE_MCP)

    def sample(self, name: str, value: float, at_s: float, source: str) -> None:
        """Add a sample that was scraped."""
        point = MetricPoint(
            experiment="experiment", arm="arm", time_s=BEGIN_S + at_s, source=source, name=name, value=value
        )
        self.samples.append(point)

    def stray(self, trace: str | None = None) -> None:
        """Add a model call that no request's trace has."""
        row = JournalRow(
            time_s=BEGIN_S, end_s=BEGIN_S, connection=99, protocol="openai", model="m", stream=True,
            call_id="stray", attempt=1, trace_id=trace,
        )  # fmt: skip
        self.journal.append(row)

    def data(self) -> ArmData:
        """Return what the run folder would hold."""
        last_s = max([self.facts.end_s, *(row.end_s for row in self.rows)])
        return ArmData(
            facts=replace(self.facts, end_s=last_s, planned=self.facts.planned or len(self.rows)),
            requests=tuple(self.rows),
            spans=tuple(self.spans),
            journal=tuple(self.journal),
            metrics=tuple(self.samples),
        )

    def history(self) -> ArmHistory:
        """Return it joined."""
        return join(self.data())

    def _row(
        self,
        root: Span,
        times_s: tuple[float, float, float],
        *,
        status: int,
        error: str | None,
        container: int | None,
    ) -> None:
        due_s, sent_s, end_s = (BEGIN_S + time_s for time_s in times_s)
        self.rows.append(
            RequestRow(
                experiment="experiment",
                arm="arm",
                index=len(self.rows),
                phase="steady",
                session_id=f"session-{len(self.rows)}",
                request_id=f"request-{len(self.rows)}",
                trace_id=root.trace_id,
                span_id=root.span_id,
                due_s=due_s,
                sent_s=sent_s,
                end_s=end_s,
                status=status,
                error=error,
                upstream=None if container is None else f"127.0.0.1:{9000 + container}",
            )
        )


class _Trace:
    """The spans and journal rows of one request."""

    def __init__(self, arm: Arm, trace: str, without: Sequence[str]) -> None:
        self._arm = arm
        self._trace = trace
        self._without = without

    def span(
        self,
        name: str,
        kind: SpanKind,
        service: str,
        at: tuple[float, float],
        parent: Span | None,
        *,
        attributes: Mapping[str, Attribute] | None = None,
        instance: str | None = None,
        events: tuple[SpanEvent, ...] = (),
        error: bool = False,
    ) -> Span:
        made = Span(
            trace_id=self._trace,
            span_id=f"{len(self._arm.spans) + 1:016x}",
            parent_span_id=parent.span_id if parent else None,
            name=name,
            kind=kind,
            start_ns=nanoseconds(at[0]),
            end_ns=nanoseconds(at[1]),
            service=service,
            instance=instance or service,
            error=error,
            attributes=attributes or {},
            events=events,
        )
        lost = any(name.startswith(word) or service == word for word in self._without)
        # A lost span keeps its number, so that its children still name it.
        self._arm.spans.append(replace(made, trace_id="f" * 32) if lost else made)
        return made

    def agent(
        self,
        name: str,
        kind: SpanKind,
        container: int,
        at: tuple[float, float],
        parent: Span | None,
        *,
        attributes: Mapping[str, Attribute],
        events: tuple[SpanEvent, ...] = (),
        error: bool = False,
    ) -> Span:
        return self.span(
            name, kind, contract.SERVICE_AGENT, at, parent,
            attributes=attributes, instance=f"agent-{container}", events=events, error=error,
        )  # fmt: skip

    def call(
        self,
        name: str,
        container: int,
        at: tuple[float, float],
        invoked: Span,
        attempts: Sequence[str | Try],
    ) -> None:
        """Add a logical model call with its attempts, as agent and simulator have them."""
        tries = [each if isinstance(each, Try) else Try(decision=each) for each in attempts]
        times: list[float] = []
        for each in tries:
            after_s = times[-1] + 0.002 if times else at[0] + 0.001
            times.append(after_s if each.at_s is None else each.at_s)
        backoffs = tuple(
            SpanEvent(
                name=contract.RETRY_EVENT,
                time_ns=nanoseconds(at_s - 0.001),
                attributes={} if each.told_wait_s is None else {contract.RETRY_DELAY_S: each.told_wait_s},
            )
            for each, at_s in zip(tries[1:], times[1:], strict=True)
        )
        attributes: dict[str, Attribute] = {
            contract.OPERATION: "chat",
            contract.RETRY_ATTEMPTS: sum(not each.hidden for each in tries),
        }
        logical = self.agent(
            "chat model", "client", container, at, invoked, attributes=attributes, events=backoffs
        )
        for number, (each, at_s) in enumerate(zip(tries, times, strict=True), start=1):
            self._attempt(name, container, logical, each, number=number, at_s=at_s)

    def _attempt(
        self, name: str, container: int, logical: Span, attempt: Try, *, number: int, at_s: float
    ) -> None:
        done_s = at_s + attempt.lasted_s
        sent = None
        if not attempt.unseen:
            attributes: dict[str, Attribute] = {contract.METHOD: "POST"}
            at = (at_s - 0.0005, done_s)
            sent = self.agent("POST", "client", container, at, logical, attributes=attributes)
            self.span("chat model", "server", contract.SERVICE_SIMULATOR, (at_s, done_s), sent)
        fault, status = FAULTS[attempt.decision]
        row = JournalRow(
            time_s=BEGIN_S + at_s,
            end_s=BEGIN_S + done_s + attempt.noted_late_s,
            service_s=attempt.lasted_s,
            connection=attempt.connection,
            protocol="openai",
            model="model",
            stream=True,
            call_id=name,
            attempt=number,
            trace_id=self._trace,
            parent_span_id=sent.span_id if sent else None,
            decision=attempt.decision,
            source=None if fault is None else "fault",
            fault_class=fault,
            status=status,
            retry_after_s=attempt.retry_after_s,
        )
        self._arm.journal.append(row)


def nanoseconds(since_begin_s: float) -> int:
    """Return an instant as OpenTelemetry has it, exact to the nanosecond."""
    return int(BEGIN_S) * 10**9 + round(since_begin_s * 1e9)
