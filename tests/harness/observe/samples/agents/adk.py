"""Google's ADK with Gemini, by its own spans."""

from common import provider, serve
from google.adk.agents import Agent
from google.adk.runners import InMemoryRunner
from google.genai import types

traces = provider()


async def handle(model: str) -> str:
    agent = Agent(name="helper", model=f"gemini-{model}", instruction="Help.")
    runner = InMemoryRunner(agent=agent, app_name="sample")
    session = await runner.session_service.create_session(app_name="sample", user_id="user")
    said = types.Content(role="user", parts=[types.Part(text="Hello.")])
    text = ""
    async for event in runner.run_async(user_id="user", session_id=session.id, new_message=said):
        text += "".join(part.text or "" for part in (event.content.parts if event.content else []) or [])
    return text


serve(handle, traces)
