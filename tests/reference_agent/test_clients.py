import asyncio
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from harness.clock import FakeClock
from reference_agent.adapters.models import bedrock_model, openai_model
from reference_agent.app import compose
from reference_agent.clients import EXPIRED_AFTER, client_builders
from reference_agent.settings import Settings
from tests.reference_agent.rig import MemoryStore, Tools, named, rig, run
from tests.reference_agent.wire import calls_tool, refuses, says

REFUSED = refuses(401, "invalid_api_key")


def inits(spans: InMemorySpanExporter) -> list[tuple[str, str, str]]:
    return [
        (
            span.name,
            str(dict(span.attributes or {})["agentrig.client.init.state"]),
            str(dict(span.attributes or {})["agentrig.client.init.reason"]),
        )
        for span in named(spans.get_finished_spans(), "client.init")
    ]


def test_first_requests_that_arrive_together_share_one_client_each(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    store = MemoryStore(16)

    async def work() -> None:
        async with rig(
            tmp_path,
            says("ok"),
            tools=Tools,
            store=store,
            build=store.all_came,
            agent_concurrency_limit=16,
        ) as agent:
            answers = await asyncio.gather(*(agent.ask(session=f"s{n}") for n in range(16)))
            assert {answer.status_code for answer in answers} == {200}
            assert (len(agent.models), len(agent.sessions)) == (1, 1)

    run(work())
    assert inits(spans) == [
        ("client.init llm", "cold", "first_use"),
        ("client.init mcp", "cold", "first_use"),
    ]
    agents = [dict(span.attributes or {}) for span in named(spans.get_finished_spans(), "invoke_agent")]
    assert {told["agentrig.client.state"] for told in agents} == {"cold"}
    assert len({told["agentrig.agent.id"] for told in agents}) == 16


def test_the_init_belongs_to_the_request_that_pays_for_it(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    clock = FakeClock()

    async def slowly() -> None:
        clock.advance(0.25)

    async def work() -> None:
        async with rig(tmp_path, says("ok"), build=slowly, clock=clock) as agent:
            await agent.ask()
            await agent.ask()

    run(work())
    (init,) = named(spans.get_finished_spans(), "client.init")
    first, second = named(spans.get_finished_spans(), "POST /invocations")
    assert init.parent is not None
    assert init.parent.span_id == first.context.span_id
    told = [dict(span.attributes or {}) for span in named(spans.get_finished_spans(), "invoke_agent")]
    assert [attributes["agentrig.client.state"] for attributes in told] == ["cold", "warm"]
    assert told[0]["agentrig.client.wait"] == 0.25
    assert told[1]["agentrig.client.wait"] == 0
    assert second.context.span_id != first.context.span_id


def test_credentials_that_ran_out_are_renewed_once(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), *[REFUSED] * EXPIRED_AFTER, says("ok")) as agent:
            codes = [(await agent.ask()).status_code for _ in range(EXPIRED_AFTER + 3)]
            assert codes == [200, *[502] * EXPIRED_AFTER, 200, 200]
            assert len(agent.models) == 2

    run(work())
    assert inits(spans) == [
        ("client.init llm", "cold", "first_use"),
        ("client.init llm", "reinit", "expired"),
    ]


def test_one_refusal_among_successes_is_no_reason_to_build_anew(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), REFUSED, says("ok"), REFUSED, says("ok")) as agent:
            for _ in range(5):
                await agent.ask()
            assert len(agent.models) == 1

    run(work())


def test_a_key_that_never_worked_is_not_tried_with_ever_new_clients(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, REFUSED) as agent:
            for _ in range(6):
                assert (await agent.ask()).status_code == 502
            assert len(agent.models) == 1

    run(work())


def test_a_key_that_stays_refused_after_the_renewal_is_left_alone(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), REFUSED) as agent:
            for _ in range(10):
                await agent.ask()
            assert len(agent.models) == 2

    run(work())


