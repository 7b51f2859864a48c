"""When weather begins and ends, without a network: the proxy's own is in tests/e2e/test_weather.py."""

import pytest

from harness.clock import FakeClock
from harness.records.weather import WeatherRule
from harness.weather.proxy import Weather
from tests.harness.weather.test_kinds import Machine, Store

BEGIN_S = 1000.0


def test_the_store_is_told_when_weather_is_due_and_windows_are_as_they_were() -> None:
    clock, store = FakeClock(BEGIN_S), Store()
    rules = [
        WeatherRule(kind="read_only", window_s=(2.0, 4.0)),
        WeatherRule(kind="partition", window_s=(3.0, 9.0), container=2),
    ]
    with Weather(rules, seed=1, clock=clock, store=store) as weather:
        weather.step()
        assert not weather.windows
        weather.begin(BEGIN_S)
        clock.sleep(2.1)
        weather.step()
        assert store.told == ["REPLICAOF 127.0.0.1 1"]
        clock.sleep(2.0)
        weather.step()
        assert store.told[1:] == ["REPLICAOF NO ONE"]
        clock.sleep(1.0)
        first, other = weather.windows
    assert (first.name, round(first.from_s, 6), round(first.to_s, 6)) == ("read_only", 2.1, 4.1)
    assert first.blocks
    assert (other.name, round(other.to_s, 6), other.container) == ("partition", 5.1, "agent-2")


def test_of_two_alike_that_overlap_each_ends_when_it_does() -> None:
    clock = FakeClock(BEGIN_S)
    rules = [
        WeatherRule(kind="partition", window_s=(1.0, 9.0), container=1),
        WeatherRule(kind="partition", window_s=(2.0, 4.0), container=2),
    ]
    with Weather(rules, seed=1, clock=clock) as weather:
        weather.begin(BEGIN_S)
        for _ in range(100):
            clock.sleep(0.1)
            weather.step()
        ends = {window.container: round(window.to_s) for window in weather.windows}
    assert ends == {"agent-1": 9, "agent-2": 4}


def test_weather_that_nobody_began_in_time_is_told_with_what_it_was_to_last() -> None:
    clock = FakeClock(BEGIN_S)
    rules = [WeatherRule(kind="stall", window_s=(from_s, from_s + 2.0)) for from_s in (1.0, 5.0, 20.0)]
    with Weather(rules, seed=1, clock=clock) as weather:
        weather.begin(BEGIN_S)
        clock.sleep(3.5)  # the run stood still over the whole of the first
        weather.step()
        clock.sleep(2.5)
        told = [(window.from_s, window.to_s, window.planned_s) for window in weather.windows]
    assert told == [(3.5, 3.5, 2.0), (5.0, 5.0, 2.0)]


def test_weather_on_the_way_elsewhere_says_where_and_keeps_the_store_as_it_is() -> None:
    clock = FakeClock(BEGIN_S)
    rules = [WeatherRule(kind="stall", target=target, window_s=(1.0, 2.0)) for target in ("model", "store")]
    with Weather(rules, seed=1, clock=clock) as weather:
        weather.begin(BEGIN_S)
        clock.sleep(1.5)
        weather.step()
        told = {window.name: window.blocks for window in weather.windows}
    assert told == {"stall (model)": False, "stall": True}


def test_the_machine_is_told_when_weather_of_its_own_is_due() -> None:
    clock, machine = FakeClock(BEGIN_S), Machine()
    rules = [WeatherRule(kind="descriptors", target="container", container=1, window_s=(1.0, 2.0))]
    with Weather(rules, seed=1, clock=clock, host=machine) as weather:
        weather.begin(BEGIN_S)
        for _ in range(25):
            clock.sleep(0.1)
            weather.step()
        (window,) = weather.windows
    assert machine.told == [("descriptors", "agent-1", 0), ("descriptors", "agent-1", None)]
    assert (window.name, window.container, window.blocks) == ("descriptors (container)", "agent-1", False)


class Slow(Store):
    """A store that takes its time for each thing that it is told."""

    def __init__(self, clock: FakeClock, takes_s: float) -> None:
        super().__init__()
        self._clock = clock
        self._takes_s = takes_s

    def tell(self, *words: str) -> None:
        self._clock.sleep(self._takes_s)
        super().tell(*words)

    def await_replica(self) -> None:
        self._clock.sleep(5.0)
        super().await_replica()

    def kill(self) -> None:
        self._clock.sleep(self._takes_s)
        super().kill()

    def promote(self) -> None:
        self._clock.sleep(self._takes_s)
        super().promote()


@pytest.mark.parametrize(("kind", "waits_s"), [("read_only", 0.0), ("failover", 5.0)])
def test_a_window_is_from_before_it_begins_until_before_it_ends_however_long_that_takes(
    kind: str, waits_s: float
) -> None:
    """Who failed of it failed after its begin; and who is well again before it has ended all does not lie.

    What a failover waits for beforehand is no weather.
    """
    clock = FakeClock(BEGIN_S)
    store = Slow(clock, takes_s=0.3)
    with Weather([WeatherRule(kind=kind, window_s=(1.0, 9.0))], seed=1, clock=clock, store=store) as weather:
        weather.begin(BEGIN_S)
        clock.sleep(1.0)
        weather.step()
        clock.sleep(BEGIN_S + 9.0 - clock.now())
        weather.step()
        (window,) = weather.windows
    assert [window.from_s, window.to_s] == pytest.approx([1.0 + waits_s, 9.0])
