"""Becomes another program that dies when the harness does: `die_with_parent.py PARENT_PID PROGRAM ARG...`.

The kernel is asked to kill this process when the thread that started it ends, even by
SIGKILL; the request outlives the exec. A program of its own, because running Python
between fork and exec is not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
NOT_FOUND = 127


def main(parent_pid: int, argv: list[str]) -> int:
    """Become `argv`; return an exit status only when that failed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it ended before it could be watched
            return 1
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - becoming a given program is the purpose
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: cannot be started: {error.strerror}\n")
    return NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