def test_a_tool_session_that_died_is_opened_again_once(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    dead = iter([False])

    async def work() -> None:
        async with rig(
            tmp_path,
            calls_tool("no_such_tool"),
            says("sorry"),
            says("ok"),
            tools=lambda: Tools(lives=next(dead, True)),
        ) as agent:
            await agent.ask()
            await asyncio.gather(*(agent.ask(session=f"s{n}") for n in range(4)))
            assert len(agent.sessions) == 2
            assert [session.closed for session in agent.sessions] == [True, False]

    run(work())
    assert inits(spans)[2:] == [("client.init mcp", "reinit", "broken")]


def test_a_tool_that_fails_on_a_session_that_lives_changes_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, calls_tool("no_such_tool"), says("sorry"), tools=Tools) as agent:
            await agent.ask()
            await agent.ask()
            assert len(agent.sessions) == 1

    run(work())


def test_a_client_that_cannot_be_built_is_said_and_not_hammered(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    tries: list[int] = []

    async def fail() -> None:
        tries.append(1)
        raise ConnectionError("no token to be had")

    async def work() -> None:
        async with rig(tmp_path, says("ok"), build=fail) as agent:
            for _ in range(5):
                answer = await agent.ask()
                assert (answer.status_code, answer.json()["error_type"]) == (503, "client_unavailable")
                assert answer.headers["retry-after"] == "1"
                assert "token" not in answer.text
            assert len(tries) == 1

    run(work())
    (init,) = named(spans.get_finished_spans(), "client.init")
    assert dict(init.attributes or {})["error.type"] == "ConnectionError"


def test_all_clients_are_closed_at_the_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), tools=Tools) as agent:
            await agent.ask()
        assert agent.wire.closed == 1
        assert [session.closed for session in agent.sessions] == [True]

    run(work())


def test_a_key_that_is_missing_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="OPENAI_API_KEY: there is none"):
        compose(Settings(agent_session_store=f"sqlite:///{tmp_path / 's.db'}"))


def test_an_address_that_is_empty_is_openais_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    client = openai_model(Settings(openai_api_key=SecretStr("sk-test"))).client
    assert client is not None
    assert str(client.base_url) == "https://api.openai.com/v1/"


@pytest.mark.parametrize(
    "address", ["tools:9000/mcp", "ftp://tools/mcp", "http://", "http://me:a-secret@[::1/"]
)
@pytest.mark.parametrize("name", ["mcp_server_url", "aws_endpoint_url_bedrock_runtime", "openai_base_url"])
def test_an_address_that_is_none_is_told_at_the_start_and_not_quoted(name: str, address: str) -> None:
    provider = "bedrock" if name.startswith("aws") else "openai"
    chosen: Any = {name: address, "agent_model_provider": provider}
    with pytest.raises(ValueError, match=name.upper()) as caught:
        client_builders(Settings(openai_api_key=SecretStr("sk-test"), **chosen))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["gopher://pass@proxy:70", "http://", "pass:word@:3128", "http://pass:a:b"])
def test_a_proxy_that_is_none_is_told_at_the_start_and_not_quoted(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(openai_api_key=SecretStr("sk-test"), openai_base_url="http://model.example/v1")
    for name in ("HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "elsewhere")
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(ValueError, match="HTTP_PROXY") as caught:
        client_builders(settings)
    assert "pass" not in str(caught.value)
    monkeypatch.setenv("no_proxy", "model.example")
    client_builders(settings)


def test_a_proxy_whose_protocol_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reference_agent.adapters.proxies.find_spec", lambda _: None)
    monkeypatch.setenv("https_proxy", "socks5://proxy:1080")
    monkeypatch.setenv("no_proxy", "elsewhere")
    with pytest.raises(ValueError, match="pip install 'httpx\\[socks\\]'"):
        client_builders(Settings(openai_api_key=SecretStr("sk-test")))


def test_credentials_of_aws_that_are_missing_keep_the_container_from_being_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    settings = Settings(agent_model_provider="bedrock")
    with pytest.raises(PermissionError, match="no AWS credentials"):
        bedrock_model(settings)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "token")
    assert bedrock_model(settings).client is None
