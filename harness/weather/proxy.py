"""Passes the bytes of each container on to what it calls, in whatever weather.

It runs on a thread of this process for the length of a `with` block. Each container has an address of its own
for each target: so weather may befall one alone, and it is known whose a connection is.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Self

from harness.clock import Clock
from harness.errors import StartError
from harness.records.setup import Window
from harness.records.weather import Connection, Target, WeatherRule
from harness.weather.kinds import REGISTRY
from harness.weather.kinds.kind import PASSES, Fate, Host, Piece, StoreServer, befallen
from harness.weather.times import draw_of, timetable

HOST: Final = "127.0.0.1"
BLOCK_BYTES: Final = 65_536
START_S: Final = 10.0
FAREWELL: Final = b"DELETE "
"""An HTTP client that ends its session at a server says so: nobody waits for that, and it is no use."""
BY_RESET: Final = struct.pack("ii", 1, 0)
"""A socket that does not linger says RST when it is closed."""


class _Open:
    """A connection that is open, from both sides."""

    def __init__(
        self,
        seen: Connection,
        number: int,
        nth: int,
        caller: asyncio.StreamWriter,
        called: asyncio.StreamWriter,
    ) -> None:
        self.seen = seen
        self.number = number
        self.nth = nth
        self.caller = caller
        self.called = called
        self.mute = False
        self.forgotten = False

    def reset(self) -> None:
        """End it by RST on the caller's side."""
        near: socket.socket | None = self.caller.get_extra_info("socket")
        if near is not None:
            with suppress(OSError):
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, BY_RESET)
        self.caller.transport.abort()
        self.called.transport.abort()


