"""The fixture `agentrig_simulator` in the tests of somebody else, through pytest's own test tool."""

import re
import signal
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.e2e.waiting import until

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "simulator.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"```python\n(def test_.*?)```", PAGE, re.DOTALL)
(SMALL,) = re.findall(r"^pip install --no-deps agentrig && pip install (.*)$", PAGE, re.MULTILINE)
QUIET = tuple(f"-pno:{name}" for name in ("cacheprovider", "locust", "xdist", "schemathesis"))
AGENT = """
import openai

def ask(words, retries=2):
    client = openai.OpenAI(max_retries=retries)
    with client:
        messages = [{"role": "user", "content": words}]
        return client.chat.completions.create(model="m", messages=messages).choices[0].message.content
"""
TOLD = """
from pathlib import Path

import pytest

@pytest.fixture(autouse=True)
def _tell(agentrig_simulator):
    Path("url").write_text(agentrig_simulator.url)
"""
WRONG = """
import openai
import pytest
from agent import ask

def test_sdk_that_tries_too_often(agentrig_simulator):
    agentrig_simulator.fault("overloaded", retry_after_s=0.01)
    with pytest.raises(openai.InternalServerError):
        ask("three", retries=3)
    agentrig_simulator.assert_retried_within(3, answered=False)

def test_of_something_else(agentrig_simulator):
    agentrig_simulator.assert_never_retried()

def test_of_a_path_that_is_none(agentrig_simulator):
    with pytest.raises(openai.NotFoundError):
        openai.OpenAI(base_url=agentrig_simulator.url).models.retrieve("m")
    agentrig_simulator.assert_waited_as_told()
"""
LEFT_GOING = """
import os
import threading
from agent import ask

def test_that_leaves_a_call_behind(agentrig_simulator):
    agentrig_simulator.fault("stall_before_headers")
    agentrig_simulator.fault("auth")
    threading.Thread(target=ask, args=("hangs", 0), daemon=True).start()
    while not agentrig_simulator.stats["in_work"]:
        pass

def test_that_knows_nothing_of_it(agentrig_simulator, monkeypatch):
    assert agentrig_simulator.journal == []
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    assert ask("anything")
    (call,) = agentrig_simulator.calls
    assert call.answered and os.environ["OPENAI_BASE_URL"] == agentrig_simulator.openai_url
"""
BLOCKING = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name + " belongs to the fleet", name=name)

sys.meta_path.insert(0, Blocked())
"""


def of_the_fleet() -> Iterator[str]:
    """Yield the modules of what agentrig depends on, and of what it brings, that the page does not name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    named = {canonicalize_name(name) for name in SMALL.split()}
    assert named < declared
    left_out = (declared - named) | {"gevent", "flask", "strands-agents"}
    for module, owners in packages_distributions().items():
        if {canonicalize_name(owner) for owner in owners} <= left_out:
            yield module


@pytest.fixture
def tests_of_a_team(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder of tests, with nothing to import that the fleet alone needs."""
    monkeypatch.setenv("AGENTRIG_SIMULATOR_TOKEN", "of-another-simulator")
    monkeypatch.setenv("AWS_PROFILE", "production")
    site = pytester.mkdir("site")
    (site / "sitecustomize.py").write_text(BLOCKING.format(blocked=sorted(of_the_fleet())))
    monkeypatch.setenv("PYTHONPATH", str(site))
    pytester.makepyfile(agent=AGENT)
    pytester.makeconftest(TOLD)
    return pytester


def simulators(url: str) -> list[int]:
    port = int(url.rpartition(":")[2])
    return [
        each.pid
        for each in psutil.net_connections("tcp")
        if each.laddr.port == port and each.status == psutil.CONN_LISTEN and each.pid
    ]


def none_is_left(folder: Path) -> None:
    url = (folder / "url").read_text()
    until(f"the end of the simulator at {url}", lambda: not simulators(url))


def test_the_tests_of_the_page_hold_without_the_packages_of_the_fleet(
    tests_of_a_team: pytest.Pytester,
) -> None:
    tests_of_a_team.makepyfile(f"import openai\nimport pytest\nfrom agent import ask\n\n\n{EXAMPLE}")
    tests_of_a_team.makepyfile(test_left_going=LEFT_GOING)
    ran = tests_of_a_team.runpytest_subprocess(*QUIET)
    ran.assert_outcomes(passed=EXAMPLE.count("def test_") + LEFT_GOING.count("def test_"))
    none_is_left(tests_of_a_team.path)


def test_what_fell_short_is_told_with_its_attempts_and_leaves_nothing(
    tests_of_a_team: pytest.Pytester,
) -> None:
    tests_of_a_team.makepyfile(WRONG)
    ran = tests_of_a_team.runpytest_subprocess(*QUIET)
    ran.assert_outcomes(failed=3)
    ran.stdout.fnmatch_lines(
        [
            "*AssertionError: a call was tried 4 times; 3 are allowed",
            "*call 1: openai, m",
            "*  attempt 1 at   0.000 s, for * s: 503 overloaded, told to come back in 0.01 s",
            "*  attempt 4 at *: 503 overloaded*",
            "*AssertionError: no model call came to http://127.0.0.1:*",
            "*no model call came to *; what came is not served: 1 times GET /models/m",
        ]
    )
    assert "_hold" not in ran.stdout.str()
    none_is_left(tests_of_a_team.path)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("raise KeyboardInterrupt", pytest.ExitCode.INTERRUPTED),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_tests_that_are_interrupted_leave_nothing(
    end: str, code: int, tests_of_a_team: pytest.Pytester
) -> None:
    tests_of_a_team.makepyfile(
        f"import os\nimport signal\n\ndef test_cut_off(agentrig_simulator):\n    {end}\n"
    )
    assert tests_of_a_team.runpytest_subprocess(*QUIET).ret == code
    none_is_left(tests_of_a_team.path)
