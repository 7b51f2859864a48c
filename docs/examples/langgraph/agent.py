"""The same agent, stateless, busy-aware and safe to retry: with the three files of `patterns/`."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import openai
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from patterns.busy_signal import BusySignal
from patterns.client_cache import CachedClient
from patterns.retry import Failure, RetryPolicy, call_with_retry, retry_after_s
from pydantic import BaseModel, ValidationError

log = logging.getLogger(__name__)
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
QUOTA_USED_UP = {"insufficient_quota", "credit_balance_exhausted"}
POLICY = RetryPolicy(max_attempts=3)

busy = BusySignal(limit=int(os.environ.get("CONCURRENCY_LIMIT", "4")))


def search(query: str) -> str:
    """Search the handbook."""
    return f"The handbook says nothing about {query}."


def classify(error: Exception) -> Failure:
    """Say whether a retry can help."""
    if isinstance(error, openai.APIStatusError):
        transient = error.status_code in {408, 409, 429} or error.status_code >= 500  # noqa: PLR2004 - HTTP
        return Failure(transient and error.code not in QUOTA_USED_UP, retry_after_s(error.response.headers))
    return Failure(transient=isinstance(error, openai.APIConnectionError))


class Retries(AgentMiddleware):
    """Calls the model again when that can help: one call, never the whole run with its tools."""

    async def awrap_model_call(
        self, request: ModelRequest, handler: Callable[[ModelRequest], Awaitable[ModelResponse]]
    ) -> ModelResponse:
        """Ask."""
        return await call_with_retry(lambda: handler(request), classify, POLICY)


class Llm(NamedTuple):
    """A compiled graph, which keeps nothing between runs, and the model client in it."""

    graph: Any
    client: openai.AsyncOpenAI


def connect(saver: AsyncSqliteSaver) -> Llm:
    """Build client and graph, once a container and on a thread: what they load would stop the event loop."""
    model = ChatOpenAI(model=MODEL, max_retries=0)  # its own two retries would multiply with ours
    graph = create_agent(
        model=model,
        tools=[search],
        system_prompt="You are a helpful assistant.",
        middleware=[Retries()],
        checkpointer=saver,
    )
    return Llm(graph, model.root_async_client)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the threads' store, and close store and client when the container leaves."""
    async with AsyncSqliteSaver.from_conn_string(os.environ["SESSIONS"]) as saver:
        await saver.setup()
        app.state.llm = CachedClient(
            "llm", lambda: asyncio.to_thread(connect, saver), lambda llm: llm.client.close()
        )
        yield
        await app.state.llm.aclose()


app = FastAPI(lifespan=lifespan)


class ChatRequest(BaseModel):
    """What a user says, and in which thread."""

    message: str
    thread_id: str = "default"


@app.get("/ping")
async def ping() -> dict:
    """Say whether a slot is free, and since when that is so."""
    return {"status": busy.status, "time_of_last_update": busy.changed_at}


@app.post("/chat")
async def chat(http: Request) -> Response:
    """Answer a message, or refuse at once when no slot is free."""
    slot = busy.try_acquire()  # before anything of the body is read
    if slot is None:
        return Response(status_code=503, headers={"retry-after": "1", "x-agent-busy": "1"})
    with slot:
        try:
            request = ChatRequest.model_validate_json(await http.body())
            return JSONResponse({"answer": await reply(request)})
        except ValidationError as error:
            return JSONResponse({"error": error.errors(include_input=False, include_url=False)}, 400)
        except Exception as error:
            log.exception("the model call failed")
            failure = classify(error)
            headers = {"retry-after": f"{failure.retry_after_s or 1:.0f}"} if failure.transient else None
            return JSONResponse({"error": type(error).__name__}, 503 if failure.transient else 502, headers)


async def reply(request: ChatRequest) -> str:
    """Answer with what the thread's store holds."""
    config = {"configurable": {"thread_id": request.thread_id}}
    messages = [{"role": "user", "content": request.message}]
    async with app.state.llm.use() as use:
        result = await use.client.graph.ainvoke({"messages": messages}, config)
    return result["messages"][-1].content
