"""Retry inside Strands: a hook that asks `patterns/retry.py` what to do after a failed model call."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from strands.hooks import AfterModelCallEvent, BeforeModelCallEvent, HookProvider, HookRegistry

from reference_agent import contract
from reference_agent.adapters.attempt_spans import ModelCall, current_call
from reference_agent.adapters.errors import (
    FILTERED,
    Classification,
    ContentFilteredError,
    MalformedAnswerError,
    classify,
)
from reference_agent.patterns.retry import UNIFORM, Failure, Retry, RetryBudget, RetryPolicy, Stop, decide
from reference_agent.telemetry.instruments import Instruments

MODEL: Final = "gen_ai.request.model"
_tracer = trace.get_tracer("reference_agent.model")
MakeHook = Callable[[Callable[[], float]], "TransientErrorRetryHook"]
"""Makes the hook of one request from a function that gives the seconds since the request came in."""


def model_labels(provider: str, model_id: str) -> dict[str, str]:
    """Return what the spans and metrics of a model's calls say of it, by the names of the convention."""
    named = {"bedrock": "aws.bedrock"}.get(provider, provider)
    return {"gen_ai.operation.name": "chat", "gen_ai.provider.name": named, MODEL: model_id}


class TransientErrorRetryHook(HookProvider):
    """Retries transient failures of the model, for one Agent and one request.

    Also keeps the span of the logical call, of which each attempt is a child. Strands' own retry
    has to be off (`retry_strategy=None`), and the SDK's below it as well.

    Args:
        policy: how often, and how far apart.
        labels: of spans and metrics, from `model_labels`.
        instruments: counts attempts, delays and tokens.
        elapsed_s: seconds since the request came in.
        sleep: waits.
        uniform: gives a number in [0, 1).
        classify: says of an error whether it is transient.
        clock: seconds since any origin.
        budget: of the container, None for no bound on what its requests retry together.

    Attributes:
        answer_begun: set by whoever streams: the caller has a part of this call's answer, so that it may not
            be retried. The next call of the same turn may.
        outcome: of the last call, as `contract.RETRY_OUTCOME` says.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        labels: Mapping[str, str],
        instruments: Instruments,
        elapsed_s: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[], float] = UNIFORM,
        classify: Callable[[BaseException], Classification] = classify,
        clock: Callable[[], float] = time.monotonic,
        budget: RetryBudget | None = None,
    ) -> None:
        self._policy = policy
        self._labels = labels
        self._instruments = instruments
        self._elapsed_s = elapsed_s
        self._sleep = sleep
        self._uniform = uniform
        self._classify = classify
        self._clock = clock
        self._budget = budget
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
            self._begin_call()
        self._attempt += 1

    async def after(self, event: AfterModelCallEvent) -> None:
        """An attempt ended: retry it after a pause, or close the call.

        Raises:
            MalformedAnswerError: Strands would ask the same again, for as long as there is time. This comes
                back as the attempt's error.
        """
        error = event.exception
        if event.stop_response is not None and event.stop_response.stop_reason in FILTERED:
            error = ContentFilteredError(event.stop_response.stop_reason)
        if error is None and _asks_for_no_tool(event):
            raise MalformedAnswerError("the model's answer is to call a tool, and names none")
        if error is None:
            self._record_usage(event)
            self._end_call("success")
            return
        found = self._classify(error)
        failure = Failure(found.transient, found.retry_after_s, self.answer_begun)
        decision = decide(
            self._policy, self._attempt, failure, self._elapsed_s(), self._uniform, budget=self._budget
        )
        if isinstance(decision, Stop):
            self._end_call(decision.outcome, found.error_type)
            return
        self._record_retry(decision, found)
        if self._call is not None:
            self._call.first_chunk_s = None
        await self._sleep(decision.delay_s)
        event.retry = True

    def abandon(self, outcome: str) -> None:
        """End the span of a call that is still open, with its outcome: `deadline` or `cancelled`."""
        if self._call is not None:
            self._end_call(outcome, outcome)

    def may_ask_tool_again(self) -> bool:
        """Say whether a tool that was surely not asked may be asked once more: it counts as a retry.

        At once: nobody refused it for there being too many, and the session is opened anew for all together.
        """
        at_once = dataclasses.replace(self._policy, base_s=0.0)
        failure = Failure(transient=True)
        decision = decide(at_once, 1, failure, self._elapsed_s(), self._uniform, budget=self._budget)
        return isinstance(decision, Retry)

    def _begin_call(self) -> None:
        self.answer_begun = False
        self._begun = self._clock()
        name = f"chat {self._labels[MODEL]}"
        span = _tracer.start_span(name, kind=SpanKind.CLIENT, attributes=self._labels)
        self._call = ModelCall(span, self._clock)
        current_call.set(self._call)
        if self._budget is not None:
            self._budget.earn()

    def _record_retry(self, retry: Retry, found: Classification) -> None:
        if self._call is not None:
            attributes = {
                contract.RETRY_DELAY_S: retry.delay_s,
                contract.RETRY_DELAY_MS: round(1000 * retry.delay_s),
                contract.RETRY_DELAY_SOURCE: retry.source,
                "error.type": found.error_type,
            }
            self._call.span.add_event(contract.RETRY_EVENT, attributes)
        self._instruments.attempts.add(1, {"outcome": "retried"})
        self._instruments.retry_delay.record(retry.delay_s, {"source": retry.source})

    def _record_usage(self, event: AfterModelCallEvent) -> None:
        if self._call is not None and self._call.first_chunk_s is not None:
            first_chunk_s = self._call.first_chunk_s - self._begun
            self._call.span.set_attribute(contract.FIRST_CHUNK_S, first_chunk_s)
            self._instruments.first_chunk.record(first_chunk_s, self._labels)
        message: dict[str, Any] = dict(event.stop_response.message) if event.stop_response else {}
        usage = message.get("metadata", {}).get("usage", {})
        for kind in ("input", "output"):
            tokens = usage.get(f"{kind}Tokens")
            if tokens is not None and self._call is not None:
                self._call.span.set_attribute(f"gen_ai.usage.{kind}_tokens", tokens)
                self._instruments.token_usage.record(tokens, {**self._labels, "gen_ai.token.type": kind})

    def _end_call(self, outcome: str, error_type: str | None = None) -> None:
        call, self._call = self._call, None
        attempts, self._attempt = self._attempt, 0
        current_call.set(None)
        self.outcome = outcome
        if call is None:
            return
        call.span.set_attribute(contract.RETRY_ATTEMPTS, attempts)
        call.span.set_attribute(contract.RETRY_OUTCOME, outcome)
        labels = dict(self._labels)
        if error_type is not None:
            call.span.set_attribute("error.type", error_type)
            call.span.set_status(Status(StatusCode.ERROR))
            labels["error.type"] = error_type
        call.span.end()
        self._instruments.attempts.add(1, {"outcome": outcome})
        self._instruments.operation_duration.record(self._clock() - self._begun, labels)


def _asks_for_no_tool(event: AfterModelCallEvent) -> bool:
    told = event.stop_response
    return (
        told is not None
        and told.stop_reason == "tool_use"
        and not any("toolUse" in part for part in told.message["content"])
    )
