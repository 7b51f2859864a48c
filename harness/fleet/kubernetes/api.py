"""A Kubernetes cluster, as its API is asked.

Who may ask it and how (contexts, tokens, certificates, programs that give a token) is in a kubeconfig,
whose rules the official client knows (`kubeconfig.py`). A fleet needs a dozen of the API's calls: they are
sent from here, each with a deadline, and a refusal is told with the right that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import httpx

from harness.clock import Clock
from harness.errors import StartError
from harness.outside.secrets import beginning, hidden

CALL_S: Final = 20.0
"""How long connecting may take, and each read of an answer."""
QUIET_S: Final = 60.0
"""How long a text may pause that goes on: it is asked for anew then."""
PATIENCE_S: Final = 15.0
"""How long a cluster that has answered before may be busy or away: an API server that is replaced is for a
moment."""
TRIES: Final = 3
"""How often one is asked that has never answered: it is likelier not there at all. Likewise, of one that has,
how many answers in a row are missed at the least: a single one that hangs may take as long as that."""
PAUSE_S: Final = 0.5
PASSING: Final = frozenset({410, 429, 500, 502, 503, 504})
"""What an API server says that is busy, or is being replaced: the same call may be taken a moment later."""
UNKNOWN_USER, FORBIDDEN, NOT_THERE, THERE_ALREADY = 401, 403, 404, 409
CONFLICT: Final = "Conflict"
"""The reason of a 409 that says that another was faster, as who counts a quota: no name is taken."""
MOST_SAID: Final = 1000
"""Characters of a refusal that are shown: who admits pods may say pages."""
RIGHTS: Final = "docs/kubernetes.md says which rights a fleet needs, and what each is for"


class Ran(NamedTuple):
    """How a command in a pod ended: its exit status, and what it wrote to its standard output."""

    status: int
    output: bytes


Execute = Callable[[str, str, Sequence[str]], Ran]
"""Runs a command in a pod of a namespace; returns how it ended, or raises ClusterError."""


class ClusterError(StartError):
    """The cluster doesn't do what it was asked for, says why.

    Attributes:
        status: of HTTP; 0 where it doesn't answer.
        reason: in the words of the API, empty where it gives none.
        wait_s: how long it asks to be left alone.
    """

    def __init__(self, message: str, status: int, *, reason: str = "", wait_s: float = 0.0) -> None:
        """Tell `message`."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.wait_s = wait_s

    @property
    def passes(self) -> bool:
        """Whether the same may be taken a moment later."""
        late = self.status == THERE_ALREADY and self.reason == CONFLICT
        return self.status == 0 or self.status in PASSING or late


