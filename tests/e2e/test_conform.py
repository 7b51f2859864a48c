import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.fleet.ports import Ports
from harness.process.child import Child
from tests.e2e.agents import CLOCK, start_simulator, wait_for
from tests.e2e.command import conform
from tests.e2e.waiting import DEADLINE_S

pytestmark = pytest.mark.e2e
SDK_AGENT = Path(__file__).parent.parent / "fixtures" / "agentcore_sdk_agent.py"
CONFIG = {"latency": {"ttft": {"median_s": 0.15}, "tokens": 4}}


@contextmanager
def serving(folder: Path, argv: list[str]) -> Iterator[str]:
    """An agent over a simulator of its own; gives the agent's address."""
    with ExitStack() as stack:
        ports = stack.enter_context(Ports())
        model, agent = ports.reserve(), ports.reserve()
        env = {
            **os.environ,
            "PORT": str(agent),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{model}/v1",
            "OPENAI_API_KEY": "test",
            "AGENT_SESSION_STORE": f"sqlite:///{folder}/sessions.db",
            "AGENT_CONCURRENCY_LIMIT": "4",
        }
        simulator = start_simulator(stack, folder, model, CONFIG)
        container = Child("agent", [sys.executable, *argv], env, folder, CLOCK)
        container.start()
        stack.callback(container.stop, DEADLINE_S)
        wait_for(simulator, f"http://127.0.0.1:{model}/healthz")
        wait_for(container, f"http://127.0.0.1:{agent}/ping")
        yield f"http://127.0.0.1:{agent}"


def test_the_reference_agent_conforms_in_json_and_events(tmp_path: Path) -> None:
    with serving(tmp_path, ["-m", "reference_agent"]) as address:
        code, findings = conform(address, tmp_path)
    assert {id_: f["message"] for id_, f in findings.items() if f["verdict"] != "pass"} == {}
    assert len(findings) == 13
    assert code == 0


def test_an_agent_of_the_sdk_alone_is_told_what_it_lacks_in_words_to_act_on(tmp_path: Path) -> None:
    with serving(tmp_path, [str(SDK_AGENT)]) as address:
        code, findings = conform(address, tmp_path)
    verdicts = {id_: finding["verdict"] for id_, finding in findings.items()}
    assert code == 1, "for bad bodies"
    assert findings["session-header"]["advice"]
    assert verdicts["ping-shape"] == verdicts["ping-stamp"] == verdicts["json-answer"] == "pass"
    assert verdicts["bad-bodies"] == "fail"
    assert verdicts["sse-shape"] == "not_made"
    assert verdicts["busy-flip"] == verdicts["at-the-limit"] == verdicts["session-isolation"] == "unknown"
    assert "busy-signal pattern" in findings["busy-flip"]["message"]
    assert "answer 400 with the reason" in findings["bad-bodies"]["message"]
