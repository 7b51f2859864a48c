"""Weather between real sockets, and a real Redis that fails over."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.clock import SystemClock
from harness.fleet.ports import HOST, Ports
from harness.fleet.redis_pair import RedisPair
from harness.records.weather import WeatherRule
from harness.simulator_config import Distribution
from harness.weather.kinds import REGISTRY
from harness.weather.proxy import Weather
from tests.e2e.redis_server import RedisServer, needs_redis
from tests.e2e.waiting import DEADLINE_S, until

pytestmark = pytest.mark.e2e

CLOCK = SystemClock()
LONG_S = 3000.0
SILENT_S = 0.3
"""What gives no answer within that gives none: all that is here answers in a millisecond."""


@contextmanager
def echo(name: bytes = b"") -> Iterator[int]:
    """A server that sends back what it is sent, with its name; yields its port."""
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=back, args=(connection,), daemon=True).start()

    def back(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while piece := connection.recv(4096):
                connection.sendall(piece + name)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


class Caller:
    """A container's connection to its store."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=DEADLINE_S)

    def ask(self, word: bytes = b"hello", *, within_s: float = DEADLINE_S) -> bytes:
        self._socket.settimeout(within_s)
        self._socket.sendall(word)
        return self._socket.recv(4096)

    def gets_nothing(self) -> bool:
        try:
            self.ask(within_s=SILENT_S)
        except TimeoutError:
            return True
        return False


@contextmanager
def weather(*kinds: str, container: int | None = None, **more: Any) -> Iterator[Weather]:
    """Weather that is due once the load has begun; an echo is the store."""
    rules = [WeatherRule(kind=kind, window_s=(0.0, LONG_S), container=container, **more) for kind in kinds]
    with echo() as port, Weather(rules, seed=3, clock=CLOCK) as made:
        made.lead("store", port)
        yield made


def begin(made: Weather) -> None:
    made.begin(CLOCK.now())
    made.step()
    assert made.windows


def end(made: Weather) -> None:
    made.begin(CLOCK.now() - LONG_S - 1)
    made.step()


def test_without_weather_bytes_pass_and_each_connection_is_known() -> None:
    with weather() as made:
        caller = Caller(made.port_for("agent-1", "store"))
        assert caller.ask(b"one") == b"one"
        assert made.port_for("agent-1", "store") == made.port_for("agent-1", "store")
        assert made.port_for("agent-2", "store") != made.port_for("agent-1", "store")
        (connection,) = made.connections
        assert (connection.container, connection.target, connection.requests) == ("agent-1", "store", 1)
        assert not connection.dead_used


def test_what_is_held_passes_when_the_weather_is_over() -> None:
    with weather("stall") as made:
        caller = Caller(made.port_for("agent-1", "store"))
        begin(made)
        until("a piece that is held", caller.gets_nothing)
        end(made)
        caller._socket.settimeout(DEADLINE_S)
        assert caller._socket.recv(4096) == b"hello"


def test_what_comes_late_comes_no_later_than_the_weather_ends() -> None:
    """A slow link that is fast again has no backlog of an hour."""
    with weather("bandwidth", bytes_per_s=0.001) as made:
        caller = Caller(made.port_for("agent-1", "store"))
        begin(made)
        until("a piece that is late", caller.gets_nothing)
        end(made)
        caller._socket.settimeout(DEADLINE_S)
        assert caller._socket.recv(4096) == b"hello"


def test_what_a_connection_draws_does_not_depend_on_those_of_others() -> None:
    """Else the same run met other weather each time: who connects first is chance."""

    def lost(*others: str) -> list[bool]:
        with weather("lost_reply", probability=0.5) as made:
            begin(made)
            for name in others:
                Caller(made.port_for(name, "store"))
            until("the others known", lambda: len(made.connections) == len(others))
            found = []
            for _ in range(12):
                try:
                    found.append(not Caller(made.port_for("agent-1", "store")).ask())
                except ConnectionResetError:
                    found.append(True)
            return found

    alone = lost()
    assert lost("agent-2", "agent-2", "agent-3") == alone
    assert set(alone) == {False, True}


