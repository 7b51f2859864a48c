"""Work that goes on after the answer: here, picking out what is worth remembering.

The caller has its answer, and a balancer that counts requests takes the container for free. Only
the container knows better. So the work keeps the request's slot: `/ping` goes on saying
`HealthyBusy`, a request above the limit is refused, and a draining container waits for its end.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable

from opentelemetry import trace
from strands import Agent

from reference_agent import contract
from reference_agent.agent import trace_attributes
from reference_agent.app import Parts
from reference_agent.clients import Clients
from reference_agent.hooks import MakeHook
from reference_agent.patterns.busy_signal import Slot
from reference_agent.request import Invocation
from reference_agent.settings import Settings
from reference_agent.telemetry.open_spans import end_open_spans
from reference_agent.threads import threads_ended

QUESTION = "Which facts in these words are worth remembering?"
_tracer = trace.get_tracer("reference_agent")
logger = logging.getLogger(__name__)


def apply(parts: Parts) -> None:
    """Let the share of requests that the settings ask for go on working after their answer."""
    work = AfterAnswer(parts.settings, parts.clients, parts.make_hook)
    parts.handler.after_answer = work.begin


class AfterAnswer:
    """Keeps a share of the requests' slots for one more model call each.

    Args:
        settings: which share, and how long it may take.
        clients: lends the model.
        make_hook: makes the retry hook of one call.
        clock: seconds since any origin.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        make_hook: MakeHook,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._make_hook = make_hook
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()  # the event loop itself holds tasks only weakly

    def begin(self, invocation: Invocation, slot: Slot) -> None:
        """Go on with an answered request that is in the share; its slot is kept until then."""
        if not in_share(invocation.prompt, self._settings.agent_after_answer_share):
            return
        task = asyncio.create_task(self._work(invocation))
        kept = slot.hand_over()  # now that there is somebody who gives it back, also if it never begins
        task.add_done_callback(lambda _: kept.release())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, invocation: Invocation) -> None:
        with _tracer.start_as_current_span(contract.AFTER_ANSWER_SPAN) as span:
            try:
                async with threads_ended(), asyncio.timeout(self._settings.agent_deadline_s):
                    await self._ask(invocation)
            except Exception as error:  # noqa: BLE001 - nobody awaits it who could handle it
                logger.warning("work after the answer was given up: %s", type(error).__name__)
                span.set_attribute("error.type", type(error).__name__)

    async def _ask(self, invocation: Invocation) -> None:
        begun = self._clock()
        hook = self._make_hook(lambda: self._clock() - begun)
        with end_open_spans():
            async with self._clients.use() as used:
                agent = Agent(
                    name="memory",
                    model=used.model.model,
                    callback_handler=None,
                    retry_strategy=None,
                    hooks=[hook],
                    trace_attributes=trace_attributes(invocation, used),
                )
                try:
                    await agent.invoke_async(f"{QUESTION} {invocation.prompt}")
                finally:
                    hook.abandon("cancelled")


def in_share(text: str, share: float) -> bool:
    """Return whether a text is among the share: the same ones each time, in every container."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
