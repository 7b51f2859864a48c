"""Strands Agents, by its own spans."""

from common import SABOTAGED, provider, serve
from strands import Agent
from strands.models.openai import OpenAIModel

traces = provider()


async def handle(model: str) -> str:
    tries = {} if SABOTAGED else {"max_retries": 0}  # Strands tries again by itself
    made = OpenAIModel(client_args={"api_key": "none", **tries}, model_id=model)
    return str(await Agent(model=made, callback_handler=None).invoke_async("Hello."))


serve(handle, traces)
