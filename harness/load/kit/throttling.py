"""Trouble at the model API, put there when a test begins and taken away when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from harness.simulator_config import FaultRule, Quota


@dataclass(frozen=True, slots=True)
class Throttling:
    """What the simulator shall do to the agents' model calls; windows count from the first arrival.

    Attributes:
        faults: in the order they are tried.
        quota: None leaves the simulator's own.
    """

    faults: tuple[FaultRule, ...] = ()
    quota: Quota | None = None


def combined(throttlings: Sequence[Throttling]) -> Throttling:
    """Return one that does what all do: every fault, and the first quota."""
    return Throttling(
        faults=tuple(rule for throttling in throttlings for rule in throttling.faults),
        quota=next((throttling.quota for throttling in throttlings if throttling.quota), None),
    )


class SimulatorControl:
    """The control API of a model API simulator.

    Args:
        client: with the simulator's base URL.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._before: dict[str, Any] | None = None

    def begin(self, throttling: Throttling, start_s: float) -> None:
        """Put `throttling` in place, and count windows from the Unix time `start_s`.

        Raises:
            httpx.HTTPError: it can't be reached, or refuses.
        """
        config = self._ask("GET", "/sim/config")
        self._before = {"faults": config["faults"], "quota": config["quota"]}
        change: dict[str, Any] = {"faults": [rule.model_dump(mode="json") for rule in throttling.faults]}
        if throttling.quota is not None:
            change["quota"] = throttling.quota.model_dump(mode="json")
        self._ask("PATCH", "/sim/config", change)
        self._ask("POST", "/sim/reset", {"start_s": start_s})

    def end(self) -> None:
        """Put back what was there before `begin`; nothing happens when there was none.

        Raises:
            httpx.HTTPError: it can't be reached, or refuses.
        """
        if self._before is not None:
            self._ask("PATCH", "/sim/config", self._before)
            self._before = None

    def amplification(self) -> float | None:
        """Return attempts per call of the model calls since `begin`, None when there were none.

        Raises:
            httpx.HTTPError: it can't be reached.
        """
        rows = [entry["row"] for entry in self._ask("GET", "/sim/requests")]
        calls = sum(row["attempt"] == 1 for row in rows)
        return len(rows) / calls if calls else None

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        return self._client.request(method, path, json=body).raise_for_status().json()
