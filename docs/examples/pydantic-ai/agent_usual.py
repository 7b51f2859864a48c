"""An agent of Pydantic AI behind FastAPI, as most samples write one."""

import os
from typing import Annotated

from fastapi import FastAPI, Header
from pydantic import BaseModel
from pydantic_ai import Agent, ModelMessage

SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"

agent = Agent(
    f"openai-chat:{os.environ.get('OPENAI_MODEL', 'gpt-4.1-mini')}",
    instructions="You are a helpful assistant.",
)
app = FastAPI()
histories: dict[str, list[ModelMessage]] = {}


class ChatRequest(BaseModel):
    """What a user says."""

    prompt: str


@agent.tool_plain
def search(query: str) -> str:
    """Search the handbook."""
    return f"The handbook says nothing about {query}."


@app.get("/ping")
async def ping() -> dict:
    """Tell that the service is up."""
    return {"status": "Healthy"}


@app.post("/invocations")
async def chat(
    request: ChatRequest, session: Annotated[str, Header(alias=SESSION_HEADER)] = "default"
) -> dict:
    """Answer a prompt, with what was said before."""
    result = await agent.run(request.prompt, message_history=histories.get(session, []))
    histories[session] = result.all_messages()
    return {"result": result.output}
