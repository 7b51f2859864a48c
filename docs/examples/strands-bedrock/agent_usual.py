"""A Strands agent on Bedrock behind AgentCore's SDK, with the session manager of Strands' pages."""

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from bedrock_agentcore.runtime.context import RequestContext
from strands import Agent, tool
from strands.models import BedrockModel
from strands.session.file_session_manager import FileSessionManager

app = BedrockAgentCoreApp()


@tool
def search(query: str) -> str:
    """Search the handbook.

    Args:
        query: what to look for.
    """
    return f"The handbook says nothing about {query}."


@app.entrypoint
def invoke(payload: dict, context: RequestContext) -> dict:
    """Answer a prompt; the session manager knows what was said before."""
    agent = Agent(
        model=BedrockModel(model_id="us.anthropic.claude-sonnet-4-20250514-v1:0"),
        tools=[search],
        system_prompt="You are a helpful assistant.",
        session_manager=FileSessionManager(
            session_id=context.session_id or "default", storage_dir="sessions"
        ),
    )
    result = agent(payload.get("prompt", "Hello"))
    return {"result": str(result)}


if __name__ == "__main__":
    app.run()
