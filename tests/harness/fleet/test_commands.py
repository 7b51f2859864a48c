import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.fleet import commands
from harness.fleet.commands import Command, FleetAddresses, inherit
from harness.under_test import AgentUnderTest

WIRING = FleetAddresses(
    experiment="busy-routing", arm="blind", capture=1, simulator=2, mcp=3, inherited={"PATH": "/bin"}
)


def an_agent(env: dict[str, str] | None = None, argv: tuple[str, ...] | None = None) -> Command:
    return commands.agent(
        WIRING,
        name="agent-1",
        port=4,
        api_key="sk-made-up",
        sessions=Path("/work/sessions.db"),
        concurrency_limit=8,
        env=env or {},
        argv=argv,
    )


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "LANG", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "DOCKER_HOST"]
)
def test_what_a_program_needs_to_run_is_handed_down(name: str) -> None:
    assert inherit({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_TRACES_SAMPLER",
        "AGENT_CONTROLS",
        "HTTPS_PROXY",
    ],
)
def test_no_key_and_no_setting_of_the_users_own_is_handed_down(name: str) -> None:
    assert inherit({name: "secret"}) == {}


def test_an_agent_is_told_where_everything_is() -> None:
    command = an_agent()
    assert command.argv == (sys.executable, "-P", "-m", "reference_agent")
    assert command.env == {
        "PATH": "/bin",
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "PORT": "4",
        "OPENAI_BASE_URL": "http://127.0.0.1:2/v1",
        "OPENAI_API_KEY": "sk-made-up",
        "MCP_SERVER_URL": "http://127.0.0.1:3/mcp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "agent",
        "OTEL_RESOURCE_ATTRIBUTES": (
            "service.instance.id=agent-1,agentrig.experiment=busy-routing,agentrig.arm=blind,ip=127.0.0.1"
        ),
        "OTEL_EXPORTER_OTLP_TIMEOUT": "25",
        "OTEL_BSP_EXPORT_TIMEOUT": "25000",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "AGENT_SESSION_STORE": "sqlite:////work/sessions.db",
        "AGENT_CONCURRENCY_LIMIT": "8",
        "AGENT_MODEL_ID": "simulated-model",
        "AGENT_DRAIN_S": "20",
    }


def test_what_the_arm_says_wins() -> None:
    env = an_agent({"AGENT_CONTROLS": "no-jitter", "AGENT_MODEL_ID": "other"}).env
    assert (env["AGENT_CONTROLS"], env["AGENT_MODEL_ID"]) == ("no-jitter", "other")


def test_another_agent_is_started_by_its_own_command_with_the_same_environment() -> None:
    command = an_agent(argv=("node", "server.js"))
    assert command.argv == ("node", "server.js")
    assert command.env == an_agent().env


def test_the_simulator_is_told_what_to_be_and_for_whom() -> None:
    command = commands.simulator(WIRING, Path("c.json"), Path("j.jsonl"))
    assert " ".join(command.argv[1:]) == (
        "-P -m harness.simulator --host 127.0.0.1 --port 2 --config c.json --journal j.jsonl "
        "--experiment busy-routing --arm blind"
    )
    assert command.env["OTEL_SERVICE_NAME"] == "model-api"


def test_the_tool_server_is_told_what_a_handshake_costs() -> None:
    command = commands.mcp_server(WIRING, 0.05)
    assert command.argv[4:] == ("--host", "127.0.0.1", "--port", "3", "--handshake-s", "0.05")
    assert command.env["OTEL_SERVICE_NAME"] == "mcp-server"


def test_beyond_loopback_each_listens_at_one_address_and_only_the_simulator_is_told_its_token() -> None:
    beyond = replace(WIRING, host="172.31.0.1", token="a-token")
    simulator = commands.simulator(beyond, Path("c.json"), Path("j.jsonl"))
    others = (commands.mcp_server(beyond, 0.0), commands.capture(beyond, Path("out"), None))
    assert simulator.env["AGENTRIG_SIMULATOR_TOKEN"] == "a-token"
    assert not any("a-token" in (*each.env.values(), *each.argv) for each in others)
    assert "a-token" not in simulator.argv, "arguments are for everybody to see"
    assert all(each.argv[4:6] == ("--host", "172.31.0.1") for each in (simulator, *others))
    assert "AGENTRIG_SIMULATOR_TOKEN" not in commands.simulator(WIRING, Path("c"), Path("j")).env


def test_the_capture_sends_on_only_where_it_is_told_to() -> None:
    kept = commands.capture(WIRING, Path("out"), None).argv
    assert " ".join(kept[1:]) == "-P -m harness.capture --host 127.0.0.1 --port 1 --out out"
    assert commands.capture(WIRING, Path("out"), "http://j:4318").argv == (
        *kept,
        "--forward",
        "http://j:4318",
    )


def test_what_a_store_of_traces_asks_for_only_the_capture_is_told() -> None:
    told = commands.capture(WIRING, Path("out"), "http://store", "x-token=a").env
    assert told["OTEL_EXPORTER_OTLP_HEADERS"] == "x-token=a"
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in commands.capture(WIRING, Path("out"), None, "x-token=a").env


def test_envoy_has_one_worker_and_shares_nothing_with_another_envoy() -> None:
    argv = commands.envoy(WIRING, Path("/bin/envoy"), Path("e.json")).argv
    assert argv[:3] == ("/bin/envoy", "--config-path", "e.json")
    assert argv[argv.index("--concurrency") + 1] == "1"
    assert "--disable-hot-restart" in argv


