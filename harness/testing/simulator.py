"""The simulator as a test has it: a process of its own, told and asked over HTTP.

So nothing that a test patches reaches it: clocks, sleeps and HTTP are what tests of retries replace.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from harness.clock import Clock, SystemClock
from harness.errors import InputError, StartError
from harness.fence import OF_REAL_ACCOUNTS, SDKS, near
from harness.outside.http import control_client
from harness.outside.text import parse_toml
from harness.process.child import Child
from harness.records.seen import JournalRow
from harness.simulator_config import FaultRule, SimulatorConfig, Strict
from harness.testing import attempts as judged
from harness.testing.attempts import Call, calls_of
from harness.wrong_keys import validation_messages

HOST = "127.0.0.1"
API_KEY = "sk-agentrig"
TOKEN = "AGENTRIG_SIMULATOR_TOKEN"  # noqa: S105 - its name
START_S, STOP_S, CALL_S = 60.0, 5.0, 30.0
POLL_S = 0.01
SETTLE_S = 2.0
"""How long a call may take to get into the journal after its caller has all of the answer."""
PAGE = 1000
_ROWS = TypeAdapter(list[JournalRow])
Model = TypeVar("Model", bound=Strict)


def environment(url: str, home: Path, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that lead every SDK to a simulator; None for one that must not be there.

    Args:
        url: of the simulator.
        home: a folder that there is none of: where credentials would be looked for.
        environ: what is set.
    """
    places = {"simulator": url, "api_key": API_KEY, "home": str(home)}
    led: dict[str, str | None] = {name: value.format(**places) for name, value in SDKS.items()}
    for name in ("NO_PROXY", "no_proxy"):
        if (before := environ.get(name)) != "*":
            led[name] = near((before,) if before else ())
    return dict.fromkeys(OF_REAL_ACCOUNTS) | led


