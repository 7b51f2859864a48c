"""The model SDKs that a project uses, by its code and its lists of what it depends on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_BEDROCK: Final[Mapping[str, str]] = {
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "{simulator}",
    "AWS_ACCESS_KEY_ID": "agentrig",
    "AWS_SECRET_ACCESS_KEY": "{api_key}",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}
MODELS: Final[Mapping[str, tuple[re.Pattern[str], Mapping[str, str]]]] = {
    "Azure OpenAI": (
        re.compile(r"AzureOpenAI|AzureChatOpenAI|AZURE_OPENAI_|createAzure"),
        {"AZURE_OPENAI_ENDPOINT": "{simulator}", "AZURE_OPENAI_API_KEY": "{api_key}"},
    ),
    "OpenAI": (
        re.compile(
            r"(?:import|from) (?:openai|langchain_openai)\b|(?:import|from) agents\b(?!\.)"
            r"|\bopenai[-_]agents\b|OpenAIModel"
            r"|ChatOpenAI|AsyncOpenAI|OpenAI\(|OPENAI_|[\"']openai[\"':]|@ai-sdk/openai|^openai\b|\"openai[>=<~\[]",
            re.MULTILINE,
        ),
        {"OPENAI_BASE_URL": "{simulator}/v1", "OPENAI_API_KEY": "{api_key}"},
    ),
    "Anthropic": (
        re.compile(
            r"(?:import|from) (?:anthropic|langchain_anthropic)\b|ChatAnthropic|AsyncAnthropic"
            r"|AnthropicModel|Anthropic\(|ANTHROPIC_API_KEY|@anthropic-ai/sdk|@ai-sdk/anthropic"
            r"|[\"']anthropic:|^anthropic\b"
            r"|\"anthropic[>=<~\[]",
            re.MULTILINE,
        ),
        {"ANTHROPIC_BASE_URL": "{simulator}", "ANTHROPIC_API_KEY": "{api_key}"},
    ),
    "Bedrock": (
        re.compile(
            r"\bboto3\b|BedrockModel|bedrock-runtime|(?:import|from) langchain_aws\b|ChatBedrock"
            r"|langchain-aws|@ai-sdk/amazon-bedrock"
        ),
        _BEDROCK,
    ),
    "LiteLLM": (
        re.compile(
            r"(?:import|from) (?:litellm|dspy|crewai)\b|\bLiteLlm\b|LiteLLMModel|ChatLiteLLM|LitellmModel"
            r"|^(?:litellm|dspy|crewai)\b|\"(?:litellm|dspy|crewai)[>=<~\[\"]",
            re.MULTILINE,
        ),
        {
            "OPENAI_BASE_URL": "{simulator}/v1",
            "OPENAI_API_KEY": "{api_key}",
            "ANTHROPIC_API_BASE": "{simulator}",
            "AWS_BEDROCK_RUNTIME_ENDPOINT": "{simulator}",
            "GEMINI_API_BASE": "{simulator}/v1beta",
        },
    ),
    "Gemini": (
        re.compile(
            r"(?:import|from) google\.(?:genai|adk)\b|from google import genai|google-genai|google-adk"
            r"|langchain_google_genai|ChatGoogleGenerativeAI|@google/genai|@ai-sdk/google"
        ),
        {"GOOGLE_GEMINI_BASE_URL": "{simulator}", "GOOGLE_API_KEY": "{api_key}"},
    ),
}
"""How an SDK is recognised (a model's id such as `anthropic.claude` is none), and what points it to us."""


def models_in(text: str) -> tuple[str, ...]:
    """Return the SDKs that a text tells of."""
    found = tuple(name for name, (pattern, _) in MODELS.items() if pattern.search(text))
    if not found and "strands" in text:
        return ("Bedrock",)  # what Strands takes when it is told nothing
    azure = "Azure OpenAI" in found and not re.search(
        r"[^a-z]OpenAI\(|ChatOpenAI|OpenAIModel", _without_azure(text)
    )
    return tuple(name for name in found if name != "OpenAI") if azure else found


def _without_azure(text: str) -> str:
    return re.sub(r"Async|Azure(?:Chat)?OpenAI", "", text)
