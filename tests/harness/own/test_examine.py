"""What `agentrig doctor` says of an agent's file."""

from pathlib import Path

import pytest

from harness.own.config import OwnAgent
from harness.own.examine import examine

MODEL = {"OPENAI_BASE_URL": "{simulator}/v1"}


def said(folder: Path, fetched: int | None = 200, **agent: object) -> dict[str, tuple[bool, str]]:
    described = OwnAgent.model_validate({"agent": agent})
    findings = examine(described, described.under_test(folder), lambda _: fetched)
    return {finding.what: (finding.ok, finding.detail) for finding in findings}


def test_all_is_well(tmp_path: Path) -> None:
    found = said(tmp_path, command=("python3", "agent.py"), env=MODEL)
    assert all(ok for ok, _ in found.values())
    assert found["port"][1] == "told by the variable PORT"


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    ok, detail = said(tmp_path, command=("./nothing-here",), env=MODEL)["program"]
    assert not ok
    assert "./nothing-here is not found" in detail
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o755)
    assert said(tmp_path, command=("./run",), env=MODEL)["program"][0]


def test_an_image_without_docker_is_told_what_does_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ok, detail = said(tmp_path, image="my-agent", env=MODEL)["program"]
    assert not ok
    assert detail.startswith("docker is not found")
    assert "--on kubernetes do without it" in detail


def test_a_place_that_is_misspelt_is_named_and_other_braces_are_none(tmp_path: Path) -> None:
    ok, detail = said(tmp_path, command=("python3", "--port={prot}"))["place"]
    assert not ok
    assert detail == "{prot} in '--port={prot}' is none: did you mean {port}?"
    assert "place" not in said(tmp_path, command=("python3", "{}"), env={"A": '{"level": {debug}}'})


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert not said(tmp_path, command=("python3",), workdir="gone")["folder"][0]


def test_containers_that_run_already_are_asked(tmp_path: Path) -> None:
    urls = ("http://127.0.0.1:8080",)
    assert said(tmp_path, urls=urls) == {
        "container 127.0.0.1:8080": (True, "answers 200 at http://127.0.0.1:8080/ping")
    }
    ok, detail = said(tmp_path, None, urls=urls)["container 127.0.0.1:8080"]
    assert not ok
    assert detail.startswith("nobody answers")


def test_whether_containers_share_the_folder_is_said(tmp_path: Path) -> None:
    assert "a copy of it for each container" in said(tmp_path, command=("python3",))["folder"][1]
    shared = said(tmp_path, command=("python3",), own_folder=False)["folder"][1]
    assert shared == f"{tmp_path}, the same for all containers"


def test_a_secret_that_is_a_plain_word_is_told_not_to_be_hidden(tmp_path: Path) -> None:
    env = MODEL | {"OPENAI_API_KEY": "unused", "REAL_KEY": "sk-8c0c1b9e7f", "SIMULATED_KEY": "{api_key}"}
    assert said(tmp_path, command=("python3",), env=env)["secrets"] == (
        True,
        "OPENAI_API_KEY: short or plain, as what is made up is; it is not hidden in what is kept",
    )
    assert "secrets" not in said(tmp_path, command=("python3",), env=MODEL)
