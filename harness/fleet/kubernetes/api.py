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
TRIES: Final = 3
PAUSE_S: Final = 0.5
PASSING: Final = frozenset({410, 429, 500, 502, 503, 504})
"""What an API server says that is busy, or is being replaced: the same call may be taken a moment later."""
UNKNOWN_USER, FORBIDDEN, NOT_THERE, THERE_ALREADY = 401, 403, 404, 409
REPEATED: Final = frozenset({"GET", "DELETE"})
"""What has the same effect when it is sent again."""
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
    """

    def __init__(self, message: str, status: int) -> None:
        """Tell `message`."""
        super().__init__(message)
        self.status = status

    @property
    def passes(self) -> bool:
        """Whether the same may be taken a moment later."""
        return self.status == 0 or self.status in PASSING


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

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        unless: tuple[int, ...] = (),
        tries: int = TRIES,
    ) -> Any:
        """Return what it answers, from JSON; None where it says a status in `unless`.

        Args:
            method: of HTTP.
            path: what is asked.
            json: what is sent.
            params: put behind the path.
            unless: refusals that are none.
            tries: how often it may be asked that is busy or away for a moment.

        Raises:
            ClusterError: it doesn't answer, or refuses.
        """
        for left in range(tries if method in REPEATED else 1, 0, -1):
            try:
                answer = self._sent(method, path, json=json, params=params)
                if answer.status_code in unless:
                    return None
                return self._read(answer, path)
            except ClusterError as error:
                if left == 1 or not error.passes:
                    raise
                self._clock.sleep(PAUSE_S)
        raise AssertionError("unreachable: the last try returns or raises")

    def text(self, path: str, params: Mapping[str, str]) -> str:
        """Return a text that it answers.

        Raises:
            ClusterError: it doesn't answer, or refuses.
        """
        answer = self._sent("GET", path, params=params)
        if not answer.is_success:
            raise ClusterError(self._refusal(answer), answer.status_code)
        return answer.text

    @contextmanager
    def stream(
        self, path: str, params: Mapping[str, str], *, quiet_s: float | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Give a text piece by piece, as long as it goes on.

        Args:
            path: what is asked.
            params: put behind it.
            quiet_s: how long nothing may come; None where who says nothing is not gone.

        Raises:
            ClusterError: it doesn't answer, refuses, or breaks off.
        """
        patient = httpx.Timeout(CALL_S, read=quiet_s)
        try:
            with self._client.stream("GET", path, params=params, timeout=patient) as answer:
                if not answer.is_success:
                    answer.read()
                    raise ClusterError(self._refusal(answer), answer.status_code)
                yield answer.iter_bytes()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._silence(error) from error

    # --- how it is asked ---------------------------------------------------------------
    def _sent(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise self._silence(error) from error

    def _read(self, answer: httpx.Response, path: str) -> Any:
        if not answer.is_success:
            raise ClusterError(self._refusal(answer), answer.status_code)
        try:
            return answer.json()
        except ValueError as error:
            said = f"{self._named}: is no Kubernetes: {path} is answered with something else than JSON"
            raise ClusterError(said, FORBIDDEN) from error

    @property
    def _named(self) -> str:
        return f"the cluster {self.name}"

    def _silence(self, error: Exception) -> ClusterError:
        why = "it took too long" if isinstance(error, httpx.TimeoutException) else hidden(str(error))
        return ClusterError(
            f"{self._named} does not answer at {self._client.base_url}: {why or type(error).__name__}. "
            "`kubectl version` asks the same one; another is named by --on kubernetes:CONTEXT.",
            0,
        )

    def _refusal(self, answer: httpx.Response) -> str:
        try:
            said = str(answer.json()["message"]).strip().rstrip(".")
        except (ValueError, KeyError, TypeError):
            said = beginning(answer.text.strip(), 200) or f"HTTP {answer.status_code}"
        todo = ""
        if answer.status_code == UNKNOWN_USER:
            todo = " It does not know who asks: log in again, as for kubectl."
        elif answer.status_code == FORBIDDEN:
            todo = f" {RIGHTS}."
        return f"{self._named}: {hidden(said)}.{todo}"
