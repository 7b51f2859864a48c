"""The model clients, each with the SDK's own retries off: two retry loops multiply."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import httpx
from openai import AsyncOpenAI
from strands.models import Model
from strands.models.openai import OpenAIModel
from strands.types.streaming import StreamEvent
from typing_extensions import override

from reference_agent.adapters.attempt_spans import note_chunk
from reference_agent.adapters.errors import MalformedAnswerError
from reference_agent.adapters.http import TracedTransport
from reference_agent.adapters.keys import is_outdated, openai_key
from reference_agent.adapters.lean_openai import LeanClient
from reference_agent.adapters.proxies import ByEnvironment, check_proxy
from reference_agent.settings import Settings
from reference_agent.threads import on_own_thread

OPENAI_ITSELF = "https://api.openai.com/v1"
CONNECT_S = 5.0
SPARE_CONNECTIONS = 4
THREAD = "model-build"
BEARER = "AWS_BEARER_TOKEN_BEDROCK"
"""Bedrock's own kind of key, in place of credentials."""


class StrictOpenAIModel(OpenAIModel):
    """Raises for an answer without an end, which the original takes for a short success."""

    @override
    def format_chunk(self, event: dict[str, Any], **kwargs: Any) -> StreamEvent:
        """Format a chunk; "end_turn" is what the original makes of a missing `finish_reason`."""
        if event["chunk_type"] == "content_delta" and self.config.get("stream"):
            note_chunk()
        if event["chunk_type"] == "message_stop" and event["data"] == "end_turn":
            raise MalformedAnswerError("the model's answer has no finish_reason")
        return super().format_chunk(event, **kwargs)


class ModelClient:
    """A Strands model, and the OpenAI client under it.

    Attributes:
        model: for the Agent.
        client: closed with it; None for Bedrock, whose model has its own.
        outdated: says whether there is another key by now than the one that it was built with.
    """

    def __init__(
        self,
        model: Model,
        client: AsyncOpenAI | None = None,
        outdated: Callable[[], bool] = lambda: False,
    ) -> None:
        self.model = model
        self.client = client
        self.outdated = outdated

    async def aclose(self) -> None:
        """Close the connections."""
        if self.client is not None:
            await self.client.close()
        elif (bedrock := getattr(self.model, "client", None)) is not None:
            bedrock.close()


async def build_model(settings: Settings) -> ModelClient:
    """Build the client of the configured provider."""
    # TLS context and SDK set-up are some 30 ms of CPU: not on the event loop. Nor on a thread that others
    # need, or that a request waits for: what fetches credentials may hang for ever.
    build = bedrock_model if settings.agent_model_provider == "bedrock" else openai_model
    return await on_own_thread(lambda: build(settings), THREAD)


def openai_address(settings: Settings) -> httpx.URL:
    """Return where the model is.

    Raises:
        ValueError: nothing can be sent there.
    """
    address = http_address(settings.openai_base_url or OPENAI_ITSELF, "OPENAI_BASE_URL")
    check_proxy(address)
    return address


def http_address(text: str, name: str) -> httpx.URL:
    """Return an address.

    Args:
        text: from the environment. It is not quoted: there may be a password in it.
        name: of the variable.

    Raises:
        ValueError: nothing can be sent there.
    """
    try:
        address = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError(f"{name}: it is no address") from None
    if address.scheme not in {"http", "https"} or not address.host:
        raise ValueError(f"{name}: it begins with http:// or https://, and a host")
    return address


def openai_model(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> ModelClient:
    """Build the client of an OpenAI-compatible endpoint.

    Args:
        settings: the agent's.
        transport: what really sends, None for HTTP, by the proxies that the environment names.

    Raises:
        ValueError: the key or the address can't be used.
    """
    key, address = openai_key(settings), openai_address(settings)
    connections = settings.agent_concurrency_limit + SPARE_CONNECTIONS
    limits = httpx.Limits(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=60
    )
    client = AsyncOpenAI(
        base_url=address,
        api_key=key,
        max_retries=0,
        http_client=httpx.AsyncClient(
            transport=TracedTransport(transport or ByEnvironment(limits)),
            follow_redirects=True,
            timeout=httpx.Timeout(settings.agent_model_silence_s, connect=CONNECT_S, pool=CONNECT_S),
        ),
    )
    model = StrictOpenAIModel(
        client=LeanClient(client), model_id=settings.agent_model_id, stream=settings.agent_model_stream
    )
    return ModelClient(model, client, lambda: is_outdated(key, settings))


def bedrock_model(settings: Settings) -> ModelClient:
    """Build the client of Bedrock.

    Raises:
        PermissionError: AWS's usual places have no credentials. boto3 itself would tell at the first call.
    """
    # boto3 is an extra of its own: imported only by those who use it.
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - untyped; see above
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415 - untyped; see above

    from reference_agent.adapters.bedrock import StrictBedrockModel  # noqa: PLC0415 - see above

    if BEARER not in os.environ and boto3.Session().get_credentials() is None:
        raise PermissionError("there are no AWS credentials")
    config: Any = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=CONNECT_S,
        read_timeout=settings.agent_model_silence_s,
        max_pool_connections=settings.agent_concurrency_limit + SPARE_CONNECTIONS,
    )
    return ModelClient(
        StrictBedrockModel(
            model_id=settings.agent_model_id,
            boto_client_config=config,
            endpoint_url=settings.aws_endpoint_url_bedrock_runtime,
            region_name=settings.aws_region,
            streaming=settings.agent_model_stream,
        )
    )
