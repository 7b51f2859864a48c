"""What stands around the containers where an experiment asks for it: weather, a real store, a snapshot."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from harness.clock import Clock
from harness.errors import StartError
from harness.fleet import names, snapshot
from harness.fleet.commands import Command, FleetAddresses
from harness.fleet.names import sitecustomize as names_hook
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import HOST, Ports
from harness.fleet.redis_pair import RedisPair
from harness.fleet.snapshot import sitecustomize as hook
from harness.outside.http import Part
from harness.process.family import family
from harness.records.setup import Container, Window
from harness.records.weather import Connection
from harness.simulator_config import Auth, SimulatorConfig
from harness.weather.proxy import Weather

AGE_S: Final = 6 * 3600
"""How old the snapshot is when a container is restored from it."""
HOOKED_S: Final = 5.0
"""A process that has the start-up hook tells so within this; one that has none never does."""
POLL_S: Final = 0.01
PYTHONPATH: Final = "PYTHONPATH"
KEY_FILE: Final = "OPENAI_API_KEY_FILE"
SESSIONS: Final = Path("sessions") / "sessions.db"
"""The file of the store, in a folder that all containers share, where no other is asked for."""
STORE: Final = "AGENT_SESSION_STORE"
HOOK: Final = Path(snapshot.__file__).parent
NAMES_HOOK: Final = Path(names.__file__).parent
MODEL_ADDRESS: Final = "OPENAI_BASE_URL"
TOLD_TOOLS: Final = "tools.toml"
OTHER_TOOLS: Final = "other-tools.toml"
"""What the tool servers are told, in the fleet's folder."""
SESSIONS_OF_THEIR_OWN: Final = 'protocol = "2025-11-25"\n'
OTHER: Final = """
[[tools]]
name = "lookup"
description = "Look a word up in the encyclopaedia."
input_schema = { type = "object", properties = { word = { type = "string" } }, required = ["word"] }
"""


