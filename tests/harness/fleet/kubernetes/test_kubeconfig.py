"""Which cluster a kubeconfig names, and how it is asked: the official client, where it is installed."""

import json
import ssl
import sys
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


@pytest.mark.parametrize("text", [None, "", "[", "clusters: 3", "apiVersion: v1"])
def test_a_kubeconfig_that_is_none_is_a_sentence(environ: dict[str, str], text: str | None) -> None:
    file = Path(environ["KUBECONFIG"])
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match="--on kubernetes: ") as caught:
        connect("", FakeClock(), environ)
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
