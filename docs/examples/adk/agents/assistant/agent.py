"""The same agent, with one model client for all requests, and our decision on retries."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
from google import genai
from google.adk.agents import Agent
from google.adk.models import Gemini, LlmRequest, LlmResponse
from google.genai.errors import APIError
from patterns.client_cache import CachedClient
from patterns.retry import Failure, RetryPolicy, call_with_retry, retry_after_s

POLICY = RetryPolicy(max_attempts=3)


def connect() -> genai.Client:
    """Build the client, once a container and on a thread: what it loads would stop the event loop."""
    client = genai.Client()  # it makes one attempt, unless retry_options are given
    client.aio.models  # noqa: B018 - builds the half that is used
    return client


llm = CachedClient("llm", lambda: asyncio.to_thread(connect), lambda client: client.aio.aclose())


def search(query: str) -> str:
    """Searches the handbook.

    Args:
        query: what to look for.
    """
    return f"The handbook says nothing about {query}."


def classify(error: Exception) -> Failure:
    """Say whether a retry can help; Gemini tells in an error's details which quota it is, and how long."""
    if not isinstance(error, APIError):
        return Failure(transient=isinstance(error, httpx.TransportError))
    details = told_in(error)
    quotas = [each.get("quotaId", "") for detail in details for each in detail.get("violations", ())]
    wait_s = next((float(each["retryDelay"].rstrip("s")) for each in details if "retryDelay" in each), None)
    if wait_s is None and error.response is not None:
        wait_s = retry_after_s(error.response.headers)
    if error.code == 429:  # noqa: PLR2004 - HTTP
        # Without a quota or a wait, what was paid for is used up; and a day is too long for who waits.
        transient = (bool(quotas) or wait_s is not None) and not any("PerDay" in each for each in quotas)
    else:
        transient = error.code == 408 or error.code >= 500  # noqa: PLR2004 - HTTP
    return Failure(transient, wait_s)


def told_in(error: APIError) -> list[dict[str, Any]]:
    """Return the details of an error; none of one that is no JSON."""
    problem = error.details.get("error") if isinstance(error.details, dict) else None
    return problem.get("details", []) if isinstance(problem, dict) else []


class RetryingGemini(Gemini):
    """Calls the model again when that can help: one call, never the whole run with its tools."""

    async def generate_content_async(
        self,
        llm_request: LlmRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - as ADK calls it
    ) -> AsyncGenerator[LlmResponse, None]:
        """Ask, and hand on an answer that is whole."""
        async with llm.use() as use:
            model = Gemini(model=self.model, client=use.client)

            async def ask() -> list[LlmResponse]:
                return [each async for each in model.generate_content_async(llm_request, stream)]

            answers = await call_with_retry(ask, classify, POLICY)
        for answer in answers:
            yield answer


root_agent = Agent(
    name="assistant",
    model=RetryingGemini(model="gemini-2.5-flash"),
    description="Answers questions on the handbook.",
    instruction="You are a helpful assistant.",
    tools=[search],
)
