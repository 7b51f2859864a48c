"""Ten columns, or no terminal; a locale without UTF-8; no HOME; a folder that takes nothing."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from harness.commands.main import COMMANDS as EVERY
from harness.errors import ExitCode
from harness.fleet.commands import FleetAddresses, inherit, mcp_server
from harness.gate.history import add
from tests.e2e.waiting import DEADLINE_S
from tests.harness.gate.test_history import CALM
from tests.harness.run.test_judge_saved import saved

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

COMMANDS = """
import json, os, sys
from pathlib import Path
from harness.commands.main import main
asked, told = map(Path, sys.argv[1:])
codes = []
for words in json.loads(asked.read_text("utf-8")):
    sys.argv = ["agentrig", *(os.fsdecode(word.encode()) for word in words)]
    try:
        main()
    except SystemExit as end:
        codes.append(end.code)
told.write_text(json.dumps(codes), "utf-8")
"""
TAKES_NOTHING = "/proc/tty"
"""A folder in which nobody can make a file, nor root."""


def asked(folder: Path) -> list[tuple[list[str], int]]:
    run, history, out = str(saved(folder / "run")), folder / "history", str(folder / "out")
    add(history, CALM)
    helps = [["--help"], *([name, "--help"] for name, *_ in EVERY)]
    return [
        *((words, ExitCode.HELD) for words in helps),
        *((words, ExitCode.HELD) for words in (["version"], ["locustfiles"], ["list"], ["list", "--checks"])),
        *((words, ExitCode.HELD) for words in (["judge", run], ["judge", run, "--json"], ["report", run])),
        (["observe", run, "--out", out], ExitCode.BAD_INPUT),  # it has no spans
        (["calibrate", run, "--out", out + ".toml"], ExitCode.BAD_INPUT),  # likewise
        (["baseline", "trend", str(history), "--out", out + ".html"], ExitCode.HELD),
        (["baseline", "trend", str(history)], ExitCode.BAD_INPUT),
        (["run", "cold-start"], ExitCode.NOT_STARTED),
        (["init"], ExitCode.BAD_INPUT),
        *(([name, "nowhere\u2026"], ExitCode.BAD_INPUT) for name in ("run", "judge", "traces", "plan")),
        (["conform", "http://127.0.0.1:1"], ExitCode.NOT_STARTED),
        (["gate", "--base", "nowhere"], ExitCode.BAD_INPUT),
    ]


@pytest.mark.parametrize("names", ["mcp.py", "json.py", "harness/__init__.py"])
def test_a_project_with_files_of_such_names_is_not_what_a_fleet_is_made_of(
    names: str, tmp_path: Path
) -> None:
    (tmp_path / names).parent.mkdir(exist_ok=True)
    (tmp_path / names).write_text("raise SystemExit('a file of the project was run')")
    wiring = FleetAddresses(
        experiment="e", arm="a", capture=1, simulator=1, mcp=1, inherited=inherit(os.environ)
    )
    command = mcp_server(wiring, 0.0)
    asked = [*command.argv, "--help"]
    done = subprocess.run(asked, env=command.env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("columns", [10, None])
def test_no_command_minds(columns: int | None, tmp_path: Path) -> None:
    commands = asked(tmp_path)
    (tmp_path / "asked").write_text(json.dumps([words for words, _ in commands]), "utf-8")
    env = {name: value for name, value in os.environ.items() if name not in {"HOME", "LANG", "TERM"}}
    env |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    argv = [sys.executable, "-c", COMMANDS, str(tmp_path / "asked"), str(tmp_path / "told")]
    if columns is None:
        done = subprocess.run(
            argv, env=env, cwd=TAKES_NOTHING, capture_output=True, check=True, timeout=DEADLINE_S
        )
        said = done.stdout + done.stderr
    else:
        said = at_a_terminal(argv, env | {"TERM": "xterm"}, columns)
    codes = json.loads((tmp_path / "told").read_text("utf-8"))
    told = list(zip((words for words, _ in commands), codes, strict=True))
    assert told == [(words, code) for words, code in commands], said.decode(errors="replace")
    assert b"Traceback" not in said


def at_a_terminal(argv: list[str], env: dict[str, str], columns: int) -> bytes:
    """Run a program at a terminal of so many columns, and return what it showed."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown = b""
    with subprocess.Popen(argv, env=env, cwd=TAKES_NOTHING, stdin=far, stdout=far, stderr=far) as process:
        os.close(far)
        with suppress(OSError):  # the end, where the program has closed its side
            while part := os.read(near, 65536):
                shown += part
        os.close(near)
        assert process.wait(DEADLINE_S) == 0, shown.decode(errors="replace")
    return shown
