"""An agent that streams. With `CARELESS` it gives a slot back only where its stream was read to the end."""

import json
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

from reference_agent.patterns.busy_signal import BusySignal, Slot

busy = BusySignal(int(os.environ["LIMIT"]))
client = AsyncOpenAI(max_retries=0)
app = FastAPI()


class Prompt(BaseModel):
    """What a user asks."""

    prompt: str


@app.get("/ping")
async def ping() -> dict[str, object]:
    return {"status": busy.status, "time_of_last_update": busy.changed_at}


@app.post("/stream")
async def stream(body: Prompt) -> Response:
    slot = busy.try_acquire()
    if slot is None:
        return Response(status_code=503, headers={"retry-after": "1", "x-agent-busy": "1"})
    events = careless(body.prompt, slot) if os.environ.get("CARELESS") else careful(body.prompt, slot)
    return StreamingResponse(events, media_type="text/event-stream")


async def careful(prompt: str, slot: Slot) -> AsyncIterator[str]:
    with slot:
        async for event in answered(prompt):
            yield event


async def careless(prompt: str, slot: Slot) -> AsyncIterator[str]:
    async for event in answered(prompt):
        yield event
    slot.release()


async def answered(prompt: str) -> AsyncIterator[str]:
    messages = [{"role": "user", "content": prompt}]
    async with await client.chat.completions.create(model="m", messages=messages, stream=True) as chunks:
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                yield f"data: {json.dumps({'delta': chunk.choices[0].delta.content})}\n\n"
    yield "data: [DONE]\n\n"
