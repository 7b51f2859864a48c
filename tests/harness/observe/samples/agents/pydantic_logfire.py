"""Pydantic AI, with the spans that Logfire shows."""

from common import provider, serve
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings

traces = provider()
Agent.instrument_all(InstrumentationSettings(tracer_provider=traces))
agent = Agent(instructions="Help.")


async def handle(model: str) -> str:
    return str((await agent.run("Hello.", model=f"openai-chat:{model}")).output)


serve(handle, traces)
