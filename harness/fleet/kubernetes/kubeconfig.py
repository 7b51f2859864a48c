"""Which cluster is meant, and how it is asked, by the rules of kubeconfig files.

The rules (files that are merged, contexts, tokens that expire, client certificates, programs that give a
token, a pod's own account) are those of the official client `kubernetes`, the one that follows them all. It
takes two seconds to load: it is imported when a cluster is asked for, and not before.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from harness.clock import Clock
from harness.errors import InputError
from harness.fleet.kubernetes.api import CALL_S, FORBIDDEN, RIGHTS, Cluster, ClusterError, Ran
from harness.outside.http import service_client
from harness.outside.secrets import hidden

VARIABLE: Final = "KUBECONFIG"
WITHIN: Final = "KUBERNETES_SERVICE_HOST"
"""Is there in a pod."""
EXECUTE_S: Final = 30.0
HANDSHAKE: Final = re.compile(r"Handshake status (\d{3})")
"""How the library tells of an answer that is no websocket: its status is told in words alone."""
MISSING: Final = "--on kubernetes needs the package kubernetes: pip install 'agentrig[kubernetes]'"


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
        from yaml import YAMLError  # noqa: PLC0415 - likewise: it comes with that package
    except ImportError as error:
        raise InputError(f"{MISSING} ({error}).") from error
    told = client.Configuration()
    files = environ.get(VARIABLE, "")
    try:
        name = _read(config, told, files, context, environ)
        requests = service_client(
            deadline_s,
            base_url=told.host,
            headers={},
            auth=_Account(told),
            transport=_Named(_verified(told), told.proxy or None, told.tls_server_name),
        )
    except (config.ConfigException, YAMLError, OSError, ValueError, KeyError, TypeError) as error:
        said = hidden(str(error)).rstrip(".")
        raise InputError(f"--on kubernetes: {said}.{_contexts(config, files)}") from error

    def execute(namespace: str, pod: str, command: Sequence[str]) -> Ran:
        return _execute(client.CoreV1Api(client.ApiClient(told)), namespace, pod, command)

    return Cluster(requests, execute, clock=clock, name=name, context=context, config=files)


def _read(config: Any, told: Any, files: str, context: str, environ: Mapping[str, str]) -> str:
    """Read who asks whom into `told`; return the name of the context."""
    if not files and not context and not _usual(environ).exists() and environ.get(WITHIN):
        config.load_incluster_config(client_configuration=told)
        return "of this pod"
    file = files or str(_usual(environ))
    config.load_kube_config(
        config_file=file, context=context or None, client_configuration=told, persist_config=False
    )
    return context or str(config.list_kube_config_contexts(config_file=file)[1]["name"])


def _usual(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME", "~")).expanduser() / ".kube" / "config"


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
        context.load_cert_chain(told.cert_file, told.key_file)
    return context


class _Account(httpx.Auth):
    """Who asks, asked for anew with each call: a token may have been replaced."""

    def __init__(self, told: Any) -> None:
        self._told = told

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        for each in self._told.auth_settings().values():
            request.headers[each["key"]] = each["value"]
        yield request


class _Named(httpx.HTTPTransport):
    """The network, to a server whose certificate may have another name than its address."""

    def __init__(self, context: ssl.SSLContext, proxy: str | None, name: str | None) -> None:
        super().__init__(verify=context, trust_env=False, proxy=proxy)
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
            running.run_forever(timeout=EXECUTE_S)
            status = running.returncode
            output = running.read_stdout()
        finally:
            running.close()
    except ApiException as error:
        said = hidden(str(error.reason or error))
        refused = HANDSHAKE.search(said)
        status = int(refused[1]) if refused else error.status or 0
        todo = f" {RIGHTS}." if status == FORBIDDEN else ""
        raise ClusterError(
            f"a command in pod {pod}: {said} (the right is pods/exec).{todo}", status
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"a command in pod {pod}: {hidden(str(error))}", 0) from error
    if status is None:
        raise ClusterError(f"a command in pod {pod} does not end: {' '.join(command)}", FORBIDDEN)
    return Ran(int(status), output)
