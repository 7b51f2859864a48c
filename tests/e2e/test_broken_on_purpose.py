"""Each way to break the reference agent still breaks a running one: the proof that needs them takes long."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e
EACH = """
import os, sys, traceback
from reference_agent.app import build_app, compose
from reference_agent.settings import Settings
from tests.proof.broken_agent import WAYS

settings = Settings(openai_base_url="http://127.0.0.1:9/v1", openai_api_key="none")
for name, way in WAYS.items():
    if (child := os.fork()) == 0:  # all was imported once, and no way sees what another one did
        try:
            way()
            build_app(compose(settings))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name}: the agent doesn't start")
print(len(WAYS))
"""


def test_an_agent_that_was_broken_on_purpose_starts() -> None:
    done = subprocess.run([sys.executable, "-c", EACH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20
