"""An agent of LangGraph behind FastAPI, with the checkpointer that its quickstart takes."""

from fastapi import FastAPI
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel


def search(query: str) -> str:
    """Search the handbook."""
    return f"The handbook says nothing about {query}."


agent = create_agent(
    model="openai:gpt-4.1-mini",
    tools=[search],
    system_prompt="You are a helpful assistant.",
    checkpointer=InMemorySaver(),
)
app = FastAPI()


class ChatRequest(BaseModel):
    """What a user says, and in which thread."""

    message: str
    thread_id: str = "default"


@app.get("/health")
async def health() -> dict:
    """Tell that the service is up."""
    return {"status": "ok"}


@app.post("/chat")
async def chat(request: ChatRequest) -> dict:
    """Answer a message; the checkpointer knows what was said before."""
    config = {"configurable": {"thread_id": request.thread_id}}
    messages = [{"role": "user", "content": request.message}]
    result = await agent.ainvoke({"messages": messages}, config)
    return {"answer": result["messages"][-1].content}
