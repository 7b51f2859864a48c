"""What a page of somebody else can let a browser send, the control API does not take."""

import pytest
from fastapi.testclient import TestClient

from harness.simulator.control import build_control
from harness.simulator.journal import Journal
from harness.simulator.serve import ModelSimulator
from harness.simulator.tracing import Tracing
from harness.simulator_config import SimulatorConfig


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://["},
    ],
)
def test_a_browser_on_anothers_page_changes_nothing(headers: dict[str, str]) -> None:
    simulator = ModelSimulator(SimulatorConfig(), Journal(None), Tracing())
    client = TestClient(build_control(simulator, None))
    assert client.post("/sim/reset", content=b'{"start_s": 1}', headers=headers).status_code == 415
    assert simulator.journal.resets == 0
    assert client.post("/sim/reset", json={"start_s": 1}).status_code == 200


def test_a_name_that_may_be_somebody_elses_is_not_this_simulators() -> None:
    simulator = ModelSimulator(SimulatorConfig(), Journal(None), Tracing())
    alone = TestClient(build_control(simulator, None))
    far = {"host": "simulator.example.com:8081", "authorization": "Bearer t"}
    assert alone.get("/sim/stats", headers=far).status_code == 403
    for near in ("127.0.0.1:8081", "[::1]:8081", "localhost", "simulator"):
        assert alone.get("/sim/stats", headers={"host": near}).status_code == 200
    assert TestClient(build_control(simulator, "t")).get("/sim/stats", headers=far).status_code == 200
