"""A chat agent on FastAPI and the `openai` client, as most tutorials write one."""

import json
import os
from typing import Annotated

from fastapi import FastAPI, Header
from openai import AsyncOpenAI
from pydantic import BaseModel

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
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

app = FastAPI()
client = AsyncOpenAI()
conversations: dict[str, list] = {}


class ChatRequest(BaseModel):
    """What a user says."""

    message: str


def search(query: str) -> str:
    """Search the handbook."""
    return f"The handbook says nothing about {query}."


@app.get("/ping")
async def ping() -> dict:
    """Tell that the service is up."""
    return {"status": "Healthy"}


@app.post("/chat")
async def chat(request: ChatRequest, x_session_id: Annotated[str, Header()] = "default") -> dict:
    """Answer a message, with what was said before."""
    messages = conversations.setdefault(
        x_session_id, [{"role": "system", "content": "You are a helpful assistant."}]
    )
    messages.append({"role": "user", "content": request.message})
    while True:
        response = await client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        answer = response.choices[0].message
        messages.append(answer.model_dump(exclude_none=True))
        if not answer.tool_calls:
            return {"reply": answer.content}
        for call in answer.tool_calls:
            result = search(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
