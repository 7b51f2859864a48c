"""An agent for Bedrock AgentCore Runtime, as the SDK's quickstarts write one."""

import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from strands import Agent, tool
from strands.models.openai import OpenAIModel

app = BedrockAgentCoreApp()


@tool
def search(query: str) -> str:
    """Search the handbook.

    Args:
        query: what to look for.
    """
    return f"The handbook says nothing about {query}."


model = OpenAIModel(
    client_args={"base_url": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]},
    model_id=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini"),
)
agent = Agent(model=model, tools=[search], system_prompt="You are a helpful assistant.")


@app.entrypoint
def invoke(payload: dict) -> dict:
    """Answer a prompt."""
    user_message = payload.get("prompt", "Hello")
    result = agent(user_message)
    return {"result": str(result)}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))