class Weather:
    """All addresses of a fleet's containers, and the weather on the way.

    Args:
        rules: the weather.
        seed: of what it draws.
        clock: says what time it is.
        store: the store itself, where some weather is its own.
        host: the machine of the containers, likewise.
    """

    def __init__(
        self,
        rules: Sequence[WeatherRule],
        *,
        seed: int,
        clock: Clock,
        store: StoreServer | None = None,
        host: Host | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._seed = seed
        self._clock = clock
        self._store = store
        self._host = host
        self._turns = timetable(self._rules)
        self._start_s: float | None = None
        self._active: dict[int, WeatherRule] = {}
        self._windows: list[Window] = []
        self._lasting: dict[int, int] = {}
        self._leads: dict[str, tuple[int, ...]] = {}
        self._others: dict[str, int] = {}
        self._left: dict[tuple[str | None, str], int] = {}
        self._turn: Counter[tuple[str, str]] = Counter()
        self._ports: dict[tuple[str, str], int] = {}
        self._open: dict[int, _Open] = {}
        self._known: dict[int, Connection] = {}
        self._made = 0
        self._of_each: Counter[tuple[str, str]] = Counter()
        self._servers: list[asyncio.Server] = []
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="weather", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all connections."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)
        self._loop.close()

    # --- who calls whom ----------------------------------------------------------------
    def lead(self, target: Target, *ports: int, other: int | None = None) -> None:
        """Let new connections to a target lead to a port of this machine.

        Args:
            target: what is called.
            ports: of its replicas: the first, until weather spreads connections over all of them.
            other: of what some weather leaves in their place.
        """
        self._leads[target] = ports
        if other is not None:
            self._others[target] = other

    def port_for(self, container: str, target: Target) -> int:
        """Return where a container finds a target; it is listened there from then on.

        Raises:
            StartError: the machine has no free port.
        """
        if (container, target) not in self._ports:
            listening = asyncio.run_coroutine_threadsafe(self._listen(container, target), self._loop)
            try:
                self._ports[container, target] = listening.result(START_S)
            except OSError as error:
                raise StartError(f"no free port on {HOST}: {error.strerror}. Close some programs.") from error
        return self._ports[container, target]

    @property
    def connections(self) -> tuple[Connection, ...]:
        """All that were made so far, in the order they were opened."""
        return tuple(sorted(self._known.copy().values(), key=lambda each: each.opened_s))

    @property
    def windows(self) -> tuple[Window, ...]:
        """When which weather was, in seconds since the load began; one that lasts ends now.

        What was due and never began is there as well, and lasts for nothing.
        """
        now_s = self._elapsed_s()
        missed = (
            self._window(self._rules[turn.number], turn.at_s, turn.at_s)
            for turn in self._turns
            if turn.what == "begin" and turn.at_s <= now_s and self._start_s is not None
        )
        return (*(replace(each, to_s=min(each.to_s, now_s)) for each in self._windows), *missed)

    # --- what happens when -------------------------------------------------------------
    def begin(self, start_s: float) -> None:
        """The load begins at the Unix time `start_s`: the rules' windows count from it."""
        self._start_s = start_s

    def step(self) -> None:
        """Let what is due begin and end. To be called some ten times a second."""
        if self._start_s is None:
            return
        while self._turns and self._turns[0].at_s <= self._elapsed_s():
            turn = self._turns.pop(0)
            if turn.what == "begin":
                self._begin(turn.number)
            else:
                self._stop(turn.number)

    def forget(self) -> None:
        """Let all open connections be dead, and nobody be told: who uses one is told by RST."""
        self._loop.call_soon_threadsafe(self._forget)

    def _begin(self, number: int) -> None:
        rule = self._rules[number]
        kind = REGISTRY[rule.kind]
        if kind.before is not None and self._store is not None:
            kind.before(rule, self._store)
        from_s = self._elapsed_s()  # before any of it is done: nobody fails for it earlier than that
        self._loop.call_soon_threadsafe(self._change, number, rule, kind.at_begin)
        if kind.begin is not None and self._store is not None:
            kind.begin(rule, self._store)
        if kind.host_begin is not None and self._host is not None:
            kind.host_begin(rule, self._host)
        self._lasting[number] = len(self._windows)
        self._windows.append(self._window(rule, from_s, float("inf")))

    def _window(self, rule: WeatherRule, from_s: float, to_s: float) -> Window:
        of_store = rule.target == "store"
        return Window(
            kind="weather",
            name=rule.kind if of_store else f"{rule.kind} ({rule.target})",
            from_s=from_s,
            to_s=to_s,
            container=befallen(rule),
            blocks=REGISTRY[rule.kind].blocks and of_store,
            planned_s=rule.window_s[1] - rule.window_s[0],
        )

    def _elapsed_s(self) -> float:
        """Return the seconds since the load began: what is done to a store takes as long as it takes."""
        return self._clock.now() - (self._start_s or 0.0)

    def _stop(self, number: int) -> None:
        rule = self._rules[number]
        kind = REGISTRY[rule.kind]
        to_s = self._elapsed_s()  # likewise: what is well again is so a moment after it
        if kind.end is not None and self._store is not None:
            kind.end(rule, self._store)
        if kind.host_end is not None and self._host is not None:
            kind.host_end(rule, self._host)
        self._loop.call_soon_threadsafe(self._change, number, None, kind.at_end)
        at = self._lasting.pop(number)
        self._windows[at] = replace(self._windows[at], to_s=to_s)

    # --- on the thread -----------------------------------------------------------------
    async def _listen(self, container: str, target: Target) -> int:
        async def took(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(container, target, reader, writer)

        server = await asyncio.start_server(took, HOST, 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _serve(
        self, container: str, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._made += 1
        self._of_each[container, target] += 1
        number, nth = self._made, self._of_each[container, target]
        seen = self._known[number] = Connection(
            container=container, target=target, opened_s=self._clock.now()
        )
        try:
            there, called = await asyncio.open_connection(HOST, self._port_of(container, target))
        except OSError:
            writer.transport.abort()
            self._known[number] = replace(seen, closed_s=self._clock.now())
            return
        mine = self._open[number] = _Open(seen, number, nth, writer, called)
        mine.mute = any(self._fits(rule, mine) and REGISTRY[rule.kind].silent for rule in self._now())
        ways = [
            asyncio.ensure_future(self._pass(mine, reader, called, reply=False)),
            asyncio.ensure_future(self._pass(mine, there, writer, reply=True)),
        ]
        try:
            await asyncio.gather(*ways)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for way in ways:
                way.cancel()
            for side in (writer, called):
                side.close()
            del self._open[number]
            self._known[number] = replace(self._known[number], closed_s=self._clock.now())

    def _port_of(self, container: str, target: Target) -> int:
        """Return where a new connection leads."""
        ports = self._leads[target]
        now = [rule for rule in self._now() if rule.target == target and befallen(rule) in {None, container}]
        if not any(REGISTRY[rule.kind].spreads for rule in now):
            return self._left.get((container, target)) or self._left.get((None, target)) or ports[0]
        self._turn[container, target] += 1
        return ports[self._turn[container, target] % len(ports)]

    async def _pass(
        self, mine: _Open, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, reply: bool
    ) -> None:
        number = 0
        while piece := await reader.read(BLOCK_BYTES):
            number += 1
            if not reply:
                used = mine.forgotten and not piece.startswith(FAREWELL)
                before = self._known[mine.number]
                self._known[mine.number] = replace(
                    before, requests=number, dead_used=before.dead_used or used
                )
            if mine.forgotten and not reply:
                mine.reset()
                raise ConnectionResetError
            whose = mine.seen.container, mine.seen.target, mine.nth
            draw = draw_of(self._seed, *whose, int(reply), number)
            then = await self._fate(mine, Piece(reply=reply, size=len(piece), draw=draw))
            if then == "reset":
                mine.reset()
                raise ConnectionResetError
            if not (mine.mute or mine.forgotten):
                writer.write(piece)
                await writer.drain()
        if not reply:  # the caller has hung up
            raise ConnectionResetError
        if not (mine.mute or mine.forgotten):
            writer.close()

    async def _fate(self, mine: _Open, piece: Piece) -> str:
        """Wait as long as the weather asks, and return what becomes of a piece."""
        for rule in self._now():
            if not self._fits(rule, mine):
                continue
            fate: Fate = REGISTRY[rule.kind].fate(rule, piece)
            if fate is PASSES:
                continue
            if fate.after_s:
                await self._later(rule, fate.after_s)
            while fate.then == "hold" and rule in self._now():
                await self._changed.wait()
            if fate.then == "swallow":
                mine.mute = True
            if fate.then == "reset":
                return "reset"
        return "pass"

    async def _later(self, rule: WeatherRule, after_s: float) -> None:
        """Wait so long, and no longer than the weather lasts: what it held back is there once it is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(after_s):
                while rule in self._now():
                    await self._changed.wait()

    def _now(self) -> Sequence[WeatherRule]:
        return tuple(self._active.values())

    def _fits(self, rule: WeatherRule, mine: _Open) -> bool:
        whose = befallen(rule) in {None, mine.seen.container}
        return whose and rule.target == mine.seen.target

    def _change(self, number: int, rule: WeatherRule | None, what: str) -> None:
        """Let a rule begin, None for that it ends, and befall the connections that are open."""
        changed = self._rules[number]
        if rule is None:
            self._active.pop(number, None)
            self._leave_behind(changed)
        else:
            self._active[number] = rule
        self._changed.set()  # those who wait for it look again
        self._changed = asyncio.Event()
        for mine in [each for each in self._open.values() if self._fits(changed, each)]:
            mine.mute = mine.mute or what == "mute"
            if what == "reset":
                mine.reset()

    def _leave_behind(self, rule: WeatherRule) -> None:
        """Let new connections lead where they do from the end of some weather on."""
        kind, port = REGISTRY[rule.kind], None
        if kind.spreads:
            port = self._leads[rule.target][-1]
        if kind.leaves_another:
            port = self._others.get(rule.target)
        if port is None:
            return
        if befallen(rule) is None:  # what was left to one container alone before is over
            self._left = {key: left for key, left in self._left.items() if key[1] != rule.target}
        self._left[befallen(rule), rule.target] = port

    def _forget(self) -> None:
        for mine in self._open.values():
            mine.forgotten = True

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
