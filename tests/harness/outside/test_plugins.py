"""What installed packages add: found by name, loaded when asked for, and named where it is wrong."""

import sys
from asyncio import CancelledError
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ExitCode, StartError
from harness.outside import plugins
from harness.outside.plugins import Extended, Guarded, Origin, PluginError
from tests.harness.plugged import installed_in, lay

OURS = {"mine": 1}
GROUP = "agentrig.figures"


def figure(found: Any, origin: Origin) -> int:
    if not isinstance(found, int):
        msg = f"is no figure: it is of type {type(found).__name__}"
        raise TypeError(msg)
    return found


def registry(folder: Path) -> Extended[int]:
    return Extended(GROUP, OURS, figure, installed_in(folder))


def complaint(folder: Path, name: str) -> str:
    with pytest.raises(PluginError) as caught:
        registry(folder)[name]
    assert caught.value.exit_code is ExitCode.BAD_INPUT
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_what_is_installed_stands_beside_what_is_ours(site: Path) -> None:
    (site / "figures_a.py").write_text("SEVEN = 7\n")
    lay(site, "a-rig", {GROUP: {"seven": "figures_a:SEVEN"}, "other.group": {"mine": "figures_a:SEVEN"}})
    found = registry(site)
    assert (list(found), len(found), found.theirs) == (["mine", "seven"], 2, ("seven",))
    assert (found["mine"], found["seven"], found.get("eight")) == (1, 7, None)
    assert "seven" in found
    assert "eight" not in found


def test_nothing_is_looked_at_for_what_is_ours_and_nothing_imported_that_is_not_named(site: Path) -> None:
    (site / "figures_b.py").write_text("NINE = 9\n")
    lay(site, "b-rig", {GROUP: {"nine": "figures_b:NINE", "lost": "figures_lost:IT"}})

    def nobody(_: str) -> Iterable[metadata.EntryPoint]:
        raise AssertionError

    assert "mine" in Extended(GROUP, OURS, figure, nobody)
    assert Extended(GROUP, OURS, figure, nobody)["mine"] == 1
    assert "eight" not in registry(site)
    assert list(registry(site)) == ["lost", "mine", "nine"]
    assert "figures_b" not in sys.modules
    assert registry(site)["nine"] == 9


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere_at_all\n", "can't be loaded: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit(3)\n", "can't be loaded: SystemExit: 3"),
        ("class Stop(BaseException): ...\nraise Stop('it')\n", "can't be loaded: Stop: it"),
        ("other = 1\n", "can't be loaded: AttributeError: module 'figures_c' has no attribute 'IT'"),
        ("IT = 'seven'\n", "is no figure: it is of type str"),
        ("IT = (\n", "can't be loaded: SyntaxError: "),
        (
            "import signal\nsignal.raise_signal(signal.SIGALRM)  # as if the time was up\n",
            "can't be loaded: TooSlowError: it took more than 120 s",
        ),
    ],
)
def test_what_is_broken_is_one_sentence_that_names_package_and_entry_point(
    site: Path, source: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "figures_c", raising=False)
    (site / "figures_c.py").write_text(source)
    lay(site, "c-rig", {GROUP: {"it": "figures_c:IT"}})
    told = complaint(site, "it")
    assert told.startswith(f"c-rig 1.0: its entry point it of {GROUP} (figures_c:IT) {said}")
    assert told.endswith("Mend that package, or uninstall it.")
    with pytest.raises(PluginError):
        assert "it" in registry(site)


def test_what_is_printed_by_an_import_is_no_part_of_what_was_asked_for(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "figures_i.py").write_text("print('hello')\nIT = 1\n")
    lay(site, "i-rig", {GROUP: {"it": "figures_i:IT"}})
    assert registry(site)["it"] == 1
    assert capsys.readouterr() == ("", "hello\n")


def test_what_can_not_even_be_looked_at_is_named(site: Path) -> None:
    def looks(found: Any, _origin: Origin) -> int:
        return int(found.size)

    (site / "figures_j.py").write_text(
        "class Thing:\n    @property\n    def size(self):\n        raise KeyError('gone')\nIT = Thing()\n"
    )
    lay(site, "j-rig", {GROUP: {"it": "figures_j:IT"}})
    with pytest.raises(PluginError, match=r"j-rig 1\.0: .* failed when it was looked at: KeyError: 'gone'"):
        Extended(GROUP, OURS, looks, installed_in(site))["it"]


