"""Strands Agents as it named things before 1.0."""

from common import provider, serve
from strands import Agent
from strands.models.openai import OpenAIModel

traces = provider()


async def handle(model: str) -> str:
    made = OpenAIModel(client_args={"api_key": "none", "max_retries": 0}, model_id=model)
    return str(await Agent(model=made, callback_handler=None).invoke_async("Hello."))


serve(handle, traces)
