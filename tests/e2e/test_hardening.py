"""Full disks, files that nobody can read, descriptors that are used up: with the real thing."""

import base64
import gzip
import io
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from rich.console import Console

from harness.capture.frames import Encoding, FrameWriter, read_frames
from harness.clock import SystemClock
from harness.commands.progress import TerminalProgress
from harness.errors import ExitCode
from harness.gate.blocks import Side
from harness.gate.scenario import GateScenario, steady
from harness.gate.session import GateSettings, gate
from harness.gate.source import Source
from harness.outside.secrets import forget
from harness.own.config import read
from harness.report.verdict_json import from_json
from tests.e2e.command import (
    Here,
    alive,
    descendants,
    finish,
    one_by_one,
    small_experiment,
    start,
    wait_until,
)
from tests.e2e.waiting import until
from tests.harness.run.test_judge_saved import saved

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
TELLING = Path(__file__).parent / "fixtures" / "telling_agent.py"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_folder_that_takes_nothing_is_told_and_is_no_verdict(small_disk: Path, trouble: str) -> None:
    run = saved(small_disk / "run")
    if trouble == "full":
        fill(small_disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    code, out, err = finish(start("report", run, cwd=run))
    assert code == ExitCode.NOT_STARTED, f"{out}\n{err}"
    assert "cannot be written to: " in err
    assert "Traceback" not in err
    assert not list(run.glob(".*"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("requests.jsonl", None, "cannot be read"),
        ("spans.jsonl", b"\xff\n", "is not UTF-8"),
        ("spans.jsonl", b"[" * 200_000 + b"\n", "spans"),
        ("plan.json", b"[" * 200_000, "plan.json"),
        ("plan.json", b"\xff", "plan.json"),
    ],
)
def test_a_file_that_nobody_can_read_is_named(
    tmp_path: Path, here: Here, name: str, content: bytes | None, said: str
) -> None:
    run = saved(tmp_path / "run")
    (run / name).unlink(missing_ok=True)
    if content is None:
        (run / name).mkdir()
    else:
        (run / name).write_bytes(content)
    code, _, err = here.says("judge", run)
    assert code == ExitCode.BAD_INPUT, err
    assert said in err
    assert "Traceback" not in err


def test_a_run_that_was_cut_off_is_judged_as_far_as_it_goes(tmp_path: Path, here: Here) -> None:
    run = saved(tmp_path / "run")
    file = run / "requests.jsonl"
    os.truncate(file, file.stat().st_size - 20)
    code, out, err = here.says("judge", run, "--json")
    assert code in {ExitCode.HELD, ExitCode.FELL_SHORT, ExitCode.UNKNOWN}, err
    assert "is cut off, and left out" in err
    assert from_json(out).experiments


def test_a_received_folder_reaches_nothing_beside_it(tmp_path: Path, here: Here) -> None:
    run = saved(tmp_path / "run")
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for name in ("verdict.json", "junit.xml", "summary.md", "traces.json", "report.html"):
        (run / name).symlink_to(precious)
        (run / f".{name}.part").symlink_to(precious)
    for command in ("judge", "report"):
        code, _, err = here.says(command, run)
        assert code == ExitCode.HELD, err
        assert precious.read_text() == "precious"
    assert not (run / "report.html").is_symlink()


def test_without_descriptors_it_is_the_machine_that_is_named(tmp_path: Path) -> None:
    run = saved(tmp_path / "run")
    few = 8
    process = subprocess.Popen(
        [sys.executable, "-c", LITTLE.format(few=few, run=str(run))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    code, out, err = finish(process)
    assert code == ExitCode.NOT_STARTED, f"{out}\n{err}"
    assert "Too many open files" in err
    assert "Traceback" not in err


LITTLE = """
import os, resource, sys
from harness.commands.main import call
from harness.commands import run  # what it needs is loaded before
held = [os.open("/dev/null", os.O_RDONLY) for _ in range({few})]
resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, max(held) + 1))
sys.exit(call(["report", "{run}"]))
"""


@pytest.mark.parametrize(
    ("limit", "words", "said"),
    [
        ("-v 300000", ["gate", "--base", "HEAD"], "too little memory"),
        ("-v 250000", ["judge", "."], "too little memory"),
        ("-n 32", ["run", "small.toml", "--rate-scale", "1"], "may have 32 files open here"),
    ],
)
def test_a_limit_of_the_shell_that_is_too_low_is_a_sentence(
    tmp_path: Path, limit: str, words: list[str], said: str
) -> None:
    small_experiment(tmp_path)
    argv = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", sys.executable, "-m", "harness", *words]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    code, out, err = finish(process)
    assert code == ExitCode.NOT_STARTED, f"{out}\n{err}"
    assert said in err.replace("\n", " ")
    assert "Traceback" not in err


def test_a_capture_whose_disk_was_full_for_a_while_loses_only_what_came_then(small_disk: Path) -> None:
    writer = FrameWriter(small_disk / "traces.raw")
    writer.append(1.0, Encoding.PROTOBUF, b"before" * 1000)
    fill(small_disk)
    refused = 0
    for _ in range(5):
        try:
            writer.append(2.0, Encoding.PROTOBUF, b"during" * 1000)
        except OSError:
            refused += 1
    assert refused
    (small_disk / "filler").unlink()
    writer.append(3.0, Encoding.PROTOBUF, b"after" * 1000)
    writer.close()
    kept = [frame.payload[:5] for frame in read_frames(small_disk / "traces.raw")]
    assert (kept[0], kept[-1], len(kept)) == (b"befor", b"after", 7 - refused)


@pytest.mark.parametrize("name", ["n" * 5000, "n" * 300 + "/x.toml"])
@pytest.mark.parametrize("words", [["run"], ["judge"], ["report"], ["run", "cold-start", "--out"]])
def test_a_name_that_is_too_long_is_wrong_input(here: Here, words: list[str], name: str) -> None:
    code, _, err = here.says(*words, name)
    assert code in {ExitCode.BAD_INPUT, ExitCode.NOT_STARTED}, err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "code"), [(["version"], ExitCode.HELD), (["judge", "nowhere"], ExitCode.BAD_INPUT)]
)
def test_a_stream_that_is_closed_changes_no_exit_code(
    tmp_path: Path, words: list[str], code: ExitCode
) -> None:
    argv = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "harness", *words]
    assert subprocess.run(argv, check=False, cwd=tmp_path, timeout=120).returncode == code


