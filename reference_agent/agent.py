"""One request: its session is loaded, a fresh Agent answers, and the new turn is saved."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from strands import Agent
from strands.agent import AgentResult
from strands.agent.conversation_manager import NullConversationManager
from strands.hooks import AfterToolCallEvent, HookRegistry
from strands.types.content import Message

from reference_agent import contract
from reference_agent.adapters.errors import FILTERED, ContentFilteredError, sort
from reference_agent.adapters.sessions.protocol import (
    ConflictError,
    History,
    SessionError,
    SessionStore,
    Turn,
)
from reference_agent.clients import Clients, ClientSet
from reference_agent.hooks import TransientErrorRetryHook
from reference_agent.patterns.client_cache import ClientUnavailableError
from reference_agent.settings import Settings

AUTH_STATUS = "401"
STATUS_OF = {"content_filter": 422, "context_length_exceeded": 413}
UPSTREAM_FAILED, UNAVAILABLE, CONFLICT, TOO_LATE = 502, 503, 409, 504
_tracer = trace.get_tracer("reference_agent")
MakeHook = Callable[[Callable[[], float]], TransientErrorRetryHook]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A request, checked."""

    prompt: str
    session_id: str
    request_id: str


class AgentError(Exception):
    """A failure as the caller is told: nothing of the prompt, of keys, or of the provider's words.

    Attributes:
        status: of HTTP.
        error_type: a short stable name.
        retry_after_s: when it may be worth another try.
    """

    def __init__(
        self, status: int, error_type: str, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, str]:
        """Return what the caller is sent."""
        return {"error": str(self), "error_type": self.error_type, "message": str(self)}


