"""One request: its session is loaded, a fresh Agent answers, and the new turn is saved."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from strands import Agent
from strands.agent import AgentResult
from strands.agent.conversation_manager import NullConversationManager
from strands.hooks import AfterToolCallEvent, HookRegistry
from strands.types.content import Message

from reference_agent import contract
from reference_agent.adapters.errors import FILTERED, ContentFilteredError, classify
from reference_agent.adapters.sessions.protocol import ConflictError, History, SessionStore, Turn
from reference_agent.clients import Clients, ClientSet
from reference_agent.failures import gave_up_error, raised_as_agent_error
from reference_agent.hooks import MakeHook, TransientErrorRetryHook
from reference_agent.request import Invocation
from reference_agent.settings import Settings
from reference_agent.telemetry.detail import Detail
from reference_agent.telemetry.open_spans import end_open_spans


class AgentService:
    """Answers invocations. It keeps nothing of a conversation between two requests.

    Args:
        settings: the agent's.
        clients: lends model and tools.
        store: keeps the sessions.
        make_hook: makes the retry hook of one request.
        clock: seconds since any origin.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        store: SessionStore,
        make_hook: MakeHook,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._store = store
        self._make_hook = make_hook
        self._clock = clock
        self._detail = Detail(settings.agent_detail_spans_share)

    async def answer(self, invocation: Invocation) -> dict[str, Any]:
        """Answer a request in one piece.

        Raises:
            AgentError: it can't be answered; it is what the caller gets.
        """
        answer: dict[str, Any] = {}
        async with aclosing(self._events(invocation, streaming=False)) as events:
            async for event in events:
                answer = event
        return answer

    def stream(self, invocation: Invocation) -> AsyncGenerator[dict[str, Any], None]:
        """Answer a request piece by piece: `{"delta": text}`..., then the whole answer.

        To be run, and closed, by one task.

        Raises:
            AgentError: it can't be answered, or not to its end.
        """
        return self._events(invocation, streaming=True)

    async def _events(
        self, invocation: Invocation, *, streaming: bool
    ) -> AsyncGenerator[dict[str, Any], None]:
        with raised_as_agent_error(), end_open_spans():
            async with (
                asyncio.timeout(self._settings.agent_deadline_s) as deadline,
                aclosing(self._load_run_save(invocation, deadline, streaming=streaming)) as events,
            ):
                async for event in events:
                    yield event

    async def _load_run_save(
        self, invocation: Invocation, deadline: asyncio.Timeout, *, streaming: bool
    ) -> AsyncGenerator[dict[str, Any], None]:
        begun = self._clock()
        history = await self._load(invocation)
        if history.answer is not None:  # the same request was answered before, perhaps elsewhere
            yield history.answer
            return
        hook = self._make_hook(lambda: self._clock() - begun)
        async with aclosing(self._run(invocation, history, hook, deadline)) as outputs:
            async for output in outputs:
                if isinstance(output, Turn):
                    yield await self._save(invocation, history, output)
                elif streaming:
                    hook.answer_begun = True
                    yield {"delta": output}

    async def _load(self, invocation: Invocation) -> History:
        with self._detail.span("session.load"):
            return await self._store.load(invocation.session_id, invocation.request_id)

    async def _run(
        self,
        invocation: Invocation,
        history: History,
        hook: TransientErrorRetryHook,
        deadline: asyncio.Timeout,
    ) -> AsyncGenerator[str | Turn, None]:
        """Let a fresh Agent answer: its text as it comes, and last the new turn."""
        result: AgentResult | None = None
        async with self._clients.use() as used:
            agent = self.fresh_agent(invocation, history, used, hook)
            known = len(agent.messages)
            async with (
                self._outcome_reported(agent, used, hook, deadline),
                aclosing(_stream(agent, invocation.prompt)) as events,
            ):
                async for event in events:
                    if event.get("data"):
                        yield event["data"]
                    result = event.get("result", result)
        if result is None or result.stop_reason in FILTERED:
            raise ContentFilteredError(result.stop_reason if result else "nothing came")
        yield Turn(
            request_id=invocation.request_id,
            messages=without_metadata(agent.messages[known:]),
            answer={"result": str(result).strip(), "session_id": invocation.session_id},
        )

    async def _save(self, invocation: Invocation, history: History, turn: Turn) -> dict[str, Any]:
        """Save the turn, and return the answer that counts for this request."""
        try:
            with self._detail.span("session.save"):
                await self._store.append(invocation.session_id, history.version, turn)
        except ConflictError:
            # Perhaps by this very request: sent twice at once, or written before the connection broke.
            written = (await self._load(invocation)).answer
            if written is None:
                raise
            return written
        return turn.answer

    def fresh_agent(
        self, invocation: Invocation, history: History, used: ClientSet, hook: TransientErrorRetryHook
    ) -> Agent:
        """Return a new Agent for this request, which knows its session's messages and no others."""
        return Agent(**self.agent_arguments(invocation, history, used, hook))

    def agent_arguments(
        self, invocation: Invocation, history: History, used: ClientSet, hook: TransientErrorRetryHook
    ) -> dict[str, Any]:
        """Return what an Agent is made of."""
        return {
            "name": "agentrig",
            "model": used.model.model,
            "messages": recent(history.messages, self._settings.agent_session_max_messages),
            "tools": list(used.tools.tools) if used.tools else [],
            "system_prompt": self._settings.agent_system_prompt,
            "conversation_manager": NullConversationManager(),
            "callback_handler": None,  # the default prints
            "retry_strategy": None,  # six tries without jitter; ours is the hook
            "hooks": [hook],
            "trace_attributes": trace_attributes(invocation, used),
        }

    @asynccontextmanager
    async def _outcome_reported(
        self, agent: Agent, used: ClientSet, hook: TransientErrorRetryHook, deadline: asyncio.Timeout
    ) -> AsyncIterator[None]:
        """Tell the clients how the work within went, and end the model call that it leaves open."""
        tool_failures = _ToolFailures(agent)
        try:
            yield
        except Exception as error:
            if classify(error).refused_credentials:
                await self._clients.credentials_refused(used)
            if gave_up := gave_up_error(hook.outcome, error):
                raise gave_up from error
            raise
        finally:
            hook.abandon("deadline" if deadline.expired() else "cancelled")
        await self._clients.model_succeeded(used)
        if tool_failures.count:
            await self._clients.tool_failed(used)


