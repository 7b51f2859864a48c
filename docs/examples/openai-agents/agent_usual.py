"""An agent of the OpenAI Agents SDK behind FastAPI, with the session that its quickstart takes."""

from agents import Agent, Runner, SQLiteSession, function_tool
from fastapi import FastAPI
from pydantic import BaseModel


@function_tool
def search(query: str) -> str:
    """Search the handbook.

    Args:
        query: what to look for.
    """
    return f"The handbook says nothing about {query}."


agent = Agent(
    name="Assistant", instructions="You are a helpful assistant.", model="gpt-4.1-mini", tools=[search]
)
app = FastAPI()


class Question(BaseModel):
    """What a user asks, and in which session."""

    question: str
    session_id: str = "default"


class Reply(BaseModel):
    """What the agent says."""

    reply: str


@app.get("/healthz")
async def healthz() -> dict:
    """Tell that the service is up."""
    return {"status": "ok"}


@app.post("/ask")
async def ask(asked: Question) -> Reply:
    """Answer a question; the session knows what was said before."""
    session = SQLiteSession(asked.session_id, "conversations.db")
    result = await Runner.run(agent, asked.question, session=session)
    return Reply(reply=result.final_output)
