"""Trouble at the model API, put there when a test begins and taken away when it ends.

It is leased, and the lease renewed while the test lasts: of a test that is killed nothing stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from harness.simulator_config import FaultRule, Quota

LEASE_S: Final = 15.0
"""So long after the last sign of life of a test, what it has injected is gone."""
RENEW_S: Final = 3.0
OVER: Final = 409
"""What is answered of a lease that is over: somebody else's configuration holds, which is seen from it."""


@dataclass(frozen=True, slots=True)
class Throttling:
    """What the simulator shall do to the agents' model calls; windows count from the first arrival.

    Attributes:
        faults: in the order they are tried.
        quota: None leaves the simulator's own.
    """

    faults: tuple[FaultRule, ...] = ()
    quota: Quota | None = None


def combined(throttlings: Sequence[Throttling]) -> Throttling | None:
    """Return one that does what all do: every fault once, and the first quota; None for none."""
    faults: list[FaultRule] = []
    for throttling in throttlings:
        faults += [rule for rule in throttling.faults if rule not in faults]
    quota = next((throttling.quota for throttling in throttlings if throttling.quota), None)
    return Throttling(faults=tuple(faults), quota=quota) if throttlings else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCalls:
    """What a simulator has seen of a test.

    Attributes:
        attempts: requests that came.
        calls: calls that those were attempts of, distinguished by trace and body.
        bodies: the same, distinguished by body alone.
        forgotten_after_s: an attempt that came so many seconds after the one before may count as a new call;
            None when none does.
        fired: how often each fault of the throttling did.
        refused: what the quota refused.
        met: attempts that met a fault, or were refused by the quota.
        disturbed: whether somebody else set it back, or changed its faults or quota, meanwhile.
    """

    attempts: int
    calls: int
    bodies: int
    forgotten_after_s: float | None
    fired: tuple[int, ...]
    refused: int
    disturbed: bool
    met: int = 0

    def amplification(self, retried_within_s: float) -> tuple[float, float] | None:
        """Return the least and the most that attempts per call can have been; None without a call.

        A caller that gives each attempt a trace of its own has one call by its body alone; requests that say
        the same have several, by their traces alone.

        Args:
            retried_within_s: no attempt comes later than so long after the one before.
        """
        if not self.attempts:
            return None
        all_known = self.forgotten_after_s is None or self.forgotten_after_s > retried_within_s
        most = self.attempts / min(self.calls, self.bodies) if all_known else math.inf
        return self.attempts / max(self.calls, self.bodies), most


class SimulatorError(Exception):
    """A simulator can't be reached, refuses, or is none."""


class SimulatorControl:
    """The control API of a model API simulator.

    Args:
        client: with the simulator's base URL.
        name: of the test, for its lease.
    """

    def __init__(self, client: httpx.Client, name: str) -> None:
        self._client = client
        self._name = name
        self._leased = False
        self._config_in_place: dict[str, Any] = {}
        self._resets: int | None = None

    def begin(self, throttling: Throttling | None, start_s: float) -> None:
        """Count from now on, and put `throttling` in place; windows count from the Unix time `start_s`.

        Raises:
            SimulatorError: it can't be reached, or refuses.
        """
        if throttling is not None:
            lease: dict[str, Any] = {"name": self._name, "seconds": LEASE_S}
            lease["faults"] = [rule.model_dump(mode="json") for rule in throttling.faults]
            if throttling.quota is not None:
                lease["quota"] = throttling.quota.model_dump(mode="json")
            self._leased = True
            self._request("PUT", "/sim/lease", lease)
        self._config_in_place = self._faults_and_quota()
        self._resets = self._request("POST", "/sim/reset", {"start_s": start_s})["resets"]

    def renew(self) -> None:
        """Let what was put in place stay there for another `LEASE_S`.

        Raises:
            SimulatorError: it can't be reached, or the lease is over.
        """
        if self._leased:
            self._request("POST", "/sim/lease", {"name": self._name, "seconds": LEASE_S})

    def end(self) -> ModelCalls | None:
        """Let the simulator's own configuration hold again; return what was seen, None if nothing was begun.

        Raises:
            SimulatorError: it can't be reached, or refuses.
        """
        try:
            return None if self._resets is None else self._seen(self._resets)
        finally:
            self._resets = None
            if self._leased:
                self._leased = False
                self._end_lease()

    def _seen(self, resets: int) -> ModelCalls:
        stats = self._request("GET", "/sim/stats")
        return ModelCalls(
            attempts=stats["attempts"],
            calls=stats["calls"],
            bodies=stats["bodies"],
            forgotten_after_s=stats["forgotten_after_s"],
            fired=tuple(stats["fired"]),
            refused=stats["sources"].get("quota", 0),
            met=sum(stats["sources"].get(source, 0) for source in ("fault", "quota")),
            disturbed=stats["resets"] != resets or self._faults_and_quota() != self._config_in_place,
        )

    def _faults_and_quota(self) -> dict[str, Any]:
        config = self._request("GET", "/sim/config")
        return {"faults": config["faults"], "quota": config["quota"]}

    def _end_lease(self) -> None:
        try:
            answer = self._client.delete("/sim/lease", params={"name": self._name})
            if answer.status_code != OVER:
                answer.raise_for_status()
        except httpx.HTTPError as error:
            raise SimulatorError(f"DELETE /sim/lease: {error}") from error

    def _request(self, method: str, path: str, body: object = None) -> _Answer:
        try:
            return _Answer(self._client.request(method, path, json=body).raise_for_status().json())
        except (httpx.HTTPError, ValueError, TypeError) as error:
            raise SimulatorError(f"{method} {path}: {error}") from error


class _Answer(dict[str, Any]):
    """What the control API answered."""

    def __missing__(self, key: str) -> Any:
        raise SimulatorError(f"it says nothing of {key}: is it a simulator of this version?")
