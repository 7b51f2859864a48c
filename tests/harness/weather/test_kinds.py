"""What befalls a piece, by the kind of weather, and that a piece draws the same in every run."""

from typing import Any

import pytest

from harness.records.weather import WeatherRule
from harness.simulator_config import Distribution
from harness.weather.kinds import REGISTRY, known_weather, weather_only
from harness.weather.kinds.kind import Fate, Piece
from harness.weather.times import draw_of, timetable


def rule(kind: str, **more: Any) -> WeatherRule:
    return WeatherRule(kind=kind, window_s=(1.0, 2.0), **more)


def piece(number: int = 1, *, reply: bool = True, size: int = 1000) -> Piece:
    return Piece(reply=reply, size=size, draw=draw_of(7, "agent-1", number))


def fate(kind: str, of: Piece, **more: Any) -> Fate:
    return REGISTRY[kind].fate(rule(kind, **more), of)


class Store:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, *words: str) -> None:
        self.told.append(" ".join(words))

    def figure(self, section: str, name: str) -> float | None:
        return 2e6

    def await_replica(self) -> None:
        self.told.append("waited")

    def kill(self) -> None:
        self.told.append("killed")

    def promote(self) -> None:
        self.told.append("promoted")


class Nowhere:
    """A machine to which nothing is done."""

    def names(self, container: str | None, *, fail: bool, after_s: float = 0.0) -> None: ...

    def descriptors(self, container: str | None, spare: int | None) -> None: ...


def test_every_kind_is_told_by_its_file() -> None:
    assert known_weather() == tuple(sorted(REGISTRY))
    assert {"latency", "stall", "partition", "failover", "memory_full", "lost_reply"} <= set(REGISTRY)


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_the_keys_that_a_kind_takes_are_those_that_it_reads(kind: str) -> None:
    """One that it does not name is refused where the file is read; one that it does not read does nothing."""
    read = set[str]()

    class Noted(WeatherRule):
        def __getattribute__(self, name: str) -> Any:
            read.add(name)
            return super().__getattribute__(name)

    noted, of, store, host = Noted(kind=kind, window_s=(1.0, 2.0)), REGISTRY[kind], Store(), Nowhere()
    read.clear()
    of.fate(noted, piece())
    for does in (of.before, of.begin, of.end):
        if does is not None:
            does(noted, store)
    for does_to_host in (of.host_begin, of.host_end):
        if does_to_host is not None:
            does_to_host(noted, host)
    keys = {"probability", "delay", "bytes_per_s", "memory_mb", "spare"}
    assert read & keys == set(of.takes)


def test_latency_is_constant_or_drawn_for_each_piece() -> None:
    assert fate("latency", piece(), delay=Distribution(median_s=0.3)).after_s == 0.3
    tail = Distribution(median_s=0.01, p99_s=1.0)
    drawn = [fate("latency", piece(n), delay=tail).after_s for n in range(200)]
    assert drawn == [fate("latency", piece(n), delay=tail).after_s for n in range(200)]
    assert sorted(drawn)[100] == pytest.approx(0.01, rel=0.5)
    assert max(drawn) > 0.2


@pytest.mark.parametrize(("kind", "then"), [("stall", "hold"), ("restart", "hold"), ("partition", "swallow")])
def test_what_does_not_pass_is_held_or_swallowed(kind: str, then: str) -> None:
    assert fate(kind, piece()).then == fate(kind, piece(reply=False)).then == then
    assert REGISTRY[kind].blocks


def test_a_lost_reply_resets_in_its_place_and_lets_commands_pass() -> None:
    assert fate("lost_reply", piece()).then == "reset"
    assert fate("lost_reply", piece(reply=False)).then == "pass"
    lost = sum(fate("lost_reply", piece(n), probability=0.3).then == "reset" for n in range(1000))
    assert 230 < lost < 370


def test_bandwidth_takes_as_long_as_the_bytes_do() -> None:
    assert fate("bandwidth", piece(size=500), bytes_per_s=1000.0).after_s == 0.5


