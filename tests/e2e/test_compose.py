"""What compose.yaml mounts, given to the programs that read it."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from dashboards.envoy.__main__ import FILE, PLAN, Address, config
from harness.contract import UPSTREAM_HEADER
from harness.fleet.envoy import find_envoy
from tests.e2e.asking import HTTP
from tests.e2e.redis_server import redis_server
from tests.e2e.serving import contract_server, free_port, running
from tests.e2e.waiting import DEADLINE_S, until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]


def test_healthy_is_a_store_that_lets_others_in_and_an_agent_that_can_use_it(tmp_path: Path) -> None:
    port = free_port()
    with redis_server(tmp_path) as redis, ExitStack() as stack:

        def store() -> int:
            return health("redis", ["redis-cli", "-p", str(redis.port)], {"redis": "127.0.0.1"}).returncode

        def agent() -> tuple[int, str]:
            ran = health("agent-1", [sys.executable], {"8080": str(port)})
            return ran.returncode, ran.stderr

        env = {"PORT": str(port), "OPENAI_API_KEY": "made-up", "AGENT_SESSION_STORE": redis.url}
        argv = [sys.executable, "-m", "reference_agent"]
        stack.enter_context(running(argv, f"http://127.0.0.1:{port}/livez", env))
        until("a healthy agent", lambda: agent() == (0, ""))
        assert store() == 0
        redis.told("CONFIG SET requirepass made-up\r\nCLIENT KILL TYPE normal")
        assert store() != 0
        assert agent() == (1, "the session store can't be reached\n")


def health(service: str, program: list[str], replaced: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a health check of compose.yaml on this machine.

    Args:
        service: whose.
        program: what stands for its first word here.
        replaced: words, and parts of the last one, that are others here.
    """
    _, _, *words, last = SERVICES[service]["healthcheck"]["test"]
    for old, new in replaced.items():
        words, last = [new if word == old else word for word in words], last.replace(old, new)
    argv = [*program, *words, last]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S)


def test_envoy_takes_its_configuration() -> None:
    argv = [str(find_envoy()), "--mode", "validate", "-c", str(FILE)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert ran.returncode == 0, ran.stderr
    assert "OK" in ran.stdout + ran.stderr


def test_envoy_finds_its_containers_by_name_and_tells_which_one_answered(tmp_path: Path) -> None:
    with ExitStack() as stack:
        containers = [stack.enter_context(contract_server()) for _ in range(2)]
        url = stack.enter_context(balancer(tmp_path, containers))
        ports: set[str] = set()
        wanted = {str(urlsplit(container).port) for container in containers}

        def all_answered() -> bool:
            answer = HTTP.post(f"{url}/invocations", json={"prompt": "hi"}, timeout=DEADLINE_S)
            assert answer.status_code == 200
            ports.add(answer.headers[UPSTREAM_HEADER].rpartition(":")[2])
            return ports == wanted

        until("answers of each", all_answered)


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("GET", "/stats/prometheus", "envoy:9901", 200),
        ("GET", "/ready", "127.0.0.1:9901", 200),
        ("POST", "/quitquitquit", "envoy:9901", 404),
        ("POST", "/stats/prometheus", "envoy:9901", 404),
        ("GET", "/config_dump", "envoy:9901", 404),
        ("GET", "/stats/prometheus", "evil.example", 404),
    ],
)
def test_of_envoys_control_its_figures_alone_can_be_read(
    stats_url: str, method: str, path: str, host: str, status: int
) -> None:
    answer = HTTP.request(method, f"{stats_url}{path}", headers={"Host": host}, timeout=DEADLINE_S)
    assert answer.status_code == status, answer.text
    if path == "/stats/prometheus" and status == 200:
        assert "envoy_cluster_membership_total" in answer.text


@pytest.fixture(scope="module")
def stats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with contract_server() as container, balancer(tmp_path_factory.mktemp("stats"), [container]) as url:
        config = json.loads((tmp_path_factory.getbasetemp() / "stats0" / "envoy.json").read_text())
        (listener,) = (each for each in config["static_resources"]["listeners"] if each["name"] == "stats")
        yield f"http://127.0.0.1:{listener['address']['socket_address']['port_value']}"
        assert HTTP.get(f"{url}/ping", timeout=DEADLINE_S).is_success  # nothing has stopped it


@contextmanager
def balancer(folder: Path, containers: list[str]) -> Iterator[str]:
    """The balancer of compose.yaml, on free ports, over containers on this machine."""
    listed: tuple[Address, ...] = tuple(("localhost", urlsplit(url).port or 0) for url in containers)
    plan = dataclasses.replace(PLAN, port=free_port(), stats_port=free_port(), admin=folder / "envoy.sock")
    file = folder / "envoy.json"
    file.write_text(json.dumps(config(listed, ("localhost", free_port()), plan)))
    command = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["envoy"]["command"]
    argv = [str(find_envoy()), *command[1:]]
    argv[argv.index("--config-path") + 1] = str(file)
    with running(argv, f"http://127.0.0.1:{plan.stats_port}/ready"):
        yield f"http://127.0.0.1:{plan.port}"
