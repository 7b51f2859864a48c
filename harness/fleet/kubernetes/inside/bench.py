"""A run as a Job of a cluster, as it is seen from here: made, followed, fetched and removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from harness import __version__
from harness.clock import Clock
from harness.errors import ExitCode, InputError, StartError, quote
from harness.fleet.kubernetes.api import FORBIDDEN, NOT_THERE, PATIENCE_S, Cluster, ClusterError
from harness.fleet.kubernetes.inside import bodies
from harness.fleet.kubernetes.inside.errand import BEGUN, ENDED, PACKED, signed
from harness.fleet.kubernetes.inside.following import AGAIN_S, LOST_S, QUIET_S, followed
from harness.fleet.kubernetes.inside.parcel import Parcel, command, fetch, thanks, unpack
from harness.fleet.kubernetes.namespace import Namespace
from harness.fleet.kubernetes.printed import Printed
from harness.fleet.kubernetes.state import PodState
from harness.outside.secrets import hidden
from harness.process.guard import scratch_folder

RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
MOST_BYTES: Final = 900_000
"""Of what is given: a Secret takes no more, and in base64 that is 1.2 MB."""
NO_POD_S: Final = 20.0
"""How long the Job may have no pod: who forbids it says so in an event."""
START_S: Final = 600.0
"""How long its pod may take to run, once it has a node: its image may have to be pulled."""
POLL_S: Final = 0.5
LAST_LINES: Final = 32
JUDGED: Final = frozenset({ExitCode.HELD, ExitCode.FELL_SHORT, ExitCode.UNKNOWN})
TRIES: Final = 5
"""How often a piece may come back too short, beside connections that are lost."""
APPLY: Final = "kubectl apply -f dashboards/kubernetes/rights/role.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to run there.

    Attributes:
        words: of the command of agentrig, whose progress goes to its standard error.
        folder: its run folder, which it is told in its words.
        files: what they name, by the path below the folder of what is given.
        env: variables that it needs.
    """

    words: tuple[str, ...]
    folder: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


