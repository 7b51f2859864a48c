"""What a harness leaves behind that was killed, and its removal: `leftovers.py RECORD` waits for that end.

A record is a file that its harness holds locked: the kernel gives the lock free, however the harness ends.
It has a JSON line for the mark that all its processes have in their environment, for each session and folder
of it, for each fleet that it has in a container engine or a cluster, and for each session and fleet that has
ended. Whoever gets the lock removes what is left: this program, which a harness starts beside it, at once; or
the next harness, where that was killed as well.

A program of its own, of the standard library alone: it starts fast, and stays small for hours.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

try:
    import fcntl
except ImportError:  # Windows: without locks there is no record to wait for
    fcntl = None  # type: ignore[assignment]  # None - its type is of a module that is there

MARK = "AGENTRIG_HARNESS"
"""The variable that is in the environment of all that a harness starts."""
PASSES = 200
PAUSE_S = 0.01
"""Between two looks whether what was killed is gone: it may have started more meanwhile."""
LEAST_FIELDS = 4
OF_CLUSTER = 3
FLEET_LABEL = "agentrig.fleet"
"""What all containers and networks of a fleet have in an engine, with the fleet's own value."""
REMOVAL = "harness.fleet.kubernetes.removal"
"""The program that removes a namespace: tokens and certificates of who asks a cluster take a library."""
REMOVAL_S = 600.0
"""Its calls have deadlines of their own: this ends what hangs, also where loading alone takes minutes."""
FORGOTTEN_S = 7 * 24 * 3600
"""How old a record is whose cluster has not come back: by then whoever has a fleet there has removed it."""
ENGINE_S = 20.0
"""How long one call to an engine may take, of which nobody knows whether it still answers."""
Ask = Callable[[str, str], tuple[int, bytes]]
"""Sends an engine a method and a path; returns the status and the body of its answer, or raises OSError."""


def wait_and_clean(record: Path) -> None:
    """Wait until its harness has ended, and remove what is left of it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with held(record, wait=True) as mine:
        if mine:
            clean(record, its_sessions=True)


def clean_all(folder: Path) -> None:
    """Remove what is left of each harness that has ended, and whose record is still in a folder."""
    for record in folder.glob("*.jsonl"):
        with held(record, wait=False) as mine:
            if mine:
                clean(record, its_sessions=False)


@contextmanager
def held(record: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a record that nobody else holds; says whether that was done, and it is still to be cleaned."""
    if fcntl is None:
        yield False
        return
    try:
        handle = os.open(record, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = record.lstat().st_ino == os.fstat(handle).st_ino
    except OSError:  # another holds it; or it was removed, and its harness ended as it should
        there = False
    try:
        yield there
    finally:
        os.close(handle)


def clean(record: Path, *, its_sessions: bool) -> None:
    """Kill the processes of a record, remove its folders, and then the record.

    Args:
        record: that is held.
        its_sessions: whether its sessions are still its own. The number of one that ended long ago may be
            that of something else: then the mark alone counts.
    """
    mark, sessions, folders, fleets, namespaces = read(record)
    if mark:
        kill(mark, sessions if its_sessions else frozenset())
    for folder in folders:
        if (folder / f".{mark}").is_file():  # else it is another's by now
            shutil.rmtree(folder, ignore_errors=True)
    if any(remove_fleet(engine_at(each.socket), each.fleet) for each in fleets):
        return  # the record stays for the next who looks: an engine that is away may come back
    left = [each for each in namespaces if not remove_namespace(each)]
    if left and not is_old(record):
        return
    with suppress(OSError):
        record.unlink()


def kill(mark: str, sessions: AbstractSet[int]) -> None:
    """Kill all processes that have a mark or are of a session, and what they start meanwhile."""
    for _ in range(PASSES):
        found = [pid for pid in processes() if belongs(pid, mark, sessions)]
        if not found:
            return
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE_S)


class OfEngine(NamedTuple):
    """A fleet in a container engine: the engine's Unix socket, and the value of the fleet's label."""

    socket: str
    fleet: str


class OfCluster(NamedTuple):
    """A fleet in a cluster: context and files of a kubeconfig, as KUBECONFIG has them, and the namespace."""

    context: str
    config: str
    namespace: str


class Record(NamedTuple):
    """What a record tells of its harness: its mark, and what of it has not ended."""

    mark: str
    sessions: AbstractSet[int]
    folders: list[Path]
    fleets: list[OfEngine]
    namespaces: list[OfCluster]


