"""What is typed: a wrong word is one sentence, and what was seen decides the exit code."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.commands.main import call
from harness.commands.observe import seconds
from harness.errors import ExitCode, InputError
from tests.harness.observe.test_sources import DOCUMENT, LINE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.jsonl"], "there is no such file"),
        (["spans.jsonl", "--limits", "p99"], "cannot be read"),
        (["spans.jsonl", "--limits", "p99=fast"], "is no number"),
        (["spans.jsonl", "--limits", "herd-share=1"], "give 0 to 0.6"),
        (["spans.jsonl", "--limits", "herd=1"], "no such key"),
        (["spans.jsonl", "--limits", "concurrency-limit=2.5"], "whole number"),
        (["spans.jsonl", "--limits", "sampled=2"], "0 to 1"),
        (["spans.jsonl", "--limits", "clocks=fine"], "clocks=synchronised"),
        (["spans.jsonl", "--since", "yesterday"], "give a time such as"),
        (["spans.jsonl", "--check", "speed"], "there is no such check"),
        (["spans.jsonl", "--service", "other"], "no span tells of an agent"),
        (["otlp://127.0.0.1:4318"], "say how long to listen"),
        (["kafka:topic"], "there is no such file"),
        (["spans.jsonl", "--metrics", "127.0.0.1:9464"], "say how often"),
        (["spans.jsonl", "--times", "2"], "say how often"),
        (["spans.jsonl", "--every", "often"], "--every often: give a time"),
        (["spans.jsonl", "--every", "5m", "--json"], "--json tells of one look"),
        (["spans.jsonl", "--every", "5m", "--metrics", "9464"], "Give HOST:PORT"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_wrong_word_is_one_sentence(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spans.jsonl").write_bytes(LINE)
    assert call(["observe", *words]) == ExitCode.BAD_INPUT
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_too_few_requests_are_unknown_in_every_form_of_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "spans.json", tmp_path / "out"
    file.write_text(json.dumps(DOCUMENT))
    words = [
        "observe",
        str(file),
        "--out",
        str(out),
        "--check",
        "no-errors",
        "--check",
        "init-once",
        "--json",
    ]
    assert call(words) == ExitCode.UNKNOWN
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "unknown"
    assert {check["arm"] for check in told["experiments"][0]["checks"]} == {"observed", "known-bad"}
    assert ET.parse(out / "junit.xml").getroot().get("errors") == "2"  # noqa: S314 - our own file
    assert "no-errors" in (out / "summary.md").read_text("utf-8")
    assert "known-bad" in (out / "report.html").read_text("utf-8")


def test_a_time_is_read_in_each_of_its_units() -> None:
    assert [seconds(text, "--since") for text in ("30s", "15m", "1.5h", "2d")] == [30, 900, 5_400, 172_800]
    with pytest.raises(InputError):
        seconds("0s", "--since")
