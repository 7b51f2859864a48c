"""What stands around the containers where an experiment asks for it: weather, a real store, a snapshot."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from harness.clock import Clock
from harness.errors import StartError
from harness.fleet import snapshot
from harness.fleet.commands import Command, FleetAddresses
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import HOST, Ports
from harness.fleet.redis_pair import RedisPair
from harness.fleet.snapshot import sitecustomize as hook
from harness.outside.http import Part
from harness.records.setup import Window
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


class Surroundings:
    """Weather, store and snapshot of a fleet, for the length of a `with` block, where they are asked for.

    Args:
        plan: says what is asked for.
        wiring: where the simulator and the tool server are.
        ports: for the store.
        clock: for waiting.
    """

    def __init__(self, plan: FleetPlan, wiring: FleetAddresses, *, ports: Ports, clock: Clock) -> None:
        self._plan = plan
        self._wiring = wiring
        self._clock = clock
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
            self.weather = Weather(plan.weather, seed=plan.seed, clock=clock, store=self.store)

    def __enter__(self) -> Self:
        """Start what is asked for.

        Raises:
            StartError: it can't be.
        """
        with ExitStack() as stack:
            if self.weather is not None:
                stack.enter_context(self.weather)
                self.weather.lead("model", self._wiring.simulator)
                self.weather.lead("tools", self._wiring.mcp)
            if self.store is not None:
                stack.enter_context(self.store)
            if self._plan.restored:
                try:
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
        if self._plan.restored:
            found = env.get(PYTHONPATH)
            env[PYTHONPATH] = os.pathsep.join([str(HOOK), *([found] if found else [])])
            env |= {hook.FOLDER: str(self._folder), hook.NAME: container, hook.AGE: str(AGE_S)}
            env |= {KEY_FILE: str(self._key_file)} if ours else {}
        return replace(command, env=env)

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

    def await_hooks(self, containers: tuple[str, ...]) -> frozenset[str]:
        """Wait until all containers have told that they are restored; return those that have."""
        deadline_s = self._clock.monotonic() + HOOKED_S
        while True:
            told = frozenset(name for name in containers if any(self._folder.glob(f"{name}.*")))
            if len(told) == len(containers) or self._clock.monotonic() > deadline_s:
                return told
            self._clock.sleep(POLL_S)

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
