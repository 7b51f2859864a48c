"""How many containers there are to be, as a HorizontalPodAutoscaler finds it.

Each sync period it wants `ceil(containers * figure / target)`, and as many as there are where the figure is
within a tenth of its target. Fewer are wanted only once nothing within the stabilisation window wanted more.
(https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/, "Algorithm details";
by default 15 s, 0.1 and 300 s there. Of what limits how quickly it grows nothing is here but `most`.)

Where none are there, none is asked for its figure: then the first request that comes starts one, as Knative's
activator has it (https://knative.dev/docs/serving/request-flow/, "Scale From Zero").

Nothing here knows containers or asks a network: `Gauges` does. So it is tested on a clock that stands still.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from harness.records.spec import AutoscaleSpec

TOLERANCE: Final = 0.1
"""A figure that is so near its target, as a share of it, changes nothing."""
ROUNDING: Final = 1e-9
"""Of a share, and before a number is rounded up: 1.1 - 1 is a little more than 0.1 in floating point."""


class Gauges(Protocol):
    """What is seen of the requests and the containers."""

    def requests(self) -> tuple[int, int]:
        """Return the requests that the balancers have, waiting or at work, and how many ever came to them."""
        ...

    def cpu_s(self) -> Mapping[str, float]:
        """Return CPU seconds so far, of each container of which that is known."""
        ...


@dataclass
class Autoscaler:
    """Decides, and does nothing.

    Attributes:
        spec: what is asked for.
        gauges: what is seen.
    """

    spec: AutoscaleSpec
    gauges: Gauges
    _wanted: list[tuple[float, int]] = field(default_factory=list)
    """What was wanted when, as far back as it counts."""
    _since_s: float = 0.0
    _in_flight: list[int] = field(default_factory=list)
    """Since then."""
    _cpu_s: Mapping[str, float] = field(default_factory=dict)
    """At that time."""
    _came: int = 0
    _any_came: bool = False
    """Since the last look: what is refused, or soon answered, is hardly ever seen in flight."""

    def begin(self, now_s: float, there: int) -> None:
        """Count from now on; `there` is how many containers there are, which nobody wants fewer of yet."""
        self._wanted = [(now_s, there)]
        self._look_anew(now_s)
        _, self._came = self.gauges.requests()

    def wanted(self, now_s: float, there: Collection[str]) -> int:
        """Return how many containers there are to be; to be asked some ten times a second.

        Args:
            now_s: the time, in seconds since any origin.
            there: the names of those that are there, or starting.
        """
        in_flight, came = self.gauges.requests()
        new, self._came = came - self._came, came
        if not there:  # of what is refused nothing is seen but that it came
            seen = max(in_flight, new)
            return self._from_none(now_s, seen) if seen else 0
        self._in_flight.append(in_flight)
        self._any_came = self._any_came or new > 0
        if now_s - self._since_s < self.spec.sync_s:
            return len(there)
        wanted = self._within(self._by_figure(now_s, there))
        self._look_anew(now_s)
        return self._stable(now_s, wanted, len(there))

    def _from_none(self, now_s: float, in_flight: int) -> int:
        wanted = self._within(math.ceil(in_flight / self.spec.target - ROUNDING))
        self._wanted.append((now_s, wanted))
        self._look_anew(now_s)
        return wanted

    def _by_figure(self, now_s: float, there: Collection[str]) -> int:
        if self.spec.metric == "inflight":
            ratio = sum(self._in_flight) / len(self._in_flight) / len(there) / self.spec.target
        else:
            ratio = self._by_cpu(now_s, there)
        if abs(ratio - 1) <= TOLERANCE + ROUNDING:
            return len(there)
        return max(int(self._any_came), math.ceil(len(there) * ratio - ROUNDING))

    def _by_cpu(self, now_s: float, there: Collection[str]) -> float:
        """Return what share of its target each uses, on average.

        Of whom nothing is known yet, it counts as on its target where some would be taken away, and as idle
        where more would be started. Where that turns one into the other nothing changes.
        """
        cpu_s = self.gauges.cpu_s()
        known = [name for name in there if name in cpu_s and name in self._cpu_s]
        if not known:
            return 1.0
        used = sum(cpu_s[name] - self._cpu_s[name] for name in known) / (now_s - self._since_s)
        ratio = used / len(known) / self.spec.target
        unknown = (len(there) - len(known)) * (ratio < 1)
        of_all = (used / self.spec.target + unknown) / len(there)
        return 1.0 if (ratio - 1) * (of_all - 1) < 0 else of_all

    def _within(self, wanted: int) -> int:
        return min(max(wanted, self.spec.least), self.spec.most)

    def _stable(self, now_s: float, wanted: int, there: int) -> int:
        self._wanted = [each for each in self._wanted if now_s - each[0] < self.spec.down_s]
        self._wanted.append((now_s, wanted))
        if wanted >= there:
            return wanted
        return self._within(min(there, max(number for _, number in self._wanted)))

    def _look_anew(self, now_s: float) -> None:
        self._since_s = now_s
        self._in_flight, self._any_came = [], False
        self._cpu_s = self.gauges.cpu_s() if self.spec.metric == "cpu" else {}
