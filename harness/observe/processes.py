"""Which process a span comes from, and what to call it: a container is a process with its own clients."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from harness import contract
from harness.records.seen import Attribute, Span

IDENTITY: Final = ("k8s.pod.name", "container.id", "faas.instance", "host.name", "process.pid")
"""What a resource may say beside `service.instance.id`, the best name first."""
PLACES: Final = (
    ("deployment.environment.name", "deployment.environment"),
    ("service.namespace",),
    ("cloud.region",),
    ("k8s.cluster.name",),
    ("k8s.namespace.name",),
)
"""What tells fleets of one name apart: no balancer of one hands requests to another."""
Process = tuple[Attribute, ...]
OF_CONTAINER: Final = 1 + len(IDENTITY)
"""Where in a process the number is that it has in its container: what stands before tells the container."""
Group = tuple[str, str]
"""Whose requests are judged together: a service, and where it runs."""
SHORT: Final = 12
"""Characters of a container's id that people know it by."""
NO_HOSTS: Final = {"localhost", "localhost.localdomain", "unknown", "none"}
"""Names that many hosts have at once."""


def place_of(span: Span) -> str:
    """Return where a span's service runs, an empty text where nothing tells."""
    resource = span.resource
    experiment, arm = resource.get(contract.EXPERIMENT), resource.get(contract.ARM)
    if experiment is not None or arm is not None:
        return f"{experiment}/{arm}"
    told = dict[str, None]()
    for names in PLACES:  # no generator: each span is asked
        for name in names:
            if found := resource.get(name):
                told[str(found)] = None
                break
    return " ".join(told)


def host_of(span: Span) -> Attribute:
    """Return the name of the host that a span says it is from; None where it says nothing that tells."""
    name = span.resource.get("host.name")
    return None if isinstance(name, str) and name.lower() in NO_HOSTS else name


def process_of(span: Span) -> Process:
    """Return what tells a span's process from others: its service, and all that its resource says."""
    return (span.service, span.instance, *map(span.resource.get, IDENTITY), place_of(span))


def group_of(process: Process) -> Group:
    """Return the service of a process, and where it runs."""
    return str(process[0]), str(process[-1])


def is_told_apart(span: Span) -> bool:
    """Whether a span says which container it is from; the number of a process alone is 1 in each of them."""
    return bool(span.instance or host_of(span) or any(span.resource.get(key) for key in IDENTITY[:3]))


def _differ(one: Process, other: Process) -> bool:
    """Whether two processes are surely of two containers.

    What only one of them says may be what a Collector did not know yet, or not always; and those of one
    container have its name and its host, each with a number of its own.
    """
    return any(a and b and a != b for a, b in zip(one[2:OF_CONTAINER], other[2:OF_CONTAINER], strict=True))


@dataclass
class Life:
    """When a process was first and last heard of, in Unix nanoseconds, and when it first answered anybody."""

    first_ns: int
    last_ns: int
    answered_ns: int | None = None


class Processes:
    """The processes that were seen, by name."""

    def __init__(self) -> None:
        self._names: dict[Process, str] = {}
        self._taken: set[str] = set()
        self._alike = Counter[str]()
        self.lives: dict[str, Life] = {}
        self._ids: defaultdict[tuple[Attribute, Attribute], dict[str, Process]] = defaultdict(dict)
        self.hosts: dict[str, Attribute] = {}
        """The host that a process says it is on, by its name; None where it does not say."""

    def name(self, process: Process, span: Span) -> str:
        """Return the name of a process, and note that it lives, as a span of it tells."""
        name = self._names.get(process)
        if name is None:
            name = self._names[process] = self._new(process)
            self._ids[process[0], process[1]][name] = process
            self.hosts[name] = host_of(span)
        life = self.lives.get(name)
        if life is None:
            life = self.lives[name] = Life(span.start_ns, span.end_ns)
        else:
            life.first_ns = min(life.first_ns, span.start_ns)
            life.last_ns = max(life.last_ns, span.end_ns)
        if span.kind == "server" and not span.error:
            life.answered_ns = min(span.start_ns, life.answered_ns or span.start_ns)
        return name

    def __contains__(self, process: object) -> bool:
        """Whether a process was heard of."""
        return process in self._names

    def same_ids(self) -> list[tuple[str, str]]:
        """Return pairs of processes that lived at once, and say that they are the same instance."""
        found = []
        for (_, instance), names in self._ids.items():
            if instance is None or len(names) < 2:  # noqa: PLR2004 - it takes two
                continue
            ranked = sorted(names, key=lambda name: self.lives[name].first_ns)
            found += [
                (one, other)
                for one, other in pairwise(ranked)
                if self.lives[other].first_ns < self.lives[one].last_ns and _differ(names[one], names[other])
            ]
        return found

    def _new(self, process: Process) -> str:
        service, instance, pod, container, faas, host, pid, place = process
        told = [str(each) for each in (instance, pod, faas) if each]
        if container:
            told.append(str(container)[:SHORT])
        if host or pid:
            told.append(":".join(str(each) for each in (host, pid) if each))
        choices = told or [str(service)]
        choices += [f"{choices[0]}@{more}" for more in [*choices[1:], *([place] if place else [])]]
        name = next((each for each in choices if each not in self._taken), None)
        while name is None or name in self._taken:
            self._alike[choices[0]] += 1
            name = f"{choices[0]}#{self._alike[choices[0]] + 1}"
        self._taken.add(name)
        return name
