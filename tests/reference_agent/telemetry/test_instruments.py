from typing import Any

from reference_agent.patterns.busy_signal import BusySignal
from reference_agent.telemetry.instruments import Instruments
from tests.reference_agent.telemetry.measured import measured


def test_the_busy_signal_is_read_when_metrics_are_collected() -> None:
    def record(instruments: Instruments, _: Any) -> None:
        busy = BusySignal(2, hook=instruments.busy)
        busy.try_acquire()
        busy.try_acquire()
        busy.try_acquire()

    got = measured(record)
    assert got["agentrig.inflight"] == [({}, 2)]
    assert got["agentrig.inflight.limit"] == [({}, 2)]
    assert got["agentrig.busy"] == [({}, 1)]
    assert got["agentrig.rejections"] == [({}, 1)]
