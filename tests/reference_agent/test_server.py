import signal
from typing import Any

import pytest
import uvicorn

from harness.clock import FakeClock
from reference_agent.app import CLOSE_S
from reference_agent.contract import MAX_HEADER_BYTES
from reference_agent.health import Health
from reference_agent.patterns.busy_signal import BusySignal
from reference_agent.server import LAST_ANSWERS_S, BoundedHeaders, DrainingServer
from reference_agent.settings import Settings
from reference_agent.telemetry.providers import FLUSH_S
from tests.reference_agent.rig import run


class Setting:
    """A server that is asked whether to leave, with time in hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.busy = BusySignal(4)
        nothing: Any = None
        self.health = Health(self.busy, nothing, nothing)
        config = uvicorn.Config("none:none", log_config=None)
        self.server = DrainingServer(config, self.health, self.busy, drain_s=30.0, clock=self.clock.monotonic)

    def leaves(self) -> bool:
        leaving: bool = run(self.server.on_tick(1))
        return leaving


def test_it_stays_until_it_is_told_to_leave() -> None:
    setting = Setting()
    setting.clock.advance(1000)
    assert not setting.leaves()
    assert not setting.health.draining


def test_told_to_leave_with_nothing_in_work_it_leaves() -> None:
    setting = Setting()
    setting.server.handle_exit(signal.SIGTERM, None)
    assert setting.health.draining
    assert setting.leaves()


def test_it_leaves_when_its_last_request_is_done() -> None:
    setting = Setting()
    one, two = setting.busy.try_acquire(), setting.busy.try_acquire()
    assert one is not None
    assert two is not None
    setting.server.handle_exit(signal.SIGTERM, None)
    one.release()
    assert not setting.leaves()
    two.release()
    assert setting.leaves()


def test_a_request_that_takes_too_long_is_not_waited_for() -> None:
    setting = Setting()
    assert setting.busy.try_acquire()
    setting.server.handle_exit(signal.SIGTERM, None)
    setting.clock.advance(29.9)
    assert not setting.leaves()
    setting.clock.advance(0.1)
    assert setting.leaves()


@pytest.mark.parametrize(("second", "forced"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_told_twice_it_leaves_at_once(second: int, *, forced: bool) -> None:
    setting = Setting()
    assert setting.busy.try_acquire()
    setting.server.handle_exit(signal.SIGTERM, None)
    setting.server.handle_exit(second, None)
    assert setting.leaves()
    assert setting.server.force_exit is forced


class Protocol(BoundedHeaders):
    """The protocol without its connection."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: Any = []
        self.flow: Any = None
        self.expect_100_continue = False


def test_headers_over_the_limit_are_not_taken_in() -> None:
    protocol = Protocol()
    for _ in range(3):
        protocol.on_header(b"x", b"y" * (MAX_HEADER_BYTES // 4))
    with pytest.raises(ValueError, match="over 32768 bytes"):
        protocol.on_header(b"x", b"y" * (MAX_HEADER_BYTES // 4))


def test_an_address_over_the_limit_is_not_taken_in_either() -> None:
    protocol = Protocol()
    protocol.on_url(b"/" + b"x" * 100)
    with pytest.raises(ValueError, match="address and headers"):
        protocol.on_url(b"x" * MAX_HEADER_BYTES)


def test_by_default_all_of_leaving_takes_less_than_docker_gives() -> None:
    assert Settings().agent_drain_s + LAST_ANSWERS_S + CLOSE_S + FLUSH_S < 10.0