class Cluster:
    """A cluster.

    Args:
        client: that reaches its API, and says who asks.
        execute: runs commands in its pods.
        clock: for waiting.
        name: as the kubeconfig has it, for messages.
        context: of the kubeconfig that names it, empty for the current one.
        config: files of the kubeconfig, as KUBECONFIG has them; empty for the usual one.
    """

    def __init__(
        self,
        client: httpx.Client,
        execute: Execute,
        *,
        clock: Clock,
        name: str,
        context: str = "",
        config: str = "",
    ) -> None:
        self.name = name
        self.context = context
        self.config = config
        self.execute = execute
        self._client = client
        self._clock = clock
        self._has_answered = False
        self._away_since_s: float | None = None
        self._missed = 0

    @property
    def gave_up(self) -> bool:
        """Whether it has been busy or away for too long by now: all that is asked then is asked once."""
        if self._away_since_s is None or not self._has_answered:
            return self._missed >= TRIES
        return self._missed > 1 and self._clock.monotonic() - self._away_since_s >= PATIENCE_S

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        unless: tuple[int, ...] = (),
        once: bool = False,
    ) -> Any:
        """Return what it answers, from JSON; None where it says a status in `unless`.

        A cluster that is busy or away for a moment is asked again. What is made has a name that nobody else
        gives: where an answer was lost, that there is one by that name says that it is made. Then, too, None
        is returned.

        Args:
            method: of HTTP.
            path: what is asked.
            json: what is sent.
            params: put behind the path.
            unless: refusals that are none.
            once: whether not to ask again, whoever calls will.

        Raises:
            ClusterError: it doesn't answer, or refuses.
        """
        lost = False
        while True:
            try:
                answer = self._sent(method, path, json=json, params=params)
                if answer.status_code in unless:
                    return None
                return self._read(answer, path)
            except ClusterError as error:
                if lost and error.status == THERE_ALREADY and not error.passes:
                    return None
                if once or not error.passes or self.gave_up:
                    raise
                lost = lost or method == "POST"
                self._clock.sleep(min(max(PAUSE_S, error.wait_s), PATIENCE_S))

    def text(self, path: str, params: Mapping[str, str]) -> str:
        """Return a text that it answers.

        Raises:
            ClusterError: it doesn't answer, or refuses.
        """
        answer = self._sent("GET", path, params=params)
        if not answer.is_success:
            raise self._refused(answer)
        return answer.text

    @contextmanager
    def stream(
        self, path: str, params: Mapping[str, str], *, quiet_s: float = QUIET_S
    ) -> Iterator[Iterator[bytes]]:
        """Give a text piece by piece, as long as it goes on.

        Args:
            path: what is asked.
            params: put behind it.
            quiet_s: how long nothing may come: who has nothing to say may be gone without a word.

        Raises:
            ClusterError: it doesn't answer, refuses, breaks off, or is quiet for longer.
        """
        patient = httpx.Timeout(CALL_S, read=quiet_s)
        try:
            with self._client.stream("GET", path, params=params, timeout=patient) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._refused(answer)
                yield answer.iter_bytes()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._silence(error) from error

    # --- how it is asked ---------------------------------------------------------------
    def _sent(self, method: str, path: str, **given: Any) -> httpx.Response:
        begun_s = self._clock.monotonic()
        try:
            answer = self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            self._misses(begun_s)
            raise self._silence(error) from error
        if answer.status_code in PASSING:
            self._misses(begun_s)
        else:
            self._has_answered, self._away_since_s, self._missed = True, None, 0
        return answer

    def _misses(self, since_s: float) -> None:
        self._away_since_s = since_s if self._away_since_s is None else self._away_since_s
        self._missed += 1

    def _read(self, answer: httpx.Response, path: str) -> Any:
        if not answer.is_success:
            raise self._refused(answer)
        try:
            return answer.json()
        except ValueError as error:
            said = f"{self._named}: is no Kubernetes: {path} is answered with something else than JSON"
            raise ClusterError(said, FORBIDDEN) from error

    @property
    def _named(self) -> str:
        return f"the cluster {self.name}"

    def _silence(self, error: Exception) -> ClusterError:
        why = (
            "it took too long"
            if isinstance(error, httpx.TimeoutException)
            else hidden(str(error)).rstrip(".")
        )
        return ClusterError(
            f"{self._named} does not answer at {self._client.base_url}: {why or type(error).__name__}. "
            "`kubectl version` asks the same one; another is named by --on kubernetes:CONTEXT.",
            0,
        )

    def _refused(self, answer: httpx.Response) -> ClusterError:
        reason = ""
        try:
            told = answer.json()
            said, reason = str(told["message"]).strip().rstrip("."), str(told.get("reason", ""))
        except (ValueError, KeyError, TypeError):
            said = answer.text.strip() or f"HTTP {answer.status_code}"
        todo = ""
        if answer.status_code == UNKNOWN_USER:
            todo = " It does not know who asks: log in again, as for kubectl."
        elif answer.status_code == FORBIDDEN:
            todo = f" {RIGHTS}."
        return ClusterError(
            f"{self._named}: {beginning(said, MOST_SAID)}.{todo}",
            answer.status_code,
            reason=reason,
            wait_s=_seconds(answer.headers.get("retry-after", "")),
        )


def _seconds(text: str) -> float:
    """Return what a Retry-After says in seconds, 0 where it says a date or nothing."""
    return float(text) if text.isdecimal() and text.isascii() else 0.0
