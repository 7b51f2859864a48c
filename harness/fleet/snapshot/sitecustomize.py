"""Makes a Python process one of many copies that were restored from a single snapshot.

Python imports this file at its start, where its folder stands on `PYTHONPATH` and `AGENTRIG_SNAPSHOT` names a
folder of the harness. Until a file `restored` is there, the process lives in the world of the snapshot:

- what the system draws (`os.urandom`, `secrets`, `uuid4`) comes in the same order in all copies, and so does
  what is seeded from it: `random.Random()`, names of temporary files, NumPy's generators;
- `time.time()` is `AGENTRIG_SNAPSHOT_AGE_S` behind: the world went on meanwhile.

Then the process is restored: each generator made so far has the same state in all copies, what the system
draws is anew, and the clock jumps to what it is. So it tells by a file of its own. `datetime` is C and never
behind; process ids differ, as they do not in a real copy.

Only the standard library, and nothing that an old Python does not know: it runs in the agent's interpreter.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import itertools
import os
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

FOLDER = "AGENTRIG_SNAPSHOT"
NAME = "AGENTRIG_SNAPSHOT_NAME"
AGE = "AGENTRIG_SNAPSHOT_AGE_S"
RESTORED = "restored"
SEED = 20_260_918
LOOK_S = 0.01


class Snapshot:
    """The world of the snapshot, until it is over.

    Args:
        age_s: how long ago it was taken.
        urandom: draws from the system.
        now: Unix time in seconds; now_ns: the same in nanoseconds.

    Attributes:
        over: whether the process is restored.
    """

    def __init__(
        self,
        age_s: float,
        *,
        urandom: Callable[[int], bytes] = os.urandom,
        now: Callable[[], float] = time.time,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._age_s = age_s
        self._urandom = urandom
        self._now = now
        self._now_ns = now_ns
        self._drawn = itertools.count()
        self._made = itertools.count()
        self._generators: list[tuple[int, weakref.ref[random.Random]]] = []
        self._seed = random.Random.seed
        self.over = False

    def urandom(self, size: int) -> bytes:
        """Draw as the system does, or as it does in each copy."""
        if self.over:
            return self._urandom(size)
        return hashlib.shake_256(b"%d/%d" % (SEED, next(self._drawn))).digest(size)

    def now(self) -> float:
        """Return the time as the process knows it."""
        return self._now() - (0.0 if self.over else self._age_s)

    def now_ns(self) -> int:
        """Return the same in nanoseconds."""
        return self._now_ns() - (0 if self.over else int(self._age_s * 1e9))

    def seed(self, generator: random.Random, a: Any = None, version: int = 2) -> None:
        """Seed a generator; one that asks for any seed is given that which it has in each copy."""
        if a is None and not self.over:
            number = next(self._made)
            self._generators.append((number, weakref.ref(generator)))
            a = f"{SEED}/{number}"
        self._seed(generator, a, version)

    def restore(self) -> None:
        """Let the world go on: what was made until now is the same in all copies, what comes is their own."""
        for number, reference in self._generators:
            generator = reference()
            if generator is not None:
                self._seed(generator, f"{SEED}/{number}/restored")
        random.seed(SEED)
        numpy = sys.modules.get("numpy.random")
        if numpy is not None:
            numpy.seed(SEED % 2**32)
        self.over = True


def install(snapshot: Snapshot) -> None:
    """Put the world of the snapshot in the place of the system's."""

    def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
        snapshot.seed(generator, a, version)

    os.urandom = snapshot.urandom
    random._urandom = snapshot.urandom  # type: ignore[attr-defined]  # noqa: SLF001 - `secrets` draws by it
    random.Random.seed = seed  # type: ignore[method-assign, assignment]  # Python has it - it is replaced
    time.time = snapshot.now
    time.time_ns = snapshot.now_ns
    random.seed(SEED)


def watch(snapshot: Snapshot, folder: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait for the end of the snapshot's world, and tell that it has come."""
    while not os.path.exists(os.path.join(folder, RESTORED)):  # noqa: PTH110, PTH118 - cheaper, at each start
        sleep(LOOK_S)
    snapshot.restore()
    name = os.environ.get(NAME, "agent")
    with open(os.path.join(folder, f"{name}.{os.getpid()}"), "w"):  # noqa: PTH118, PTH123 - likewise
        pass


def begin_to_watch(snapshot: Snapshot, folder: str) -> None:
    """Watch on a thread of this process, and of each that it forks."""
    if not snapshot.over:
        threading.Thread(target=watch, args=(snapshot, folder), daemon=True).start()


def next_of_that_name() -> None:
    """Import the `sitecustomize` that this one stands before, where there is one."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - likewise
    path = [each for each in sys.path if os.path.abspath(each) != here]  # noqa: PTH100 - likewise
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def main() -> None:
    """Begin the world of the snapshot, where the harness asks for it."""
    folder = os.environ.get(FOLDER)
    if folder:
        snapshot = Snapshot(float(os.environ.get(AGE, "21600")))
        install(snapshot)
        begin_to_watch(snapshot, folder)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: begin_to_watch(snapshot, folder))
    next_of_that_name()


if __name__ == "sitecustomize":
    main()
