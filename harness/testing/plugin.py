"""The fixture `agentrig_simulator`, as a plugin of pytest that every session with agentrig installed loads.

So nothing is imported here but what pytest itself needs: a session without the fixture pays for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.testing.simulator import Simulator, SimulatorProcess


@pytest.fixture(scope="session")
def _agentrig_simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    from harness.testing.simulator import SimulatorProcess  # noqa: PLC0415 - see above

    process = SimulatorProcess(tmp_path_factory.mktemp("agentrig-simulator"))
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def agentrig_simulator(
    _agentrig_simulator_process: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Simulator:
    """A model API simulator that the SDKs of all providers are led to, as if just started."""
    from harness.testing.simulator import environment  # noqa: PLC0415 - see above

    simulator = _agentrig_simulator_process.as_new()
    for name, value in environment(simulator.url, tmp_path / "no-home", os.environ).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return simulator
