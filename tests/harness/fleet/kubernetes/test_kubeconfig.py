"""Which cluster a kubeconfig names, and how it is asked: the official client, where it is installed."""

import json
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import certifi
import httpx
import pytest

from harness.clock import FakeClock
from harness.errors import InputError
from harness.fleet.kubernetes import kubeconfig
from harness.fleet.kubernetes.api import ClusterError
from harness.fleet.kubernetes.kubeconfig import connect
from tests.e2e.waiting import until

CONFIG = """
apiVersion: v1
kind: Config
clusters:
- name: one
  cluster: {server: "https://one.test:6443", insecure-skip-tls-verify: true, tls-server-name: a-name}
- {name: two, cluster: {server: "http://two.test:8080"}}
users:
- {name: me, user: {token: a-long-enough-token}}
contexts:
- {name: first, context: {cluster: one, user: me}}
- {name: second, context: {cluster: two, user: me}}
current-context: first
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    pytest.importorskip("kubernetes", reason="the extra agentrig[kubernetes] is not installed")
    (tmp_path / "config").write_text(CONFIG)
    return {"KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path)}


def test_without_the_package_it_is_said_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(InputError, match=r"pip install 'agentrig\[kubernetes\]'"):
        connect("", FakeClock(), {})


def test_the_current_context_or_the_one_that_is_named(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = list[httpx.Request]()

    def answer(_: object, request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={})

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    for context, name, url in (
        ("", "first", "https://one.test:6443"),
        ("second", "second", "http://two.test:8080"),
    ):
        cluster = connect(context, FakeClock(), environ)
        assert cluster.name == name
        assert cluster.config == environ["KUBECONFIG"], "who removes what is left reads the same"
        assert cluster.context == name, "also where another one is the current one by then"
        cluster.call("GET", "/version")
        assert str(sent[-1].url) == f"{url}/version"
        assert sent[-1].headers["authorization"] == "Bearer a-long-enough-token"
    assert [each.extensions.get("sni_hostname") for each in sent] == ["a-name", None]


@pytest.mark.parametrize(
    ("context", "said"), [("third", r"There is first, second"), ("x" * 20, "There is first, second")]
)
def test_a_context_that_there_is_not_is_told_with_those_there_are(
    environ: dict[str, str], context: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        connect(context, FakeClock(), environ)


ODD = (
    None,
    "",
    "[",
    "clusters: 3",
    "apiVersion: v1",
    CONFIG.replace("current-context: first", ""),
    CONFIG.replace("current-context: first", "current-context: ''"),
    CONFIG.replace("https://one.test:6443", "https://[::1"),
    CONFIG.replace("https://one.test:6443", "ftp://one.test"),
    CONFIG.replace("tls-server-name", "proxy-url: 'gopher://x', tls-server-name"),
    CONFIG.replace("tls-server-name", "proxy-url: 'socks5://x:1', tls-server-name"),
    CONFIG.replace("tls-server-name", "certificate-authority: /none, tls-server-name"),
    CONFIG.replace("{token: a-long-enough-token}", "{client-certificate: /none, client-key: /none}"),
    CONFIG.replace("{token: a-long-enough-token}", "{client-certificate-data: AAAA, client-key-data: AAAA}"),
)


@pytest.mark.parametrize("text", ODD)
def test_a_kubeconfig_that_is_none_is_a_sentence(environ: dict[str, str], text: str | None) -> None:
    file = Path(environ["KUBECONFIG"])
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises((InputError, ClusterError), match=r"--on kubernetes: |does not answer") as caught:
        connect("", FakeClock(), environ).call("GET", "/version")
    assert ".." not in str(caught.value)


def test_files_that_are_named_together_are_read_as_one(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "more").write_text(CONFIG.replace("first", "fourth").replace("second", "fifth"))
    environ["KUBECONFIG"] += f":{tmp_path / 'more'}"
    assert connect("fifth", FakeClock(), environ).name == "fifth"


def test_a_program_that_gives_a_token_is_asked(environ: dict[str, str], tmp_path: Path) -> None:
    version = "client.authentication.k8s.io/v1"
    token = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": "t-1"}})
    program = tmp_path / "give"
    program.write_text(f"#!/bin/sh\necho '{token}'\n")
    program.chmod(0o700)
    how = f"{{exec: {{apiVersion: {version}, command: {program}, interactiveMode: Never}}}}"
    Path(environ["KUBECONFIG"]).write_text(CONFIG.replace("{token: a-long-enough-token}", how))
    cluster = connect("", FakeClock(), environ)
    request = httpx.Request("GET", "https://one.test")
    flow = cluster._client.auth.auth_flow(request)  # type: ignore[union-attr]  # it is ours
    assert next(flow).headers["authorization"] == "Bearer t-1"


def test_a_kubeconfig_is_found_from_everywhere(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What removes a fleet whose harness was killed works in another folder."""
    monkeypatch.chdir(tmp_path)
    environ["KUBECONFIG"] = "config::none"
    assert connect("", FakeClock(), environ).config == f"{tmp_path / 'config'}:{tmp_path / 'none'}"
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(CONFIG)
    del environ["KUBECONFIG"]
    assert connect("", FakeClock(), environ).config == str(tmp_path / ".kube" / "config")