def _stream(agent: Agent, prompt: str) -> AsyncGenerator[dict[str, Any], None]:
    # Strands promises an iterator and returns a generator, which has to be closed by who opened it.
    return cast("AsyncGenerator[dict[str, Any], None]", agent.stream_async(prompt))


class _ToolFailures:
    """Counts the tool calls of an Agent that failed."""

    def __init__(self, agent: Agent) -> None:
        self.count = 0
        registry: HookRegistry = agent.hooks
        registry.add_callback(AfterToolCallEvent, self._after)

    def _after(self, event: AfterToolCallEvent) -> None:
        self.count += event.exception is not None or event.result.get("status") == "error"


def trace_attributes(invocation: Invocation, used: ClientSet) -> dict[str, Any]:
    """Return what an Agent's `invoke_agent` span says of its request, and of its clients."""
    return {
        "gen_ai.conversation.id": invocation.session_id,
        contract.AGENT_ID: uuid.uuid4().hex,
        contract.CLIENT_STATE: used.state,
        contract.CLIENT_WAIT_S: used.wait_s,
    }


def recent(messages: Sequence[Message], most: int) -> list[Message]:
    """Return a copy of the last messages, at most `most`, that begins with a user's own words.

    Strands converts every message at each model call, on the event loop: 0.26 ms apiece. The
    bound keeps `/ping` answering while a long conversation is in work.
    """
    kept = list(messages[-most:])
    while kept and (kept[0]["role"] != "user" or any("toolResult" in part for part in kept[0]["content"])):
        kept.pop(0)
    return kept


def without_metadata(messages: Sequence[Message]) -> list[Message]:
    """Return messages without Strands' own metadata: only what the model has to see again."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]
