"""Where the pods of one fleet are in a cluster: a namespace of their own, and labels to find all by."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from harness.clock import Clock
from harness.errors import StartError, quote
from harness.fleet.images import PORT
from harness.fleet.kubernetes import manifests
from harness.fleet.kubernetes.api import FORBIDDEN, NOT_THERE, Cluster, ClusterError
from harness.fleet.kubernetes.meeting import VARIABLE, Meeting, addresses, source_towards
from harness.fleet.kubernetes.namespace import OWNER, Namespace
from harness.fleet.kubernetes.state import PodState
from harness.outside.secrets import hidden

BENCH_NODE: Final = "AGENTRIG_BENCH_NODE"
"""The variable by which a run in a pod knows the node of that pod. Its agents are on the same: the cores that
it counts are then those that all of it uses."""
LOOKED_S: Final = 0.2
"""How old what is known of all pods may be: one call tells of all."""
NO_ACCOUNT: Final = "error looking up service account"
ACCOUNT_S: Final = 15.0
"""How long a new namespace may take to have the account that its pods are of."""
START_S: Final = 180.0
"""How long the keeper may take to run: a node that has never had the image pulls it."""
MEET_S: Final = 45.0
"""How long the keeper may take to find this machine, once it runs."""
ASKED_S: Final = 1.0
"""Between two looks at what the keeper says."""
REACH_S: Final = 10.0
"""How long pods may not be reached from here: a new address takes a moment to be known everywhere."""
WALLED: Final = "A policy of the cluster's network keeps pods of one namespace from those of another."
PROBE_S: Final = 1.0
POLL_S: Final = 0.05
MIB: Final = 1024 * 1024
NANO: Final = 1e9


def is_reached(address: str, port: int) -> bool:
    """Return whether a host answers, be it that nobody listens there."""
    try:
        socket.create_connection((address, port), timeout=PROBE_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


class Place:
    """The namespace of a fleet, for the length of a `with` block; all that is in it goes with it.

    Args:
        cluster: that has it.
        image: of the pods.
        labels: what is told of the fleet to who looks at the cluster.
        inside: whether nothing beyond this machine is reached from it, where the cluster heeds that.
        clock: says what time it is.
        tell: told what is found out, and what could not be removed where something else went wrong before.
        grace_s: how long a pod may take to end that is told to.
        probed: the path at which the kubelet asks whether a pod is ready, empty where nobody looks at that.
        meeting: listens at this machine's addresses, by default at all of them.
        reached: says whether a host answers at a port.
        towards: says which address of this machine packets to another have.

    Attributes:
        name: of the fleet, which no other has.
        address: of this machine, at which pods reach it.
        node: that all pods are on.
        image_id: what the pods are made of, by the digest that the node knows; empty while none has run.
    """

    def __init__(
        self,
        cluster: Cluster,
        image: str,
        *,
        labels: Mapping[str, str],
        inside: bool,
        clock: Clock,
        tell: Callable[[str], None],
        grace_s: int = manifests.GRACE_S,
        probed: str = "",
        environ: Mapping[str, str] = os.environ,
        meeting: Callable[[Sequence[str]], Meeting] = Meeting,
        reached: Callable[[str, int], bool] = is_reached,
        towards: Callable[[str], str] = source_towards,
    ) -> None:
        self.cluster = cluster
        self._home = Namespace(cluster, labels=labels, clock=clock, tell=tell, environ=environ)
        self.name = self._home.name
        self.namespace = self._home.called
        self.address = ""
        self.node = ""
        self._image = image
        self._inside = inside
        self._clock = clock
        self._tell = tell
        self._grace_s = grace_s
        self._probed = probed
        self._environ = environ
        self._meeting = meeting
        self._reached = reached
        self._towards = towards
        self.image_id = ""
        self._pods: dict[str, PodState] = {}
        self._lives_at: dict[str, str] = {}
        self._looked_s: float | None = None
        self._asked_s = clock.monotonic()
        self._figures: dict[str, tuple[float, float]] = {}
        self._counted_s: float | None = None

    def __enter__(self) -> Self:
        """Make the namespace, and find the way between it and this machine.

        Raises:
            ClusterError: the cluster does not answer, or refuses.
            StartError: its pods don't reach this machine, or are not reached from it; or there are none.
        """
        with self._meeting(addresses(self._environ)) as meeting:
            self._home.__enter__()
            try:
                self._furnish(meeting)
            except BaseException as error:
                self.__exit__(type(error), error, None)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the namespace with all pods.

        Raises:
            StartError: that can't be done, and nothing else went wrong.
        """
        self._home.__exit__(kind, error, trace)

    # --- its pods ----------------------------------------------------------------------
    def create(self, name: str, env: Mapping[str, str], *, memory_mb: int, cpus: float | None) -> None:
        """Make a pod.

        Args:
            name: in the fleet.
            env: its environment, beside what its image says.
            memory_mb: it may have, in MiB; with more it is killed.
            cpus: it may keep busy, None for as many as there are.

        Raises:
            ClusterError: the cluster does not do it.
        """
        body = manifests.agent(
            name,
            self._image,
            env,
            labels=self._home.labels,
            memory_mb=memory_mb,
            cpus=cpus,
            node=self.node,
            grace_s=self._grace_s,
            probed=self._probed,
        )
        self._create(body)

    def state(self, name: str) -> PodState | None:
        """Return what is known of a pod, by a look at all that is at most so old; None where there is none.

        Raises:
            ClusterError: the cluster has not told for too long, or refuses.
        """
        now_s = self._clock.monotonic()
        if self._looked_s is None or now_s - self._looked_s > LOOKED_S:
            try:
                found = self.cluster.call("GET", self._path, once=True)["items"]
            except ClusterError as error:
                if not error.passes or self.cluster.gave_up:
                    raise
            else:
                self._pods = {each["metadata"]["name"]: PodState(each) for each in found}
            self._looked_s = self._clock.monotonic()
        return self._pods.get(name)

    def check(self) -> None:
        """Look whether the keeper is there: when it goes, it takes the folder that all agents share.

        Raises:
            ClusterError: the cluster has not told for too long, or refuses.
            StartError: it is not.
        """
        found = self.state(manifests.KEEPER)
        if found is not None and found.ended is None and not found.leaves:
            return
        why = f" ({found.why})" if found is not None and found.why else ""
        raise StartError(
            f"the pod {manifests.KEEPER} of {self.namespace} has ended{why}, and with it the folder in "
            "which all agents have their sessions: somebody deleted it, or its node evicted it. What "
            "agents answered since is not their fault. Run it again."
        )

    def examine(self, name: str, found: PodState) -> None:
        """Take note of which image a pod is made of, and at which address it is.

        Raises:
            StartError: of another than the first, or at the address of one that there was before.
        """
        if found.image_id:
            self.image_id = self.image_id or found.image_id
            if found.image_id != self.image_id:
                raise StartError(
                    f"{name} runs {found.image_id}, and those before it ran {self.image_id}: the image "
                    f"{self._image} was replaced meanwhile. Run it again."
                )
        if found.address and self._lives_at.setdefault(found.address, name) != name:
            raise StartError(
                f"the cluster gave {name} the address {found.address} that {self._lives_at[found.address]} "
                "had: nobody could tell whose answers are whose. Let its network have more addresses, and "
                "run it again."
            )

    def remove(self, name: str, grace_s: int | None = None) -> None:
        """Let a pod end and go, and return at once: as the orchestrator does, or after another time of grace.

        Raises:
            ClusterError: the cluster does not answer, or refuses.
        """
        params = {} if grace_s is None else {"gracePeriodSeconds": str(grace_s)}
        self.cluster.call("DELETE", f"{self._path}/{name}", params=params, unless=(NOT_THERE,))

    def signal(self, name: str, number: str) -> None:
        """Send a signal to all processes of a pod, by a shell beside them.

        A pod that is deleted without grace gets SIGTERM, and two seconds: that is no kill.

        Raises:
            ClusterError: the cluster does not do it.
        """
        command = ("sh", "-c", f"kill -{number} -1")
        if (status := self.cluster.execute(self.namespace, name, command).status) != 0:
            raise ClusterError(f"{' '.join(command)} in pod {name} ended with status {status}", 0)

    def usage(self) -> Mapping[str, tuple[float, float]]:
        """Return CPU seconds so far and MiB of each pod by the kubelet's count; none where it doesn't say."""
        now_s = self._clock.monotonic()
        if self._counted_s is None or now_s - self._counted_s > LOOKED_S:
            path = f"/api/v1/nodes/{self.node}/proxy/stats/summary"
            try:
                told = self.cluster.call("GET", path, params={"only_cpu_and_memory": "true"}, once=True)
            except ClusterError:
                told = {}
            self._figures |= _figures(told, self.namespace)
            self._counted_s = self._clock.monotonic()
        return self._figures

    def log_path(self, name: str) -> str:
        """Return where the cluster has what a pod printed."""
        return f"{self._path}/{name}/log"

    # --- the start ---------------------------------------------------------------------
    @property
    def _path(self) -> str:
        return f"{self._home.path}/pods"

    def _furnish(self, meeting: Meeting) -> None:
        if self._inside:
            policies = f"/apis/networking.k8s.io/v1/namespaces/{self.namespace}/networkpolicies"
            at = [place.rpartition(":")[0] for place in meeting.places]
            bench = self._environ.get(OWNER, "").partition("/")[0]
            self.cluster.call("POST", policies, json=manifests.walls(at, bench))
        node = self._environ.get(BENCH_NODE, "")
        labels = self._home.labels
        self._create(manifests.keeper(self._image, meeting.places, meeting.token, labels, node))
        self._meet(meeting)

    def _create(self, body: Mapping[str, Any]) -> None:
        deadline_s = self._clock.monotonic() + ACCOUNT_S
        while True:
            try:
                made = self.cluster.call("POST", self._path, json=body)
            except ClusterError as error:
                early = error.status == FORBIDDEN and NO_ACCOUNT in str(error)
                if not early or self._clock.monotonic() > deadline_s:
                    raise
                self._clock.sleep(POLL_S)
            else:  # known from here on: where the next look fails, it is not gone
                known = PodState(made or body)
                known.require_as_asked(body)
                self._pods[known.name] = known
                self._looked_s = None
                return

    def _meet(self, meeting: Meeting) -> None:
        """Wait for the keeper, and learn from it where this machine is, and from here where it is."""
        running_s: float | None = None
        pending_s = self._clock.monotonic()
        while True:
            found, now_s = self.state(manifests.KEEPER), self._clock.monotonic()
            meeting.hear()
            if found is None or found.leaves:
                raise StartError(f"the pod {manifests.KEEPER} of {self.namespace} is gone: who deletes it?")
            if found.ended is not None:
                self._without_keeper(found)
                return
            if found.running and found.address and running_s is None:
                running_s = now_s
            if running_s is None:
                found.require_progress(now_s - pending_s, most_s=START_S)
            elif meeting.met or now_s - running_s > MEET_S or self._gave_up(now_s):
                self._settle(found, meeting)
                return
            self._clock.sleep(POLL_S)

    def _settle(self, found: PodState, meeting: Meeting) -> None:
        """Take the address that was met, the nearest to the node where there are several."""
        self.node = found.node
        self._clock.sleep(POLL_S)
        meeting.hear()
        near = self._towards(found.host)
        if not meeting.met:
            if not self._says(manifests.NO_TOOL):
                raise StartError(
                    f"no pod of the cluster {self.cluster.name} reaches {self._here}: tried were "
                    f"{', '.join(place.rpartition(':')[0] for place in meeting.places)}. What agents call "
                    f"are processes here. {self._way_in}"
                )
            self._tell("the image has nothing to try the way with (python3, curl, wget, node or bash)")
        known = meeting.met or {place.rpartition(":")[0] for place in meeting.places}
        self.address = near if near in known else min(known)
        self._require_reached(found.address)
        self._tell(f"pods reach this machine at {self.address}")

    def _require_reached(self, address: str) -> None:
        deadline_s = self._clock.monotonic() + REACH_S
        while not self._reached(address, PORT):
            if self._clock.monotonic() > deadline_s:
                raise StartError(
                    f"the pods of the cluster {self.cluster.name} are not reached from {self._here}: nothing "
                    f"answers at {address}. The balancer is a process here. {self._way_out}"
                )
            self._clock.sleep(POLL_S)

    @property
    def _in_pod(self) -> bool:
        return BENCH_NODE in self._environ

    @property
    def _here(self) -> str:
        return "the pod of the bench" if self._in_pod else "this machine"

    @property
    def _way_in(self) -> str:
        if self._in_pod:
            return WALLED
        return (
            f"{VARIABLE} names another address of this machine, and its firewall has to let the pods in. Of "
            "a cluster elsewhere, let all of the bench run there: --inside."
        )

    @property
    def _way_out(self) -> str:
        if self._in_pod:
            return WALLED
        return (
            "Where the cluster is in containers or a virtual machine, this machine needs a route to its pods "
            "(docs/kubernetes.md); of one elsewhere, let all of the bench run there: --inside."
        )

    def _without_keeper(self, found: PodState) -> None:
        """Tell why there is no keeper: an image of a single program has no shell."""
        code, lines = found.ended or 0, self._log(manifests.KEEPER)
        why = f": {found.why}" if found.why else ""
        raise StartError(
            f"the pod {manifests.KEEPER}, which runs `sh` of the image {self._image} as root, ended with "
            f"status {code}{why}.\n{quote(lines)}\nThat shell keeps the folder which all agents share, and "
            "kills them: an image without one runs with --on docker."
        )

    def _gave_up(self, now_s: float) -> bool:
        """Return whether the keeper has done all that it can; it is asked now and then."""
        if now_s - self._asked_s < ASKED_S:
            return False
        self._asked_s = now_s
        return self._says(manifests.NO_TOOL) or self._says(manifests.NO_WAY)

    def _says(self, line: str) -> bool:
        return line in self._log(manifests.KEEPER)

    def _log(self, name: str) -> tuple[str, ...]:
        try:
            return tuple(hidden(self.cluster.text(self.log_path(name), {"tailLines": "8"})).splitlines())
        except ClusterError:
            return ()


def _figures(told: Mapping[str, Any], namespace: str) -> dict[str, tuple[float, float]]:
    """Return CPU seconds and MiB of the pods of a namespace, from a kubelet's summary."""
    found: dict[str, tuple[float, float]] = {}
    for pod in told.get("pods") or ():
        if pod.get("podRef", {}).get("namespace") != namespace:
            continue
        for container in pod.get("containers") or ():
            cpu_ns = (container.get("cpu") or {}).get("usageCoreNanoSeconds")
            memory = (container.get("memory") or {}).get("workingSetBytes")
            if cpu_ns is not None and memory is not None:
                found[pod["podRef"]["name"]] = (cpu_ns / NANO, memory / MIB)
    return found