def test_a_key_that_is_locked_is_not_asked_for_at_the_terminal(
    environ: dict[str, str], tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    wanted = ["-subj", "/CN=me", "-passout", "pass:locked", "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run([*make, *wanted], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    user = f"{{client-certificate: {certificate}, client-key: {key}}}"
    Path(environ["KUBECONFIG"]).write_text(CONFIG.replace("{token: a-long-enough-token}", user))
    with pytest.raises(InputError, match="--on kubernetes: "):
        connect("", FakeClock(), environ)


def exec_user(environ: dict[str, str], folder: Path, script: str) -> None:
    """Let a program give the token."""
    program = folder / "give"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    how = (
        "{exec: {apiVersion: client.authentication.k8s.io/v1, command: "
        f"{program}, interactiveMode: Never}}}}"
    )
    Path(environ["KUBECONFIG"]).write_text(CONFIG.replace("{token: a-long-enough-token}", how))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo '<html>garbage'", "failed to decode"),
        ("echo '{}'", "missing key"),
        ("echo no session: log in >&2; exit 3", r"returned 3\. no session: log in"),
    ],
)
def test_a_program_that_gives_no_token_is_told_in_its_own_words(
    environ: dict[str, str], tmp_path: Path, script: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    exec_user(environ, tmp_path, script)
    with pytest.raises(InputError, match=f"--on kubernetes: exec: .*{said}"):
        connect("", FakeClock(), environ)
    assert not capfd.readouterr().err


def test_a_program_that_hangs_is_not_waited_for_for_ever(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "LOGIN_S", 0.1)
    exec_user(environ, tmp_path, "exec sleep 5")
    with pytest.raises(InputError, match="has not ended after"):
        connect("", FakeClock(), environ)


def test_a_token_that_ends_in_a_run_is_asked_for_anew(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing says when this one ends: the cluster refuses it, and the next is good."""
    token = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1"}
    (tmp_path / "token").write_text(json.dumps({**token, "status": {"token": "t-1"}}))
    exec_user(environ, tmp_path, f"cat {tmp_path / 'token'}; echo asked >>{tmp_path / 'asked'}")
    sent = list[str]()

    def answer(_: object, request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["authorization"])
        good = sent[-1] == "Bearer t-2"
        return httpx.Response(200 if good else 401, json={"message": "Unauthorized"})

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    cluster = connect("", FakeClock(), environ)
    with pytest.raises(ClusterError, match="log in again"):
        cluster.call("GET", "/version")
    assert sent == ["Bearer t-1"], "there is no other token to ask with"
    (tmp_path / "token").write_text(json.dumps({**token, "status": {"token": "t-2"}}))
    cluster.call("GET", "/version")
    cluster.call("GET", "/version")
    assert sent[1:] == ["Bearer t-1", "Bearer t-2", "Bearer t-2"]
    assert (tmp_path / "asked").read_text().count("asked") == 3


ENVIRONMENT = {"HTTPS_PROXY": "http://proxy.test:3128"}


@pytest.mark.parametrize(
    ("host", "no_proxy", "taken"),
    [
        ("https://one.test:6443", "", True),
        ("https://one.test:6443", "other.test,two.test:6443", True),
        ("https://one.test:6443", "one.test", False),
        ("https://api.one.test", " .one.test", False),
        ("https://api.one.test:6443", "one.test:6443", False),
        ("https://noone.test", "one.test", True),
        ("https://10.1.2.3:6443", "10.0.0.0/8", False),
        ("https://11.1.2.3:6443", "10.0.0.0/8,1.2.3", True),
        ("https://one.test", "*", False),
        ("https://127.0.0.1:36000", "", False),
        ("https://[::1]:36000", "", False),
        ("https://localhost:36000", "", False),
        ("http://one.test", "", False),
    ],
)
def test_a_proxy_of_the_environment_is_taken_as_kubectl_takes_it(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, host: str, no_proxy: str, *, taken: bool
) -> None:
    for name, value in {**ENVIRONMENT, "NO_PROXY": no_proxy}.items():
        monkeypatch.setenv(name, value)  # the client itself looks there
        environ[name] = value
    Path(environ["KUBECONFIG"]).write_text(CONFIG.replace("https://one.test:6443", host))
    assert proxy_of(environ, monkeypatch) == ("http://proxy.test:3128" if taken else None)


def proxy_of(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Return the proxy by which the cluster is asked."""
    given = list[str | None]()

    def noted(_: object, proxy: str | None, __: object) -> httpx.BaseTransport:
        given.append(proxy)
        return httpx.HTTPTransport()

    monkeypatch.setattr(kubeconfig, "_Named", noted)
    connect("", FakeClock(), environ)
    (proxy,) = given
    return proxy


def test_a_proxy_of_the_kubeconfig_is_taken_for_every_host(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = CONFIG.replace("tls-server-name", "proxy-url: 'http://other.test:1', tls-server-name")
    Path(environ["KUBECONFIG"]).write_text(asked.replace("one.test", "127.0.0.1"))
    environ |= {**ENVIRONMENT, "NO_PROXY": "*"}
    assert proxy_of(environ, monkeypatch) == "http://other.test:1"


@pytest.mark.parametrize("how", [KeyboardInterrupt(), SystemExit(130)])
def test_an_interruption_within_a_command_in_a_pod_is_none_of_the_cluster(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, how: BaseException
) -> None:
    """The client takes everything that is raised meanwhile for a failure of the connection."""

    def interrupted(*_: object) -> None:
        raise how

    monkeypatch.setattr("kubernetes.stream.ws_client.create_websocket", interrupted)
    with pytest.raises(type(how)):
        connect("", FakeClock(), environ).execute("n", "agent-1", ("true",))


def test_a_connection_that_breaks_within_a_command_is_a_sentence(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from websocket import WebSocketConnectionClosedException  # noqa: PLC0415 - it comes with the client

    class Broken:
        connected = True
        subprotocol = "v4.channel.k8s.io"

        def __init__(self) -> None:
            self.sock, self._other = socket.socketpair()
            self._other.close()

        def settimeout(self, timeout: float) -> None:
            self.sock.settimeout(timeout)

        def recv_data_frame(self, *_: object) -> None:
            raise WebSocketConnectionClosedException("Connection to remote host was lost.")

        def close(self, **_: object) -> None:
            self.sock.close()

    monkeypatch.setattr("kubernetes.stream.ws_client.create_websocket", lambda *_: Broken())
    with pytest.raises(ClusterError, match="agent-1: Connection to remote host was lost") as caught:
        connect("", FakeClock(), environ).execute("n", "agent-1", ("true",))
    assert caught.value.passes


def test_a_command_that_may_not_be_run_is_not_tried_again(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from websocket import WebSocketBadStatusException  # noqa: PLC0415 - it comes with the client

    def refused(*_: object) -> None:
        raise WebSocketBadStatusException("Handshake status %d %s", 403, "Forbidden", {}, b"")

    monkeypatch.setattr("kubernetes.stream.ws_client.create_websocket", refused)
    with pytest.raises(ClusterError, match="the right is pods/exec") as caught:
        connect("", FakeClock(), environ).execute("n", "agent-1", ("true",))
    assert caught.value.status == 403


def test_a_server_that_takes_a_connection_and_is_silent_is_not_waited_for_for_ever(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "EXECUTE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = CONFIG.replace("http://two.test:8080", f"http://127.0.0.1:{silent.getsockname()[1]}")
        Path(environ["KUBECONFIG"]).write_text(told)
        cluster = connect("second", FakeClock(), environ)
        with pytest.raises(ClusterError, match="agent-1: the cluster does not answer") as caught:
            cluster.execute("n", "agent-1", ("true",))
    assert caught.value.passes


def test_half_a_frame_of_a_command_is_not_waited_for_for_ever(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from websocket import WebSocket  # noqa: PLC0415 - it comes with the client

    here, there = socket.socketpair()
    half = WebSocket()
    half.sock, half.connected = here, True
    there.sendall(b"\x82")  # of a frame, the first byte
    monkeypatch.setattr(kubeconfig, "EXECUTE_S", 0.1)
    monkeypatch.setattr(WebSocket, "getheaders", lambda _: {})
    monkeypatch.setattr("kubernetes.stream.ws_client.create_websocket", lambda *_: half)
    threads = threading.active_count()
    with there, pytest.raises(ClusterError, match="agent-1") as caught:
        connect("", FakeClock(), environ).execute("n", "agent-1", ("true",))
    assert caught.value.passes
    until("no thread that waits", lambda: threading.active_count() <= threads)


def test_a_token_that_ends_between_two_commands_is_asked_for_anew(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from websocket import WebSocketBadStatusException  # noqa: PLC0415 - it comes with the client

    token = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1"}
    (tmp_path / "token").write_text(json.dumps({**token, "status": {"token": "t-1"}}))
    exec_user(environ, tmp_path, f"cat {tmp_path / 'token'}")
    sent = list[str]()

    def refused(_: object, __: str, headers: dict[str, str]) -> None:
        sent.append(headers["authorization"])
        raise WebSocketBadStatusException("Handshake status %d %s", 401, "Unauthorized", {}, b"")

    monkeypatch.setattr("kubernetes.stream.ws_client.create_websocket", refused)
    cluster = connect("", FakeClock(), environ)
    (tmp_path / "token").write_text(json.dumps({**token, "status": {"token": "t-2"}}))
    with pytest.raises(ClusterError) as caught:
        cluster.execute("n", "agent-1", ("true",))
    assert caught.value.status == 401
    assert sent == ["Bearer t-1", "Bearer t-2"]
    with pytest.raises(ClusterError):
        cluster.execute("n", "agent-1", ("true",))
    assert sent[2:] == ["Bearer t-2"], "there is no other to ask with"


def test_in_a_pod_its_own_account_asks_unless_another_is_named(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.config import incluster_config  # noqa: PLC0415 - it may not be installed

    (tmp_path / "token").write_text("t-of-the-pod")
    (tmp_path / "ca.crt").write_text(Path(certifi.where()).read_text("utf-8"))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    within = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    for name, value in within.items():
        monkeypatch.setenv(name, value)
    cluster = connect("", FakeClock(), within | {"HOME": str(tmp_path / "nobody")})
    assert cluster.name == "of this pod"
    assert str(cluster._client.base_url).rstrip("/") == "https://10.96.0.1"
    flow = cluster._client.auth.auth_flow(httpx.Request("GET", "https://one.test"))  # type: ignore[union-attr]  # it is ours
    assert next(flow).headers["authorization"].casefold() == "bearer t-of-the-pod"
    assert connect("", FakeClock(), within | environ).name == "first"


def test_a_cluster_has_to_prove_no_more_than_to_kubectl() -> None:
    pytest.importorskip("kubernetes", reason="the extra agentrig[kubernetes] is not installed")
    told = SimpleNamespace(ssl_ca_cert=None, verify_ssl=True, cert_file=None, key_file=None)
    context = kubeconfig._verified(told)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT, "newer Pythons refuse what kubectl takes"


@pytest.mark.parametrize(
    ("reason", "status", "said"),
    [
        ("Handshake status 403 Forbidden -+-+- {} -+-+- pods is forbidden", 403, "which rights"),
        ("Handshake status 404 Not Found -+-+- {} -+-+- no pod", 404, "no pod"),
        ("[Errno 111] Connection refused", 0, "Connection refused"),
    ],
)
def test_a_command_that_is_refused_is_told_with_its_status(
    monkeypatch: pytest.MonkeyPatch, reason: str, status: int, said: str
) -> None:
    pytest.importorskip("kubernetes", reason="the extra agentrig[kubernetes] is not installed")
    from kubernetes import stream  # noqa: PLC0415 - see above
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - likewise

    def refused(*_: object, **__: object) -> None:
        raise ApiException(status=0, reason=reason)

    monkeypatch.setattr(stream, "stream", refused)
    with pytest.raises(ClusterError, match=said) as caught:
        kubeconfig._execute(SimpleNamespace(connect_get_namespaced_pod_exec=None), "n", "p", ("true",))
    assert caught.value.status == status


def test_what_a_command_writes_comes_back_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kubernetes", reason="the extra agentrig[kubernetes] is not installed")
    from kubernetes import stream  # noqa: PLC0415 - see above

    asked = dict[str, object]()

    class Running:
        returncode = 3
        sock = SimpleNamespace(settimeout=lambda _: None)

        def run_forever(self, timeout: float) -> None:
            assert timeout

        def read_stdout(self) -> bytes:
            return b"\xff\x00"

        def close(self) -> None:
            return

    def run(*_: object, **how: object) -> Running:
        asked.update(how)
        return Running()

    monkeypatch.setattr(stream, "stream", run)
    ran = kubeconfig._execute(SimpleNamespace(connect_get_namespaced_pod_exec=None), "n", "p", ("true",))
    assert ran == (3, b"\xff\x00")
    assert asked["binary"] is True, "what is no text would be lost"


def test_nothing_of_it_is_loaded_before_it_is_asked_for() -> None:
    assert kubeconfig.__doc__
    source = Path(kubeconfig.__file__).read_text("utf-8")
    assert not [
        line for line in source.splitlines() if line.startswith(("import kubernetes", "from kubernetes"))
    ]