def test_a_users_agent_gets_what_its_file_says_with_the_places_filled(tmp_path: Path) -> None:
    own = AgentUnderTest(
        name="bot",
        argv=("serve", "--port={port}"),
        env={"MODEL": "{simulator}/v1", "KEY": "{api_key}", "OTEL_SERVICE_NAME": "mine"},
        workdir=tmp_path,
    )
    command = commands.own_agent(
        WIRING,
        own,
        name="agent-1",
        port=8080,
        api_key="sk-1",
        sessions=tmp_path / "s.db",
        home=tmp_path / "h",
    )
    assert command.argv == ("serve", "--port=8080")
    assert command.workdir == tmp_path
    assert command.env["MODEL"] == f"http://127.0.0.1:{WIRING.simulator}/v1"
    assert (command.env["KEY"], command.env["OTEL_SERVICE_NAME"]) == ("sk-1", "mine")
    assert "agent-1" in command.env["OTEL_RESOURCE_ATTRIBUTES"]
    assert "AGENT_CONCURRENCY_LIMIT" not in command.env


def test_a_users_agent_may_have_a_folder_for_each_container(tmp_path: Path) -> None:
    own = AgentUnderTest(name="bot", argv=("../venv/bin/serve",), workdir=Path("/home/me/bot"))
    about = {
        "name": "agent-1",
        "port": 8080,
        "api_key": "sk-1",
        "sessions": tmp_path / "s.db",
        "home": tmp_path / "h",
    }
    apart = commands.own_agent(WIRING, own, **about, folder=tmp_path)  # type: ignore[arg-type]  # each its own
    assert (apart.workdir, apart.argv) == (tmp_path, ("/home/me/venv/bin/serve",))
    together = commands.own_agent(WIRING, own, **about)  # type: ignore[arg-type]  # as above
    assert (together.workdir, together.argv) == (Path("/home/me/bot"), own.argv)


def fenced(own: AgentUnderTest, home: Path, inherited: dict[str, str] | None = None) -> dict[str, str]:
    wiring = replace(WIRING, outside=9, inherited=inherited or {})
    command = commands.own_agent(
        wiring, own, name="agent-1", port=8080, api_key="sk-1", sessions=home / "s.db", home=home
    )
    return dict(command.env)


def test_where_the_engine_is_docker_run_is_told_and_no_agent(tmp_path: Path) -> None:
    engine = {"DOCKER_HOST": "unix:///engine.sock"}
    image = AgentUnderTest(name="bot", argv=("docker", "run", "bot"), image="bot")
    assert fenced(image, tmp_path, engine)["DOCKER_HOST"] == "unix:///engine.sock"
    assert "DOCKER_HOST" not in fenced(AgentUnderTest(name="bot", argv=("serve",)), tmp_path, engine)
    assert "DOCKER_HOST" not in commands.mcp_server(replace(WIRING, inherited=engine), 0.0).env


def test_every_providers_variables_lead_to_the_simulator_whatever_was_recognised(tmp_path: Path) -> None:
    env = fenced(AgentUnderTest(name="bot", argv=("serve",)), tmp_path)
    simulator = f"http://127.0.0.1:{WIRING.simulator}"
    addresses = {name: value for name, value in env.items() if re.search("_(URL|BASE|ENDPOINT)(_|$)", name)}
    assert len(addresses) > 10
    assert {re.sub("/v1(beta)?$", "", value) for name, value in addresses.items() if "MCP" not in name} <= {
        simulator,
        f"http://127.0.0.1:{WIRING.capture}",
    }
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "GOOGLE_API_KEY"):
        assert env[key] == "sk-1"
    assert env["AWS_SHARED_CREDENTIALS_FILE"].startswith(str(tmp_path))
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"]


def test_litellm_is_led_by_its_own_variables_and_held_back_by_the_proxy(tmp_path: Path) -> None:
    env = fenced(AgentUnderTest(name="bot", argv=("serve",)), tmp_path)
    simulator = f"http://127.0.0.1:{WIRING.simulator}"
    assert env["AWS_BEDROCK_RUNTIME_ENDPOINT"] == env["ANTHROPIC_API_BASE"] == simulator
    assert env["GEMINI_API_BASE"] == f"{simulator}/v1beta"
    for provider in ("MISTRAL", "MISTRAL_AZURE", "GROQ", "DEEPSEEK", "XAI", "TOGETHER_AI"):
        assert env[f"{provider}_API_BASE"] == f"{simulator}/v1"
    assert env["AIOHTTP_TRUST_ENV"] == "True"


def test_all_other_machines_are_behind_a_proxy_and_home_is_empty(tmp_path: Path) -> None:
    env = fenced(AgentUnderTest(name="bot", argv=("serve",), outside=("api.example.com",)), tmp_path)
    assert {env[name] for name in ("HTTP_PROXY", "https_proxy", "ALL_PROXY")} == {"http://127.0.0.1:9"}
    assert env["NO_PROXY"] == env["no_proxy"] == "127.0.0.1,localhost,api.example.com"
    assert env["HOME"] == str(tmp_path)


def test_what_the_owner_says_wins_over_the_fence(tmp_path: Path) -> None:
    own = AgentUnderTest(name="bot", argv=("serve",), env={"OPENAI_BASE_URL": "x"}, home=tmp_path / "mine")
    env = fenced(own, tmp_path)
    assert (env["OPENAI_BASE_URL"], env["HOME"]) == ("x", str(tmp_path / "mine"))


def test_packages_of_the_user_alone_are_found_without_their_home(tmp_path: Path) -> None:
    own = AgentUnderTest(name="bot", argv=("serve",))
    assert fenced(own, tmp_path, {"HOME": "/home/me"})["PYTHONUSERBASE"] == "/home/me/.local"
    given = {"HOME": "/home/me", "PYTHONUSERBASE": "/base"}
    assert fenced(own, tmp_path, given)["PYTHONUSERBASE"] == "/base"
    assert "PYTHONUSERBASE" not in fenced(own, tmp_path)
