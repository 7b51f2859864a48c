"""Where the key comes from, and when it is read."""

from pathlib import Path

import pytest

from harness.clock import FakeClock
from reference_agent.adapters.keys import is_outdated, openai_key
from reference_agent.clients import client_builders
from reference_agent.settings import Settings
from tests.reference_agent.rig import rig, run
from tests.reference_agent.wire import refuses, says

REFUSED = refuses(401, "invalid_api_key")


@pytest.fixture(autouse=True)
def no_key_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.mark.parametrize("written", ["sk-1", "sk-1\n", "  sk-1\r\n"])
def test_a_file_may_end_as_editors_end_it(tmp_path: Path, written: str) -> None:
    file = tmp_path / "key"
    file.write_text(written, newline="")
    assert openai_key(Settings(openai_api_key_file=file, openai_api_key="other")) == "sk-1"


def test_the_environment_is_read_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    settings = Settings()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
    assert openai_key(settings) == "sk-2"
    assert is_outdated("sk-1", settings)
    assert not is_outdated("sk-2", settings)


@pytest.mark.parametrize("written", ["sk 1", "sk-1\nsk-2", "sk-\x00", "sk-é"])
def test_a_key_that_no_header_can_carry_is_refused_without_telling_it(tmp_path: Path, written: str) -> None:
    file = tmp_path / "key"
    file.write_text(written, "utf-8")
    settings = Settings(openai_api_key_file=file)
    with pytest.raises(ValueError, match="OPENAI_API_KEY_FILE") as caught:
        openai_key(settings)
    assert "sk" not in str(caught.value)
    assert not is_outdated("sk-1", settings)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = Settings(openai_api_key_file=tmp_path / "none")
    with pytest.raises(ValueError, match=r"OPENAI_API_KEY_FILE.*none.*FileNotFoundError"):
        openai_key(settings)


@pytest.mark.parametrize("code", ["invalid_api_key", "auth_error", "token_expired", None])
def test_a_key_that_was_changed_is_taken_at_the_first_refusal(tmp_path: Path, code: str | None) -> None:
    file = tmp_path / "key"
    file.write_text("sk-old")

    async def work() -> None:
        replies = (says("ok"), refuses(401, code), says("ok"))
        async with rig(tmp_path, *replies, openai_api_key_file=file) as agent:
            assert (await agent.ask()).status_code == 200
            file.write_text("sk-new\n")
            assert (await agent.ask()).status_code == 502
            assert (await agent.ask()).status_code == 200
            sent = [request.headers["authorization"] for request in agent.wire.requests]
            assert sent == ["Bearer sk-old", "Bearer sk-old", "Bearer sk-new"]
            assert len(agent.models) == 2

    run(work())


def test_a_key_that_was_wrong_from_the_start_can_be_mended_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-wrong")

    async def work() -> None:
        async with rig(tmp_path, REFUSED, REFUSED, says("ok"), openai_api_key_file=file) as agent:
            assert (await agent.ask()).status_code == 502
            file.write_text("sk-right")
            assert (await agent.ask()).status_code == 502
            assert (await agent.ask()).status_code == 200
            assert len(agent.models) == 2

    run(work())


def test_a_key_in_a_file_is_enough_to_start(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-1")
    assert client_builders(Settings(openai_api_key_file=file)).model
    file.write_text("sk 1")
    with pytest.raises(ValueError, match="OPENAI_API_KEY_FILE"):
        client_builders(Settings(openai_api_key_file=file))


@pytest.mark.parametrize("written", ["", " \n"])
def test_a_file_that_is_empty_while_it_is_written_costs_a_pause_and_no_container(
    tmp_path: Path, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "another")  # with it the SDK builds a client without a key
    file = tmp_path / "key"
    file.write_text("sk-old")

    async def work() -> None:
        clock = FakeClock()
        async with rig(
            tmp_path, says("ok"), REFUSED, says("ok"), openai_api_key_file=file, clock=clock
        ) as agent:
            assert (await agent.ask()).status_code == 200
            file.write_text(written)
            assert (await agent.ask()).status_code == 502
            assert len(agent.models) == 1  # nothing is no other key
            agent.parts.clients.renew()  # as after a snapshot: now it has to be built
            answer = await agent.ask()
            assert (answer.status_code, answer.json()["error_type"]) == (503, "client_unavailable")
            file.write_text("sk-new")
            clock.advance(1.0)
            assert (await agent.ask()).status_code == 200
            assert agent.wire.requests[-1].headers["authorization"] == "Bearer sk-new"

    run(work())
