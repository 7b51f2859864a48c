"""What happens to a call: which fault, if any, or the quota's refusal, or an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from harness.simulation import FaultRule, Match, SimulatorConfig
from harness.simulator import draws
from harness.simulator.faults import REGISTRY
from harness.simulator.faults.effects import Effect, Fault
from harness.simulator.quota import QuotaGate, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A model call as it came in.

    Attributes:
        protocol, model, key: whose quota it is.
        call_id: names the logical call; attempt: 1 for the first time it was seen.
        session: from the baggage, where the caller told.
        tokens: it may use at most, its input counted.
        tool_call: whether it is to be answered with a call of the `search` tool.
    """

    protocol: str
    model: str
    key: str
    call_id: str
    attempt: int
    session: str | None = None
    run: str | None = None
    tokens: int = 0
    tool_call: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to it.

    Attributes:
        kind: `ok`, or the fault's.
        source: `fault` or `quota`, None for an answer.
        fault: what is served in place of an answer.
        effect: what that does on this wire.
        retry_after_s: what the caller is told; whole_seconds: and how.
        quota: what the quota said, None when it wasn't asked.
        ttft_s, itl_s: planned latencies of an answer.
    """

    kind: str = "ok"
    source: str | None = None
    fault: Fault | None = None
    effect: Effect | None = None
    retry_after_s: float | None = None
    whole_seconds: bool = False
    quota: Verdict | None = None
    ttft_s: float = 0.0
    itl_s: float = 0.0


class Decider:
    """Decides on calls, from the configuration and the seed.

    Args:
        config: what the simulator is told.
        now: Unix time in seconds.
        start_s: the run's start; windows count from here.
    """

    def __init__(self, config: SimulatorConfig, now: Callable[[], float], start_s: float) -> None:
        self.config = config
        self._now = now
        self._start_s = start_s
        self._gates: dict[tuple[str, str], QuotaGate] = {}
        self._matched: Counter[int] = Counter()
        self._served: Counter[int] = Counter()

    def decide(self, call: Call) -> Decision:
        """Decide on one attempt."""
        for number, rule in enumerate(self.config.faults):
            if self._fires(number, rule, call):
                fault = REGISTRY[rule.kind]
                return Decision(
                    kind=rule.kind,
                    source="fault",
                    fault=fault,
                    effect=fault.on(call.protocol),
                    retry_after_s=self._told_s(rule),
                )
        verdict = self._ask_quota(call)
        if verdict is not None and not verdict.admitted:
            fault = REGISTRY[verdict.kind]
            return Decision(
                kind=verdict.kind,
                source="quota",
                fault=fault,
                effect=fault.on(call.protocol),
                retry_after_s=verdict.retry_after_s,
                whole_seconds=verdict.whole_seconds,
                quota=verdict,
            )
        latency, seed = self.config.latency, self.config.seed
        return Decision(
            quota=verdict,
            ttft_s=draws.duration_s(latency.ttft, draws.uniform(seed, call.call_id, "ttft")),
            itl_s=draws.duration_s(latency.itl, draws.uniform(seed, call.call_id, "itl")),
        )

    def _ask_quota(self, call: Call) -> Verdict | None:
        if self.config.quota is None:
            return None
        gate = self._gates.get((call.key, call.model))
        if gate is None:
            gate = self._gates[call.key, call.model] = QuotaGate(self.config.quota, self._now)
        return gate.ask(call.tokens)

    def _fires(self, number: int, rule: FaultRule, call: Call) -> bool:
        if not _matches(rule.match, call) or not self._in_window(rule):
            return False
        self._matched[number] += 1
        if rule.every_n is not None and self._matched[number] % rule.every_n:
            return False
        if rule.times is not None and self._served[number] >= rule.times:
            return False
        # A permanent fault is the same at each attempt; a transient one is drawn anew.
        permanent = REGISTRY[rule.kind].fault_class == "permanent"
        attempt = () if permanent else (call.attempt,)
        fires = draws.uniform(self.config.seed, number, rule.kind, call.call_id, *attempt) < rule.probability
        self._served[number] += fires
        return fires

    def _in_window(self, rule: FaultRule) -> bool:
        if rule.window_s is None:
            return True
        begin_s, end_s = rule.window_s
        return begin_s <= self._now() - self._start_s < end_s

    def _told_s(self, rule: FaultRule) -> float | None:
        if rule.retry_after_s != "until_clear":
            return rule.retry_after_s
        _, end_s = rule.window_s or (0.0, 0.0)
        return max(0.0, self._start_s + end_s - self._now())


def _matches(match: Match, call: Call) -> bool:
    wanted = (
        (match.provider, call.protocol),
        (match.model, call.model),
        (match.session, call.session),
        (match.run, call.run),
        (match.attempt, call.attempt),
    )
    return all(want is None or want == has for want, has in wanted)
