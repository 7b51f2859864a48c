"""Of four conventions of spans: a sound agent and a sabotaged one, told apart by their spans alone.

Each is a real agent of `tests/harness/observe/samples/agents`, with its real instrumentation and that of its
HTTP client. The sabotaged ones have an SDK that sends again what was refused for good.
"""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from harness.observe.gathering import OBSERVED
from tests.e2e.collecting import collecting
from tests.e2e.command import finish, start
from tests.e2e.simulating import running
from tests.harness.observe.samples.take import HERE, config, decoded, environment

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]
DEADLINE_S = 600.0
DIALECTS = ("strands_agents", "pydantic_logfire", "openinference_openai", "openllmetry")
INSTRUMENTATIONS = (
    "openinference-instrumentation-openai",
    "opentelemetry-instrumentation-openai",
    "opentelemetry-instrumentation-httpx",
)
TIMES = 12
LIMITS = "min-requests=30"
"""Of 36 requests: a dozen of each kind."""


def python_with(packages: tuple[str, ...], place: Path) -> Path:
    """Make an environment of some packages on top of those that are installed here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin/python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    Path(site, "below.pth").write_text(f"{sysconfig.get_path('purelib')}\n", "utf-8")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def spans_of(python: Path, name: str, *, sabotaged: bool) -> str:
    """Run an agent against a model API with faults, and return what it sent, a line for each request."""
    service = f"{name}-{'sabotaged' if sabotaged else 'sound'}"
    more = {
        "SAMPLE_TIMES": str(TIMES),
        "SAMPLE_HTTP_SPANS": "1",
        **({"SAMPLE_SABOTAGED": "1"} if sabotaged else {}),
    }
    with running(config()) as simulator, collecting() as collector:
        env = environment(name, service, Path.home(), simulator.url, collector.endpoint) | more
        agent = HERE / "agents" / f"{name}.py"
        done = subprocess.run(
            [python, agent], env=env, timeout=DEADLINE_S, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return "".join(json.dumps({"resourceSpans": decoded(body)}) + "\n" for body in collector.bodies)


def judged(spans: str, folder: Path) -> dict[str, dict[str, str]]:
    """Observe spans, and return the verdicts of all checks, by service."""
    file = folder / "spans.jsonl"
    file.write_text(spans, "utf-8")
    code, out, err = finish(
        start("observe", file, "--limits", LIMITS, "--out", folder / "observed", "--json", cwd=folder),
        DEADLINE_S,
    )
    assert code == 1, f"{out}\n{err}"
    return {
        each["name"]: {c["id"]: c["verdict"] for c in each["checks"] if c["arm"] == OBSERVED}
        for each in json.loads(out)["experiments"]
    }


def test_of_each_convention_a_sabotaged_agent_is_told_from_a_sound_one(tmp_path: Path) -> None:
    python = python_with(INSTRUMENTATIONS, tmp_path / "environment")
    spans = "".join(
        spans_of(python, name, sabotaged=sabotaged) for name in DIALECTS for sabotaged in (False, True)
    )
    verdicts = judged(spans, tmp_path)
    for name in DIALECTS:
        sound, broken = verdicts[f"{name}-sound"], verdicts[f"{name}-sabotaged"]
        assert "fail" not in sound.values(), (name, sound)
        assert sound["permanent-once"] == "pass", (name, sound)
        assert broken["permanent-once"] == "fail", (name, broken)
