"""What the pod of a bench tells of its command, and when it ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import __version__
from harness.clock import FakeClock
from harness.fleet.kubernetes.inside import errand
from harness.fleet.kubernetes.inside.errand import (
    ALIVE,
    BEAT_S,
    BEGUN,
    ENDED,
    HANDED_OVER_S,
    HELD_S,
    Errand,
    sign,
    signed,
)
from harness.fleet.kubernetes.inside.parcel import Parcel, pack, unpack
from harness.fleet.kubernetes.removal import NAMESPACES, ask_own_to_go
from tests.harness.fleet.kubernetes.fake_api import FakeCluster

MARK = "agentrig-0a1b2c3d"


@dataclass
class Rig:
    """An errand, and what a test lets happen meanwhile."""

    room: Path
    takes_s: float = 12.0
    status: int = 2
    asked_s: float | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    said: list[str] = field(default_factory=list)
    terminated: int = 0

    def poll(self) -> int | None:
        return self.status if self.terminated or self.clock.monotonic() >= self.takes_s else None

    def terminate(self) -> None:
        self.terminated += 1
        self.status = 130

    def asked(self) -> bool:
        return self.asked_s is not None and self.clock.monotonic() >= self.asked_s

    def errand(self) -> Errand:
        state = self.room / "state"
        state.mkdir(exist_ok=True)
        return Errand(
            MARK,
            self.room / "runs" / "r1",
            self.room / "packed",
            state,
            say=self.said.append,
            asked=self.asked,
            clock=self.clock,
        )

    def told(self) -> list[tuple[str, dict[str, object]]]:
        return [found for line in self.said if (found := signed(MARK, line))]


def test_it_says_that_it_began_that_it_lives_and_how_it_ended(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    folder = tmp_path / "runs" / "r1"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text("{}")
    assert rig.errand().run(rig) == 2
    (first, begun), *alive, (last, ended) = rig.told()
    assert (first, begun) == (BEGUN, {"version": __version__})
    assert [kind for kind, _ in alive] == [ALIVE] * int(12.0 / BEAT_S), (
        "a silence is a connection that is lost"
    )
    packed = tmp_path / "packed"
    assert last == ENDED
    assert ended["status"] == 2
    assert ended["asked"] is False
    assert ended["parcel"] == {"size": packed.stat().st_size, "sha256": ended["parcel"]["sha256"]}  # type: ignore[index]  # JSON
    (tmp_path / "into").mkdir()
    unpack(packed, tmp_path / "into")
    assert (tmp_path / "into" / "plan.json").read_text() == "{}"


def test_a_folder_that_takes_long_to_be_packed_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, takes_s=0.0)

    def slow(folder: Path, file: Path, meanwhile: Callable[[], None]) -> Parcel:
        for _ in range(100):
            rig.clock.sleep(1.0)
            meanwhile()
        return pack(folder, file, meanwhile)

    monkeypatch.setattr(errand, "pack", slow)
    rig.errand().run(rig)
    assert [kind for kind, _ in rig.told()][1:-1] == [ALIVE] * int(100 / BEAT_S)


def test_a_command_without_a_folder_brings_what_it_told_of_itself(tmp_path: Path) -> None:
    rig = Rig(tmp_path, status=5)
    errand = rig.errand()
    (tmp_path / "state" / "crash-1.txt").write_text("its trace")
    assert errand.run(rig) == 5
    assert (tmp_path / "runs" / "r1" / "crash-1.txt").read_text() == "its trace"
    assert rig.told()[-1][1]["status"] == 5


def test_a_pod_that_is_asked_to_end_lets_its_command_end_first(tmp_path: Path) -> None:
    rig = Rig(tmp_path, takes_s=1e9, asked_s=3.0)
    errand = rig.errand()
    assert errand.run(rig) == 130
    assert rig.terminated == 1
    assert rig.told()[-1][1]["asked"] is True
    before_s = rig.clock.monotonic()
    assert not errand.hold(), "its namespace is another's to remove"
    assert HANDED_OVER_S <= rig.clock.monotonic() - before_s < HANDED_OVER_S + 1


@pytest.mark.parametrize(("asked_s", "nobody"), [(20.0, False), (None, True)])
def test_it_waits_for_who_fetches_the_folder_and_not_for_ever(
    tmp_path: Path, asked_s: float | None, *, nobody: bool
) -> None:
    rig = Rig(tmp_path, asked_s=asked_s)
    errand = rig.errand()
    errand.run(rig)
    assert errand.hold() is nobody
    assert rig.clock.monotonic() == pytest.approx((12.0 + HELD_S) if nobody else 20.0, abs=1.0)


@pytest.mark.parametrize(
    "line",
    ["agentrig-other {}", f"{MARK}", f"{MARK} {{", f"{MARK} {{}}", f"{MARK} {{1}}", f'{MARK} {{"a": 1}}', ""],
)
def test_a_line_of_the_command_is_none_of_these(line: str) -> None:
    assert signed(MARK, line) is None
    assert signed(MARK, sign(MARK, "a", b=1)) == ("a", {"b": 1})


@pytest.mark.parametrize("asked_s", [None, 3.0])
def test_a_folder_that_was_fetched_is_not_waited_for(tmp_path: Path, asked_s: float | None) -> None:
    rig = Rig(tmp_path, asked_s=asked_s)
    errand = rig.errand()
    errand.run(rig)
    before_s = rig.clock.monotonic()
    (tmp_path / "packed").unlink()
    assert not errand.hold()
    assert rig.clock.monotonic() == before_s


def test_who_removes_its_own_namespace_does_not_end_itself_before() -> None:
    """A pod that is told to end has a second, and a busy API server takes longer for two calls."""
    fake = FakeCluster(namespaces={MARK: {"metadata": {"name": MARK}}})
    ask_own_to_go(fake.cluster(), MARK)
    assert fake.asked == [f"DELETE {NAMESPACES}/{MARK}"]
    ask_own_to_go(fake.cluster(), MARK)
    assert not fake.namespaces
