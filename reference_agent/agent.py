"""One request: its session is loaded, a fresh Agent answers, and the new turn is saved."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from strands import Agent
from strands.agent import AgentResult
from strands.agent.conversation_manager import NullConversationManager
from strands.hooks import AfterToolCallEvent, BeforeToolCallEvent, HookRegistry
from strands.types.tools import AgentTool

from reference_agent import contract
from reference_agent.adapters.errors import (
    FILTERED,
    ContentFilteredError,
    TooManyCallsError,
    classify,
)
from reference_agent.adapters.lost_sessions import AskedAgain
from reference_agent.adapters.sessions.protocol import (
    AnswerTooLargeError,
    ConflictError,
    History,
    ReusedRequestError,
    SessionStore,
    Turn,
    TurnTooLargeError,
)
from reference_agent.clients import Clients, ClientSet
from reference_agent.failures import gave_up_error
from reference_agent.history import BoundedTurn, DropOldestOnce, mended, recent, without_metadata
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
    """

    def __init__(
        self, settings: Settings, clients: Clients, store: SessionStore, make_hook: MakeHook
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._store = store
        self._make_hook = make_hook
        self._detail = Detail(settings.agent_detail_spans_share)

    async def events(
        self, invocation: Invocation, deadline: asyncio.Timeout, *, streaming: bool
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Answer a request piece by piece: `{"delta": text}`..., then the whole answer.

        To be run, and closed, by one task.

        Args:
            invocation: the request.
            deadline: within which it is run.
            streaming: whether the pieces are wanted.
        """
        with end_open_spans():
            history = await self._load(invocation)
            if history.answer is not None:  # the same request was answered before, perhaps elsewhere
                yield history.answer
                return
            hook = self._make_hook(self._elapsed_s(deadline))
            async with (
                self._clients.use() as used,
                aclosing(self._run(invocation, history, used, hook, deadline)) as outputs,
            ):
                async for output in outputs:
                    if isinstance(output, Turn):
                        yield await self._save(invocation, history, output)
                    elif streaming:
                        hook.answer_begun = True
                        yield {"delta": output}

    def _elapsed_s(self, deadline: asyncio.Timeout) -> Callable[[], float]:
        """Return what a retry has of the request's time: a caller's shorter limit counts as spent."""
        loop, ends_s = asyncio.get_running_loop(), deadline.when() or 0.0
        return lambda: self._settings.agent_deadline_s - (ends_s - loop.time())

    async def _load(self, invocation: Invocation) -> History:
        with self._detail.span("session.load", {"session.id": invocation.session_id}):
            history = await self._store.load(invocation.session_id, invocation.request_id)
        if history.answer is not None and history.body_hash not in {"", invocation.body_hash}:
            raise ReusedRequestError
        return history

    async def _run(
        self,
        invocation: Invocation,
        history: History,
        used: ClientSet,
        hook: TransientErrorRetryHook,
        deadline: asyncio.Timeout,
    ) -> AsyncGenerator[str | Turn, None]:
        """Let a fresh Agent answer: its text as it comes, and last the new turn."""
        result: AgentResult | None = None
        agent = self.fresh_agent(invocation, history, used, hook)
        agent.conversation_manager = memory = DropOldestOnce(len(agent.messages))
        BoundedTurn(agent.hooks)
        async with (
            self._outcome_reported(agent, used, hook, deadline),
            aclosing(_stream(agent, invocation.prompt, self._settings.agent_max_model_calls)) as events,
        ):
            async for event in events:
                if event.get("data"):
                    yield event["data"]
                result = event.get("result", result)
        if result is None or result.stop_reason in FILTERED:
            raise ContentFilteredError(result.stop_reason if result else "nothing came")
        if result.stop_reason == "limit_turns":
            raise TooManyCallsError
        answer = {"result": str(result).strip(), "session_id": invocation.session_id}
        metadata = _metadata(memory, used)
        yield Turn(
            request_id=invocation.request_id,
            body_hash=invocation.body_hash,
            messages=mended(without_metadata(agent.messages[memory.known :])),
            answer=mended({**answer, "metadata": metadata} if metadata else answer),
            keeps=memory.known if memory.dropped else None,
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
        except TurnTooLargeError as error:  # the request's own part has been looked at before
            raise AnswerTooLargeError from error
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
            "tools": tools_of(used, hook),
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
        tool_calls = _ToolCalls(agent)
        try:
            yield
        except Exception as error:
            if classify(error).refused_credentials:
                self._clients.credentials_refused(used)
            if gave_up := gave_up_error(hook.outcome, error):
                raise gave_up from error
            raise
        else:
            self._clients.model_succeeded(used)
        finally:
            hook.abandon("deadline" if deadline.expired() else "cancelled")
            if tool_calls.failed or tool_calls.open:
                self._clients.tool_failed(used)


def tools_of(used: ClientSet, hook: TransientErrorRetryHook) -> list[AgentTool]:
    """Return the tools for one request: one whose session is lost is asked again in a new one."""
    tools, anew = list(used.tools.tools) if used.tools else [], used.tools_anew
    if anew is None:
        return tools

    async def again(tool: AgentTool) -> AgentTool | None:
        session = await anew() if hook.may_ask_tool_again() else None
        same = [] if session is None else [each for each in session.tools if each.tool_spec == tool.tool_spec]
        return same[0] if same else None

    return [AskedAgain(tool, again) for tool in tools]


def _stream(agent: Agent, prompt: str, most_calls: int) -> AsyncGenerator[dict[str, Any], None]:
    # Strands promises an iterator and returns a generator, which has to be closed by who opened it.
    events = agent.stream_async(prompt, limits={"turns": most_calls})
    return cast("AsyncGenerator[dict[str, Any], None]", events)


class _ToolCalls:
    """Counts the tool calls of an Agent that failed, and those that have not come back."""

    def __init__(self, agent: Agent) -> None:
        self.failed = self.open = 0
        registry: HookRegistry = agent.hooks
        registry.add_callback(BeforeToolCallEvent, self._before)
        registry.add_callback(AfterToolCallEvent, self._after)

    def _before(self, event: BeforeToolCallEvent) -> None:  # noqa: ARG002 - Strands names it
        self.open += 1

    def _after(self, event: AfterToolCallEvent) -> None:
        self.open -= 1
        self.failed += event.exception is not None or event.result.get("status") == "error"


def _metadata(memory: DropOldestOnce, used: ClientSet) -> dict[str, Any]:
    """Return what the caller has to know of how the answer came about."""
    told: dict[str, Any] = {}
    if memory.dropped:
        told["messages_forgotten"] = memory.dropped
    if used.without_tools:
        told["tools"] = "unavailable"
    return told


def trace_attributes(invocation: Invocation, used: ClientSet) -> dict[str, Any]:
    """Return what an Agent's `invoke_agent` span says of its request, and of its clients."""
    return {
        "gen_ai.conversation.id": invocation.session_id,
        contract.AGENT_ID: uuid.uuid4().hex,
        contract.CLIENT_STATE: used.state,
        contract.CLIENT_WAIT_S: used.wait_s,
    }
