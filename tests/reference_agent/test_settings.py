import sys
import traceback
from typing import Any

import pytest
from pydantic import ValidationError

from reference_agent.adapters.sessions.open import open_store
from reference_agent.adapters.sessions.redis import RedisStore
from reference_agent.adapters.sessions.sqlite import SqliteStore
from reference_agent.settings import Settings


def test_everything_has_a_default_that_starts() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.agent_controls == frozenset()


def test_it_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://m/v1")
    monkeypatch.setenv("AGENT_CONTROLS", "no-jitter, no-retry,")
    settings = Settings()
    assert (settings.port, settings.openai_base_url) == (9000, "http://m/v1")
    assert settings.agent_controls == {"no-jitter", "no-retry"}


@pytest.mark.parametrize(
    "name",
    ["openai_base_url", "openai_api_key_file", "aws_endpoint_url_bedrock_runtime", "mcp_server_url"],
)
def test_what_may_be_left_out_is_so_when_it_is_empty(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name.upper(), "")
    assert getattr(Settings(), name) is None


def test_a_key_is_not_in_what_is_printed() -> None:
    settings = Settings(openai_api_key="sk-secret")  # type: ignore[arg-type]
    assert "sk-secret" not in f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("agent_controls", "no-such", "there are per-request-clients"),
        ("agent_concurrency_limit", "0", "greater than or equal to 1"),
        ("agent_retry_max_attempts", "many", "valid integer"),
        ("agent_model_provider", "other", "'openai' or 'bedrock'"),
        ("port", "70000", "less than or equal to 65535"),
        ("host", "", "at least 1 character"),  # to a socket it stands for all addresses
        ("aws_region", "", "at least 1 character"),
        ("agent_model_id", "", "at least 1 character"),
        ("agent_session_max_age_s", "inf", "less than or equal to"),
        ("agent_session_max_age_s", "1e300", "less than or equal to"),
        ("agent_deadline_s", "nan", "less than or equal to"),
        ("agent_deadline_s", "30s", "valid number"),
        ("agent_drain_s", "-1", "greater than or equal to 0"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(ValidationError, match=words) as caught:
        Settings()
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("sqlite:///s.db", SqliteStore),
        ("sqlite:////abs/s.db", SqliteStore),
        ("redis://127.0.0.1:1/0", RedisStore),
    ],
)
def test_an_address_names_a_store(address: str, kind: type[Any]) -> None:
    assert isinstance(open_store(Settings(agent_session_store=address)), kind)


@pytest.mark.parametrize("address", ["", "sqlite:///", "postgres://x", "s.db"])
def test_an_address_of_no_store_says_what_one_looks_like(address: str) -> None:
    with pytest.raises(ValueError, match="AGENT_SESSION_STORE: give sqlite:///"):
        open_store(Settings(agent_session_store=address))


def test_a_store_that_every_thread_would_have_for_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="AGENT_SESSION_STORE: give SQLite a file"):
        open_store(Settings(agent_session_store="sqlite:///:memory:"))


@pytest.mark.parametrize(
    "address",
    [
        "redis://host:port/0",
        "redis://host:6379/0?ssl_cert_reqs=a-secret",
        "redis://host:6379/0?a-secret=1",
        "redis://host:6379/0?protocol=9",
        "redis+cluster://host:6379?a-secret=1",
        "redis://host:99999/0",
        "redis://:a-secret/of-mine@host:6379/0",
        "redis+cluster://me:a-secret#of-mine@host:6379",
        "redis+sentinel://me:a-secret/of-mine@host:26379/service",
        "redis+sentinel://host:26379/service/a-secret",
    ],
)
def test_an_address_of_redis_that_is_wrong_is_named_and_not_quoted(address: str) -> None:
    with pytest.raises(ValueError, match=r"AGENT_SESSION_STORE: give redis://host:port/db") as raised:
        open_store(Settings(agent_session_store=address))
    assert "secret" not in "".join(traceback.format_exception(raised.value))


def test_redis_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reference_agent.adapters.sessions.redis", None)
    with pytest.raises(ValueError, match=r"AGENT_SESSION_STORE: .* pip install 'agentrig\[redis\]'"):
        open_store(Settings(agent_session_store="redis://127.0.0.1:1/0"))
