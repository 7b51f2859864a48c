"""Which container each span of an agent comes from, whatever name its process gives itself.

A Docker id, a pod's name, or one name for all: the balancer says which container gave an answer, and so each
process is known by the answers that its server spans tell of.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from harness.records.seen import Attribute, Span
from harness.records.setup import Container

IDENTITY: Final = ("host.id", "host.name", "container.id", "k8s.pod.uid", "k8s.pod.name", "process.pid")
"""What a resource may say beside `service.instance.id` that tells two processes apart."""
PORTS: Final = ("server.port", "net.host.port")
CLEAR: Final = 0.9
"""A process whose answers come from one container in so large a share is that container: a request that was
sent again may have spans of two."""
Process = tuple[Attribute, ...]


class Addresses:
    """The containers of a fleet by where they listen: by host and port, else by a port that one alone has.

    Args:
        containers: of the fleet.
    """

    def __init__(self, containers: Sequence[Container]) -> None:
        ports = Counter(_port(container.address) for container in containers)
        self._by_port = {
            _port(each.address): each.name for each in containers if ports[_port(each.address)] == 1
        }
        self._exact = {each.address: each.name for each in containers}

    def of(self, address: str | None) -> str | None:
        """Return who listens at `host:port`, or at any host's `:port`; None where that can't be told."""
        return None if address is None else self._exact.get(address) or self._by_port.get(_port(address))


class Places:
    """The containers of processes.

    Args:
        containers: of the fleet.
        addresses: of the same.
        served: server spans, each with the container whose answer the balancer says it is, None where it
            does not say.

    Attributes:
        misnamed: instance names of one container whose answers come from another, or from several.
    """

    def __init__(
        self,
        containers: Sequence[Container],
        addresses: Addresses,
        served: Iterable[tuple[Span, str | None]],
    ) -> None:
        self._names = {container.name for container in containers}
        self._addresses = addresses
        named: defaultdict[Process, Counter[str]] = defaultdict(Counter)
        for span, name in served:
            if (found := name or self._by_address(span)) is not None:
                named[process_of(span)][found] += 1
        self._places = {process: _clear(counts) for process, counts in named.items()}
        told = {process[0]: name for process, name in self._places.items() if process[0] != name}
        self.misnamed = tuple(sorted(str(name) for name in told if name in self._names or told[name] is None))

    def of(self, span: Span) -> str | None:
        """Return the container of a span, None where that can't be told.

        A process that no answer is known of is in the container that has its name, where there is one.
        """
        process = process_of(span)
        if process in self._places:
            return self._places[process]
        return self._by_address(span) or (span.instance if span.instance in self._names else None)

    def named(self, spans: Iterable[Span], within: str | None = None) -> tuple[Span, ...]:
        """Return spans with their container's name for that of the instance, those of an agent.

        Args:
            spans: of one trace, or of none.
            within: the container that worked on their request: those of a process that may be in several are
                there.
        """
        return tuple(self._named(span, within) if span.of_agent else span for span in spans)

    def _named(self, span: Span, within: str | None) -> Span:
        name = self.of(span)
        if name is None and (self._is_of_several(span) or within is not None):
            name = within
        elif name is None:
            return span
        return span if span.instance == name else replace(span, instance=name)

    def _is_of_several(self, span: Span) -> bool:
        return self._places.get(process_of(span), "") is None

    def _by_address(self, span: Span) -> str | None:
        if span.kind != "server":
            return None
        told = (self._addresses.of(f":{span.attributes[key]}") for key in PORTS if key in span.attributes)
        return next(filter(None, told), None)


def process_of(span: Span) -> Process:
    """Return what tells a span's process from others."""
    return (span.instance, *(span.resource.get(key) for key in IDENTITY))


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _clear(counts: Counter[str]) -> str | None:
    """Return the container that nearly all answers of a process are from, None where there is none."""
    (name, most), *_ = counts.most_common(1)
    return name if most >= CLEAR * counts.total() else None
