"""What a process holds, with those that it started: memory, descriptors, threads, connections."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import psutil

from harness.process.family import family


def held(pid: int) -> Mapping[str, float]:
    """Return what a process and its descendants hold together, nothing once it has ended."""
    processes = family(pid)
    if not processes:
        return {}
    found = {"memory": 0.0, "file_descriptors": 0.0, "threads": 0.0, "connections": 0.0}
    for process in processes:
        with suppress(psutil.Error), process.oneshot():  # it may have ended in between
            found["memory"] += process.memory_info().rss
            found["file_descriptors"] += process.num_fds()
            found["threads"] += process.num_threads()
            tcp = process.net_connections("tcp")
            found["connections"] += sum(each.status == psutil.CONN_ESTABLISHED for each in tcp)
    return found
