"""A long run: `python -m tests.fuzz [--inputs N] [--seed S] [--only TARGET] [--first N]`.

It exits 1 when anything was wrong.
"""

import argparse
import logging
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter

from tests.fuzz.targets import SHARES, TARGETS

SLOW_S = 10.0
"""An input that takes longer, of the processor's time, is too slow: it is broken off."""
LOOK_S, LOOKS = 60.0, 10
"""One that is there after so many looks waits for what never comes. A process that is frozen doesn't look."""
looks = 0


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"after {SLOW_S:g} s of CPU")


def _look(*_: object) -> None:
    global looks  # noqa: PLW0603 - a handler of signals has nowhere else
    looks += 1
    if looks >= LOOKS:
        raise TimeoutError(f"after {LOOKS * LOOK_S:g} s by the clock")


def main() -> int:
    global looks  # noqa: PLW0603 - see there
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(TARGETS))
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each target")
    args = parser.parse_args()
    names = [args.only] if args.only else list(TARGETS)
    whole = sum(SHARES.get(name, 1.0) for name in names)
    failed: Counter[str] = Counter()
    signal.signal(signal.SIGPROF, _too_slow)
    signal.signal(signal.SIGALRM, _look)
    logging.disable()  # an agent tells of each request that fails
    for name in names:
        inputs = round(args.inputs * SHARES.get(name, 1.0) / whole)
        begun_s, slowest_s = time.process_time(), 0.0
        for number in range(args.first, args.first + inputs):
            one_s = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SLOW_S)
            signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
            looks = 0
            try:
                TARGETS[name](random.Random(f"{args.seed}/{name}/{number}"))
            except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
                failed[name] += 1
                if failed[name] <= 3:
                    print(f"{name} {args.seed}/{name}/{number}:\n{traceback.format_exc()}", file=sys.stderr)
            slowest_s = max(slowest_s, time.process_time() - one_s)
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        took_s = time.process_time() - begun_s
        print(
            f"{name:14} {inputs:8} inputs, {failed[name]} wrong, {took_s:.0f} s of CPU, "
            f"slowest {slowest_s:.2f} s, {peak_mb:.0f} MiB at most",
            flush=True,
        )
    return int(sum(failed.values()) > 0)


if __name__ == "__main__":
    sys.exit(main())
