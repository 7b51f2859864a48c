"""Real agent processes over a simulator of their own, to be killed and told to leave."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from harness.clock import SystemClock
from harness.fleet.ports import HOST, Ports
from harness.process.child import Child
from harness.simulator_config import Distribution, Latency, SimulatorConfig
from reference_agent.telemetry.redaction import OPT_IN
from tests.e2e.asking import HTTP
from tests.e2e.simulating import running
from tests.e2e.waiting import DEADLINE_S

CLOCK = SystemClock()


class Agents:
    """Agent processes that differ in nothing but their port.

    Args:
        folder: for their logs.
        ports: one for each.
        env: of all.
    """

    def __init__(self, folder: Path, ports: list[int], env: Mapping[str, str]) -> None:
        self.urls = [f"http://{HOST}:{port}" for port in ports]
        self._folder = folder
        self._ports = ports
        self._env = env
        self.children: dict[int, Child] = {}

    def start(self, number: int) -> Child:
        env = {**self._env, "PORT": str(self._ports[number])}
        child = python(f"agent-{number}", "reference_agent", [], env, self._folder)
        self.children[number] = child
        return child

    def kill(self, number: int) -> None:
        """End it between two of its instructions, whatever it is doing."""
        self.children[number].send(signal.SIGKILL)
        self.children[number].stop(0.0)

    def stop(self) -> None:
        for child in self.children.values():
            child.ask_to_stop()
        for child in self.children.values():
            child.stop(DEADLINE_S)


@contextmanager
def agents(folder: Path, count: int, ttft_s: float, **env: str) -> Iterator[Agents]:
    """Agents that are ready, over a model that begins to answer after `ttft_s`.

    Args:
        folder: for logs, and for sessions in a file unless `env` names another store.
        count: of agents.
        ttft_s: of the simulated model, in seconds; it is there unless `env` names another.
        env: of the agents, where it is not the usual one.
    """
    with ExitStack() as stack:
        reserved = stack.enter_context(Ports())
        usual = {
            **_inherited(),
            "HOST": HOST,
            "OPENAI_API_KEY": "sk-test",
            "AGENT_SESSION_STORE": f"sqlite:///{folder}/sessions.db",
        }
        if "OPENAI_BASE_URL" not in env:
            model_url = _model(stack, reserved, folder, ttft_s, of_its_own=count > 1)
            usual["OPENAI_BASE_URL"] = f"{model_url}/v1"
        fleet = Agents(folder, [reserved.reserve() for _ in range(count)], {**usual, **env})
        stack.callback(fleet.stop)
        started = [fleet.start(number) for number in range(count)]
        for child, url in zip(started, fleet.urls, strict=True):
            wait_for(child, f"{url}/readyz")
        yield fleet


def _model(stack: ExitStack, reserved: Ports, folder: Path, ttft_s: float, *, of_its_own: bool) -> str:
    """Start a model and give its address.

    Args:
        stack: ends it.
        reserved: gives it a port.
        folder: for its log.
        ttft_s: after which it begins to answer.
        of_its_own: whether it is a process of its own: several agents under load would wait for a thread of
            this one.
    """
    if not of_its_own:
        config = SimulatorConfig(latency=Latency(ttft=Distribution(median_s=ttft_s)))
        return stack.enter_context(running(config)).url
    port = reserved.reserve()
    child = start_simulator(stack, folder, port, {"latency": {"ttft": {"median_s": ttft_s}}})
    wait_for(child, f"http://{HOST}:{port}/healthz")
    return f"http://{HOST}:{port}"


def _inherited() -> dict[str, str]:
    """Return the environment but for what agents in this process have settled in it."""
    return {name: value for name, value in os.environ.items() if name != OPT_IN}


def start_simulator(stack: ExitStack, folder: Path, port: int, config: Mapping[str, Any]) -> Child:
    """Start a simulator that ends with `stack`; it is not ready yet."""
    file = folder / "simulator.json"
    file.write_text(json.dumps(config))
    child = python(
        "simulator", "harness.simulator", ["--port", str(port), "--config", str(file)], os.environ, folder
    )
    stack.callback(child.stop, DEADLINE_S)
    return child


def settings_here(settings: Path) -> str:
    """Return an example's agentrig.toml, to be put elsewhere: started in its folder, by this Python."""
    text = settings.read_text("utf-8").replace('["python3"', f'["{sys.executable}"')
    return text.replace("[agent]\n", f'[agent]\nworkdir = "{settings.parent}"\n')


def python(name: str, module: str, arguments: list[str], env: Mapping[str, str], folder: Path) -> Child:
    """Start a module as a process that ends with this one."""
    child = Child(name, [sys.executable, "-m", module, *arguments], env, folder, CLOCK)
    child.start()
    return child


def wait_for(child: Child, url: str) -> None:
    deadline = CLOCK.monotonic() + DEADLINE_S
    while CLOCK.monotonic() < deadline:
        child.check()
        try:
            if HTTP.get(url, timeout=DEADLINE_S).status_code == 200:
                return
        except httpx.HTTPError:
            CLOCK.sleep(0.05)
    raise AssertionError(f"{url} was not ready; {child.last_lines()}")