class Simulator:
    """A model API simulator.

    Args:
        url: where it is, without a path.
        clock: for waiting.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = url
        self._clock = clock
        self._client = control_client(CALL_S, base_url=url)

    @property
    def openai_url(self) -> str:
        """What an OpenAI client takes for its `base_url`."""
        return f"{self.url}/v1"

    def configure(self, toml: str = "", /, **changes: Any) -> None:
        """Change what it is told: a key that is named is replaced whole, the others stay.

        Args:
            toml: keys of a `SimulatorConfig`, as in a file: `tool_turns = 1`, `[quota]`, `[[faults]]`.
            changes: the same, as values or records: `latency={"ttft": {"median_s": 0.5}}`.

        Raises:
            InputError: it is wrong; names the key.
        """
        __tracebackhide__ = True
        try:
            told = parse_toml(toml, "agentrig_simulator")
        except InputError as error:
            raise error from None
        change = told | changes
        self._told("PATCH", "/sim/config", _checked(SimulatorConfig, change), only=change)

    def fault(self, kind: str, **rule: Any) -> None:
        """Add a fault after those that there are; the first that fires is served.

        Args:
            kind: as docs/simulator.md lists them, such as `rate_limit_requests`.
            rule: further keys of a `FaultRule`: `times=2`, `retry_after_s=0.5`, `match={"attempt": 1}`.

        Raises:
            InputError: it is wrong; names the key.
        """
        __tracebackhide__ = True
        self._told("POST", "/sim/faults", _checked(FaultRule, {"kind": kind, **rule}))

    def clear_faults(self) -> None:
        """Take all faults away."""
        self._asked("DELETE", "/sim/faults")

    def reset(self) -> None:
        """Begin anew, told as before: journal and attempts empty, quotas full, windows from here on."""
        self._told("POST", "/sim/reset", {})

    @property
    def journal(self) -> list[JournalRow]:
        """A row for each attempt that is over, oldest first. One that goes on is not waited for long."""
        until_s = self._clock.monotonic() + SETTLE_S
        while self.stats["in_work"] and self._clock.monotonic() < until_s:
            self._clock.sleep(POLL_S)
        rows: list[dict[str, Any]] = []
        while page := self._asked("GET", "/sim/requests", params={"since": len(rows), "limit": PAGE}):
            rows += [each["row"] for each in page]
        return _ROWS.validate_python(rows)

    @property
    def calls(self) -> list[Call]:
        """The model calls that those were attempts of: the same body is a retry where it failed before."""
        return calls_of(self.journal)

    @property
    def stats(self) -> dict[str, Any]:
        """Counts since the test began, as `/sim/stats` has them."""
        told: dict[str, Any] = self._asked("GET", "/sim/stats")
        return told

    def assert_retried_within(
        self, attempts: int, *, seconds: float | None = None, answered: bool = True
    ) -> None:
        """Assert that each call that failed was tried again until it was answered.

        Args:
            attempts: that a call may have, the first one counted.
            seconds: that it may take from its first attempt to the end of the last; None for any time.
            answered: False where to give up in the end is right.

        Raises:
            AssertionError: it was not so, or no call failed; shows all attempts.
        """
        __tracebackhide__ = True
        calls = self.calls
        self._hold(calls, judged.not_retried_within(calls, attempts, seconds, answered=answered))

    def assert_never_retried(self) -> None:
        """Assert that calls failed, and that none was tried again: right where a retry cannot help.

        Raises:
            AssertionError: it was not so, or no call failed; shows all attempts.
        """
        __tracebackhide__ = True
        calls = self.calls
        self._hold(calls, judged.retried(calls))

    def assert_waited_as_told(self) -> None:
        """Assert that no retry came sooner than its caller was told to come back.

        Raises:
            AssertionError: it was not so, or nobody who was told came back; shows all attempts.
        """
        __tracebackhide__ = True
        calls = self.calls
        self._hold(calls, judged.too_early(calls))

    def _hold(self, calls: list[Call], wrong: Iterable[str]) -> None:
        __tracebackhide__ = True
        if not calls:
            raise AssertionError(self._none_came())
        if said := [*wrong]:
            raise AssertionError("\n".join([*said, judged.shown(calls)]))

    def _none_came(self) -> str:
        unserved = [f"{count} times {what}" for what, count in self.stats["unserved"].items()]
        also = f"; what came is not served: {', '.join(unserved)}" if unserved else ""
        return f"no model call came to {self.url}{also}"

    def _told(self, method: str, path: str, told: Any, *, only: Iterable[str] | None = None) -> None:
        __tracebackhide__ = True
        if isinstance(told, Strict):
            keep = None if only is None else set(only)
            told = told.model_dump(mode="json", include=keep)
        self._asked(method, path, json=told)

    def _asked(self, method: str, path: str, **given: Any) -> Any:
        __tracebackhide__ = True
        try:
            answer = self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise StartError(f"the simulator at {self.url} doesn't answer: {error}") from error
        if answer.is_client_error:
            raise InputError(f"agentrig_simulator: {answer.json().get('detail', answer.text)}")
        return answer.raise_for_status().json()

    def close(self) -> None:
        """Ask it no more."""
        self._client.close()


def _checked(model: type[Model], told: Mapping[str, Any]) -> Model:
    __tracebackhide__ = True
    try:
        return model.model_validate(dict(told))
    except ValidationError as error:
        raise InputError(validation_messages(error, "agentrig_simulator", model)) from None


class SimulatorProcess:
    """The process of a simulator, started when it is first needed; it ends with this one, whatever ends that.

    Args:
        folder: gets its log.
        clock: for waiting.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()
        self._child: Child | None = None
        self._simulator: Simulator | None = None

    def as_new(self) -> Simulator:
        """Return the simulator as if just started.

        Raises:
            StartError: it cannot be started.
        """
        simulator = self._simulator
        if simulator is None or self._child is None or self._child.poll() or simulator.stats["in_work"]:
            self.stop()  # what an earlier test left going would be in the next one's journal
            simulator = self._simulator = self._started()
        simulator.configure(**dict(SimulatorConfig()))
        simulator.reset()
        return simulator

    def stop(self) -> None:
        """End it."""
        if self._simulator is not None:
            self._simulator.close()
        if self._child is not None:
            self._child.stop(STOP_S)
        self._simulator = self._child = None

    def _started(self) -> Simulator:
        argv = (sys.executable, "-P", "-m", "harness.simulator", "--host", HOST, "--port", "0")
        env = {name: value for name, value in os.environ.items() if name != TOKEN}
        child = self._child = Child("simulator", argv, env, self._folder, self._clock, workdir=self._folder)
        child.start()
        until_s = self._clock.monotonic() + START_S
        while not (ports := child.listening()):
            child.check()
            if self._clock.monotonic() > until_s:
                raise StartError(f"the simulator was not ready within {START_S:.0f} s; its log: {child.log}")
            self._clock.sleep(POLL_S)
        return Simulator(f"http://{HOST}:{ports[0]}", self._clock)
