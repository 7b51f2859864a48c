"""What happens to a call: which fault, if any, or the quota's refusal, or an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.simulator import draws
from harness.simulator.calls import ModelCall
from harness.simulator.faults import REGISTRY, auth, content_filter_200, context_length, model_not_found
from harness.simulator.faults.fault import Fault
from harness.simulator.installed import FAULTS
from harness.simulator.quota import QuotaBuckets, QuotaVerdict
from harness.simulator.wire.protocol import ModelAnswer
from harness.simulator_config import FaultRule, Match, RetryAfterForm, SimulatorConfig

FAILED = {"transient", "permanent"}
"""Classes of faults that leave nothing of an answer, so that it uses no quota."""
STREAMED = {"stream", "slow"}
"""Classes of faults that only a stream can have."""
OF_TEXT = {content_filter_200.FAULT.kind}
"""What only an answer that has a text can show."""
KEYS_KEPT, MOST_KEYS = 10_000, 100_000
"""Keys and models whose buckets are kept: beyond the first number, full ones are forgotten; then, any."""
UNSAID_MAX_TOKENS = 256
"""What a caller that sets no limit is taken to need."""


@dataclass(slots=True, kw_only=True)
class CallDecision:
    """What happens to a call.

    Attributes:
        fault: what is served in place of an answer, None for an answer.
        source: what it came from: `fault`, `quota`, `auth` or `request`; None for an answer.
        rule: that made the fault fire.
        retry_after_s: what the caller is told, None for nothing.
        form: how that is written.
        quota: what the quota said, None when it wasn't asked.
        buckets: that hold the reserved tokens; reserved: how many more than the answer has.
        ttft_s, itl_s: planned latencies of an answer.
    """

    fault: Fault | None = None
    source: str | None = None
    rule: FaultRule | None = None
    retry_after_s: float | None = None
    form: RetryAfterForm = RetryAfterForm.EXACT
    quota: QuotaVerdict | None = None
    buckets: QuotaBuckets | None = None
    reserved: int = 0
    ttft_s: float = 0.0
    itl_s: float = 0.0

    @property
    def kind(self) -> str:
        """`ok`, or the fault's kind."""
        return self.fault.kind if self.fault else "ok"

    def settle(self) -> None:
        """Give back the tokens that were reserved and not used."""
        if self.buckets is not None and self.reserved:
            self.buckets.settle(self.reserved)


