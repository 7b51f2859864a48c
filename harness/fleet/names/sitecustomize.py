"""Gives a Python process a model that has a name, and a resolver that may fail for it.

Python imports this file at its start, where its folder stands on `PYTHONPATH` and `AGENTRIG_NAMES` names a
folder of the harness. `model.agentrig.internal` is then the address of this machine; as long as that folder
has a file `all`, or one named as the container, who asks for the name is told after so many seconds as the
file says that there is no answer now (EAI_AGAIN), as the system's own resolver says when its servers are
silent. All other names are the system's.

Who asks through uvloop is answered on four threads, as many as libuv has for that. What asks the system
without Python (gRPC, c-ares) finds no such name.

Only the standard library, and nothing that an old Python does not know: it runs in the agent's interpreter.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

FOLDER = "AGENTRIG_NAMES"
OF = "AGENTRIG_NAMES_OF"
NAME = "model.agentrig.internal"
ALL = "all"
ADDRESS = "127.0.0.1"
THREADS = 4


class Resolver:
    """Answers for the name of the model.

    Args:
        folder: of the files that say that it fails.
        container: whose resolver it is.
        getaddrinfo: asks the system.
        sleep: waits.
    """

    def __init__(
        self,
        folder: str,
        container: str,
        *,
        getaddrinfo: Callable[..., Any] = socket.getaddrinfo,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._files = [os.path.join(folder, name) for name in (ALL, container)]  # noqa: PTH118 - cheaper
        self._getaddrinfo = getaddrinfo
        self._sleep = sleep

    def getaddrinfo(self, host: Any, *arguments: Any, **more: Any) -> Any:
        """Return the addresses of a host, as `socket.getaddrinfo` does.

        Raises:
            socket.gaierror: the resolver fails now.
        """
        return self._getaddrinfo(self.address(host), *arguments, **more)

    def address(self, host: Any) -> Any:
        """Return the address in place of the name of the model, and any other host as it is.

        Raises:
            socket.gaierror: the resolver fails now.
        """
        if host not in (NAME, NAME.encode()):
            return host
        after_s = self._fails_after()
        if after_s is not None:
            self._sleep(after_s)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return ADDRESS

    def _fails_after(self) -> float | None:
        for file in self._files:
            try:
                with open(file) as told:  # noqa: PTH123 - cheaper, at each look
                    return float(told.read() or 0)
            except (OSError, ValueError):
                continue
        return None


class AfterImport(importlib.abc.MetaPathFinder):
    """Changes a module as soon as it is imported.

    Args:
        name: of the module.
        change: changes it.
    """

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._change = change

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - as importlib asks it
        target: ModuleType | None = None,  # noqa: ARG002 - likewise
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as it would be found without this, and load it with the change."""
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)  # it is found once
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def changed(module: ModuleType) -> None:
            execute(module)
            self._change(module)

        spec.loader.exec_module = changed  # type: ignore[method-assign]  # - of this one loader alone
        return spec


def change_uvloop(resolver: Resolver, uvloop: ModuleType) -> None:
    """Let uvloop's own questions, which never come to `socket`, be answered as well."""
    loop: Any = uvloop.Loop
    threads = ThreadPoolExecutor(THREADS, "names")
    connect = loop.create_connection

    async def getaddrinfo(self: Any, host: Any, port: Any, **more: Any) -> Any:
        return await self.run_in_executor(threads, lambda: resolver.getaddrinfo(host, port, **more))

    async def create_connection(self: Any, protocol: Any, host: Any = None, *rest: Any, **more: Any) -> Any:
        if host in (NAME, NAME.encode()):
            host = await self.run_in_executor(threads, resolver.address, host)
        return await connect(self, protocol, host, *rest, **more)

    loop.getaddrinfo = getaddrinfo
    loop.create_connection = create_connection


def install(resolver: Resolver) -> None:
    """Put the resolver in the place of the system's."""
    gethostbyname, gethostbyname_ex = socket.gethostbyname, socket.gethostbyname_ex
    socket.getaddrinfo = resolver.getaddrinfo
    socket.gethostbyname = lambda host: gethostbyname(resolver.address(host))
    socket.gethostbyname_ex = lambda host: gethostbyname_ex(resolver.address(host))
    sys.meta_path.insert(0, AfterImport("uvloop", lambda uvloop: change_uvloop(resolver, uvloop)))


def next_of_that_name() -> None:
    """Import the `sitecustomize` that this one stands before, where there is one."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - cheaper, at each start
    at = [os.path.abspath(each) for each in sys.path].index(here)  # noqa: PTH100 - likewise
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path[at + 1 :])
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def main() -> None:
    """Install the resolver, where the harness asks for it."""
    folder = os.environ.get(FOLDER)
    if folder:
        install(Resolver(folder, os.environ.get(OF, "")))
    next_of_that_name()


if __name__ == "sitecustomize":
    main()
