"""Waits until processes answer, and notices the ones that die before they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx

from harness.clock import Clock
from harness.errors import ChildDiedError, Death, StartError, quote

POLL_S: Final = 0.02
FETCH_TIMEOUT_S: Final = 5.0
SHOWN_LINES: Final = 8
PATIENCE_S: Final = 30.0
"""How long one and the same answer is heard that no waiting changes: by then, what was late to add its
paths has them."""
NOT_BY_WAITING: Final = frozenset({301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 410, 422})
"""Statuses that say that a path isn't there, is elsewhere or not for us, and not that it is too early."""
WRONG_PATH: Final = (
    "Of an agent of yours, `ready` in agentrig.toml names a path that answers 200 once it can work"
    " (/openapi.json of FastAPI does). "
)

Fetch = Callable[[str], int | None]
"""Returns the HTTP status at an URL, None when nobody answers."""


class Watched(Protocol):
    """What readiness needs to know of a process."""

    name: str
    log: Path

    def poll(self) -> Death | None:
        """Return how it ended, None while it runs."""
        ...

    def last_lines(self) -> tuple[str, ...]:
        """Return the end of its log."""
        ...

    def listening(self) -> tuple[int, ...]:
        """Return the TCP ports that it listens on."""
        ...


@dataclass(frozen=True, slots=True)
class ReadinessTarget:
    """A process, and the URL at which it says 200 once it is ready."""

    process: Watched
    url: str


def wait_ready(targets: Sequence[ReadinessTarget], *, deadline_s: float, clock: Clock, fetch: Fetch) -> None:
    """Return when every target has answered 200.

    Who answers `PATIENCE_S` long with a status that no waiting changes is not waited for any longer.

    Args:
        targets: waited for together.
        deadline_s: how long all of them may take, in seconds from now.
        clock: for waiting.
        fetch: asks one URL.

    Raises:
        ChildDiedError: one of them ended.
        StartError: one of them didn't get ready in time.
    """
    begun = clock.monotonic()
    end = begun + deadline_s
    statuses: dict[str, int | None] = {}
    since: dict[str, float] = {}
    waiting = list(targets)
    while True:
        for target in waiting:
            if death := target.process.poll():
                raise ChildDiedError(death)
            status = fetch(target.url)
            if status != statuses.get(target.url) or status not in NOT_BY_WAITING:
                since[target.url] = clock.monotonic()
            elif clock.monotonic() - since[target.url] >= PATIENCE_S:
                raise not_ready_error(target, round(clock.monotonic() - begun), status)
            statuses[target.url] = status
        waiting = [target for target in waiting if statuses[target.url] != httpx.codes.OK]
        if not waiting:
            return
        if clock.monotonic() >= end:
            raise not_ready_error(waiting[0], deadline_s, statuses[waiting[0].url])
        clock.sleep(POLL_S)


def not_ready_error(target: ReadinessTarget, waited_s: float, status: int | None) -> StartError:
    """Return what to raise about a target that was not ready in time; `status` was its last answer."""
    answer = "nobody answered" if status is None else f"the last answer was {status}"
    if status is None and (there := target.process.listening()):
        ports = ", ".join(map(str, there))
        if urlsplit(target.url).port in there:
            answer += f", though it listens on port {ports}: it hangs, or is asked from beyond its loopback"
            answer += " and listens there alone (let it listen on 0.0.0.0)"
        else:
            answer += f", but it listens on port {ports}: let it take the port that it is told"
    hint = WRONG_PATH if status in NOT_BY_WAITING else ""
    lines = target.process.last_lines()[-SHOWN_LINES:]
    return StartError(
        f"{target.process.name} was not ready after {waited_s:g} s: {answer} at {target.url}. {hint}"
        f"Its last lines:\n{quote(lines)}\nThe whole log: {target.process.log}"
    )


def http_fetch(client: httpx.Client, timeout_s: float = FETCH_TIMEOUT_S) -> Fetch:
    """Return what asks over HTTP, and takes silence for `timeout_s` as no answer."""

    def fetch(url: str) -> int | None:
        try:
            return client.get(url, timeout=timeout_s).status_code
        except httpx.TransportError:
            return None

    return fetch
