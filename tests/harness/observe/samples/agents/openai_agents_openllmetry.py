"""The OpenAI Agents SDK by OpenLLMetry."""

from agents import Agent, Runner, set_default_openai_client
from common import provider, serve
from openai import AsyncOpenAI
from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor

traces = provider()
OpenAIAgentsInstrumentor().instrument(tracer_provider=traces)
set_default_openai_client(AsyncOpenAI(api_key="none"), use_for_tracing=False)


async def handle(model: str) -> str:
    answer = await Runner.run(Agent(name="helper", instructions="Help.", model=model), "Hello.")
    return str(answer.final_output)


serve(handle, traces)