def test_connections_that_are_open_are_reset_or_go_mute() -> None:
    assert REGISTRY["reset"].at_begin == "reset"
    assert REGISTRY["half_open"].at_begin == "mute"
    assert REGISTRY["restart"].at_end == "reset"
    assert REGISTRY["partition"].silent


def test_a_clock_that_jumps_moves_when_keys_expire_and_jumps_back() -> None:
    store, found = Store(), REGISTRY["clock_jump"]
    assert found.begin is not None
    assert found.end is not None
    for jump in (found.begin, found.end):
        jump(rule("clock_jump", delay=Distribution(median_s=1800.0)), store)
    assert [told.rsplit(" ", 2)[1:] for told in store.told] == [["0", "1800000"], ["0", "-1800000"]]
    assert all("PEXPIRE" in told for told in store.told)
    assert not found.blocks


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("read_only", ["REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"]),
        ("memory_full", ["CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"]),
        ("failover", ["killed", "promoted"]),
        (
            "eviction",
            [
                *("CONFIG SET maxmemory-policy allkeys-random", "CONFIG SET maxmemory 3048576"),
                *("CONFIG SET maxmemory 0", "CONFIG SET maxmemory-policy noeviction"),
            ],
        ),
    ],
)
def test_weather_of_the_store_itself_begins_and_ends(kind: str, told: list[str]) -> None:
    store, found = Store(), REGISTRY[kind]
    assert found.begin is not None
    assert found.end is not None
    found.begin(rule(kind, memory_mb=1.0), store)
    found.end(rule(kind), store)
    assert store.told == told


class Machine:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def names(self, container: str | None, *, fail: bool, after_s: float = 0.0) -> None:
        self.told.append(("names", container, fail, after_s))

    def descriptors(self, container: str | None, spare: int | None) -> None:
        self.told.append(("descriptors", container, spare))


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        (
            "unresolved",
            {"target": "model", "delay": Distribution(median_s=0.3)},
            [("names", None, True, 0.3), ("names", None, False, 0.0)],
        ),
        (
            "descriptors",
            {"target": "container", "container": 2, "spare": 3},
            [("descriptors", "agent-2", 3), ("descriptors", "agent-2", None)],
        ),
    ],
)
def test_weather_of_the_machine_begins_and_ends(
    kind: str, more: dict[str, Any], told: list[tuple[object, ...]]
) -> None:
    machine, found = Machine(), REGISTRY[kind]
    assert found.host_begin is not None
    assert found.host_end is not None
    found.host_begin(rule(kind, **more), machine)
    found.host_end(rule(kind, **more), machine)
    assert machine.told == told


def test_a_tool_server_that_goes_away_takes_nothing_meanwhile() -> None:
    assert fate("other_tools", piece()).then == fate("other_tools", piece(reply=False)).then == "reset"
    assert (weather_only()["other_tools"], weather_only()["descriptors"]) == ("tools", "container")
    assert "stall" not in weather_only()


def test_rules_begin_and_end_in_order_and_come_again() -> None:
    first = WeatherRule(kind="stall", window_s=(4.0, 5.0), every_s=10.0, times=2)
    other = WeatherRule(kind="reset", window_s=(4.5, 6.0))
    found = [(turn.at_s, turn.number, turn.what) for turn in timetable([first, other])]
    assert found == [
        *((4.0, 0, "begin"), (4.5, 1, "begin"), (5.0, 0, "end"), (6.0, 1, "end")),
        *((14.0, 0, "begin"), (15.0, 0, "end")),
    ]


def test_windows_are_in_order_and_do_not_meet_themselves() -> None:
    with pytest.raises(ValueError, match="from < to"):
        WeatherRule(kind="stall", window_s=(2.0, 1.0))
    with pytest.raises(ValueError, match="longer than the window"):
        WeatherRule(kind="stall", window_s=(2.0, 4.0), every_s=1.0, times=2)


def test_in_slow_motion_weather_comes_later_and_lasts_longer() -> None:
    assert rule("stall").slowed(2.0).window_s == (2.0, 4.0)