class Bench:
    """The Job and its namespace, for the length of a `with` block; nothing of either is left then.

    Args:
        cluster: that has it.
        task: what is to run.
        image: of the harness.
        labels: what is told of it to who looks at the cluster.
        clock: for waiting.
        tell: told what begins, and what could not be removed.
    """

    def __init__(
        self,
        cluster: Cluster,
        task: Task,
        *,
        image: str,
        labels: Mapping[str, str],
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._task = task
        self._image = image
        self._clock = clock
        self._tell = tell
        self._home = Namespace(cluster, labels=labels, clock=clock, tell=tell, environ={})
        self._pod = ""
        self._printed: Printed
        self._parcel: Parcel | None = None

    def __enter__(self) -> Self:
        """Make it, and return once it runs.

        Raises:
            InputError: what it is given is too large.
            ClusterError: the cluster does not answer, or refuses.
            StartError: it can't run there.
        """
        size = sum(map(len, (*self._task.files.values(), *self._task.env.values())))
        if size > MOST_BYTES:
            raise InputError(
                f"--inside: the files that go there have {size} bytes, and {MOST_BYTES} are the most: "
                "description, prompts, workload and experiments go as one Secret. Give fewer prompts."
            )
        self._require_role()
        self._tell(f"a namespace is made in the cluster (context {self._cluster.name}), and the bench in it")
        self._home.__enter__()
        try:
            self._make()
            self._await()
            self._require_way_back()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove all of it.

        Raises:
            StartError: that can't be done, and nothing else went wrong.
        """
        self._home.__exit__(kind, error, trace)

    def run(self, folder: Path, say: Callable[[str], None]) -> int:
        """Follow it to its end, and put its run folder into one here; return the command's exit status.

        What was measured until an interruption is fetched, too.

        Args:
            folder: that gets the files.
            say: gets each line that the command tells.

        Raises:
            StartError: it ended otherwise than by itself, or nobody knows how.
        """
        try:
            status, asked = self._follow(say)
            self._bring(folder)
        except KeyboardInterrupt:
            self._tell("the bench stops, and what it has is fetched")
            try:
                if self._parcel is None:
                    self._remove_pod()
                    self._follow(say)
                self._bring(folder)
            except StartError as error:  # that it was interrupted is what counts
                self._tell(str(error))
            raise
        if asked and status not in JUDGED:
            raise StartError(
                f"the pod of the bench, {self._pod}, was asked to end while it ran: somebody deleted it, or "
                f"its node was drained. What it had measured by then is in {folder}."
            )
        return status

    # --- the start ---------------------------------------------------------------------
    def _require_role(self) -> None:
        try:
            there = self._cluster.call("GET", f"{RBAC}/clusterroles/{bodies.ROLE}", unless=(NOT_THERE,))
        except ClusterError as error:
            if error.status != FORBIDDEN:  # who may not look is told when it is bound
                raise
            return
        if there is None:
            raise StartError(
                f"the cluster {self._cluster.name} has no ClusterRole {bodies.ROLE}, which says what the "
                f"bench may do there: {APPLY}"
            )

    def _make(self) -> None:
        owner = f"{self._home.called}/{self._home.uid}"
        task = self._task
        here = self._home.path
        self._post(f"{here}/serviceaccounts", bodies.account())
        self._post(f"{RBAC}/clusterrolebindings", bodies.rights(self._home.called, owner))
        self._post(f"{here}/secrets", bodies.given(tuple(task.files.values()), task.env))
        job = bodies.job(
            self._image,
            task.folder,
            task.words,
            files=tuple(task.files),
            env=tuple(task.env),
            owner=owner,
            labels=self._home.labels,
        )
        self._post(f"/apis/batch/v1/namespaces/{self._home.called}/jobs", job)

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        self._cluster.call("POST", path, json=body)

    def _await(self) -> None:
        """Wait until its pod runs, or has run."""
        begun_s = self._clock.monotonic()
        while True:
            found, waited_s = self._state(), self._clock.monotonic() - begun_s
            if found is not None:
                found.require_alone("that of the bench")
            if found is not None and (found.running or found.ended is not None):
                self._pod = found.name
                path = f"{self._home.path}/pods/{self._pod}/log"
                self._printed = Printed(self._cluster, path, quiet_s=QUIET_S)
                return
            if found is not None:
                found.require_progress(waited_s, "or take a larger node")
            elif waited_s > NO_POD_S:
                raise StartError(
                    f"the Job of the bench has no pod after {waited_s:.0f} s: {self._warning()}."
                )
            if waited_s > START_S:
                raise StartError(f"the bench does not run after {waited_s:.0f} s: {self._warning()}.")
            self._clock.sleep(POLL_S)

    def _require_way_back(self) -> None:
        """Look whether a command can be run in it, before what only that brings back is measured."""
        until_s = self._clock.monotonic() + PATIENCE_S
        while True:
            try:
                self._cluster.execute(self._home.called, self._pod, command("/dev/null", 0, 0))
            except ClusterError as error:
                if self._is_over():  # that tells more
                    return
                if not error.passes or self._clock.monotonic() >= until_s:
                    raise
                self._clock.sleep(AGAIN_S)
            else:
                return

    def _state(self) -> PodState | None:
        """Return what is known of its pod, None where there is none."""
        found = self._cluster.call("GET", f"{self._home.path}/pods")["items"]
        return PodState(found[0]) if found else None

    def _warning(self) -> str:
        """Return the last warning of the cluster that there is of it."""
        try:
            told = self._cluster.call("GET", f"{self._home.path}/events")["items"]
        except ClusterError as error:
            return f"why, the cluster does not tell: {error}"
        said = [str(each.get("message", "")) for each in told if each.get("type") == "Warning"]
        return hidden(said[-1]).rstrip(".") if said else "the cluster does not say why"

    # --- the run -----------------------------------------------------------------------
    def _follow(self, say: Callable[[str], None]) -> tuple[int, bool]:
        """Follow the pod until the command has ended; return its exit status, and whether it was asked to."""
        last: list[str] = []
        for line in followed(self._printed, clock=self._clock, over=self._is_over, lost=self._lost):
            told = signed(self._home.called, line)
            if told is None:
                say(hidden(line))
                last = [*last[1 - LAST_LINES :], hidden(line)]
                continue
            kind, facts = told
            if kind == BEGUN and facts.get("version") != __version__:
                self._tell(
                    f"the image {self._image} has agentrig {facts.get('version')}; here it is {__version__}"
                )
            if kind == ENDED:
                return self._ended(facts)
        raise StartError(self._died(last))

    def _ended(self, facts: Mapping[str, Any]) -> tuple[int, bool]:
        try:
            self._parcel = Parcel(**facts["parcel"])
            return int(facts["status"]), bool(facts["asked"])
        except (KeyError, TypeError, ValueError) as error:
            raise StartError(
                f"the image {self._image} tells of its run in words of another agentrig; here it is "
                f"{__version__}. Make the image of the same one: dashboards/harness.Dockerfile."
            ) from error

    def _is_over(self) -> bool:
        found = self._state()
        if found is None:
            raise StartError(
                f"the pod of the bench, {self._pod}, is gone: somebody deleted it, or its node is lost. What "
                "it had measured is lost with it: run it again."
            )
        return found.ended is not None

    def _lost(self, why: str) -> StartError:
        return StartError(
            f"the bench was not heard of for {LOST_S / 60:.0f} min: {why.rstrip('.')}. Its namespace, "
            f"{self._home.called}, is removed by the next start of agentrig here; until then it runs on, and "
            "when it has ended, and nobody has come for a quarter of an hour, it removes that itself."
        )

    def _died(self, last: list[str]) -> str:
        found = self._state()
        how = "ended" if found is None or found.ended is None else f"ended with status {found.ended}"
        why = f" ({found.why})" if found is not None and found.why else ""
        if found is not None and found.over_memory:
            why = " (the kernel ended it: its node, or a limit that somebody set, has too little memory)"
        return (
            f"the pod of the bench, {self._pod}, {how}{why} before its run had. Its last lines:\n"
            f"{quote(last)}\nIt is made of {self._image}: dashboards/harness.Dockerfile makes such an image."
        )

    # --- its end -----------------------------------------------------------------------
    def _bring(self, folder: Path) -> None:
        """Fetch the run folder, and unpack it."""
        if self._parcel is None:
            return
        with scratch_folder("inside") as scratch:
            file = scratch / "run.tar.gz"
            fetch(self._parcel, file, self._piece)
            unpack(file, folder)
        with suppress(ClusterError):  # then its pod waits a while, until it is removed
            self._cluster.execute(self._home.called, self._pod, thanks(PACKED))

    def _piece(self, from_byte: int, size: int) -> bytes:
        since_s, short = self._clock.monotonic(), 0
        while True:
            try:
                ran = self._cluster.execute(self._home.called, self._pod, command(PACKED, from_byte, size))
            except ClusterError as error:
                if not error.passes:
                    raise
                if self._clock.monotonic() - since_s > LOST_S:
                    raise self._lost(str(error)) from error
                with suppress(ClusterError):  # which is away
                    self._require_there()
            else:
                if ran.status == 0 and len(ran.output) == size:
                    return ran.output
                short += 1
                if short >= TRIES:
                    raise StartError(
                        f"the run folder can't be fetched from {self._pod}: of {size} bytes "
                        f"{len(ran.output)} came, and the status was {ran.status}."
                    )
            self._clock.sleep(AGAIN_S)

    def _require_there(self) -> None:
        if self._is_over():
            raise StartError(
                f"the pod of the bench, {self._pod}, ended before its run folder was fetched: run it again."
            )

    def _remove_pod(self) -> None:
        """Ask its pod to end, and return at once: the command then removes its fleets."""
        path = f"{self._home.path}/pods/{self._pod}"
        self._cluster.call("DELETE", path, unless=(NOT_THERE,))
