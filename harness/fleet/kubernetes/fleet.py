"""A fleet whose agents are pods; what stands around them are processes, as in a local one.

What the pods call listens at an address of this machine that they reach, which is found by trying; the
balancers reach the pods at their addresses in the cluster's network.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final

import httpx

from harness.clock import Clock, SystemClock
from harness.errors import ChildDiedError, InputError, StartError
from harness.fleet.balancers import Balancers
from harness.fleet.images import REFERENCE, ImageContainers, labels_of
from harness.fleet.kubernetes.api import Cluster
from harness.fleet.kubernetes.kubeconfig import connect
from harness.fleet.kubernetes.place import Place
from harness.fleet.kubernetes.pod import Pod
from harness.fleet.local.containers import Containers
from harness.fleet.local.fleet import LocalFleet
from harness.fleet.movement import grace_s
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import Ports
from harness.fleet.readiness import ReadinessTarget
from harness.process.child import STILL_S
from harness.records.setup import Container
from harness.records.spec import Policy

POLL_S: Final = 0.05


class KubernetesFleet(LocalFleet):
    """The fleet.

    Args:
        plan: what is to run.
        context: of the kubeconfig that names the cluster, empty for the current one.
        clock: for waiting.
        on_phase: told what begins, for the person who waits.
        environ: the environment of which processes get a part, pods none; it names the kubeconfig.
        cluster: that has the pods; the one that `context` names by default.
    """

    def __init__(
        self,
        plan: FleetPlan,
        *,
        context: str = "",
        clock: Clock | None = None,
        on_phase: Callable[[str], None] = lambda _: None,
        environ: Mapping[str, str] = os.environ,
        cluster: Cluster | None = None,
    ) -> None:
        super().__init__(plan, clock=clock, on_phase=on_phase, environ=environ)
        if plan.agent_command:
            raise InputError("a command starts a process: of pods give an image")
        self._cluster = cluster or connect(context, clock or SystemClock(), environ)
        self._environ = environ
        self._place: Place

    @property
    def image(self) -> str:
        """What all pods are made of, by the digest that their node knows."""
        return self._place.image_id

    def held(self) -> Mapping[str, Mapping[str, float]]:
        """Return the memory of each pod that is there, where the cluster tells it."""
        there = {c.name: self._processes[c.name] for c in self.containers if c.left_s is None}
        known = {name: each.held() for name, each in there.items() if isinstance(each, Pod)}
        return {name: held for name, held in known.items() if held}

    def check(self, still_s: float = STILL_S) -> None:
        """Look whether all still run; see `LocalFleet.check`."""
        super().check(still_s)
        self._place.check()

    def usage(self) -> dict[str, tuple[float, float]]:
        """Return CPU seconds so far and MiB of each process, and of each pod that the cluster counts."""
        known = self._place.usage()
        return {
            name: figures
            for name, figures in super().usage().items()
            if name in known or not isinstance(self._processes[name], Pod)
        }

    def store_bytes(self) -> float | None:
        """Return None: the file of the sessions is on the node."""
        return None

    def _settle(self, stack: ExitStack) -> str:
        plan = self._plan
        self._on_phase(
            f"a namespace is made in the cluster (context {self._cluster.name}), and the way to its pods "
            "is tried"
        )
        self._place = stack.enter_context(
            Place(
                self._cluster,
                (plan.under_test or REFERENCE).image,
                labels=labels_of(plan),
                inside=not (plan.under_test and plan.under_test.outside),
                clock=self._clock,
                tell=self._on_phase,
                grace_s=math.ceil(grace_s(plan.events)),
                probed=plan.ready if plan.policy is Policy.READINESS else "",
                environ=self._environ,
            )
        )
        return self._place.address

    def _hands(self, ports: Ports, balancers: Balancers, client: httpx.Client) -> Containers:
        return PodContainers(
            self._plan,
            place=self._place,
            clock=self._clock,
            ports=ports,
            processes=self._processes,
            balancers=balancers,
            surroundings=self._around,
            client=client,
        )


class PodContainers(ImageContainers):
    """The agents, each a pod.

    Args:
        plan: see `ImageContainers`, as for `given`.
        place: where they are made.
    """

    def __init__(self, plan: FleetPlan, *, place: Place, **given: Any) -> None:
        super().__init__(plan, **given)
        self._place = place
        self._pods: dict[str, Pod] = {}

    def launch(self, stack: ExitStack, count: int) -> tuple[tuple[Container, ...], list[ReadinessTarget]]:
        """Start some side by side; see `Containers.launch`. Each has its address once that returns.

        Raises:
            ChildDiedError: one of them ended.
            StartError: one of them cannot start, or has no address in time.
        """
        self._together = self._processes.together(stack)
        names = [self.start().name for _ in range(count)]
        deadline_s = self._clock.monotonic() + self._plan.start_deadline_s
        while waiting := [name for name in names if not self._pods[name].address]:
            for name in waiting:
                if death := self._pods[name].poll():
                    raise ChildDiedError(death)
            if self._clock.monotonic() > deadline_s:
                raise StartError(f"{waiting[0]} has no address after {self._plan.start_deadline_s:g} s")
            self._clock.sleep(POLL_S)
        there = tuple(Container(name=name, address=self._pods[name].address) for name in names)
        return there, [ReadinessTarget(self._pods[c.name], self._ready_url(c)) for c in there]

    def is_ready(self, container: Container, waited_s: float) -> bool:
        """Return whether it answers that it can work.

        Raises:
            ChildDiedError: it ended.
            StartError: it has not for too long, or cannot start.
        """
        pod = self._pods[container.name]
        pod.check()
        if pod.address:
            return super().is_ready(self.located(container), waited_s)
        if waited_s > self._plan.start_deadline_s:
            raise StartError(f"{container.name} has no address after {self._plan.start_deadline_s:g} s")
        return False

    def end(self, name: str) -> None:
        """Do nothing: the kubelet ends what has not ended in its time."""

    def located(self, container: Container) -> Container:
        """Return one with its address, which the cluster gives it once it is on a node."""
        return Container(name=container.name, address=self._pods[container.name].address)

    def _begin(self, name: str) -> Container:
        pod = Pod(
            name,
            self._told(name),
            self._place,
            log=self._plan.log_dir / f"{name}.log",
            memory_mb=self._limits.memory_mb,
            cpus=self._limits.cpus,
            clock=self._clock,
        )
        self._pods[name] = pod
        self._processes.start(pod, self._together)
        return Container(name=name, address="")
