"""Nothing of an agent under test reaches another machine: seen by a resolver and sockets that refuse all."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.clock import SystemClock
from harness.errors import StartError
from harness.run.folder import RunFolder
from harness.run.trial import Trial, require_call, try_agent
from harness.under_test import AgentUnderTest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
AGENT = Path(__file__).parent / "fixtures" / "wandering_agent.py"
REFUSES = """
import os
import socket

NEAR = {"127.0.0.1", "localhost", "::1", "", None, "0.0.0.0"}


def refuse(host):
    if (host.decode() if isinstance(host, bytes) else host) in NEAR:
        return
    with open(os.environ["PYTHON_LEFT_FOR"], "a") as file:
        file.write(f"{host}\\n")
    raise socket.gaierror(-2, f"{host} is not here")


def resolving(resolve):
    def look(host, *rest, **more):
        refuse(host)
        return resolve(host, *rest, **more)
    return look


socket.getaddrinfo = resolving(socket.getaddrinfo)
socket.gethostbyname = resolving(socket.gethostbyname)


class Near(socket.socket):
    def connect(self, address):
        if self.family != socket.AF_UNIX:
            refuse(address[0])
        return super().connect(address)


socket.socket = Near
"""
"""A `sitecustomize` for each Python: names and addresses of other machines are refused, and kept."""


@pytest.fixture
def left_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with credentials for everything at hand; the file gets each host that was left for."""
    home, site = tmp_path / "home", tmp_path / "site"
    (home / ".aws").mkdir(parents=True)
    keys = "aws_access_key_id = AKIAREAL\naws_secret_access_key = REAL\nregion = us-west-2\n"
    (home / ".aws" / "credentials").write_text(f"[default]\n{keys}[production]\n{keys}")
    site.mkdir()
    (site / "sitecustomize.py").write_text(REFUSES)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PYTHON_LEFT_FOR", str(tmp_path / "left-for"))
    for name in ("AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_PROFILE"):
        monkeypatch.setenv(name, "REAL")
    return tmp_path / "left-for"


def tried(folder: Path, env: Mapping[str, str]) -> Trial:
    described = AgentUnderTest(name="wanderer", argv=(sys.executable, str(AGENT)), env=env)
    return try_agent(described, RunFolder.create(folder, "r"), SystemClock())


def test_no_packet_leaves_for_another_host_and_the_calls_come_to_the_simulator(
    tmp_path: Path, left_for: Path
) -> None:
    seen = tried(tmp_path / "run", {"PORT": "{port}"})
    assert not left_for.exists(), left_for.read_text()
    said = json.loads(seen.turns[0].said.text)
    assert seen.word in said["bedrock"]
    assert seen.word in said["openai"]
    assert "could not be found" in said["profile"], "its credentials are not the user's"
    assert "Connection error" in said["in code"]
    assert said["metadata"] == "403", "of the proxy, which refuses"
    assert said["keys"] == []
    assert not said["home"].startswith(str(tmp_path / "home"))
    assert sorted(call.split()[0] for call in seen.calls) == ["bedrock", "openai"]
    assert set(seen.outside) == {"api.openai.com:443", "169.254.169.254"}


def test_a_run_whose_agent_calls_nobody_here_stops_at_its_first_request(
    tmp_path: Path, left_for: Path
) -> None:
    elsewhere = dict.fromkeys(("OPENAI_BASE_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"), "https://a.example")
    seen = tried(tmp_path / "run", {"PORT": "{port}", **elsewhere})
    assert not left_for.exists(), left_for.read_text()
    with pytest.raises(StartError, match=r"received no call; refused was .*a\.example:443"):
        require_call(AgentUnderTest(name="wanderer"), seen)