SECRETS = """
name = "mine"
title = "Mine"
claim = "it answers"
min_requests = 5
[fleet]
policy = "blind"
[load]
rate_rps = 8.0
duration_s = 3.0
[arms.yours]
title = "mine"
agent = "yours"
[arms.control]
title = "control"
agent = "yours"
control = true
[[checks]]
id = "no-errors"
holds_in = ["yours"]
caught_in = ["control"]
"""


KEY, HEADER, PROMPT = 'marked-key+qz7xkv/"&=', "marked-header-wj9zqx", "marked-prompt-zx5qvk: what is it?"
MARKS = (b"qz7xkv", b"wj9zqx", b"zx5qvk", b"marked-")
"""What is in none of the files: nor is the beginning of one of these, of which the rest is hidden."""


@pytest.fixture
def telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an agent that tells its key, its header and what it is asked: a prompt of its owner's."""
    monkeypatch.setenv("TEAM_TOKEN", HEADER)
    (tmp_path / "prompts.txt").write_text(PROMPT)
    file = tmp_path / "agentrig.toml"
    file.write_text(
        f'[agent]\ncommand = ["{sys.executable}", "{TELLING}"]\n'
        f"env = {{ TOLD_KEY = '{KEY}', "
        f'OTEL_EXPORTER_OTLP_ENDPOINT = "{{otlp}}" }}\n'
        '[request]\nprompts = "prompts.txt"\nheaders = { Authorization = "Bearer ${TEAM_TOKEN}" }\n'
    )
    return file


def forms_of(mark: bytes) -> Iterator[bytes]:
    """Yield how a part of a secret stands in texts: as it is, in hex, and in base64 as a part of others."""
    yield mark
    yield mark.hex().encode()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + mark)
        yield whole[(0, 2, 3)[before] : 8 * (before + len(mark)) // 6]


def contents_of(file: Path) -> Iterator[bytes]:
    """Yield what a file holds, and what it holds unpacked."""
    content = file.read_bytes()
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        yield zstandard.ZstdDecompressor().decompressobj().decompress(content)


def told_in(folder: Path) -> list[str]:
    """Return the files of a folder that hold a part of a secret, packed ones too."""
    return [
        f"{file}: {form!r}"
        for file in folder.rglob("*")
        if file.is_file() and file.name not in GIVEN
        for content in contents_of(file)
        for mark in MARKS
        for form in forms_of(mark)
        if form in content
    ]


GIVEN = {"agentrig.toml", "prompts.txt"}
"""Files that the user wrote."""


def holds_no_secret(folder: Path) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]
    for mark in (b"[secret]", b"[prompt]"):
        told = [file for file in files if mark in file.read_bytes()]
        assert {"requests.jsonl", "spans.jsonl", "agent-1.log"} <= {file.name for file in told}
    assert not told_in(folder)


