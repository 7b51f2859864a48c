"""The same agent, stateless, busy-aware and safe to retry: with the three files of `patterns/`."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from openai import AsyncOpenAI
from patterns.busy_signal import BusySignal
from patterns.client_cache import CachedClient
from patterns.retry import Failure, RetryPolicy, call_with_retry, retry_after_s
from pydantic import BaseModel, ValidationError
from pydantic_ai import Agent, ModelAPIError, ModelHTTPError, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider
from sessions import Sessions

log = logging.getLogger(__name__)
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
QUOTA_USED_UP = {"insufficient_quota", "credit_balance_exhausted"}
POLICY = RetryPolicy(max_attempts=3)

agent = Agent(instructions="You are a helpful assistant.")  # it keeps nothing: its model is given to each run
sessions = Sessions(os.environ["SESSIONS"])
busy = BusySignal(limit=int(os.environ.get("CONCURRENCY_LIMIT", "4")))


def connect() -> AsyncOpenAI:
    """Build the client, once a container and on a thread: what it loads would stop the event loop."""
    client = AsyncOpenAI(max_retries=0)  # its own two retries would multiply with ours
    client.chat.completions  # noqa: B018 - loads a quarter of a second's modules
    return client


llm = CachedClient("llm", lambda: asyncio.to_thread(connect), AsyncOpenAI.close)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the client when the container leaves."""
    yield
    await llm.aclose()


app = FastAPI(lifespan=lifespan)


class ChatRequest(BaseModel):
    """What a user says."""

    prompt: str


@agent.tool_plain
def search(query: str) -> str:
    """Search the handbook."""
    return f"The handbook says nothing about {query}."


def classify(error: Exception) -> Failure:
    """Say whether a retry can help."""
    if isinstance(error, ModelHTTPError):
        code = error.body.get("code") if isinstance(error.body, dict) else None
        transient = error.status_code in {408, 409, 429} or error.status_code >= 500  # noqa: PLR2004 - HTTP
        return Failure(transient and code not in QUOTA_USED_UP, retry_after_s(error.headers or {}))
    return Failure(transient=isinstance(error, ModelAPIError))  # no answer, or none that was whole


class RetryingModel(WrapperModel):
    """Calls the model again when that can help: one call, never the whole run with its tools."""

    async def request(self, *arguments: Any) -> ModelResponse:
        """Ask."""
        return await call_with_retry(lambda: self.wrapped.request(*arguments), classify, POLICY)


@app.get("/ping")
async def ping() -> dict:
    """Say whether a slot is free, and since when that is so."""
    return {"status": busy.status, "time_of_last_update": busy.changed_at}


@app.post("/invocations")
async def chat(
    http: Request, session: Annotated[str | None, Header(alias=SESSION_HEADER)] = None
) -> Response:
    """Answer a prompt, or refuse at once when no slot is free."""
    slot = busy.try_acquire()  # before anything of the body is read
    if slot is None:
        return Response(status_code=503, headers={"retry-after": "1", "x-agent-busy": "1"})
    with slot:
        try:
            request = ChatRequest.model_validate_json(await http.body())
            answer = await reply(request.prompt, session)
            return JSONResponse({"result": answer}, headers={SESSION_HEADER: session} if session else None)
        except ValidationError as error:
            return JSONResponse({"error": error.errors(include_input=False, include_url=False)}, 400)
        except Exception as error:
            log.exception("the model call failed")
            failure = classify(error)
            headers = {"retry-after": f"{failure.retry_after_s or 1:.0f}"} if failure.transient else None
            return JSONResponse({"error": type(error).__name__}, 503 if failure.transient else 502, headers)


async def reply(prompt: str, session: str | None) -> str:
    """Answer with what the session's store holds, and add the whole turn to it at the end."""
    history = ModelMessagesTypeAdapter.validate_python(await sessions.load(session))
    async with llm.use() as use:
        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=use.client))
        result = await agent.run(prompt, message_history=history, model=RetryingModel(model))
    await sessions.add(session, ModelMessagesTypeAdapter.dump_python(result.new_messages(), mode="json"))
    return result.output