def read(record: Path) -> Record:
    """Return what a record tells; a line that was cut off is left out."""
    kinds = ("mark", "session", "folder", "fleet", "namespace")
    known: dict[str, list[object]] = {kind: [] for kind in kinds}
    with suppress(OSError):
        for line in record.read_text("utf-8", "surrogateescape").splitlines():
            with suppress(ValueError, AttributeError, KeyError):
                for kind, value in json.loads(line).items():
                    if kind.startswith("no-"):
                        known[kind.removeprefix("no-")].remove(value)
                    else:
                        known[kind].append(value)
    mark = str(known["mark"][0]) if known["mark"] else ""
    sessions = frozenset(each for each in known["session"] if isinstance(each, int))
    fleets = [OfEngine(*str(each).rsplit(" ", 1)) for each in known["fleet"] if " " in str(each)]
    namespaces = [
        OfCluster(*map(str, each))
        for each in known["namespace"]
        if isinstance(each, list) and len(each) == OF_CLUSTER
    ]
    return Record(mark, sessions, [Path(str(each)) for each in known["folder"]], fleets, namespaces)


def remove_namespace(fleet: OfCluster) -> bool:
    """Remove a fleet from a cluster, and return whether nothing of it is left."""
    import subprocess  # noqa: PLC0415 - see above: most need none of it

    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    told = {"KUBECONFIG": fleet.config} if fleet.config else {}
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", REMOVAL, fleet.context, fleet.namespace],
            env={**os.environ, **told, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=REMOVAL_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return ended.returncode == 0


def is_old(record: Path) -> bool:
    """Return whether nobody needs a record any more."""
    try:
        return time.time() - record.stat().st_mtime > FORGOTTEN_S
    except OSError:
        return True


def engine_at(path: str) -> Ask:
    """Return what asks the container engine whose Unix socket has a path."""
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415 - see above: most need none of it
    from socket import AF_UNIX, socket  # noqa: PLC0415 - likewise

    def ask(method: str, target: str) -> tuple[int, bytes]:
        connection = HTTPConnection("engine")
        try:
            connection.sock = socket(AF_UNIX)
            connection.sock.settimeout(ENGINE_S)
            connection.sock.connect(path)
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except HTTPException as error:
            raise OSError(f"not an answer of HTTP: {error}") from error
        finally:
            connection.close()

    return ask


def remove_fleet(ask: Ask, fleet: str) -> list[str]:
    """Remove the containers of a fleet from an engine, those that run too, and then its networks.

    Returns:
        What is still there, by name, or that the engine does not answer: empty when nothing is left.
    """
    try:
        for kind in ("containers", "networks"):
            for each in _of_fleet(ask, kind, fleet):
                ask("DELETE", f"/{kind}/{each['Id']}?force=true&v=true")
        left = [*_of_fleet(ask, "containers", fleet), *_of_fleet(ask, "networks", fleet)]
        return [str(each.get("Name") or each.get("Names") or each["Id"]) for each in left]
    except (OSError, ValueError, TypeError, KeyError) as error:
        return [f"what is labelled {FLEET_LABEL}={fleet} (it does not answer: {error})"]


def _of_fleet(ask: Ask, kind: str, fleet: str) -> list[dict[str, Any]]:
    """Return the containers or the networks of a fleet, as the engine tells of them."""
    label = json.dumps({"label": [f"{FLEET_LABEL}={fleet}"]}, separators=(",", ":"))
    wanted = "".join(char if char.isalnum() else f"%{ord(char):02X}" for char in label)
    path = {"containers": "/containers/json?all=true&", "networks": "/networks?"}[kind]
    status, body = ask("GET", f"{path}filters={wanted}")
    if status != 200:  # noqa: PLR2004 - OK
        raise ValueError(f"HTTP {status}")
    found: list[dict[str, Any]] = json.loads(body)
    return found


def processes() -> Iterator[int]:
    """Yield the number of each process but this one."""
    with suppress(OSError):  # no Linux
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                yield int(entry.name)


def belongs(pid: int, mark: str, sessions: AbstractSet[int]) -> bool:
    """Return whether a process runs and is of a session or has the mark: also one that left its session."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        if len(fields) < LEAST_FIELDS or fields[0] in {b"Z", b"X"}:
            return False
        if int(fields[3]) in sessions:
            return True
        marked = f"{MARK}={mark}".encode()
        return bool(mark) and marked in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it ended, or is another user's
        return False


if __name__ == "__main__":
    wait_and_clean(Path(sys.argv[1]))
