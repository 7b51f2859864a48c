"""How pods find this machine: who listens for them, on loopback, and the keeper's script, run by a shell."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.errors import StartError
from harness.fleet.kubernetes import manifests
from harness.fleet.kubernetes.meeting import Meeting, source_towards
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e
LOOPBACK = "127.0.0.1"


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    with Meeting((LOOPBACK,)) as made:
        yield made


def come(meeting: Meeting, said: bytes) -> bytes:
    host, _, port = meeting.places[0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as there:
        there.sendall(said)
        there.shutdown(socket.SHUT_WR)
        meeting.hear()
        return there.recv(64)


def test_who_tells_the_token_was_sent_by_us_and_gets_an_answer(meeting: Meeting) -> None:
    assert come(meeting, f"GET /{meeting.token} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.0 200")
    assert meeting.met == {LOOPBACK}


@pytest.mark.parametrize("said", [b"GET / HTTP/1.0\r\n\r\n", b"", b"x" * 9000])
def test_anybody_else_is_nobody(meeting: Meeting, said: bytes) -> None:
    with socket.create_connection((LOOPBACK, int(meeting.places[0].rpartition(":")[2])), timeout=5) as there:
        there.sendall(said)
        there.shutdown(socket.SHUT_WR)
        meeting.hear()
    assert not meeting.met


def test_an_address_that_is_not_this_machines_is_left_out_and_none_at_all_is_a_sentence() -> None:
    with Meeting(("192.0.2.1", LOOPBACK)) as meeting:
        assert [place.rpartition(":")[0] for place in meeting.places] == [LOOPBACK]
    with pytest.raises(StartError, match=r"192\.0\.2\.1.*AGENTRIG_HOST_ADDRESS"):
        Meeting(("192.0.2.1",)).__enter__()


def test_packets_to_loopback_come_from_it() -> None:
    assert source_towards(LOOPBACK) == LOOPBACK


@pytest.mark.parametrize("tool", ["python3", "curl", "wget", "node", "bash"])
def test_the_keeper_makes_the_folder_finds_the_way_and_cleans_up(tmp_path: Path, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    tools, folder = tmp_path / "bin", tmp_path / "node"
    tools.mkdir()
    for each in (tool, "sh", "mkdir", "chmod", "rm", "sleep", "timeout"):
        found = sys.executable if each == "python3" else shutil.which(each)
        (tools / each).symlink_to(found or f"/bin/{each}")
    script = manifests.SCRIPT.replace(manifests.WITHIN_KEEPER, str(folder))
    with Meeting(("127.0.0.1",)) as meeting:
        nobody = "127.0.0.1:1"
        env = {
            "PATH": str(tools),
            "FLEET": "f1",
            "TOKEN": meeting.token,
            "AT": f"{nobody} {meeting.places[0]}",
        }
        with subprocess.Popen(
            [str(tools / "sh"), "-c", script], env=env, stdout=subprocess.PIPE, start_new_session=True
        ) as keeper:
            try:
                until("a meeting", lambda: meeting.hear() or bool(meeting.met))
                assert keeper.stdout is not None
                assert keeper.stdout.readline().decode().strip() == manifests.MET
                assert (folder / "f1").stat().st_mode & 0o777 == 0o777, "an image has users of its own"
                (folder / "f1" / "sessions.db").touch()
                keeper.send_signal(signal.SIGTERM)
                assert keeper.wait(20) == 0
                assert not (folder / "f1").exists()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(keeper.pid, signal.SIGKILL)


def test_a_keeper_without_any_tool_says_so(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for each in ("sh", "mkdir", "chmod", "rm", "sleep"):
        (tools / each).symlink_to(shutil.which(each) or f"/bin/{each}")
    script = manifests.SCRIPT.replace(manifests.WITHIN_KEEPER, str(tmp_path))
    env = {"PATH": str(tools), "FLEET": "f1", "TOKEN": "t", "AT": "127.0.0.1:1"}
    with subprocess.Popen(
        [str(tools / "sh"), "-c", script], env=env, stdout=subprocess.PIPE, start_new_session=True
    ) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline().decode().strip() == manifests.NO_TOOL
        os.killpg(keeper.pid, signal.SIGKILL)