class Decider:
    """Decides on calls, from the configuration and the seed.

    Args:
        config: what the simulator is told.
        now: Unix time in seconds.
        start_s: the run's start, in Unix time; windows count from here.
        is_token: whether a key is a token that the token endpoint gave and that still holds.
    """

    def __init__(
        self,
        config: SimulatorConfig,
        now: Callable[[], float],
        start_s: float,
        is_token: Callable[[str], bool],
    ) -> None:
        self.config = config
        self._now = now
        self._start_s = start_s
        self._is_token = is_token
        self._buckets: dict[tuple[str, str], QuotaBuckets] = {}
        self._sweep_at = KEYS_KEPT
        self._narrow = _narrow(config)
        self._counts = draws.RuleCounts()

    @property
    def fired(self) -> tuple[int, ...]:
        """How often each fault rule fired."""
        return tuple(self._counts.fired[number] for number in range(len(self.config.faults)))

    def change(self, config: SimulatorConfig) -> None:
        """Go on with another configuration; only what is changed in it begins anew."""
        if config.quota != self.config.quota:
            self._buckets.clear()
        self._narrow = _narrow(config)
        if config.faults[: len(self.config.faults)] != self.config.faults:
            self._counts = draws.RuleCounts()
        self.config = config

    def decide(self, call: ModelCall, answer: ModelAnswer, in_work: int = 1) -> CallDecision:
        """Decide on one attempt.

        Args:
            call: the attempt.
            answer: that it would get.
            in_work: calls in work, this one counted.
        """
        if self.config.auth is not None and not self._may_call(call.key):
            return CallDecision(fault=auth.FAULT, source="auth")
        if self._narrow and (refusal := self._refusal(call, answer)) is not None:
            return CallDecision(fault=refusal, source="request")
        ttft_s, itl_s = self._latency(call, answer, in_work)
        plan = CallDecision(ttft_s=ttft_s, itl_s=itl_s)
        rule = next((rule for n, rule in enumerate(self.config.faults) if self._fires(n, rule, call)), None)
        # Counting tokens has limits of its own with every provider, far from what an agent asks for.
        buckets = None if call.wire.operation == "count_tokens" else self._buckets_of(call)
        if rule is not None:
            plan = replace(plan, fault=FAULTS[rule.kind], source="fault", rule=rule)
            if FAULTS[rule.kind].fault_class in FAILED:
                verdict = buckets.fail(rule.kind) if buckets is not None else None
                told_s = self._retry_after_s(rule)
                return replace(plan, retry_after_s=told_s, form=rule.retry_after_form, quota=verdict)
        return plan if buckets is None else self._within_quota(buckets, call, answer, plan)

    def _within_quota(
        self, buckets: QuotaBuckets, call: ModelCall, answer: ModelAnswer, plan: CallDecision
    ) -> CallDecision:
        """Ask for the input and the answer, or for the most that the answer might have had."""
        tokens = answer.tokens
        quota = self.config.quota
        reserves = quota is not None and quota.reserve_max_tokens and not call.request.counts
        output = max(call.request.max_tokens or UNSAID_MAX_TOKENS, tokens) if reserves else tokens
        verdict = buckets.ask(answer.input_tokens + output)
        if verdict.admitted:
            return replace(plan, quota=verdict, buckets=buckets, reserved=output - tokens)
        says_nothing = quota is not None and quota.retry_after is None and not call.wire.tells_when
        return CallDecision(
            fault=REGISTRY[verdict.kind],
            source="quota",
            retry_after_s=None if says_nothing else verdict.retry_after_s,
            form=verdict.form,
            quota=verdict,
        )

    def _refusal(self, call: ModelCall, answer: ModelAnswer) -> Fault | None:
        """Return what is said to a call of a model that there is none of, or that doesn't fit it."""
        config, model = self.config, call.request.model
        if config.models and model not in config.models:
            return model_not_found.FAULT
        window = config.context_windows.get(model, config.context_windows.get("*"))
        return context_length.FAULT if window is not None and answer.input_tokens > window else None

    def _may_call(self, key: str) -> bool:
        keys = self.config.auth.keys if self.config.auth else ()
        return key in keys or self._is_token(key)

    def _latency(self, call: ModelCall, answer: ModelAnswer, in_work: int) -> tuple[float, float]:
        latency, seed, name = self.config.latency, self.config.seed, call.request.call_id
        factor = latency.under_load.slowed(in_work) if latency.under_load else 1.0
        ttft_s = draws.duration_s(latency.ttft, seed, name, "ttft")
        ttft_s += latency.per_input_token_s * answer.input_tokens
        return ttft_s * factor, draws.duration_s(latency.itl, seed, name, "itl") * factor

    def _buckets_of(self, call: ModelCall) -> QuotaBuckets | None:
        if self.config.quota is None:
            return None
        name = (call.key, call.request.model)
        buckets = self._buckets.get(name)
        if buckets is None:
            if len(self._buckets) >= self._sweep_at:
                self._forget()
            buckets = self._buckets[name] = QuotaBuckets(self.config.quota, self._now)
        return buckets

    def _forget(self) -> None:
        """Forget the buckets that are full, for new ones are, too; the oldest one when none is."""
        for name in [name for name, buckets in self._buckets.items() if buckets.full]:
            del self._buckets[name]
        if len(self._buckets) >= MOST_KEYS:
            del self._buckets[next(iter(self._buckets))]
        self._sweep_at = min(MOST_KEYS, max(KEYS_KEPT, 2 * len(self._buckets)))

    def _fires(self, number: int, rule: FaultRule, call: ModelCall) -> bool:
        fault_class = FAULTS[rule.kind].fault_class
        if fault_class in STREAMED and not call.request.stream:
            return False
        if rule.kind in OF_TEXT and call.request.counts:
            return False
        if not _matches(rule.match, call) or not self._in_window(rule):
            return False
        # A permanent fault is the same at each attempt; a transient one is drawn anew, if it does not last.
        lasts = rule.lasting or fault_class == "permanent"
        of = (call.lasting,) if lasts else (call.request.call_id, call.attempt)
        return self._counts.fires(number, rule, self.config.seed, *of)

    def _in_window(self, rule: FaultRule) -> bool:
        if rule.window_s is None:
            return True
        begin_s, end_s = rule.window_s
        return begin_s <= self._now() - self._start_s < end_s

    def _retry_after_s(self, rule: FaultRule) -> float | None:
        if rule.retry_after_s != "until_clear":
            return rule.retry_after_s
        _, end_s = rule.window_s or (0.0, 0.0)
        return max(0.0, self._start_s + end_s - self._now())


def _narrow(config: SimulatorConfig) -> bool:
    """Return whether there are models that are refused, or conversations that are too long."""
    return bool(config.models or config.context_windows)


def _matches(match: Match, call: ModelCall) -> bool:
    wanted = (
        (match.provider, call.wire.provider),
        (match.model, call.request.model),
        (match.session, call.session),
        (match.run, call.run),
        (match.attempt, call.attempt),
    )
    return all(want is None or want == has for want, has in wanted)
