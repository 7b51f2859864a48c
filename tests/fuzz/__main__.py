"""A long run: `python -m tests.fuzz [--inputs N] [--seed S]`; exits 1 when anything was wrong."""

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
"""An input that takes longer, of the processor's time, hangs: it is broken off."""


def _break_off(*_: object) -> None:
    raise TimeoutError(f"after {SLOW_S:g} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(TARGETS))
    args = parser.parse_args()
    names = [args.only] if args.only else list(TARGETS)
    whole = sum(SHARES.get(name, 1.0) for name in names)
    failed: Counter[str] = Counter()
    signal.signal(signal.SIGPROF, _break_off)
    logging.disable()  # an agent tells of each request that fails
    for name in names:
        inputs = round(args.inputs * SHARES.get(name, 1.0) / whole)
        begun_s, slowest_s = time.process_time(), 0.0
        for number in range(inputs):
            one_s = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SLOW_S)
            try:
                TARGETS[name](random.Random(f"{args.seed}/{name}/{number}"))
            except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
                failed[name] += 1
                if failed[name] <= 3:
                    print(f"{name} {args.seed}/{name}/{number}:\n{traceback.format_exc()}", file=sys.stderr)
            slowest_s = max(slowest_s, time.process_time() - one_s)
        signal.setitimer(signal.ITIMER_PROF, 0)
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
