"""The same agent, stateless, busy-aware and safe to retry: with the three files of `patterns/`."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
from agents import (
    Agent,
    ModelResponse,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from openai import AsyncOpenAI
from patterns.busy_signal import BusySignal
from patterns.client_cache import CachedClient
from patterns.retry import Failure, RetryPolicy, call_with_retry, retry_after_s
from pydantic import BaseModel, ValidationError
from sessions import Sessions

log = logging.getLogger(__name__)
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
QUOTA_USED_UP = {"insufficient_quota", "credit_balance_exhausted"}
POLICY = RetryPolicy(max_attempts=3)

set_tracing_disabled(disabled=True)  # it uploads what users say, and what was answered
sessions = Sessions(os.environ["SESSIONS"])
busy = BusySignal(limit=int(os.environ.get("CONCURRENCY_LIMIT", "4")))


@function_tool
def search(query: str) -> str:
    """Search the handbook.

    Args:
        query: what to look for.
    """
    return f"The handbook says nothing about {query}."


# It keeps nothing between runs: its model is given to each.
agent = Agent(name="Assistant", instructions="You are a helpful assistant.", tools=[search])


def classify(error: Exception) -> Failure:
    """Say whether a retry can help."""
    if isinstance(error, openai.APIStatusError):
        transient = error.status_code in {408, 409, 429} or error.status_code >= 500  # noqa: PLR2004 - HTTP
        return Failure(transient and error.code not in QUOTA_USED_UP, retry_after_s(error.response.headers))
    return Failure(transient=isinstance(error, openai.APIConnectionError))


class RetryingModel(OpenAIResponsesModel):
    """Calls the model again when that can help: one call, never the whole run with its tools."""

    async def get_response(self, *arguments: Any, **named: Any) -> ModelResponse:
        """Ask."""
        ask = super().get_response
        return await call_with_retry(lambda: ask(*arguments, **named), classify, POLICY)


def connect() -> AsyncOpenAI:
    """Build the client, once a container and on a thread: what it loads would stop the event loop."""
    client = AsyncOpenAI(max_retries=0)  # its own two retries would multiply with ours
    client.responses  # noqa: B018 - loads a quarter of a second's modules
    return client


llm = CachedClient("llm", lambda: asyncio.to_thread(connect), AsyncOpenAI.close)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the client when the container leaves."""
    yield
    await llm.aclose()


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    """What a user asks, and in which session."""

    question: str
    session_id: str | None = None


@app.get("/ping")
async def ping() -> dict:
    """Say whether a slot is free, and since when that is so."""
    return {"status": busy.status, "time_of_last_update": busy.changed_at}


@app.post("/ask")
async def ask(http: Request) -> Response:
    """Answer a question, or refuse at once when no slot is free."""
    slot = busy.try_acquire()  # before anything of the body is read
    if slot is None:
        return Response(status_code=503, headers={"retry-after": "1", "x-agent-busy": "1"})
    with slot:
        try:
            asked = Question.model_validate_json(await http.body())
            return JSONResponse({"reply": await reply(asked)})
        except ValidationError as error:
            return JSONResponse({"error": error.errors(include_input=False, include_url=False)}, 400)
        except Exception as error:
            log.exception("the model call failed")
            failure = classify(error)
            headers = {"retry-after": f"{failure.retry_after_s or 1:.0f}"} if failure.transient else None
            return JSONResponse({"error": type(error).__name__}, 503 if failure.transient else 502, headers)


async def reply(asked: Question) -> str:
    """Answer with what the session's store holds, and add the whole turn to it at the end."""
    history = await sessions.load(asked.session_id)
    said = [*history, {"role": "user", "content": asked.question}]
    async with llm.use() as use:
        model = RetryingModel(MODEL, use.client)
        result = await Runner.run(agent, said, run_config=RunConfig(model=model))
    await sessions.add(asked.session_id, result.to_input_list()[len(history) :])
    return result.final_output
