"""Configuration, from the environment only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CONTROLS = (
    "per-request-clients",
    "naive-cache",
    "queue-at-limit",
    "queue-and-tell",
    "no-jitter",
    "no-retry",
    "retry-everything",
    "sdk-retries",
    "shared-agent",
    "ignore-retry-after",
    "pause-after-outage",
    "cut-is-whole",
    "fails-at-times",
    "slow-at-times",
    "tools-rebuilt",
    "tools-rebuilt-untold",
    "saves-late",
    "slow-loads",
    "slot-twice",
    "keeps-slots",
    "stays-busy",
    "ping-constant",
    "stamp-at-poll",
    "seeded-jitter",
    "spans-from-random",
    "sessions-from-random",
    "trusts-its-sockets",
    "renews-often",
    "stamp-kept",
    "last-write-wins",
    "never-reconnects",
    "store-no-jitter",
    "pays-first",
    "waits-for-store",
    "ready-constant",
    "keeps-its-tools",
    "gives-model-up",
    "leaks",
)


LONGEST_AGE_S = 10 * 365 * 86_400.0
"""Redis takes no time without an end."""


class Settings(BaseSettings):
    """Everything that can be set; each field is the environment variable of the same name.

    Attributes:
        host, port: where to listen.
        openai_base_url: any OpenAI-compatible endpoint, None for OpenAI itself.
        openai_api_key: its key; without one the agent does not start, unless its provider is another.
        openai_api_key_file: a file that holds the key, read for each build of the client; it comes first.
        aws_endpoint_url_bedrock_runtime: where Bedrock is, None for AWS itself.
        aws_region: of Bedrock.
        mcp_server_url: streamable-HTTP address of the tool server, None for no tools.
        agent_session_store: `sqlite:///path`, `redis://host:port/db`, `redis+sentinel://host:port,.../service/db`
            or `redis+cluster://host:port`.
        agent_concurrency_limit: requests that this container works on at once.
        agent_model_provider, agent_model_id: the model, of `openai` or `bedrock`.
        agent_model_stream: whether it is asked for a stream, also where the caller gets one piece.
        agent_model_silence_s: an attempt is given up when the model sends nothing for so long.
        agent_retry_max_attempts: tries of a model call in all, the first one counted.
        agent_retry_base_s: the first random wait is below this; it doubles with each.
        agent_retry_budget: so many retries a model call, on average over the container; 0 for no bound.
        agent_max_model_calls: a request that needs more fails; retries don't count. A model may ask for tools
            for ever.
        agent_deadline_s: a request fails after this.
        agent_drain_s: how long requests in flight may take after SIGTERM. With what comes after it, the
            default fits the 10 s that `docker stop` gives.
        agent_sse_keepalive_s: a stream that has nothing to tell sends a comment so often.
        agent_client_build_s: a client that is not built after this is given up, and tried again later.
        agent_warm_up: whether the clients are built before the container is ready.
        agent_tools_required: whether requests fail when the tool server can't be reached, in place of being
            answered without tools.
        agent_session_max_messages: older ones are forgotten.
        agent_system_prompt: what the model is told first.
        agent_session_max_age_s: sessions that were not used for so long are forgotten.
        agent_capture_message_content: whether spans and logs hold words of prompts, answers, tools, errors.
        agent_detail_spans_share: of the traces, so many have spans of the session store and of tools; 0..1.
        agent_after_answer_share: of the requests, so many go on working after their answer; 0..1.
        agent_controls: deliberately wrong behaviours for control arms; see `controls`.
    """

    model_config = SettingsConfigDict(frozen=True)

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    openai_base_url: str | None = None
    openai_api_key: SecretStr = SecretStr("")
    openai_api_key_file: Path | None = None
    aws_endpoint_url_bedrock_runtime: str | None = None
    aws_region: Annotated[str, Field(min_length=1)] = "us-east-1"
    mcp_server_url: str | None = None
    agent_session_store: str = "sqlite:///sessions.db"
    agent_concurrency_limit: Annotated[int, Field(ge=1, le=1000)] = 8
    agent_model_provider: Literal["openai", "bedrock"] = "openai"
    agent_model_id: Annotated[str, Field(min_length=1)] = "gpt-4o-mini"
    agent_model_stream: bool = True
    agent_model_silence_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    agent_retry_max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    agent_retry_base_s: Annotated[float, Field(ge=0, le=60)] = 2.0
    agent_retry_budget: Annotated[float, Field(ge=0, le=10)] = 0.0
    agent_max_model_calls: Annotated[int, Field(ge=1, le=100)] = 25
    agent_deadline_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    agent_drain_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    agent_sse_keepalive_s: Annotated[float, Field(gt=0, le=3600)] = 15.0
    agent_client_build_s: Annotated[float, Field(gt=0, le=3600)] = 15.0
    agent_warm_up: bool = False
    agent_tools_required: bool = True
    agent_session_max_messages: Annotated[int, Field(ge=2, le=10_000)] = 100
    agent_session_max_age_s: Annotated[float, Field(gt=0, le=LONGEST_AGE_S)] = 7 * 86_400.0
    agent_system_prompt: str = "You are a helpful assistant. Use the search tool when you need facts."
    agent_capture_message_content: bool = False
    agent_detail_spans_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    agent_after_answer_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    agent_controls: Annotated[frozenset[str], NoDecode] = frozenset()

    @field_validator(
        "openai_base_url",
        "openai_api_key_file",
        "aws_endpoint_url_bedrock_runtime",
        "mcp_server_url",
        mode="before",
    )
    @classmethod
    def _none_when_empty(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("agent_controls", mode="before")
    @classmethod
    def _known_controls(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = frozenset(name.strip() for name in value.split(",") if name.strip())
        if strangers := names - set(CONTROLS):
            msg = f"no such control: {', '.join(sorted(strangers))}; there are {', '.join(CONTROLS)}"
            raise ValueError(msg)
        return names
