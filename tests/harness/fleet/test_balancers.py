"""Balancers that are told of another list of containers, without Envoy."""

import json
from pathlib import Path

import httpx
import pytest

from harness.clock import FakeClock
from harness.errors import StartError
from harness.fleet.balancers import CAME, FLUSHES, IN_FLIGHT, POLL_S, SENDING, Balancers
from harness.fleet.envoy import BalancerPlan
from harness.fleet.waiting_room import WaitingRoom
from harness.records.setup import Container
from harness.records.spec import Policy


def containers(*numbers: int) -> list[Container]:
    return [Container(name=f"agent-{n}", address=f"127.0.0.1:{9000 + n}") for n in numbers]


def plan(folder: Path, name: str, port: int) -> BalancerPlan:
    return BalancerPlan(
        name=name,
        balancers=2,
        policy=Policy.BUSY_AWARE,
        port=port,
        admin=folder / f"{name}.sock",
        capture_port=1,
        agents=2,
        concurrency_limit=4,
        queue_limit=100,
        endpoints=folder / "endpoints" / "agents.json",
        access_log=folder / f"{name}.jsonl",
    )


class Rig:
    def __init__(self, folder: Path, status: int = 200) -> None:
        self.list = folder / "endpoints" / "agents.json"
        self.list.parent.mkdir()
        self.list.write_text("before")
        self.asked: list[tuple[str, str]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append((str(request.url), self.list.read_text()))
            return httpx.Response(status)

        client = httpx.Client(transport=httpx.MockTransport(answer))
        plans = [plan(folder, "envoy", 7000), plan(folder, "envoy-2", 8000)]
        self.balancers = Balancers(plans, folder, client)

    def listed(self) -> list[int]:
        (resource,) = json.loads(self.list.read_text())["resources"]
        (group,) = resource["endpoints"]
        addresses = [each["endpoint"]["address"]["socket_address"] for each in group["lb_endpoints"]]
        return [address["port_value"] for address in addresses]


class Admin:
    """What Envoy's own control says: it sends its spans each 0.2 s, each listener for itself."""

    def __init__(self, clock: FakeClock, *, sending_until_s: float = 0.0) -> None:
        self._clock, self._sending_until_s = clock, sending_until_s

    def __call__(self, request: httpx.Request) -> httpx.Response:
        now_s = self._clock.monotonic()
        if "timer_flushed" in str(request.url):
            return httpx.Response(200, text=f"{FLUSHES}: {2 * int(now_s / 0.2)}\n")
        return httpx.Response(200, text=f"{SENDING}: {int(now_s < self._sending_until_s)}\n")


@pytest.mark.parametrize(("sending_until_s", "took_s"), [(0.0, 0.4), (1.7, 1.7), (60.0, 5.0)])
def test_spans_are_handed_in_when_each_listener_has_sent_and_nothing_is_under_way(
    tmp_path: Path, sending_until_s: float, took_s: float
) -> None:
    clock = FakeClock()
    client = httpx.Client(transport=httpx.MockTransport(Admin(clock, sending_until_s=sending_until_s)))
    Balancers([plan(tmp_path, "envoy", 7000)], tmp_path, client).hand_in(clock, 5.0)
    assert clock.monotonic() == pytest.approx(took_s, abs=2 * POLL_S)


def test_a_balancer_that_has_ended_hands_nothing_in(tmp_path: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    clock = FakeClock()
    client = httpx.Client(transport=httpx.MockTransport(refuse))
    Balancers([plan(tmp_path, "envoy", 7000)], tmp_path, client).hand_in(clock, 5.0)
    assert not clock.slept


def test_a_container_is_listed_as_long_as_one_balancer_has_it(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        listed = [9001, 9002] if request.url.host == "envoy-2.sock" else [9001]
        page = "".join(f"agents::127.0.0.1:{port}::rq_active::0\n" for port in listed)
        return httpx.Response(200, text=page)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    plans = [plan(tmp_path, "envoy", 7000), plan(tmp_path, "envoy-2", 8000)]
    balancers = Balancers(plans, tmp_path, client)
    assert balancers.lists("127.0.0.1:9002")
    assert not balancers.lists("127.0.0.1:900")


def test_a_balancer_that_does_not_tell_its_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="does not tell whom it sends to"):
        Rig(tmp_path, status=500).balancers.lists("127.0.0.1:9001")


def test_each_has_an_address_and_a_configuration_of_its_own_and_one_list(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.balancers.urls == ("http://127.0.0.1:7000", "http://127.0.0.1:8000")
    files = rig.balancers.files(containers(1, 2))
    assert set(files) == {rig.list, tmp_path / "envoy.json", tmp_path / "envoy-2.json"}
    assert {files[tmp_path / f"{name}.json"]["node"]["id"] for name in ("envoy", "envoy-2")} == {
        "envoy", "envoy-2",
    }  # fmt: skip


def test_a_longer_list_is_known_before_the_gates_open_further(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.balancers.route_to(containers(1, 2, 3))
    assert rig.listed() == [9001, 9002, 9003]
    size = "runtime_modify?circuit_breakers.gate.default.max_connections=9"  # of 12 slots, beside another
    assert [url for url, _ in rig.asked] == [f"http://{name}.sock/{size}" for name in ("envoy", "envoy-2")]
    assert {seen for _, seen in rig.asked} == {rig.list.read_text()}


def test_the_gates_close_before_the_list_gets_shorter(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.balancers.route_to(containers(2))
    assert rig.listed() == [9002]
    assert all(url.endswith("max_connections=3") and seen == "before" for url, seen in rig.asked)
    assert len(rig.asked) == 2


def test_as_many_are_let_in_to_wait_for_a_first_container_as_that_has_slots(tmp_path: Path) -> None:
    """Envoy opens no connection for who waits already: with one place they were served one after another."""
    rig = Rig(tmp_path)
    rig.balancers.route_to([])
    rig.balancers.route_to(containers(1))
    sizes = [url.rpartition("=")[2] for url, _ in rig.asked]
    assert sizes == ["3"] * 4, "of 4 slots, beside another balancer"


def test_the_list_is_renamed_into_its_place(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    before = rig.list.stat().st_ino
    rig.balancers.route_to(containers(1))
    assert rig.list.stat().st_ino != before
    assert list(rig.list.parent.iterdir()) == [rig.list]


def test_a_balancer_that_does_not_listen_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="envoy does not take the size of its admission queue"):
        Rig(tmp_path, status=500).balancers.route_to(containers(1))


def test_a_list_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.list.unlink()
    rig.list.mkdir()
    rig.list.joinpath("in-the-way").touch()
    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    with pytest.raises(StartError, match="cannot be written to"):
        Balancers([plan(tmp_path, "envoy", 7000)], tmp_path, client).route_to(containers(1))


class FakeRoom(WaitingRoom):
    """Is told whether somebody is there, and keeps nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.port = 4711
        self.told: list[bool] = []

    def somebody_is_there(self, *, there: bool) -> None:
        self.told.append(there)


def test_what_comes_while_nobody_is_there_goes_to_the_waiting_room(tmp_path: Path) -> None:
    rig, room = Rig(tmp_path), FakeRoom()
    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    balancers = Balancers([plan(tmp_path, "envoy", 7000)], tmp_path, client, room)
    listed = balancers.files(containers(1))[rig.list]["resources"][0]
    assert [group.get("priority", 0) for group in listed["endpoints"]] == [0, 1]
    assert listed["policy"] == {"overprovisioning_factor": 10_000}, "with one container it gets nothing"
    balancers.route_to([])
    ((first, second),) = [json.loads(rig.list.read_text())["resources"][0]["endpoints"]]
    (room_there,) = second["lb_endpoints"]
    assert first["lb_endpoints"] == []
    assert room_there["endpoint"]["address"]["socket_address"]["port_value"] == 4711
    balancers.route_to(containers(1))
    assert room.told == [False, True]


def test_the_requests_of_all_balancers_count(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        more = 1 if request.url.host == "envoy-2.sock" else 0
        name = IN_FLIGHT if IN_FLIGHT in str(request.url) else CAME
        return httpx.Response(200, text=f"{name}: {(3 if name == IN_FLIGHT else 50) + more}\n")

    client = httpx.Client(transport=httpx.MockTransport(answer))
    plans = [plan(tmp_path, "envoy", 7000), plan(tmp_path, "envoy-2", 8000)]
    assert Balancers(plans, tmp_path, client).requests() == (7, 101)


def test_a_balancer_that_does_not_count_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="does not tell how many requests it has"):
        Rig(tmp_path, status=500).balancers.requests()
