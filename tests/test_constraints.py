"""`constraints.txt` leaves nothing out of what is installed, on each Python that may be."""

import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
OLDEST = "3.11.0"
PYTHONS = (OLDEST, "3.11.14", "3.12.0", "3.13.0", "3.14.0")


def on(python: str, extra: str = "") -> dict[str, str]:
    short = python.rpartition(".")[0]
    return {"python_full_version": python, "python_version": short, "extra": extra}


def pins(python: str) -> dict[str, str]:
    """What is pinned on a Python: version by name."""
    there = [pin for pin in PINS if pin.marker is None or pin.marker.evaluate(on(python))]
    found = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in there}
    assert len(found) == len(there), "one is pinned twice"
    return found


def asked_for(requirement: Requirement, python: str) -> list[Requirement]:
    """What a package asks for with its extras; nothing where it is not installed as it is pinned."""
    name = canonicalize_name(requirement.name)
    try:
        if name != "agentrig" and version(name) != pins(python).get(name):
            return []
        listed = [Requirement(text) for text in requires(name) or ()]
    except PackageNotFoundError:
        return []
    extras = ("", *requirement.extras)
    return [
        each
        for each in listed
        if each.marker is None or any(each.marker.evaluate(on(python, extra)) for extra in extras)
    ]


def needed(python: str) -> set[str]:
    """What a whole installation consists of, as the packages themselves say."""
    seen: set[tuple[str, frozenset[str]]] = set()
    open_ones = [Requirement("agentrig[dev]")]
    while open_ones:
        requirement = open_ones.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key not in seen:
            seen.add(key)
            open_ones += asked_for(requirement, python)
    return {name for name, _ in seen} - {"agentrig"}


@pytest.mark.parametrize("python", PYTHONS)
def test_nothing_is_installed_in_whichever_version_is_the_newest(python: str) -> None:
    assert needed(python) - set(pins(python)) == set()


def test_what_one_python_needs_and_another_does_not_is_pinned_there_alone() -> None:
    assert "async-timeout" in pins(OLDEST)
    assert "async-timeout" not in pins("3.11.14")


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-lowest.txt", "constraints-newest.txt"])
def test_each_set_names_versions_and_no_place_that_they_come_from(name: str) -> None:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    assert all(Requirement(line).url is None and "==" in line and not line.startswith("-") for line in lines)


def test_no_version_of_the_newest_is_older_than_the_pinned_one_nor_this_than_the_lowest() -> None:
    lowest, pinned, newest = (versions(name) for name in ("-lowest", "", "-newest"))
    assert not {name for name in declared() & lowest.keys() & pinned.keys() if lowest[name] > pinned[name]}
    assert not {name for name in pinned if name in newest and pinned[name] > newest[name]}
    assert any(newest[name] > pinned[name] for name in pinned if name in newest)


def declared() -> set[str]:
    """What is asked for by itself: of what that needs, also the lowest set has the newest that fits."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = (project["dependencies"], *project["optional-dependencies"].values())
    return {canonicalize_name(Requirement(line).name) for lines in lists for line in lines}


def versions(which: str) -> dict[str, Version]:
    """The versions of a set on the newest Python, by name."""
    requirements = map(Requirement, (ROOT / f"constraints{which}.txt").read_text("utf-8").splitlines())
    return {
        canonicalize_name(each.name): Version(str(each.specifier).removeprefix("=="))
        for each in requirements
        if each.marker is None or each.marker.evaluate(on(PYTHONS[-1]))
    }
