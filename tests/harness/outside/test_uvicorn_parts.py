import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from harness.outside import uvicorn_parts
from harness.outside.uvicorn_parts import HttpToolsProtocol, RequestResponseCycle, check, missing

ROOT = Path(__file__).parents[3]


class Older(RequestResponseCycle):
    def __init__(self, scope: object, transport: object) -> None: ...


class Newer:
    connection_made = data_received = None


def test_what_is_installed_has_all_that_is_used() -> None:
    assert missing(RequestResponseCycle, HttpToolsProtocol) == []


def test_one_that_lacks_something_is_told_with_its_version_and_what_to_install() -> None:
    with pytest.raises(
        ImportError, match=r"^uvicorn [0-9.]+ lacks flow, .*pip install 'uvicorn==0\.\d+\.\*'$"
    ):
        check(Older, HttpToolsProtocol)
    with pytest.raises(ImportError, match="lacks connection_lost, on_message_begin"):
        check(RequestResponseCycle, Newer)


def test_what_is_declared_has_an_end_on_both_sides_and_the_newest_that_was_tested_is_within() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for group in (project["dependencies"], project["optional-dependencies"]["agent"]):
        (declared,) = [each for each in map(Requirement, group) if each.name == "uvicorn"]
        assert {each.operator for each in declared.specifier} == {">=", "<"}
        assert Version(uvicorn_parts.NEWEST) in declared.specifier
    pins = [Requirement(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
    (pinned,) = [str(each.specifier) for each in pins if each.name == "uvicorn"]
    assert pinned.startswith(f"=={uvicorn_parts.NEWEST}.")