def test_a_package_whose_entry_points_are_no_text_is_named(site: Path) -> None:
    lay(site, "k-rig", {})
    (site / "k_rig-1.0.dist-info" / "entry_points.txt").write_bytes(b"[agentrig.figures]\n\xff\xfe = 1\n")
    with pytest.raises(
        PluginError, match="k-rig: which entry points it has can't be read: UnicodeDecodeError"
    ):
        Extended(GROUP, OURS, figure)["it"]


def test_a_name_that_is_taken_is_told_with_who_has_it(tmp_path: Path) -> None:
    lay(tmp_path, "d-rig", {GROUP: {"mine": "figures_d:IT"}})
    assert "mine of" in complaint(tmp_path, "other")
    assert "has a name that one of agentrig's own has" in complaint(tmp_path, "other")


def test_of_two_packages_with_one_name_both_are_named(tmp_path: Path) -> None:
    for package in ("e-rig", "f-rig"):
        lay(tmp_path, package, {GROUP: {"ten": "figures_e:IT"}})
    told = complaint(tmp_path, "ten")
    assert "has a name that is taken by" in told
    assert all(each in told for each in ("e-rig 1.0", "f-rig 1.0"))


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


class Thing:
    size = 3

    def works(self) -> int:
        return self.size

    def fails(self) -> None:
        raise KeyError("missing")

    def means(self) -> None:
        raise LookupError("told")


ORIGIN = Origin(group=GROUP, name="it", value="figures:IT", package="g-rig 1.0")


def test_an_object_of_another_package_says_whose_it_is_where_it_fails() -> None:
    thing = Guarded(Thing(), ORIGIN)
    assert (thing.size, thing.works()) == (3, 3)
    with pytest.raises(PluginError, match=r"g-rig 1\.0: .* failed at fails\(\): KeyError: 'missing'"):
        thing.fails()


def test_what_a_failure_means_it_goes_on_to_mean_and_an_error_of_ours_is_ours() -> None:
    with pytest.raises(LookupError, match="told"):
        Guarded(Thing(), ORIGIN, (LookupError,)).means()
    with pytest.raises(PluginError, match="the first"):
        ORIGIN.guarded(failing(PluginError("the first")), "it")()
    with pytest.raises(PluginError, match="SystemExit: 0"):
        ORIGIN.guarded(failing(SystemExit(0)), "it")()
    with pytest.raises(PluginError, match="CancelledError"):
        ORIGIN.guarded(failing(CancelledError()), "it")()
    with pytest.raises(PluginError, match="StartError: of ours"):
        ORIGIN.guarded(failing(StartError("of ours")), "it")()
    with pytest.raises(KeyboardInterrupt):
        ORIGIN.guarded(failing(KeyboardInterrupt()), "it")()


def test_a_package_that_says_no_name_is_told_of_all_the_same(tmp_path: Path) -> None:
    lay(tmp_path, "h-rig", {GROUP: {"it": "nowhere_at_all:IT"}}, metadata_text=None)
    told = complaint(tmp_path, "it")
    assert told.startswith("a package without a name: its entry point it of ")


@pytest.mark.parametrize("said", [{"Name": "acme-rig"}, {}, None])
def test_which_package_it_is_whose_entry_points_cannot_be_read_is_told(
    said: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python 3.14 on what a package does not say of itself may be an error, and no None."""

    class Damaged:
        metadata = said

        @property
        def entry_points(self) -> None:
            raise ValueError("no text")

    def unreadable(**_: str) -> None:
        raise ValueError("no text")

    monkeypatch.setattr(plugins.metadata, "distributions", lambda: [Damaged()])
    monkeypatch.setattr(plugins.metadata, "entry_points", unreadable)
    named = (said or {}).get("Name", "a package without a name")
    with pytest.raises(PluginError, match=f"{named}: which entry points it has can't be read: ValueError"):
        plugins._installed(GROUP)
