"""The small agent of `gate_repository`, slowed on purpose by the files that slow `slow_agent`, too."""

import importlib.util
import os
import time
import zlib
from pathlib import Path

import uvicorn

from tests.proof.slow_agent import FILE, ONE_IN, SESSIONS_FILE, Slowed, told

AGENT = Path(__file__).with_name("gate_repository") / "agent.py"

if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("small", AGENT)
    assert spec is not None
    assert spec.loader is not None
    agent = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(agent)
    file = Path(os.environ[SESSIONS_FILE])

    def load_session(prompt: str) -> None:
        with agent.tracer.start_as_current_span("session.load"):
            agent.sessions[prompt] = zlib.crc32(prompt.encode())
            if agent.sessions[prompt] % ONE_IN == 0:
                time.sleep(told(file) / 1e3)

    vars(agent)["load_session"] = load_session
    app = Slowed(agent.app, Path(os.environ[FILE]))
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", lifespan="off")
