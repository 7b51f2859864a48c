"""Which cluster is meant, and how it is asked, by the rules of kubeconfig files.

The rules (files that are merged, contexts, tokens that expire, client certificates, programs that give a
token, a pod's own account) are those of the official client `kubernetes`, the one that follows them all. It
takes two seconds to load: it is imported when a cluster is asked for, and not before.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx

from harness.clock import Clock
from harness.errors import InputError
from harness.fleet.kubernetes.api import (
    CALL_S,
    FORBIDDEN,
    MOST_SAID,
    RIGHTS,
    UNKNOWN_USER,
    Cluster,
    ClusterError,
    Ran,
)
from harness.outside.http import service_client
from harness.outside.secrets import beginning, hidden

VARIABLE: Final = "KUBECONFIG"
WITHIN: Final = "KUBERNETES_SERVICE_HOST"
"""Is there in a pod."""
POD: Final = "of this pod"
EXECUTE_S: Final = 30.0
"""How long a command in a pod may take, and as long again the way to it."""
LOGIN_S: Final = 120.0
"""How long a program may take that gives a token: one that asks somebody hangs where nobody is."""
HANDSHAKE: Final = re.compile(r"Handshake status (\d{3})")
"""How the library tells of an answer that is no websocket: its status is told in words alone."""
MISSING: Final = "--on kubernetes needs the package kubernetes: pip install 'agentrig[kubernetes]'"
OF_CLIENT: Final = "kube_config"
"""The part of the client that logs why a program gave no token, and goes on without one."""
Answer = TypeVar("Answer")
PORTS: Final = {"http": 80, "https": 443}


def connect(
    context: str, clock: Clock, environ: Mapping[str, str] = os.environ, *, deadline_s: float = CALL_S
) -> Cluster:
    """Return the cluster of a context, which is not asked yet.

    Args:
        context: of the kubeconfig, empty for the current one.
        clock: for waiting.
        environ: names the kubeconfig.
        deadline_s: that connecting may take, and each read.

    Raises:
        InputError: the package is not installed, or the kubeconfig tells of no such cluster.
    """
    try:
        from kubernetes import client, config  # noqa: PLC0415 - see above
        from kubernetes.stream import stream  # noqa: PLC0415, F401 - now: later it would count as a command's time
    except ImportError as error:
        raise InputError(f"{MISSING} ({error}).") from error
    told = client.Configuration()
    told.proxy = None  # of the environment it would be one for every host
    files = _files(environ, context)
    try:
        name = _login(lambda: _read(config, told, files, context))
        told.proxy = told.proxy or _proxy(told.host, environ)
        account = _Account(told, lambda: _read(config, told, files, name))
        requests = service_client(
            deadline_s,
            base_url=told.host,
            headers={},
            auth=account,
            transport=_Named(_verified(told), told.proxy or None, told.tls_server_name),
        )
    except InputError:
        raise
    except Exception as error:  # whatever is wrong with the files: of many kinds
        said = hidden(str(error)).rstrip(".") or type(error).__name__
        raise InputError(f"--on kubernetes: {said}.{_contexts(config, files)}") from error

    def run(namespace: str, pod: str, command: Sequence[str]) -> Ran:
        api = client.CoreV1Api(client.ApiClient(told))  # loads more of it the first time
        try:
            return _within(2 * EXECUTE_S, lambda: _execute(api, namespace, pod, command))
        except TimeoutError:  # the library waits for ever for a server that takes a connection, and is silent
            raise ClusterError(f"a command in pod {pod}: the cluster does not answer", 0) from None

    def execute(namespace: str, pod: str, command: Sequence[str]) -> Ran:
        asked_as = account.signs()
        try:
            return run(namespace, pod, command)
        except ClusterError as error:
            if error.status != UNKNOWN_USER or account.renewed(asked_as) == asked_as:
                raise
            return run(namespace, pod, command)

    # by its name: another may be the current one by the time that what is left is removed
    return Cluster(requests, execute, clock=clock, name=name or POD, context=name, config=files)


def _files(environ: Mapping[str, str], context: str) -> str:
    """Return the files of the kubeconfig from wherever they are read; empty for the account of a pod."""
    given = environ.get(VARIABLE, "")
    usual = Path(environ.get("HOME", "~")).expanduser() / ".kube" / "config"
    if not given and not context and environ.get(WITHIN) and not usual.exists():
        return ""
    named = [each for each in given.split(os.pathsep) if each] or [str(usual)]
    return os.pathsep.join(str(Path(each).expanduser().absolute()) for each in named)


def _read(config: Any, told: Any, files: str, context: str) -> str:
    """Read who asks whom into `told`; return the name of the context, empty for a pod's own account."""
    if not files:
        config.load_incluster_config(client_configuration=told)
        return ""
    with _heard() as said:
        config.load_kube_config(
            config_file=files, context=context or None, client_configuration=told, persist_config=False
        )
    if said:  # the client says so in a log, and would ask as nobody
        raise ValueError("; ".join(said))
    return context or str(config.list_kube_config_contexts(config_file=files)[1]["name"])


class _Said(logging.Handler):
    """Keeps what the client logs as an error, and lets it not reach the terminal."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.module == OF_CLIENT:  # others log, too, and on other threads
            self.lines.append(beginning(record.getMessage(), MOST_SAID))


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Give what the client logs as an error meanwhile."""
    said = _Said()
    logging.getLogger().addHandler(said)
    try:
        yield said.lines
    finally:
        logging.getLogger().removeHandler(said)