def test_a_secret_is_seen_in_a_packed_file_and_in_base64(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"it is " + KEY.encode()))
    (tmp_path / "b.zst").write_bytes(zstandard.ZstdCompressor().compress(HEADER.encode()))
    (tmp_path / "c").write_bytes(base64.b64encode(b"me:" + KEY.encode()))
    assert {each.partition(":")[0] for each in told_in(tmp_path)} == {
        str(tmp_path / name) for name in ("a.gz", "b.zst", "c")
    }


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have state and home in the folder that is looked through, and scratch folders in one that is too."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME"):
        (tmp_path / name.lower()).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.mark.usefixtures("telling")
def test_a_key_a_header_and_a_prompt_are_in_no_file_of_a_run_and_on_no_screen(
    tmp_path: Path, scratch: Path
) -> None:
    (tmp_path / "mine.toml").write_text(SECRETS)
    code, out, err = finish(start("run", "mine.toml", "--out", "out", "--rate-scale", "1", cwd=tmp_path))
    assert code == ExitCode.FELL_SHORT, f"{out}\n{err}"
    holds_no_secret(tmp_path / "out")
    metrics = (tmp_path / "out" / "metrics.jsonl").read_text()
    assert '"key": "[secret]"' in metrics or '"key":"[secret]"' in metrics
    run = str(tmp_path / "out")
    ended, told = one_by_one(
        [
            *(["judge", run], ["judge", run, "--json"], ["report", run], ["doctor"], ["doctor", "--json"]),
            *(["observe", run, "--out", "seen"], ["calibrate", run, "--out", "workload.toml"]),
        ],
        tmp_path,
    )
    assert len(ended) == 7
    assert ExitCode.OWN_FAULT not in ended, told
    assert not told_in(tmp_path) + told_in(scratch)
    for form in (form for mark in MARKS for form in forms_of(mark)):
        assert form.decode() not in f"{out}\n{err}\n{told}"
    for file in (tmp_path / "out").rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file


@pytest.mark.usefixtures("telling")
def test_they_are_in_no_file_either_where_the_run_is_killed(tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "mine.toml").write_text(SECRETS.replace("duration_s = 3.0", "duration_s = 60.0"))
    run = start("run", "mine.toml", "--out", "out", "--rate-scale", "1", cwd=tmp_path)
    log = tmp_path / "out" / "logs" / "mine" / "yours" / "agent-1.log"
    wait_until(run, "what the agent tells", lambda: log.exists() and b"[secret]" in log.read_bytes())
    started = descendants(run)
    run.kill()
    run.communicate()
    assert not alive(started)
    until("the end of its scratch files", lambda: not (tmp_path / "out" / "work").exists())
    assert log.exists()
    assert not told_in(tmp_path) + told_in(scratch)


def test_they_are_in_no_file_of_a_gate(tmp_path: Path, telling: Path) -> None:
    own = read(telling).under_test(tmp_path)
    source = {
        side: Source(label=side, folder=tmp_path, python=Path(sys.executable), own=own) for side in Side
    }
    scenario = GateScenario.model_validate(steady().model_dump() | {"load": {"rate_rps": 30.0}})
    settings = GateSettings(out=tmp_path / "out", requests=50, looks=(1,))
    clock, shown = SystemClock(), io.StringIO()
    try:
        with TerminalProgress(Console(file=shown), clock.monotonic) as progress:
            gate(source, [scenario], settings, progress, clock)
        holds_no_secret(tmp_path / "out")
        assert not told_in(tmp_path)
        assert shown.getvalue()
        assert not [mark for mark in MARKS if mark.decode() in shown.getvalue()]
    finally:
        forget()


def test_a_header_that_cannot_be_sent_starts_nothing_and_is_not_shown(
    tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_TOKEN", "marked-header-91c2\n")
    (tmp_path / "agentrig.toml").write_text(
        f'[agent]\ncommand = ["{sys.executable}", "{TELLING}"]\n'
        '[request]\nheaders = { Authorization = "Bearer ${TEAM_TOKEN}" }\n'
    )
    code, out, err = here.says("run", "--quick", "--out", "out")
    assert code == ExitCode.BAD_INPUT, f"{out}\n{err}"
    assert "ends in a newline; it is from TEAM_TOKEN" in err.replace("\n", " ")
    assert "marked" not in out + err
    assert not (tmp_path / "out").exists()