class Surroundings:
    """Weather, store and snapshot of a fleet, for the length of a `with` block, where they are asked for.

    Args:
        plan: says what is asked for.
        wiring: where the simulator and the tool server are.
        ports: for the store.
        clock: for waiting.
        pids: returns the containers' processes, by their names.
    """

    def __init__(
        self,
        plan: FleetPlan,
        wiring: FleetAddresses,
        *,
        ports: Ports,
        clock: Clock,
        pids: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._plan = plan
        self._wiring = wiring
        self._clock = clock
        self._pids = pids
        self._limits: dict[int, tuple[int, int]] = {}
        self._names = (plan.work_dir / "names").absolute()
        self._stack = ExitStack()
        self._folder = (plan.work_dir / "snapshot").absolute()
        self._key_file = self._folder / "api_key"
        self._keys = tuple(f"sk-{secrets.token_hex(16)}" for _ in range(2))
        self.store: RedisPair | None = None
        self.weather: Weather | None = None
        if plan.store == "redis" or (plan.under_test is not None and plan.under_test.names_store):
            self.store = RedisPair(
                plan.work_dir / "store", plan.log_dir, ports=ports, clock=clock, lead=self._lead_to_store
            )
        if plan.weather or plan.restored or self.store is not None:
            self.weather = Weather(plan.weather, seed=plan.seed, clock=clock, store=self.store, host=self)

    def __enter__(self) -> Self:
        """Start what is asked for.

        Raises:
            StartError: it can't be.
        """
        if any(rule.kind == "descriptors" for rule in self._plan.weather):
            if self._plan.under_test is not None and self._plan.under_test.addresses:
                raise StartError("descriptors befall what `command` starts: give it, and no agent.urls")
            if not hasattr(psutil, "RLIMIT_NOFILE"):
                raise StartError("descriptors of a process can be limited on Linux alone")
        with ExitStack() as stack:
            if self.weather is not None:
                stack.enter_context(self.weather)
                self.weather.lead("model", self._wiring.simulator)
                self.weather.lead("tools", self._wiring.mcp, *self._replicas, other=self._other)
            if self.store is not None:
                stack.enter_context(self.store)
            try:
                if self._named:
                    self._names.mkdir(parents=True, exist_ok=True)
                if self._plan.restored:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    self._key_file.write_text(self._keys[0], "utf-8")
            except OSError as error:
                raise StartError(f"{error.filename}: cannot be written to: {error.strerror}") from error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._stack.__exit__(kind, error, trace)

    # --- what a container is told ------------------------------------------------------
    def wiring_of(self, container: str) -> FleetAddresses:
        """Return where a container finds what it calls: through the weather, where there is any."""
        if self.weather is None:
            return self._wiring
        return replace(
            self._wiring,
            simulator=self.weather.port_for(container, "model"),
            mcp=self.weather.port_for(container, "tools"),
        )

    def store_of(self, container: str) -> str | None:
        """Return the address of the store for a container, None where that is a file."""
        if self.weather is None or self.store is None:
            return None
        return f"redis://{HOST}:{self.weather.port_for(container, 'store')}/0"

    def dressed(self, command: Command, container: str) -> Command:
        """Return a container's command as these surroundings have it."""
        env = dict(command.env)
        ours = self._plan.under_test is None
        address = self.store_of(container)
        if address is not None and ours:
            env[STORE] = address
        if self._named and ours:
            _hook(env, NAMES_HOOK)
            env |= {names_hook.FOLDER: str(self._names), names_hook.OF: container}
            env[MODEL_ADDRESS] = env[MODEL_ADDRESS].replace(HOST, names_hook.NAME)
        if self._plan.restored:
            _hook(env, HOOK)
            env |= {hook.FOLDER: str(self._folder), hook.NAME: container, hook.AGE: str(AGE_S)}
            env |= {KEY_FILE: str(self._key_file)} if ours else {}
        return replace(command, env=env)

    @property
    def _named(self) -> bool:
        """Whether the model has a name, because weather may befall that."""
        return any(rule.kind == "unresolved" for rule in self._plan.weather)

    @property
    def _replicas(self) -> tuple[int, ...]:
        """The ports of the tool servers beside the first."""
        return self._wiring.replicas[: self._plan.tool_servers - 1]

    @property
    def _other(self) -> int | None:
        """The port of the tool server that has other tools."""
        return self._wiring.replicas[-1] if needs_other_tools(self._plan) else None

    def told(self, simulator: SimulatorConfig) -> SimulatorConfig:
        """Return what the simulator is told: before a restore it takes the key of then, and no other."""
        if not self._plan.restored or self._plan.under_test is not None:
            return simulator
        return simulator.model_copy(update={"auth": Auth(keys=self._keys[:1])})

    # --- what happens ------------------------------------------------------------------
    def begin(self, start_s: float) -> None:
        """The load begins: the windows of the weather count from it."""
        if self.weather is not None:
            self.weather.begin(start_s)

    def step(self) -> None:
        """Let weather begin and end that is due."""
        if self.weather is not None:
            self.weather.step()

    def age(self, simulator: Part) -> None:
        """Let the hours pass that lie between a snapshot and its restore, while the containers stand still.

        Every connection is forgotten, the key of the model API is another one, and the start-up hook is told.
        """
        if self.weather is not None:
            self.weather.forget()
        if self._plan.under_test is None:
            self._key_file.write_text(self._keys[1], "utf-8")
            auth = Auth(keys=self._keys[1:]).model_dump(mode="json")
            simulator.tell("PATCH", "/sim/config", json={"auth": auth})
        (self._folder / hook.RESTORED).touch()

    def await_hooks(self, containers: Collection[Container]) -> frozenset[str]:
        """Wait until all containers have told that they are restored; return those that have."""
        deadline_s = self._clock.monotonic() + HOOKED_S
        reached: dict[str, frozenset[str]] = {}
        while True:
            told = frozenset(each.name for each in containers if self._is_hooked(each, reached))
            if len(told) == len(containers) or self._clock.monotonic() > deadline_s:
                return told
            self._clock.sleep(POLL_S)

    def _is_hooked(self, container: Container, reached: dict[str, frozenset[str]]) -> bool:
        """Whether it told so, and each of its processes that callers reach did: a launcher is no agent."""
        name, port = container.name, int(container.address.rpartition(":")[2])
        told = {each.name.removeprefix(f"{name}.") for each in self._folder.glob(f"{name}.*")}
        if told and name not in reached:  # once: to ask who listens is dear
            first = self._pids().get(name)
            mine = family(first) if first is not None else ()
            reached[name] = frozenset(str(each.pid) for each in mine if _listens(each, port))
        return bool(told) and reached[name] <= told

    # --- as the `Host` of the weather --------------------------------------------------
    def names(self, container: str | None, *, fail: bool, after_s: float = 0.0) -> None:
        """Let the name of the model lead nowhere, or lead there again."""
        file = self._names / (container or names_hook.ALL)
        if fail:
            file.write_text(str(after_s), "utf-8")
        else:
            file.unlink(missing_ok=True)

    def descriptors(self, container: str | None, spare: int | None) -> None:
        """Let containers open so many file descriptors more, or as many as they might before.

        Raises:
            StartError: the system doesn't let us.
        """
        for name, first in self._pids().items():
            if container not in {None, name}:
                continue
            for process in family(first):
                try:
                    self._limit(process, spare)
                except (psutil.NoSuchProcess, FileNotFoundError):
                    continue  # it has ended meanwhile
                except (psutil.Error, OSError) as error:
                    raise StartError(f"{name}: its file descriptors can't be limited: {error}") from error

    def _limit(self, process: psutil.Process, spare: int | None) -> None:
        if spare is None:
            if process.pid in self._limits:
                process.rlimit(psutil.RLIMIT_NOFILE, self._limits.pop(process.pid))
            return
        soft, hard = self._limits.setdefault(process.pid, process.rlimit(psutil.RLIMIT_NOFILE))
        used = {int(each.name) for each in Path(f"/proc/{process.pid}/fd").iterdir()}
        process.rlimit(psutil.RLIMIT_NOFILE, (min(soft, least_limit(used, spare)), hard))

    # --- what came of it ---------------------------------------------------------------
    @property
    def connections(self) -> tuple[Connection, ...]:
        """Of the containers, where their bytes were passed on."""
        return self.weather.connections if self.weather is not None else ()

    @property
    def windows(self) -> tuple[Window, ...]:
        """The weather that there was."""
        return self.weather.windows if self.weather is not None else ()

    def store_bytes(self) -> float | None:
        """Return the size of the store: of Redis as it tells, of the file as it is; None for no file yet."""
        if self.store is not None:
            return self.store.figure("memory", "used_memory")
        try:
            return float((self._plan.work_dir / SESSIONS).stat().st_size)
        except OSError:
            return None

    def _lead_to_store(self, port: int) -> None:
        if self.weather is not None:
            self.weather.lead("store", port)


def needs_other_tools(plan: FleetPlan) -> bool:
    """Whether some weather leaves a tool server with other tools behind."""
    return any(rule.kind == "other_tools" for rule in plan.weather)


def more_tool_servers(plan: FleetPlan) -> int:
    """Return how many tool servers there are beside the first."""
    return plan.tool_servers - 1 + needs_other_tools(plan)


def told_tools(plan: FleetPlan) -> Mapping[str, str]:
    """Return what the tool servers are told, by file: several have sessions, and each its own."""
    sessions = SESSIONS_OF_THEIR_OWN if plan.tool_servers > 1 else ""
    told = {TOLD_TOOLS: sessions} if sessions else {}
    return told | ({OTHER_TOOLS: sessions + OTHER} if needs_other_tools(plan) else {})


def least_limit(used: Collection[int], spare: int) -> int:
    """Return the limit below which so many descriptors are free: it is one of numbers, not of how many.

    With none, not even one that is given back meanwhile can be had again.
    """
    if not spare:
        return 0
    free = (number for number in itertools.count() if number not in used)
    return next(itertools.islice(free, spare, None))


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        return any(
            each.status == psutil.CONN_LISTEN and each.laddr.port == port
            for each in process.net_connections("tcp")
        )
    except psutil.Error:  # it has ended, or is nobody's business
        return False


def _hook(env: dict[str, str], folder: Path) -> None:
    """Let Python import the start-up hook in a folder."""
    found = env.get(PYTHONPATH)
    env[PYTHONPATH] = os.pathsep.join([str(folder), *([found] if found else [])])
