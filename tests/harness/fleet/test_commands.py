from pathlib import Path

import pytest

from harness.fleet import commands
from harness.fleet.commands import Addresses, Command, inherited

AT = Addresses(capture=1, simulator=2, mcp=3, balancer=4, admin=5, agents=(11, 12))


def agent(**env: str) -> Command:
    return commands.agent(
        AT,
        2,
        argv=("serve",),
        experiment="e",
        arm="a",
        concurrency_limit=3,
        store=Path("/x/sessions.db"),
        env=env,
    )


def test_an_agent_is_told_everything_by_its_environment() -> None:
    env = agent().env
    assert env["PORT"] == "12"
    assert env["HOST"] == "127.0.0.1"
    assert env["OPENAI_BASE_URL"] == "http://127.0.0.1:2/v1"
    assert env["MCP_SERVER_URL"] == "http://127.0.0.1:3/mcp"
    assert env["AGENT_SESSION_STORE"] == "sqlite:////x/sessions.db"
    assert env["AGENT_CONCURRENCY_LIMIT"] == "3"
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:1"


def test_each_container_has_a_name_of_its_own_on_its_telemetry() -> None:
    labels = agent().env["OTEL_RESOURCE_ATTRIBUTES"].split(",")
    assert "service.instance.id=agent-2" in labels
    assert "agentrig.experiment=e" in labels
    assert "agentrig.arm=a" in labels


def test_an_arm_has_the_last_word_on_an_agents_environment() -> None:
    assert agent(AGENT_CONCURRENCY_LIMIT="9").env["AGENT_CONCURRENCY_LIMIT"] == "9"


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "GITHUB_TOKEN", "http_proxy"])
def test_a_childs_environment_has_no_secret_of_the_users(name: str) -> None:
    assert inherited({name: "secret", "PATH": "/bin"}) == {"PATH": "/bin"}


def test_the_capture_forwards_only_where_it_was_told_to() -> None:
    assert "--forward" not in commands.capture(AT, Path("/x"), None).argv
    assert commands.capture(AT, Path("/x"), "http://j:4318").argv[-2:] == ("--forward", "http://j:4318")


def test_envoy_runs_one_worker() -> None:
    argv = commands.envoy(AT, Path("/bin/envoy"), Path("/x/envoy.json")).argv
    assert argv[argv.index("--concurrency") + 1] == "1"
