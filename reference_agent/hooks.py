"""Retry inside Strands: a hook that asks `patterns/retry.py` what to do after a failed model call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from strands.hooks import AfterModelCallEvent, BeforeModelCallEvent, HookProvider, HookRegistry

from reference_agent import contract
from reference_agent.adapters.attempt_spans import ModelCall, current_call
from reference_agent.adapters.errors import FILTERED, Classification, ContentFilteredError, classify
from reference_agent.patterns.retry import UNIFORM, Failure, Retry, RetryPolicy, Stop, decide
from reference_agent.telemetry.instruments import Instruments

_tracer = trace.get_tracer("reference_agent.model")
MakeHook = Callable[[Callable[[], float]], "TransientErrorRetryHook"]
"""Makes the hook of one request from a function that gives the seconds since the request came in."""


class TransientErrorRetryHook(HookProvider):
    """Retries transient failures of the model, for one Agent and one request.

    Also keeps the span of the logical call, of which each attempt is a child. Strands' own retry
    has to be off (`retry_strategy=None`), and the SDK's below it as well.

    Args:
        policy: how often, and how far apart.
        model_id: names the span.
        instruments: counts attempts, delays and tokens.
        elapsed_s: seconds since the request came in.
        sleep: waits.
        uniform: gives a number in [0, 1).
        classify: says of an error whether it is transient.
        clock: seconds since any origin.

    Attributes:
        answer_begun: set by whoever streams: the caller has a part of the answer, so nothing may be retried.
        outcome: of the last call: `success`, `exhausted`, `permanent`, `deadline` or `cancelled`.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        model_id: str,
        instruments: Instruments,
        elapsed_s: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[], float] = UNIFORM,
        classify: Callable[[BaseException], Classification] = classify,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._model_id = model_id
        self._instruments = instruments
        self._elapsed_s = elapsed_s
        self._sleep = sleep
        self._uniform = uniform
        self._classify = classify
        self._clock = clock
        self._call: ModelCall | None = None
        self._attempt = 0
        self._begun = 0.0
        self.answer_begun = False
        self.outcome: str | None = None

    def register_hooks(self, registry: HookRegistry, **_: Any) -> None:
        """Subscribe."""
        registry.add_callback(BeforeModelCallEvent, self.before)
        registry.add_callback(AfterModelCallEvent, self.after)

    async def before(self, event: BeforeModelCallEvent) -> None:  # noqa: ARG002 - Strands names it
        """An attempt begins; the first one of a call opens its span."""
        if self._call is None:
            self._begun = self._clock()
            self._call = ModelCall(_tracer.start_span(f"chat {self._model_id}", kind=SpanKind.CLIENT))
            self._call.span.set_attribute("gen_ai.operation.name", "chat")
            self._call.span.set_attribute("gen_ai.request.model", self._model_id)
            current_call.set(self._call)
        self._attempt += 1

    async def after(self, event: AfterModelCallEvent) -> None:
        """An attempt ended: retry it after a pause, or close the call."""
        error = event.exception
        if event.stop_response is not None and event.stop_response.stop_reason in FILTERED:
            error = ContentFilteredError(event.stop_response.stop_reason)
        if error is None:
            self._record_usage(event)
            self._end_call("success")
            return
        found = self._classify(error)
        failure = Failure(found.transient and not self.answer_begun, found.retry_after_s)
        decision = decide(self._policy, self._attempt, failure, self._elapsed_s(), self._uniform)
        if isinstance(decision, Stop):
            self._end_call(decision.outcome, found.error_type)
            return
        self._record_retry(decision, found)
        await self._sleep(decision.delay_s)
        event.retry = True

    def abandon(self, outcome: str) -> None:
        """End the span of a call that is still open, with its outcome: `deadline` or `cancelled`."""
        if self._call is not None:
            self._end_call(outcome, outcome)

    def _record_retry(self, retry: Retry, found: Classification) -> None:
        if self._call is not None:
            attributes = {
                contract.RETRY_DELAY_S: retry.delay_s,
                contract.RETRY_DELAY_SOURCE: retry.source,
                "error.type": found.error_type,
            }
            self._call.span.add_event(contract.RETRY_EVENT, attributes)
        self._instruments.attempts.add(1, {"outcome": "retried"})
        self._instruments.retry_delay.record(retry.delay_s, {"source": retry.source})

    def _record_usage(self, event: AfterModelCallEvent) -> None:
        message: dict[str, Any] = dict(event.stop_response.message) if event.stop_response else {}
        usage = message.get("metadata", {}).get("usage", {})
        for kind in ("input", "output"):
            tokens = usage.get(f"{kind}Tokens")
            if tokens is not None and self._call is not None:
                self._call.span.set_attribute(f"gen_ai.usage.{kind}_tokens", tokens)
                self._instruments.token_usage.record(tokens, {"gen_ai.token.type": kind})

    def _end_call(self, outcome: str, error_type: str | None = None) -> None:
        call, self._call = self._call, None
        attempts, self._attempt = self._attempt, 0
        current_call.set(None)
        self.outcome = outcome
        if call is None:
            return
        call.span.set_attribute(contract.RETRY_ATTEMPTS, attempts)
        call.span.set_attribute(contract.RETRY_OUTCOME, outcome)
        labels = {"gen_ai.operation.name": "chat", "gen_ai.request.model": self._model_id}
        if error_type is not None:
            call.span.set_attribute("error.type", error_type)
            call.span.set_status(Status(StatusCode.ERROR))
            labels["error.type"] = error_type
        call.span.end()
        self._instruments.attempts.add(1, {"outcome": outcome})
        self._instruments.operation_duration.record(self._clock() - self._begun, labels)
