"""The same agent, stateless, busy-aware and safe to retry: with the three files of `patterns/`."""

import asyncio
import os
import re
import time
from collections.abc import Iterable
from typing import Any

from bedrock_agentcore.runtime import BedrockAgentCoreApp, PingStatus
from bedrock_agentcore.runtime.context import RequestContext
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnconnectedError
from patterns.busy_signal import BusySignal
from patterns.client_cache import CachedClient
from patterns.retry import Failure, Retry, RetryPolicy, decide, retry_after_s
from sessions import Sessions
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from strands import Agent, tool
from strands.agent.conversation_manager import NullConversationManager
from strands.hooks import AfterModelCallEvent, HookProvider, HookRegistry
from strands.models import BedrockModel
from strands.types.exceptions import EventLoopException, ModelThrottledException
from strands.types.streaming import StreamEvent

MODEL = os.environ.get("BEDROCK_MODEL", "us.anthropic.claude-sonnet-4-20250514-v1:0")
LIMIT = int(os.environ.get("CONCURRENCY_LIMIT", "4"))
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
POLICY = RetryPolicy(max_attempts=3)
TRANSIENT = {
    "ThrottlingException",
    "ServiceUnavailableException",
    "InternalServerException",
    "ModelNotReadyException",
    "ModelTimeoutException",
}
A_DAY = re.compile(r"\bper day\b", re.IGNORECASE)

app = BedrockAgentCoreApp()
sessions = Sessions(os.environ["SESSIONS"])
# The hook asks for the status at each change, so that the SDK stamps the change and not the next poll.
busy = BusySignal(limit=LIMIT, hook=lambda _: app.get_current_ping_status())


class CutError(Exception):
    """The answer breaks off."""


class WholeAnswers(BedrockModel):
    """Raises for an answer that breaks off, which botocore takes for an empty one."""

    def convert_non_streaming_to_streaming(
        self, response: dict[str, Any], **more: Any
    ) -> Iterable[StreamEvent]:
        """Look whether it has an end."""
        if "output" not in response or "stopReason" not in response:
            raise CutError("the model's answer is empty")
        return super().convert_non_streaming_to_streaming(response, **more)


def connect() -> BedrockModel:
    """Build the client, once a container and on a thread: what it loads would stop the event loop."""
    once = Config(retries={"total_max_attempts": 1}, read_timeout=60, max_pool_connections=max(LIMIT, 10))
    # Not streamed: the answer leaves in one piece, and one that breaks off is an error.
    return WholeAnswers(model_id=MODEL, boto_client_config=once, streaming=False)


async def close(model: BedrockModel) -> None:
    """Close the client's connections."""
    await asyncio.to_thread(model.client.close)


llm = CachedClient("llm", lambda: asyncio.to_thread(connect), close)


@tool
def search(query: str) -> str:
    """Search the handbook.

    Args:
        query: what to look for.
    """
    return f"The handbook says nothing about {query}."


def classify(error: BaseException) -> Failure:
    """Say whether a retry can help; what boto3 raised is inside what Strands raises."""
    if isinstance(error, EventLoopException):
        return classify(error.original_exception)
    if isinstance(error, ModelThrottledException) and error.__cause__:
        return classify(error.__cause__)
    if isinstance(error, ClientError):
        told, answer = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        transient = told.get("Code") in TRANSIENT or answer.get("HTTPStatusCode", 0) >= 500  # noqa: PLR2004 - HTTP
        # A day's quota comes as a throttle, too; its words alone tell.
        transient = transient and not A_DAY.search(told.get("Message", ""))
        return Failure(transient, retry_after_s(answer.get("HTTPHeaders", {})))
    return Failure(transient=isinstance(error, CutError | UnconnectedError | HTTPClientError))


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
            model=use.client,
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
    new = agent.messages[len(history) :]
    await sessions.add(session_id, [{"role": said["role"], "content": said["content"]} for said in new])
    return answer


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))
