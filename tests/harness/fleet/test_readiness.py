from pathlib import Path

import httpx
import pytest

from harness.clock import FakeClock
from harness.errors import ChildDiedError, Death, StartError
from harness.fleet.readiness import PATIENCE_S, POLL_S, ReadinessTarget, http_fetch, wait_ready


class Process:
    def __init__(self, name: str, clock: FakeClock, dies_at_s: float = float("inf")) -> None:
        self.name, self.log = name, Path(f"/logs/{name}.log")
        self._clock, self._dies_at_s = clock, dies_at_s
        self.ports: tuple[int, ...] = ()

    def listening(self) -> tuple[int, ...]:
        return self.ports

    def poll(self) -> Death | None:
        if self._clock.monotonic() < self._dies_at_s:
            return None
        return Death(name=self.name, status=3, last_lines=self.last_lines(), log=self.log)

    def last_lines(self) -> tuple[str, ...]:
        return tuple(f"line {number}" for number in range(20))


class Answers:
    """Status per URL, from a time on; before it, nobody answers."""

    def __init__(self, clock: FakeClock, answers: dict[str, tuple[float, int]]) -> None:
        self._clock, self._answers = clock, answers
        self.asked: list[str] = []

    def __call__(self, url: str) -> int | None:
        self.asked.append(url)
        from_s, status = self._answers.get(url, (float("inf"), 0))
        return status if self._clock.monotonic() >= from_s else None


def test_it_returns_as_soon_as_all_are_ready() -> None:
    clock = FakeClock()
    targets = [ReadinessTarget(Process(name, clock), name) for name in ("a", "b")]
    wait_ready(
        targets, deadline_s=10.0, clock=clock, fetch=Answers(clock, {"a": (0.1, 200), "b": (0.5, 200)})
    )
    assert clock.monotonic() == pytest.approx(0.5, abs=POLL_S)


def test_who_is_ready_already_costs_no_wait() -> None:
    clock = FakeClock()
    wait_ready(
        [ReadinessTarget(Process("a", clock), "a")],
        deadline_s=10.0,
        clock=clock,
        fetch=Answers(clock, {"a": (0.0, 200)}),
    )
    assert clock.slept == []


def test_nobody_to_wait_for_is_ready() -> None:
    clock = FakeClock()
    wait_ready([], deadline_s=10.0, clock=clock, fetch=Answers(clock, {}))
    assert clock.slept == []


def test_who_is_ready_is_not_asked_again() -> None:
    clock = FakeClock()
    fetch = Answers(clock, {"a": (0.0, 200), "b": (0.1, 200)})
    wait_ready(
        [ReadinessTarget(Process(name, clock), name) for name in ("a", "b")],
        deadline_s=10.0,
        clock=clock,
        fetch=fetch,
    )
    assert fetch.asked.count("a") == 1
    assert fetch.asked.count("b") > 1


@pytest.mark.parametrize(
    ("answers", "said"),
    [({}, "nobody answered"), ({"http://a/readyz": (0.0, 503)}, "the last answer was 503")],
)
def test_a_late_process_is_told_with_url_seconds_lines_and_log(
    answers: dict[str, tuple[float, int]], said: str
) -> None:
    clock = FakeClock()
    target = ReadinessTarget(Process("agent-2", clock), "http://a/readyz")
    with pytest.raises(StartError) as caught:
        wait_ready([target], deadline_s=2.5, clock=clock, fetch=Answers(clock, answers))
    message = str(caught.value)
    assert message.startswith(f"agent-2 was not ready after 2.5 s: {said} at http://a/readyz.")
    assert "| line 19\n" in message
    assert "line 11" not in message
    assert message.endswith("The whole log: /logs/agent-2.log")
    assert clock.monotonic() == pytest.approx(2.5, abs=2 * POLL_S)


