"""The same agent, stateless, busy-aware and safe to retry: with the three files of `patterns/`."""

import asyncio
import os
import time
from typing import Any

import openai
from bedrock_agentcore.runtime import BedrockAgentCoreApp, PingStatus
from bedrock_agentcore.runtime.context import RequestContext
from openai import AsyncOpenAI
from patterns.busy_signal import BusySignal
from patterns.client_cache import CachedClient
from patterns.retry import Failure, Retry, RetryPolicy, decide, retry_after_s
from sessions import Sessions
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from strands import Agent, tool
from strands.agent.conversation_manager import NullConversationManager
from strands.hooks import AfterModelCallEvent, HookProvider, HookRegistry
from strands.models.openai import OpenAIModel
from strands.types.exceptions import EventLoopException, ModelThrottledException

SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
QUOTA_USED_UP = {"insufficient_quota", "credit_balance_exhausted"}
POLICY = RetryPolicy(max_attempts=3)

app = BedrockAgentCoreApp()
sessions = Sessions(os.environ["SESSIONS"])
# The hook asks for the status at each change, so that the SDK stamps the change and not the next poll.
busy = BusySignal(
    limit=int(os.environ.get("CONCURRENCY_LIMIT", "4")), hook=lambda _: app.get_current_ping_status()
)


def connect() -> AsyncOpenAI:
    """Build the client, once a container and on a thread: what it loads would stop the event loop."""
    client = AsyncOpenAI(max_retries=0)  # its own two retries would multiply with ours
    client.chat.completions  # noqa: B018 - loads a quarter of a second's modules
    return client


llm = CachedClient("llm", lambda: asyncio.to_thread(connect), AsyncOpenAI.close)


@tool
def search(query: str) -> str:
    """Search the handbook.

    Args:
        query: what to look for.
    """
    return f"The handbook says nothing about {query}."


def classify(error: BaseException) -> Failure:
    """Say whether a retry can help; what the client raised is inside what Strands raises."""
    if isinstance(error, EventLoopException):
        return classify(error.original_exception)
    if isinstance(error, ModelThrottledException) and error.__cause__:
        return classify(error.__cause__)
    if isinstance(error, openai.APIStatusError):
        transient = error.status_code in {408, 409, 429} or error.status_code >= 500  # noqa: PLR2004 - HTTP
        return Failure(transient and error.code not in QUOTA_USED_UP, retry_after_s(error.response.headers))
    return Failure(transient=isinstance(error, openai.APIConnectionError))


class RetryHook(HookProvider):
    """Asks the retry pattern what to do after a failed model call of one request."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._failed = 0

    def register_hooks(self, registry: HookRegistry, **_: Any) -> None:
        """Subscribe."""
        registry.add_callback(AfterModelCallEvent, self.after)

    async def after(self, event: AfterModelCallEvent) -> None:
        """Retry after a pause, or let the error through."""
        if event.exception is None:
            self._failed = 0
            return
        self._failed += 1
        elapsed_s = time.monotonic() - self._begun
        decision = decide(POLICY, self._failed, classify(event.exception), elapsed_s)
        if isinstance(decision, Retry):
            await asyncio.sleep(decision.delay_s)
            event.retry = True


@app.ping
def ping() -> PingStatus:
    """Say whether a slot is free."""
    return PingStatus(busy.status)


@app.entrypoint
async def invoke(payload: Any, context: RequestContext) -> Response:
    """Answer a prompt, or refuse at once when no slot is free."""
    slot = busy.try_acquire()
    if slot is None:
        return Response(status_code=503, headers={"retry-after": "1", "x-agent-busy": "1"})
    with slot:
        prompt = payload.get("prompt") if isinstance(payload, dict) else None
        if not isinstance(prompt, str) or not prompt:
            raise HTTPException(400, 'send {"prompt": "..."}')
        try:
            answer = await ask(prompt, context.session_id)
        except Exception as error:
            app.logger.exception("the model call failed")
            failure = classify(error)
            headers = {"retry-after": f"{failure.retry_after_s or 1:.0f}"} if failure.transient else None
            return JSONResponse({"error": type(error).__name__}, 503 if failure.transient else 502, headers)
    headers = {SESSION_HEADER: context.session_id} if context.session_id else None
    return JSONResponse({"result": answer}, headers=headers)


async def ask(prompt: str, session_id: str | None) -> str:
    """Ask a new Agent, with the messages of its own session and the client of all."""
    history = await sessions.load(session_id)
    async with llm.use() as use:
        agent = Agent(
            # Not streamed: the answer leaves in one piece, and one that breaks off is an error.
            model=OpenAIModel(
                client=use.client, model_id=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini"), stream=False
            ),
            tools=[search],
            system_prompt="You are a helpful assistant.",
            messages=list(history),
            conversation_manager=NullConversationManager(),  # the store keeps the messages, whole
            callback_handler=None,
            retry_strategy=None,  # Strands' own: six tries, and no jitter
            hooks=[RetryHook()],
        )
        result = await agent.invoke_async(prompt)
    answer = str(result).strip()
    if not answer:
        raise ValueError("the model's answer is empty, or none")
    new = agent.messages[len(history) :]
    await sessions.add(session_id, [{"role": said["role"], "content": said["content"]} for said in new])
    return answer


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))
