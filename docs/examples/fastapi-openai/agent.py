"""The same agent, stateless, busy-aware and safe to retry: with the three files of `patterns/`."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import openai
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from openai import AsyncOpenAI
from patterns.busy_signal import BusySignal
from patterns.client_cache import CachedClient
from patterns.retry import Failure, RetryPolicy, call_with_retry, retry_after_s
from pydantic import BaseModel, ValidationError
from sessions import Sessions

log = logging.getLogger(__name__)
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
MOST_CALLS = 10
QUOTA_USED_UP = {"insufficient_quota", "credit_balance_exhausted"}
POLICY = RetryPolicy(max_attempts=3)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Search the handbook.",
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string"}},
                "required": ["query"],
            },
        },
    }
]

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

    message: str


def search(query: str) -> str:
    """Search the handbook."""
    return f"The handbook says nothing about {query}."


def classify(error: Exception) -> Failure:
    """Say whether a retry can help."""
    if isinstance(error, openai.APIStatusError):
        transient = error.status_code in {408, 409, 429} or error.status_code >= 500  # noqa: PLR2004 - HTTP
        return Failure(transient and error.code not in QUOTA_USED_UP, retry_after_s(error.response.headers))
    return Failure(transient=isinstance(error, openai.APIConnectionError))


@app.get("/ping")
async def ping() -> dict:
    """Say whether a slot is free, and since when that is so."""
    return {"status": busy.status, "time_of_last_update": busy.changed_at}


@app.post("/chat")
async def chat(http: Request, x_session_id: Annotated[str | None, Header()] = None) -> Response:
    """Answer a message, or refuse at once when no slot is free."""
    slot = busy.try_acquire()  # before anything of the body is read
    if slot is None:
        return Response(status_code=503, headers={"retry-after": "1", "x-agent-busy": "1"})
    with slot:
        try:
            request = ChatRequest.model_validate_json(await http.body())
            return JSONResponse({"reply": await reply(request.message, x_session_id)})
        except ValidationError as error:
            return JSONResponse({"error": error.errors(include_input=False, include_url=False)}, 400)
        except Exception as error:
            log.exception("the model call failed")
            failure = classify(error)
            headers = {"retry-after": f"{failure.retry_after_s or 1:.0f}"} if failure.transient else None
            return JSONResponse({"error": type(error).__name__}, 503 if failure.transient else 502, headers)


async def reply(message: str, session: str | None) -> str:
    """Answer with what the session's store holds, and add the whole turn to it at the end."""
    history = await sessions.load(session)
    turn: list[dict[str, Any]] = [{"role": "user", "content": message}]
    async with llm.use() as use:
        for _ in range(MOST_CALLS):
            answer = await ask(use.client, [SYSTEM, *history, *turn])
            turn.append(answer.model_dump(exclude_none=True))
            if not answer.tool_calls:
                await sessions.add(session, turn)
                return answer.content
            for call in answer.tool_calls:
                result = search(**json.loads(call.function.arguments))
                turn.append({"role": "tool", "tool_call_id": call.id, "content": result})
    raise RuntimeError(f"no answer after {MOST_CALLS} calls of the model")


async def ask(client: AsyncOpenAI, messages: list[dict[str, Any]]) -> Any:
    """Call the model, again when that can help."""
    response = await call_with_retry(
        lambda: client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS), classify, POLICY
    )
    return response.choices[0].message
