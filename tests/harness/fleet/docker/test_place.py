"""The network of a fleet, and that nothing of it stays in the engine."""

import errno
from functools import partial
from pathlib import Path

import pytest

from harness.errors import StartError
from harness.fleet.docker.engine import EngineError
from harness.fleet.docker.place import EXPIRES_LABEL, EXPIRES_S, TRIES, Place, _bind
from harness.process.leftovers import FLEET_LABEL
from tests.harness.fleet.docker.fake_engine import GATEWAY, FakeEngine


def filled(place: Place, name: str = "agent-1") -> tuple[str, str]:
    return place.create(name, {"A": "b"}, memory_mb=64, cpus=0.5, shared=Path("/w"), at="/agentrig")


def test_a_fleet_has_a_network_of_its_own_that_leads_nowhere() -> None:
    engine = FakeEngine()
    with engine.place() as place:
        (network,) = engine.networks.values()
        assert network["Internal"] is True
        assert network["Labels"][FLEET_LABEL] == place.name
        assert network["Labels"]["agentrig.run"] == "a-run"
        assert place.gateway == GATEWAY
    assert not engine.networks


def test_where_the_network_has_its_address_only_with_a_first_container_there_is_one() -> None:
    """As in Podman. It goes with the fleet, and no other gets its address."""
    engine = FakeEngine()

    def bind(_: str) -> None:
        if not any(each.state == "running" for each in engine.containers.values()):
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    with engine.place(bind=bind) as place:
        holder = engine.only()
        assert holder.body["Entrypoint"][0] == "sh"
        assert holder.body["Labels"][FLEET_LABEL] == place.name
        assert filled(place)[1] == "172.31.7.3"
    assert not engine.containers
    assert not engine.networks


def test_a_subnet_that_another_fleet_was_given_meanwhile_is_asked_for_anew() -> None:
    engine = FakeEngine(overlaps=2)
    with engine.place():
        assert len(engine.networks) == 1
    assert not engine.networks
    engine = FakeEngine(overlaps=TRIES)
    with pytest.raises(EngineError, match="Pool overlaps"):
        engine.place().__enter__()
    assert not engine.networks


def test_a_container_has_limits_labels_and_the_folder_that_all_share() -> None:
    engine = FakeEngine()
    with engine.place() as place:
        filled(place)
        body = engine.only().body
        assert place.image_id == "sha256:an-image"
    assert body["Image"] == "sha256:an-image", "its name may be given to another one meanwhile"
    assert body["Env"] == ["A=b"]
    assert body["Labels"][FLEET_LABEL] == place.name
    told = body["HostConfig"]
    assert told["NetworkMode"] == f"agentrig-{place.name}"
    assert (told["Memory"], told["MemorySwap"]) == (64 * 2**20, 64 * 2**20), "nothing is swapped out"
    assert told["NanoCpus"] == 500_000_000
    assert told["Binds"] == ["/w:/agentrig:z"]
    assert told["LogConfig"]["Config"]["max-size"] == "10m", "a container that talks fills no disk"


def test_the_address_of_one_that_is_dead_is_no_other_ones() -> None:
    engine = FakeEngine()
    with engine.place() as place:
        container, address = filled(place)
        engine.containers.pop(container)
        others = [filled(place, f"agent-{number}")[1] for number in (2, 3)]
        assert [address, *others] == ["172.31.7.2", "172.31.7.3", "172.31.7.4"]
        with pytest.raises(StartError, match="has no address left"):
            list(map(partial(filled, place), map(str, range(400))))


def test_all_of_it_is_gone_afterwards_also_what_runs() -> None:
    engine = FakeEngine()
    place = engine.place().__enter__()
    filled(place)
    engine.only().state = "running"
    place.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not engine.containers
    assert not engine.networks


def test_a_start_that_fails_leaves_no_network() -> None:
    engine = FakeEngine(gateway=None)

    with pytest.raises(StartError, match=r"gateway \(none\) is no address here"):
        engine.place(bind=_bind).__enter__()
    assert not engine.networks


def test_an_image_that_is_not_there_is_said_before_anything_is_made() -> None:
    engine = FakeEngine()
    with pytest.raises(EngineError, match=r"has no image bot:2\. Build it"):
        engine.place("bot:2").__enter__()
    assert not engine.networks


def test_a_name_that_somebody_else_has_is_told_with_what_to_do() -> None:
    engine = FakeEngine()
    with engine.place() as place:
        filled(place)
        with pytest.raises(EngineError, match=r"already in use.*docker rm -f agentrig-\w+-agent-1"):
            filled(place)


def test_an_engine_that_is_lost_is_told_and_what_is_still_there() -> None:
    engine = FakeEngine()
    place = engine.place().__enter__()
    filled(place)
    engine.lost = True
    with pytest.raises(StartError, match=r"still has .*does not answer.*docker rm -f"):
        place.__exit__(None, None, None)


def test_why_it_ended_counts_more_than_what_is_still_there() -> None:
    engine, said = FakeEngine(), list[str]()
    place, why = engine.place(tell=said.append).__enter__(), ValueError("why it ended")
    engine.lost = True
    place.__exit__(ValueError, why, None)
    assert "still has" in said[0]


@pytest.mark.parametrize(("age_s", "left"), [(EXPIRES_S + 60, 0), (EXPIRES_S - 60, 1)])
def test_what_was_forgotten_is_removed_by_who_comes_next(age_s: float, left: int) -> None:
    engine = FakeEngine()
    labels = {FLEET_LABEL: "old", EXPIRES_LABEL: str(int(engine.clock.now() - age_s + EXPIRES_S))}
    engine.networks["n0"] = {"Id": "n0", "Name": "agentrig-old", "Labels": labels}
    with engine.place():
        assert ("n0" in engine.networks) == bool(left)


def test_what_others_have_in_the_engine_stays() -> None:
    engine = FakeEngine()
    engine.networks["n0"] = {"Id": "n0", "Name": "somebodys", "Labels": {}}
    with engine.place():
        pass
    assert list(engine.networks) == ["n0"]


def test_one_look_tells_of_all_containers_for_a_moment() -> None:
    engine = FakeEngine()
    with engine.place() as place:
        one, _ = filled(place)
        asked = len(engine.asked)
        assert all(place.runs(one) for _ in range(5))
        assert len(engine.asked) == asked + 1
        engine.clock.sleep(1)
        engine.containers[one].state = "exited"
        assert not place.runs(one)