def test_a_restart_holds_and_then_resets_those_who_waited() -> None:
    with weather("restart") as made:
        caller = Caller(made.port_for("agent-1", "store"))
        begin(made)
        until("a piece that is held", caller.gets_nothing)
        end(made)
        caller._socket.settimeout(DEADLINE_S)
        with pytest.raises(ConnectionResetError):
            caller._socket.recv(4096)
        assert Caller(made.port_for("agent-1", "store")).ask() == b"hello"


def test_a_reset_breaks_what_is_open_and_nothing_else() -> None:
    with weather("reset") as made:
        caller = Caller(made.port_for("agent-1", "store"))
        assert caller.ask() == b"hello"
        begin(made)
        with pytest.raises(ConnectionResetError):
            caller._socket.recv(4096)
        assert Caller(made.port_for("agent-1", "store")).ask() == b"hello"


def test_half_open_connections_stay_mute_also_when_the_weather_is_over() -> None:
    with weather("half_open") as made:
        caller = Caller(made.port_for("agent-1", "store"))
        assert caller.ask() == b"hello"
        begin(made)
        until("silence", caller.gets_nothing)
        end(made)
        assert caller.gets_nothing()
        assert Caller(made.port_for("agent-1", "store")).ask() == b"hello"


def test_a_partition_befalls_one_container_and_new_connections_too() -> None:
    with weather("partition", container=1) as made:
        caller, other = (Caller(made.port_for(f"agent-{n}", "store")) for n in (1, 2))
        assert caller.ask() == other.ask() == b"hello"
        begin(made)
        until("silence", caller.gets_nothing)
        assert Caller(made.port_for("agent-1", "store")).gets_nothing()
        assert other.ask() == b"hello"
        end(made)
        assert caller.gets_nothing()
        until("the way free", lambda: not Caller(made.port_for("agent-1", "store")).gets_nothing())


@contextmanager
def replicas(kind: str, container: int | None = None, *more: WeatherRule) -> Iterator[Weather]:
    """Three replicas of a tool server, and one that does something else."""
    first_rule = WeatherRule(kind=kind, target="tools", window_s=(0.0, LONG_S), container=container)
    rules = [first_rule, *more]
    with (
        echo(b"1") as first,
        echo(b"2") as second,
        echo(b"3") as third,
        echo(b"other") as other,
        Weather(rules, seed=3, clock=CLOCK) as made,
    ):
        made.lead("tools", first, second, third, other=other)
        yield made


def asked(made: Weather, container: int = 1, *, times: int = 1) -> list[bytes]:
    """Which server answers, over a new connection each."""
    port = made.port_for(f"agent-{container}", "tools")
    return [Caller(port).ask(b"-").removeprefix(b"-") for _ in range(times)]


def test_connections_lead_to_each_replica_in_turn_and_then_to_the_last() -> None:
    with replicas("round_robin") as made:
        assert asked(made, times=3) == [b"1"] * 3
        kept = Caller(made.port_for("agent-1", "tools"))
        assert kept.ask(b"-") == b"-1"
        begin(made)
        with pytest.raises(ConnectionResetError):
            kept._socket.recv(4096)
        found = asked(made, times=6)
        assert {*found[:3]} == {*found[3:]} == {b"1", b"2", b"3"}
        assert found[:3] == found[3:]
        kept = Caller(made.port_for("agent-2", "tools"))
        kept.ask(b"-")
        end(made)
        with pytest.raises(ConnectionResetError):
            kept._socket.recv(4096)
        assert asked(made, times=3) == [b"3"] * 3


def test_a_server_that_went_away_comes_back_as_another() -> None:
    with replicas("other_tools", container=1) as made:
        assert asked(made) + asked(made, 2) == [b"1", b"1"]
        begin(made)
        with pytest.raises(ConnectionResetError):
            until("a reset", lambda: asked(made) != asked(made))
        assert asked(made, 2) == [b"1"]
        end(made)
        until("the other one", lambda: asked(made) == [b"other"])
        assert asked(made, 2) == [b"1"]


