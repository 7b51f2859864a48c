"""A container engine, Docker's or Podman's, as it is asked over its Unix socket.

The API is HTTP and JSON, and a fleet needs a dozen of its calls: the harness's own client, whose calls have a
deadline and whose answers a size, sends them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from harness.errors import InputError, StartError
from harness.outside.http import control_client
from harness.outside.secrets import beginning

SOCKETS: Final = ("/var/run/docker.sock", "/run/podman/podman.sock")
"""Where engines listen by default, for who is root or of their group."""
VARIABLE: Final = "DOCKER_HOST"
UNIX: Final = "unix://"
CALL_S: Final = 60.0
"""How long a call may take: the removal of a container waits until it is dead."""
FULL: Final = "no space left on device"
NOT_THERE, IN_USE = 404, 409


class EngineError(StartError):
    """The engine doesn't do what it was asked for, says why.

    Attributes:
        status: of HTTP; 0 where it doesn't answer.
    """

    def __init__(self, message: str, status: int) -> None:
        """Tell `message`."""
        super().__init__(message)
        self.status = status


def engine_socket(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the engine listens: as DOCKER_HOST says, else the first of the usual places that is there.

    Raises:
        InputError: DOCKER_HOST is no Unix socket.
    """
    if not (told := environ.get(VARIABLE, "")):
        return next((path for path in map(Path, SOCKETS) if path.exists()), Path(SOCKETS[0]))
    if not told.startswith(UNIX + "/"):
        raise InputError(
            f"{VARIABLE}={told}: give the engine of this machine, {UNIX}/PATH: what a fleet has beside its "
            "containers are processes here."
        )
    return Path(told.removeprefix(UNIX))


class Engine:
    """An engine.

    Args:
        socket: where it listens.
        transport: of HTTP, for tests; its socket by default.
    """

    def __init__(self, socket: Path, transport: httpx.BaseTransport | None = None) -> None:
        self.socket = socket
        self._client = control_client(CALL_S, base_url="http://engine", unix=socket, transport=transport)

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        unless: tuple[int, ...] = (),
    ) -> Any:
        """Return what it answers, from JSON; None where it says nothing, or a status in `unless`.

        Raises:
            EngineError: it doesn't answer, or refuses.
        """
        answer = self._send(method, path, json=json, params=params)
        if answer.status_code in unless:
            return None
        if not answer.is_success and answer.status_code != httpx.codes.NOT_MODIFIED:
            raise EngineError(self._refusal(answer), answer.status_code)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            said = f"{self.socket}: is no container engine: {path} is answered with something else than JSON"
            raise EngineError(said, 0) from error

    def log(self, container: str, lines: str = "all") -> str:
        """Return the last lines of what a container printed, both streams in order.

        Raises:
            EngineError: it doesn't answer, or refuses.
        """
        params = {"stdout": "true", "stderr": "true", "tail": lines}
        answer = self._send("GET", f"/containers/{container}/logs", params=params)
        if not answer.is_success:
            raise EngineError(self._refusal(answer), answer.status_code)
        return unframed(answer.content).decode(errors="replace")

    def ask(self, method: str, target: str) -> tuple[int, bytes]:
        """Return status and body of an answer, as `leftovers.Ask` is told.

        Raises:
            OSError: there is none.
        """
        try:
            answer = self._client.request(method, target)
        except httpx.HTTPError as error:
            raise OSError(str(error)) from error
        return answer.status_code, answer.content

    def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise EngineError(self._silence(error), 0) from error

    def _silence(self, error: httpx.HTTPError) -> str:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EACCES:
            todo = "You may not ask it: be of its group (`sudo usermod -aG docker $USER`, and log in again)."
        else:
            todo = (
                f"Start Docker or Podman, or say with {VARIABLE}={UNIX}/PATH where one listens. Without "
                "--on, the fleet's containers are processes, and need none."
            )
        return f"{self.socket}: no container engine answers there: {error}. {todo}"

    def _refusal(self, answer: httpx.Response) -> str:
        try:
            said = str(answer.json()["message"]).strip()
        except (ValueError, KeyError, TypeError):
            said = beginning(answer.text.strip(), 200) or f"HTTP {answer.status_code}"
        full = " Its disk is full: `docker system df` shows of what." if FULL in said else ""
        return f"the engine at {self.socket}: {said}.{full}"


def unframed(stream: bytes) -> bytes:
    """Return the output of a container without the frames in which an engine sends it.

    A frame is one byte for the stream, three of nothing, four for the length, and the output.
    """
    found = bytearray()
    while len(stream) >= 8 and stream[0] in {0, 1, 2} and stream[1:4] == b"\0\0\0":  # noqa: PLR2004 - see above
        length = int.from_bytes(stream[4:8], "big")
        found += stream[8 : 8 + length]
        stream = stream[8 + length :]
    return bytes(found) + stream
