"""The start-up hook that gives a process a model with a name: who asks for it is told what the files say."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.fleet.names.sitecustomize import ADDRESS, ALL, FOLDER, NAME, OF, Resolver
from harness.fleet.surroundings import NAMES_HOOK

ASKS = {
    "socket": "socket.getaddrinfo(NAME, 80)",
    "gethostbyname": "socket.gethostbyname(NAME)",
    "asyncio": "asyncio.run(asks())",
    "uvloop": "uvloop.run(asks())",
    "uvloop-connects": "uvloop.run(connects())",
}
PROGRAM = """
import asyncio, socket, sys
import uvloop
NAME = "{name}"
async def asks():
    await asyncio.get_running_loop().getaddrinfo(NAME, 80)
async def connects():
    try:
        await asyncio.open_connection(NAME, 1)
    except ConnectionRefusedError:
        pass
try:
    {asks}
except socket.gaierror as error:
    print("EAI_AGAIN" if error.errno == socket.EAI_AGAIN else error)
else:
    print("found")
"""


def resolver(folder: Path, slept: list[float], container: str = "agent-1") -> Resolver:
    def getaddrinfo(host: Any, *arguments: Any) -> Any:
        return (host, *arguments)

    return Resolver(str(folder), container, getaddrinfo=getaddrinfo, sleep=slept.append)


def test_the_name_is_this_machine_and_all_others_are_the_systems(tmp_path: Path) -> None:
    made = resolver(tmp_path, [])
    assert made.getaddrinfo(NAME, 80) == made.getaddrinfo(NAME.encode(), 80) == (ADDRESS, 80)
    assert made.getaddrinfo("elsewhere.example", 80) == ("elsewhere.example", 80)
    assert made.getaddrinfo(None, 80) == (None, 80)


def test_that_anothers_resolver_fails_is_nothing_to_it(tmp_path: Path) -> None:
    (tmp_path / "agent-2").write_text("0.5")
    assert resolver(tmp_path, []).getaddrinfo(NAME, 80) == (ADDRESS, 80)


@pytest.mark.parametrize("file", [ALL, "agent-1"])
def test_it_leads_nowhere_while_a_file_says_so(tmp_path: Path, file: str) -> None:
    slept: list[float] = []
    made = resolver(tmp_path, slept)
    (tmp_path / file).write_text("0.5")
    with pytest.raises(socket.gaierror) as failed:
        made.getaddrinfo(NAME, 80)
    assert failed.value.errno == socket.EAI_AGAIN
    assert slept == [0.5]
    assert made.getaddrinfo("elsewhere.example", 80) == ("elsewhere.example", 80)
    (tmp_path / file).unlink()
    assert made.getaddrinfo(NAME, 80) == (ADDRESS, 80)


@pytest.mark.parametrize("how", ASKS)
def test_a_process_is_told_so_however_it_asks(tmp_path: Path, how: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text(
        "import builtins\nbuiltins.print('another hook', end=' ')"
    )
    folder = tmp_path / "names"
    folder.mkdir()
    path = os.pathsep.join([str(NAMES_HOOK), str(tmp_path / "other")])
    env = os.environ | {FOLDER: str(folder), OF: "agent-1", "PYTHONPATH": path}

    def said() -> str:
        program = PROGRAM.format(name=NAME, asks=ASKS[how])
        argv = [sys.executable, "-c", program]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.strip()

    assert said() == "another hook found"
    (folder / ALL).write_text("0.0")
    assert said() == "another hook EAI_AGAIN"