def test_who_has_no_such_path_is_told_the_key_that_names_another() -> None:
    clock = FakeClock()
    target = ReadinessTarget(Process("agent-1", clock), "http://a/ping")
    with pytest.raises(StartError, match=r"404 at http://a/ping\. .*`ready` in agentrig\.toml") as caught:
        wait_ready([target], deadline_s=1.0, clock=clock, fetch=Answers(clock, {"http://a/ping": (0.0, 404)}))
    assert "Its last lines:\n" in str(caught.value)


@pytest.mark.parametrize("status", [404, 405, 401, 307])
def test_an_answer_that_no_waiting_changes_is_not_waited_for_to_the_deadline(status: int) -> None:
    clock = FakeClock()
    target = ReadinessTarget(Process("agent-1", clock), "http://a/ping")
    fetch = Answers(clock, {"http://a/ping": (10.0, status)})
    with pytest.raises(StartError, match=rf"after 40 s: the last answer was {status} at .*`ready` in"):
        wait_ready([target], deadline_s=180.0, clock=clock, fetch=fetch)
    assert clock.monotonic() == pytest.approx(10.0 + PATIENCE_S, abs=2 * POLL_S)


@pytest.mark.parametrize("early", [[404], [503], [None], [404, 503], [404, None], [404, 401]])
def test_who_says_that_it_is_early_or_adds_its_paths_late_is_waited_for(early: list[int | None]) -> None:
    """Each answer is given for 25 s in turns: none of them is heard longer than the patience with it."""
    clock = FakeClock()
    target = ReadinessTarget(Process("agent-1", clock), "u")
    length_s = 25.0 if early == [404] else 170.0

    def fetch(_: str) -> int | None:
        now_s = clock.monotonic()
        return 200 if now_s >= length_s else early[int(now_s / 25.0) % len(early)]

    wait_ready([target], deadline_s=180.0, clock=clock, fetch=fetch)
    assert clock.monotonic() == pytest.approx(length_s, abs=2 * POLL_S)


def test_the_one_who_is_late_is_named_among_those_who_are_not() -> None:
    clock = FakeClock()
    targets = [ReadinessTarget(Process(name, clock), name) for name in ("a", "b", "c")]
    fetch = Answers(clock, {"a": (0.0, 200), "c": (0.0, 200)})
    with pytest.raises(StartError, match=r"^b was not ready after 1 s"):
        wait_ready(targets, deadline_s=1.0, clock=clock, fetch=fetch)


def test_a_death_is_noticed_at_once_and_not_at_the_deadline() -> None:
    clock = FakeClock()
    targets = [
        ReadinessTarget(Process("a", clock), "a"),
        ReadinessTarget(Process("b", clock, dies_at_s=0.3), "b"),
    ]
    with pytest.raises(ChildDiedError, match="b ended with exit status 3") as caught:
        wait_ready(targets, deadline_s=60.0, clock=clock, fetch=Answers(clock, {}))
    assert caught.value.death.name == "b"
    assert clock.monotonic() == pytest.approx(0.3, abs=2 * POLL_S)


def test_over_http_a_status_is_a_status_and_silence_is_none() -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/gone":
            raise httpx.ConnectError("refused")
        return httpx.Response(503)

    with httpx.Client(transport=httpx.MockTransport(server)) as client:
        fetch = http_fetch(client)
        assert (fetch("http://a/busy"), fetch("http://a/gone")) == (503, None)


def test_one_that_listens_on_another_port_is_told_so() -> None:
    clock = FakeClock()
    process = Process("agent-1", clock)
    process.ports = (8080,)
    with pytest.raises(StartError, match="nobody answered, but it listens on port 8080: let it take"):
        wait_ready([ReadinessTarget(process, "u")], deadline_s=1.0, clock=clock, fetch=lambda _: None)


def test_one_that_listens_on_its_port_and_is_not_reached_there_is_not_told_to_take_it() -> None:
    clock = FakeClock()
    process = Process("agent-1", clock)
    process.ports = (8080,)
    target = ReadinessTarget(process, "http://172.31.0.2:8080/ping")
    with pytest.raises(StartError, match=r"though it listens on port 8080: .*let it listen on 0\.0\.0\.0"):
        wait_ready([target], deadline_s=1.0, clock=clock, fetch=lambda _: None)
