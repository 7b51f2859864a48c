"""`python -m tests.bare`: every module of ours is imported where nothing of Linux's own is there.

What others need they have: they are imported before. Then the modules of `NOWHERE` and the names of `NAMES`
are taken away, and all of ours is imported once more.
"""

import builtins
import gc
import importlib
import sys
from collections.abc import Mapping
from typing import Any

OURS = ("harness", "reference_agent")
NOWHERE = frozenset({"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty", "uvloop"})
"""Modules that Windows has not; macOS has all of them but `uvloop`, which is installed there."""
NAMES: Mapping[str, tuple[str, ...]] = {
    "os": (
        *(
            "O_CLOEXEC",
            "O_DIRECTORY",
            "O_NOFOLLOW",
            "O_NONBLOCK",
            "fchmod",
            "fork",
            "getpgid",
            "getsid",
            "getuid",
        ),
        *("killpg", "sched_getaffinity", "setsid", "waitid"),
    ),
    "select": ("epoll", "poll"),
    "signal": ("SIGALRM", "SIGCONT", "SIGHUP", "SIGKILL", "SIGSTOP", "SIGUSR1"),
    "socket": ("AF_UNIX", "SO_REUSEPORT"),
}
"""Names of the standard library that Windows has not, and macOS not all of."""


def main() -> None:
    gc.disable()  # what is imported stays
    import_all = importlib.import_module("tests.import_all")  # Locust patches the process that imports it
    import_all.main()
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    for module, names in NAMES.items():
        for name in names:
            if hasattr(sys.modules[module], name):
                delattr(sys.modules[module], name)
    real = builtins.__import__

    def without(name: str, scope: Mapping[str, Any] | None = None, *args: Any, **named: Any) -> Any:
        ours = str((scope or {}).get("__name__", "")).partition(".")[0] in OURS
        if ours and name.partition(".")[0] in NOWHERE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, scope, *args, **named)

    builtins.__import__ = without
    importlib.import_module("harness.load.scenario")
    import_all.main()
    importlib.import_module("harness.capture.__main__")


if __name__ == "__main__":
    main()