class AgentService:
    """Answers invocations. It keeps nothing of a conversation between two requests.

    Args:
        settings: the agent's.
        clients: lends model and tools.
        store: keeps the sessions.
        make_hook: makes the retry hook of one request, from the seconds since it came in.
        make_agent: makes the Agent of one request.
        clock: seconds since any origin.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        store: SessionStore,
        make_hook: MakeHook,
        *,
        make_agent: Callable[..., Agent] = Agent,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._store = store
        self._make_hook = make_hook
        self._make_agent = make_agent
        self._clock = clock

    async def answer(self, invocation: Invocation) -> dict[str, Any]:
        """Answer a request in one piece.

        Raises:
            AgentError: it can't be answered; says what the caller is told.
        """
        answer: dict[str, Any] = {}
        with told_as_agent_error():
            async with asyncio.timeout(self._settings.agent_deadline_s):
                async for event in self._events(invocation, streaming=False):
                    answer = event.get("answer", answer)
        return answer

    async def stream(self, invocation: Invocation) -> AsyncIterator[dict[str, Any]]:
        """Answer a request piece by piece: `{"delta": text}`..., then the whole answer.

        Raises:
            AgentError: it can't be answered, or not to its end.
        """
        with told_as_agent_error():
            async with asyncio.timeout(self._settings.agent_deadline_s):
                async for event in self._events(invocation, streaming=True):
                    yield event.get("answer", event)

    async def _events(self, invocation: Invocation, *, streaming: bool) -> AsyncIterator[dict[str, Any]]:
        begun = self._clock()
        with _tracer.start_as_current_span("session.load"):
            history = await self._store.load(invocation.session_id, invocation.request_id)
        if history.answer is not None:  # the same request was answered before, perhaps elsewhere
            yield {"answer": history.answer}
            return
        hook = self._make_hook(lambda: self._clock() - begun)
        async with self._clients.use() as used:
            agent = self._fresh_agent(invocation, history, used, hook)
            known = len(agent.messages)
            watch = _ToolWatch(agent)
            try:
                result: AgentResult | None = None
                async for event in agent.stream_async(invocation.prompt):
                    if streaming and event.get("data"):
                        hook.handed_out = True
                        yield {"delta": event["data"]}
                    result = event.get("result", result)
            except Exception as error:
                if sort(error).error_type in {"invalid_api_key", f"http_{AUTH_STATUS}"}:
                    await self._clients.refused(used)
                raise
            finally:
                hook.abandon()
            await self._clients.worked(used)
            if watch.failures:
                await self._clients.tool_failed(used)
        if result is None or result.stop_reason in FILTERED:
            raise ContentFilteredError(result.stop_reason if result else "nothing came")
        answer = {"result": str(result).strip(), "session_id": invocation.session_id}
        turn = Turn(request_id=invocation.request_id, messages=plain(agent.messages[known:]), answer=answer)
        with _tracer.start_as_current_span("session.save"):
            await self._store.append(invocation.session_id, history.version, turn)
        yield {"answer": answer}

    def _fresh_agent(
        self, invocation: Invocation, history: History, used: ClientSet, hook: TransientErrorRetryHook
    ) -> Agent:
        return self._make_agent(
            name="agentrig",
            model=used.model.model,
            messages=recent(history.messages, self._settings.agent_session_max_messages),
            tools=list(used.tools.tools) if used.tools else [],
            system_prompt=self._settings.agent_system_prompt,
            conversation_manager=NullConversationManager(),
            callback_handler=None,  # the default prints
            retry_strategy=None,  # six tries without jitter; ours is the hook
            hooks=[hook],
            trace_attributes={
                "gen_ai.conversation.id": invocation.session_id,
                contract.AGENT_ID: uuid.uuid4().hex,
                contract.CLIENT_STATE: used.state,
                contract.CLIENT_WAIT_S: used.wait_s,
            },
        )


class _ToolWatch:
    """Counts the tool calls of an Agent that failed."""

    def __init__(self, agent: Agent) -> None:
        self.failures = 0
        registry: HookRegistry = agent.hooks
        registry.add_callback(AfterToolCallEvent, self._after)

    def _after(self, event: AfterToolCallEvent) -> None:
        self.failures += event.exception is not None or event.result.get("status") == "error"


def recent(messages: Sequence[Message], most: int) -> list[Message]:
    """Return a copy of the last messages, at most `most`, that begins with a user's own words.

    Strands converts every message at each model call, on the event loop: 0.26 ms apiece. The
    bound keeps `/ping` answering while a long conversation is in work.
    """
    kept = list(messages[-most:])
    while kept and (kept[0]["role"] != "user" or any("toolResult" in part for part in kept[0]["content"])):
        kept.pop(0)
    return kept


def plain(messages: Sequence[Message]) -> list[Message]:
    """Return messages without Strands' bookkeeping: only what the model has to see again."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]


@contextmanager
def told_as_agent_error() -> Iterator[None]:
    """Turn whatever goes wrong into what the caller is told.

    Raises:
        AgentError: in place of any other exception.
    """
    try:
        yield
    except (AgentError, asyncio.CancelledError, GeneratorExit):
        raise
    except TimeoutError as error:
        raise AgentError(TOO_LATE, "deadline", "The request's deadline is over.") from error
    except ConflictError as error:
        message = "Another request of this session finished first. Send this one again."
        raise AgentError(CONFLICT, "session_conflict", message) from error
    except SessionError as error:
        message = "The session store can't be reached. Try again later."
        raise AgentError(UNAVAILABLE, "session_store", message, retry_after_s=1.0) from error
    except ClientUnavailableError as error:
        message = "A client that is needed can't be built. Try again later."
        raise AgentError(
            UNAVAILABLE, "client_unavailable", message, retry_after_s=error.retry_after_s
        ) from error
    except Exception as error:
        raise _model_error(error) from error


def _model_error(error: Exception) -> AgentError:
    found = sort(error)
    if found.transient:
        message = "The model is not available now, also after retries."
        return AgentError(UNAVAILABLE, found.error_type, message, retry_after_s=found.retry_after_s or 1.0)
    message = "The model refused the request; sending it again gives the same."
    return AgentError(STATUS_OF.get(found.error_type, UPSTREAM_FAILED), found.error_type, message)