def test_replicas_are_led_to_again_and_what_was_left_last_counts() -> None:
    again = WeatherRule(kind="round_robin", target="tools", container=1, window_s=(3100.0, 3200.0))
    other = WeatherRule(kind="other_tools", target="tools", window_s=(3300.0, 3400.0))
    with replicas("round_robin", 1, again, other) as made:
        seen = []
        for at_s in (1.0, 3050.0, 3150.0, 3250.0, 3350.0, 3450.0):
            made.begin(CLOCK.now() - at_s)
            made.step()
            seen.append([] if at_s == 3350.0 else [{*asked(made, times=3)}, {*asked(made, 2)}])
    each, last, another = {b"1", b"2", b"3"}, {b"3"}, {b"other"}
    assert seen == [[each, {b"1"}], [last, {b"1"}], [each, {b"1"}], [last, {b"1"}], [], [another, another]]


def test_a_lost_reply_is_a_command_that_was_carried_out() -> None:
    with weather("lost_reply") as made:
        caller = Caller(made.port_for("agent-1", "store"))
        assert caller.ask() == b"hello"
        begin(made)
        with pytest.raises(ConnectionResetError):
            until("a reply lost", lambda: caller.ask() == b"")
        until("its end noted", lambda: made.connections[0].closed_s is not None)
        assert len(made.connections) == 1


def test_a_connection_of_another_life_is_reset_at_its_first_use_and_noted() -> None:
    with weather() as made:
        used, idle = (Caller(made.port_for("agent-1", "store")) for _ in range(2))
        assert used.ask() == idle.ask() == b"hello"
        made.forget()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            until("its end", lambda: used.ask() == b"")
        assert [each.dead_used for each in made.connections] == [True, False]
        assert Caller(made.port_for("agent-1", "store")).ask() == b"hello"


def test_a_clock_that_jumps_ends_what_is_kept_for_less_and_gives_back_what_it_took(tmp_path: Path) -> None:
    needs_redis()
    kind = REGISTRY["clock_jump"]
    assert kind.begin is not None
    assert kind.end is not None
    rule = WeatherRule(kind="clock_jump", window_s=(0.0, 1.0), delay=Distribution(median_s=1800.0))
    leads: list[int] = []
    with (
        Ports() as ports,
        RedisPair(tmp_path, tmp_path / "logs", ports=ports, clock=CLOCK, lead=leads.append) as pair,
    ):
        for name, kept_s in (("minutes", "600"), ("hour", "3600")):
            pair.tell("SET", name, "turn", "EX", kept_s)
        pair.tell("SET", "always", "turn")
        primary = RedisServer(tmp_path, pair.primary)
        kind.begin(rule, pair)
        assert b"0" in primary.told("EXISTS minutes")
        assert b"2" in primary.told("EXISTS hour always")
        assert 1700 < float(primary.told("TTL hour").strip(b":\r\n")) <= 1800
        kind.end(rule, pair)
        assert 3500 < float(primary.told("TTL hour").strip(b":\r\n")) <= 3600
        assert b"-1" in primary.told("TTL always")


def has_the_turn(replica: RedisServer) -> bool:
    """One that was started again is not waited for: it need not answer yet."""
    with suppress(ConnectionError):
        return b"kept" in replica.told("GET turn")
    return False


def test_redis_fails_over_and_loses_nothing_that_its_replica_had(tmp_path: Path) -> None:
    needs_redis()
    leads: list[int] = []
    with (
        Ports() as ports,
        RedisPair(tmp_path, tmp_path / "logs", ports=ports, clock=CLOCK, lead=leads.append) as pair,
    ):
        first = pair.primary
        for _ in range(2):  # and back
            pair.tell("SET", "turn", "kept")
            replica = RedisServer(tmp_path, pair.replica)
            until("the turn copied", partial(has_the_turn, replica))
            pair.kill()
            pair.promote()
            pair.tell("EVAL", "if redis.call('GET', 'turn') ~= 'kept' then error('lost') end", "0")
        assert leads == [first, leads[1], first]
        assert leads[1] != first
        assert (pair.figure("memory", "used_memory") or 0) > 100_000
        assert pair.figure("memory", "no_such_figure") is None