def _login(ask: Callable[[], Answer]) -> Answer:
    """Return what `ask` does, in which a program may be asked.

    Raises:
        ValueError: that takes too long; whatever else it raises.
    """
    try:
        return _within(LOGIN_S, ask)
    except TimeoutError:
        said = f"the program that the kubeconfig names to log in has not ended after {LOGIN_S:.0f} s"
        raise ValueError(said) from None


def _within(most_s: float, ask: Callable[[], Answer]) -> Answer:
    """Return what `ask` does, which nothing else ends where it hangs.

    Raises:
        TimeoutError: it takes longer; whatever it raises.
    """
    done: Future[Answer] = Future()

    def run() -> None:
        try:
            done.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told by who waits
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(most_s)


def _proxy(host: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy of the environment for a host, as kubectl takes it: none for loopback."""
    parts = urlsplit(host)
    at, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    told = {name.lower(): value for name, value in environ.items() if value}
    proxy = told.get(f"{parts.scheme}_proxy")
    address = _address(at)
    if not proxy or at == "localhost" or (address is not None and address.is_loopback):
        return None
    for each in filter(None, map(str.strip, told.get("no_proxy", "").lower().split(","))):
        if each == "*" or each in {at, f"{at}:{port}"}:
            return None
        if address:
            with suppress(ValueError):
                if address in ip_network(each, strict=False):
                    return None
        elif f"{at}:{port}".endswith(
            ("." + each.removeprefix("."), "." + each.removeprefix(".") + f":{port}")
        ):
            return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _contexts(config: Any, files: str) -> str:
    """Return which contexts there are, as a sentence; empty where that cannot be told."""
    try:
        contexts, _ = config.list_kube_config_contexts(config_file=files or None)
    except Exception:  # noqa: BLE001 - whatever is wrong with the files is told already
        return f" A kubeconfig is named by {VARIABLE}; kubectl reads the same."
    return f" There is {', '.join(str(each['name']) for each in contexts)}."


def _verified(told: Any) -> ssl.SSLContext:
    """Return what a connection to the API has to prove, and proves.

    Newer Pythons also ask for extensions that the certificates of many clusters do not have, and that neither
    kubectl nor the websocket of a command in a pod asks for.
    """
    context = ssl.create_default_context(cafile=told.ssl_ca_cert or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not told.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if told.cert_file:
        context.load_cert_chain(
            told.cert_file, told.key_file, password=""
        )  # else it is asked for at the terminal
    return context


class _Account(httpx.Auth):
    """Who asks, asked for anew with each call: a token may have been replaced.

    Args:
        told: what the kubeconfig says.
        read: reads that anew. A token may have ended of which nothing said when it would.
    """

    def __init__(self, told: Any, read: Callable[[], str]) -> None:
        self._told = told
        self._read = read
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        asked_as = self.signs()
        request.headers.update(asked_as)
        answer = yield request
        if answer.status_code == UNKNOWN_USER and (renewed := self.renewed(asked_as)) != asked_as:
            request.headers.update(renewed)
            yield request

    def signs(self) -> dict[str, str]:
        """Return the headers that say who asks, those that were known last where that takes too long."""
        with self._lock, suppress(Exception), _heard():
            told = _login(self._told.auth_settings)
            self._known = {each["key"]: each["value"] for each in told.values()}
        return self._known

    def renewed(self, refused: dict[str, str]) -> dict[str, str]:
        """Return other headers than those that were refused, where there are any by now."""
        if (known := self.signs()) != refused:
            return known
        with self._lock, suppress(Exception):  # that it was refused is told
            _login(self._read)
        return self.signs()


class _Named(httpx.HTTPTransport):
    """The network, to a server whose certificate may have another name than its address."""

    def __init__(self, context: ssl.SSLContext, proxy: str | None, name: str | None) -> None:
        at_once = httpx.Limits(max_connections=None)  # what a pod prints takes one as long as it lives
        super().__init__(verify=context, trust_env=False, proxy=proxy, limits=at_once)
        self._extensions = {"sni_hostname": name} if name else {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, **self._extensions}
        return super().handle_request(request)


def _execute(api: Any, namespace: str, pod: str, command: Sequence[str]) -> Ran:
    """Run a command in a pod, and return how it ended.

    Raises:
        ClusterError: it cannot be run there, or takes too long.
    """
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - see above
    from kubernetes.stream import stream  # noqa: PLC0415 - likewise

    asked = {"command": list(command), "stdin": False, "stdout": True, "stderr": True, "tty": False}
    how = {"_preload_content": False, "binary": True}
    try:
        running = stream(api.connect_get_namespaced_pod_exec, pod, namespace, **asked, **how)
        try:
            running.sock.settimeout(EXECUTE_S)  # else half a frame is waited for without an end
            running.run_forever(timeout=EXECUTE_S)
            status = running.returncode
            output = running.read_stdout()
        finally:
            running.close()
    except ApiException as error:
        cause = error.__context__
        if isinstance(cause, KeyboardInterrupt | SystemExit):  # the client takes them for a failure, too
            raise cause from None
        said = beginning(str(error.reason or error), MOST_SAID)
        refused = HANDSHAKE.search(said)
        status = int(refused[1]) if refused else error.status or getattr(cause, "status_code", 0)
        todo = f" {RIGHTS}." if status == FORBIDDEN else ""
        raise ClusterError(
            f"a command in pod {pod}: {said} (the right is pods/exec).{todo}", status
        ) from error
    except Exception as error:  # of a connection that breaks, the client's own kinds, too
        raise ClusterError(f"a command in pod {pod}: {beginning(str(error), MOST_SAID)}", 0) from error
    if status is None:
        raise ClusterError(f"a command in pod {pod} does not end: {' '.join(command)}", FORBIDDEN)
    return Ran(int(status), output)
