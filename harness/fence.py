"""What keeps an agent under test from every real, paid model: the variables that SDKs obey, whichever it has.

All of them are set for each container, whatever was recognised of it: an SDK that nobody thought of, or one
that looks for its keys in a place of its own, must not find any. What `[agent.env]` says wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

HOME: Final = "HOME"
_OPENAI = "{simulator}/v1"
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_KEYS: Final = (
    *("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "ANTHROPIC_API_KEY"),
    *("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_API_KEY", "AWS_SECRET_ACCESS_KEY"),
    *("ANTHROPIC_FOUNDRY_API_KEY", "ANTHROPIC_AWS_API_KEY"),
    *("MISTRAL_API_KEY", "COHERE_API_KEY", "CO_API_KEY", "GROQ_API_KEY", "DEEPSEEK_API_KEY", "XAI_API_KEY"),
    *("TOGETHER_API_KEY", "FIREWORKS_API_KEY", "OPENROUTER_API_KEY", "PERPLEXITY_API_KEY"),
    *("TOGETHERAI_API_KEY", "FIREWORKS_AI_API_KEY", "PERPLEXITYAI_API_KEY", "CEREBRAS_API_KEY"),
)
"""Set so that a `.env` of the project, which never overwrites what is there, puts no real one in."""

_OF_LITELLM: Final = (
    *("GROQ_API_BASE", "MISTRAL_API_BASE", "MISTRAL_AZURE_API_BASE", "DEEPSEEK_API_BASE", "XAI_API_BASE"),
    *("OPENROUTER_API_BASE", "TOGETHER_AI_API_BASE", "FIREWORKS_API_BASE", "PERPLEXITY_API_BASE"),
    "CEREBRAS_API_BASE",
)
"""LiteLLM's addresses of providers that speak OpenAI's protocol; it reads no other library's."""

_OF_CLOUDS: Final = (
    *("ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_BEDROCK_MANTLE_BASE_URL", "ANTHROPIC_AWS_BASE_URL"),
    *("ANTHROPIC_FOUNDRY_BASE_URL", "ANTHROPIC_GOOGLE_CLOUD_BASE_URL"),
)
"""Anthropic's addresses where another company serves its models."""

SDKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(_KEYS, "{api_key}"),
        "OPENAI_BASE_URL": _OPENAI,
        "OPENAI_API_BASE": _OPENAI,
        "AZURE_OPENAI_ENDPOINT": "{simulator}",
        "AZURE_API_BASE": "{simulator}",
        "ANTHROPIC_BASE_URL": "{simulator}",
        "ANTHROPIC_API_URL": "{simulator}",
        **dict.fromkeys(_OF_CLOUDS, "{simulator}"),
        "ANTHROPIC_VERTEX_BASE_URL": "{simulator}/v1",
        "AWS_BEDROCK_BASE_URL": _OPENAI,
        "AWS_ENDPOINT_URL": "{simulator}",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "{simulator}",
        "AWS_ACCESS_KEY_ID": "agentrig",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "{home}/.aws/config",
        "AWS_SHARED_CREDENTIALS_FILE": "{home}/.aws/credentials",
        "AWS_EC2_METADATA_DISABLED": "true",
        "GOOGLE_GEMINI_BASE_URL": "{simulator}",
        "GOOGLE_VERTEX_BASE_URL": "{simulator}",
        "GOOGLE_APPLICATION_CREDENTIALS": "{home}/no-credentials.json",
        "CLOUDSDK_CONFIG": "{home}/.config/gcloud",
        "NO_GCE_CHECK": "true",
        "CO_API_URL": "{simulator}",
        "GROQ_BASE_URL": "{simulator}",
        "TOGETHER_BASE_URL": _OPENAI,
        "OPENROUTER_BASE_URL": _OPENAI,
        **dict.fromkeys(_OF_LITELLM, _OPENAI),
        "ANTHROPIC_API_BASE": "{simulator}",
        "AWS_BEDROCK_RUNTIME_ENDPOINT": "{simulator}",
        "GEMINI_API_BASE": "{simulator}/v1beta",
        "COHERE_API_BASE": "{simulator}",
        "VERTEXAI_API_BASE": "{simulator}",
    }
)
"""What leads each SDK to the simulator, with a key and credentials that are worth nothing. With places for
`str.format`: those of `under_test.PLACE`."""
OF_REAL_ACCOUNTS: Final = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"),
    *("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "AZURE_OPENAI_AD_TOKEN", "GOOGLE_GENAI_ACCESS_TOKEN"),
    "ANTHROPIC_FOUNDRY_RESOURCE",  # with which it takes no address
)
"""What would be taken before these or beside them, and so must not be there."""
FENCE: Final[Mapping[str, str]] = MappingProxyType(
    {
        **SDKS,
        **{name: "{outside}" for each in _PROXIES for name in (each, each.lower())},
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "{near}"),
        "NODE_USE_ENV_PROXY": "1",
        "AIOHTTP_TRUST_ENV": "True",  # LiteLLM's: aiohttp, by which it calls, heeds no proxy by itself
        HOME: "{home}",
    }
)
"""All of it, with the places {outside} for a proxy that refuses all, {near} for the hosts that are asked
without it."""
IN_IMAGES: Final = tuple(sorted(FENCE.keys() - {HOME}))
"""Those that a container of an image is told: its HOME is its own."""


def near(allowed: Iterable[str]) -> str:
    """Return the hosts that are asked without the proxy: this machine, and those that the owner allows."""
    return ",".join(("127.0.0.1", "localhost", *allowed))
