"""The agent, as ADK's quickstart writes one."""

from google.adk.agents import Agent


def search(query: str) -> str:
    """Searches the handbook.

    Args:
        query: what to look for.
    """
    return f"The handbook says nothing about {query}."


root_agent = Agent(
    name="assistant",
    model="gemini-2.5-flash",
    description="Answers questions on the handbook.",
    instruction="You are a helpful assistant.",
    tools=[search],
)
