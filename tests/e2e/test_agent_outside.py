"""An agent process and what it is connected with: proxies, keys, and receivers of its telemetry."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from harness.fleet.ports import HOST
from tests.e2e.agents import agents
from tests.e2e.asking import HTTP
from tests.e2e.collecting import Collector, collecting
from tests.e2e.in_process import serving
from tests.e2e.serving import free_port, running
from tests.e2e.simulating import running as simulator
from tests.e2e.waiting import DEADLINE_S, until
from tests.reference_agent.rig import run
from tests.reference_agent.wire import DONE, USAGE, chunk

pytestmark = pytest.mark.e2e

PROXY = Path(__file__).parent / "fixtures" / "forward_proxy.py"
OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
CANARY = "canary"
FAR = "http://model.invalid"
"""An address that nobody has: only a proxy can reach it."""


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(url: str, prompt: str = "hi", **headers: str) -> httpx.Response:
    return HTTP.post(f"{url}/invocations", json={"prompt": prompt}, headers=headers, timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    """A simulator that keeps nothing of who asked it."""
    with simulator() as started:
        yield started.url


@pytest.fixture(scope="module")
def only_proxy(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    port, seen = free_port(), tmp_path_factory.mktemp("proxy") / "seen.txt"
    argv = [sys.executable, str(PROXY), str(port), model, str(seen)]
    with running(argv, f"http://{HOST}:{port}/"):
        yield f"http://{HOST}:{port}", seen


@pytest.fixture
def proxy(only_proxy: tuple[str, Path]) -> tuple[str, Path]:
    """A proxy in front of a simulator: its address, and the file in which it writes what it was asked for."""
    only_proxy[1].write_text("")
    return only_proxy


def answered_here(model: str, folder: Path) -> httpx.Response:
    """Return what an agent answers that runs in this process, by its environment: to start one takes long."""

    async def work() -> httpx.Response:
        async with serving(model, agent_session_store=f"sqlite:///{folder}/sessions.db") as agent:
            return await agent.ask()

    answer: httpx.Response = run(work())
    return answer


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_model_is_reached_by_the_proxy_that_the_environment_names(
    name: str, proxy: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, seen = proxy
    monkeypatch.setenv(name, address)
    assert answered_here(FAR, tmp_path).status_code == 200
    assert seen.read_text().splitlines() == [f"{FAR}/v1/chat/completions"]


def test_a_host_that_no_proxy_names_is_reached_without_it(
    proxy: tuple[str, Path], model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, seen = proxy
    monkeypatch.setenv("HTTP_PROXY", address)
    monkeypatch.setenv("NO_PROXY", HOST)
    assert answered_here(model, tmp_path).status_code == 200
    assert not seen.read_text()


def test_tls_goes_through_the_proxy_as_a_tunnel(proxy: tuple[str, Path], tmp_path: Path) -> None:
    address, seen = proxy
    far = {"OPENAI_BASE_URL": "https://model.invalid/v1", "AGENT_RETRY_MAX_ATTEMPTS": "1"}
    with agents(tmp_path, 1, 0.0, HTTPS_PROXY=address, **far) as fleet:
        assert ask(fleet.urls[0]).status_code == 503
        assert seen.read_text().splitlines() == ["CONNECT model.invalid:443"]


def test_a_model_that_moved_is_followed_with_what_it_was_asked(tmp_path: Path) -> None:
    asked: list[tuple[str, str, bytes]] = []

    class Moved(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            asked.append((self.path, self.headers["authorization"], body))
            here = self.path.startswith("/v2/")
            answer = b"".join([chunk({"content": "found"}), chunk({}, "stop"), DONE]) if here else b""
            self.send_response(200 if here else 307)
            self.send_header("content-length", str(len(answer)))
            if here:
                self.send_header("content-type", "text/event-stream")
            else:
                self.send_header("location", "/v2/chat/completions")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving_in_thread(Moved) as model:
        answer = answered_here(model, tmp_path)
        assert (answer.status_code, answer.json()["result"]) == (200, "found")
    assert [path for path, _, _ in asked] == ["/v1/chat/completions", "/v2/chat/completions"]
    assert asked[0][1:] == asked[1][1:]


@contextmanager
def serving_in_thread(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer((HOST, 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def attributes(collector: Collector) -> dict[str, set[str]]:
    """Return the names of the attributes of each span that came, by its name."""
    found: dict[str, set[str]] = {}
    for resource in collector.resources():
        for scope in resource.scope_spans:
            for span in scope.spans:
                found.setdefault(span.name, set()).update(item.key for item in span.attributes)
    return found


def test_a_receiver_of_traces_alone_gets_them(tmp_path: Path) -> None:
    with collecting() as collector:
        there = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.endpoint}/v1/traces"}
        with agents(tmp_path, 1, 0.0, **there, OTEL_BSP_SCHEDULE_DELAY="10") as fleet:
            assert ask(fleet.urls[0]).status_code == 200
        assert {"POST /invocations", "invoke_agent agentrig", "session.save"} <= set(attributes(collector))


@contextmanager
def talkative_model(key: str = "") -> Iterator[tuple[str, list[str]]]:
    """A model that fails once with words, then answers with words; it takes one key, if one is given."""
    asked: list[str] = []
    answer = b"".join([chunk({"content": f"the {CANARY} sings"}), chunk({}, "stop"), USAGE, DONE])
    wrong = json.dumps({"error": {"message": f"{CANARY} in an error", "code": f"a {CANARY}"}}).encode()

    class Model(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.append(self.headers["authorization"])
            if key and asked[-1] != f"Bearer {key}":
                self._answer(401, wrong, "application/json")
            elif not key and len(asked) == 1:
                self._answer(500, wrong, "application/json")
            else:
                self._answer(200, answer, "text/event-stream")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving_in_thread(Model) as url:
        yield f"{url}/v1", asked


@pytest.mark.parametrize(
    "opted", ["", "http/dup,gen_ai_span_attributes_only", "http,gen_ai_latest_experimental"]
)
def test_no_words_leave_the_container_whatever_a_fleet_sets(opted: str, tmp_path: Path) -> None:
    told = {
        OPT_IN: opted,
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
        "OTEL_BSP_SCHEDULE_DELAY": "10",
        "AGENT_SYSTEM_PROMPT": f"You are a {CANARY}.",
        "AGENT_RETRY_BASE_S": "0",
    }
    with collecting() as collector, talkative_model() as (model, _):
        here = {"OPENAI_BASE_URL": model, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        with agents(tmp_path, 1, 0.0, **told, **here) as fleet:
            url, log = fleet.urls[0], fleet.children[0].log
            answer = ask(url, f"tell of the {CANARY}", **{"x-words": CANARY, "user-agent": CANARY})
            assert CANARY in answer.json()["result"]
            metrics = HTTP.get(f"{url}/metrics", timeout=DEADLINE_S).text
        spans = attributes(collector)
        assert CANARY not in "".join(str(body) for body in collector.bodies) + metrics + log.read_text()
    assert {"http.request.method", "http.route", "http.response.status_code"} <= spans["POST /invocations"]
    assert "http_server_request_duration_seconds_count{" in metrics


def test_words_are_sent_when_our_own_variable_asks_for_them(tmp_path: Path) -> None:
    with collecting() as collector, talkative_model() as (model, _):
        here = {"OPENAI_BASE_URL": model, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        asked = {"AGENT_CAPTURE_MESSAGE_CONTENT": "true", "AGENT_RETRY_BASE_S": "0"}
        with agents(tmp_path, 1, 0.0, **asked, **here, OTEL_BSP_SCHEDULE_DELAY="10") as fleet:
            assert ask(fleet.urls[0], f"tell of the {CANARY}").status_code == 200
            for words in (f"tell of the {CANARY}", f"the {CANARY} sings"):
                until(words, lambda: words.encode() in b"".join(collector.bodies))  # noqa: B023 - called at once


def test_a_key_that_is_changed_in_its_file_is_used_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-old\n")

    async def work(model: str) -> None:
        options = {"agent_session_store": f"sqlite:///{tmp_path}/sessions.db", "openai_api_key_file": file}
        async with serving(model, **options) as agent:
            assert (await agent.ask()).status_code == 502
            file.write_text("sk-new\n")
            async with asyncio.timeout(DEADLINE_S):
                while (await agent.ask()).status_code != 200:
                    pass

    with talkative_model("sk-new") as (model, asked):
        run(work(model.removesuffix("/v1")))
    assert asked == ["Bearer sk-old", "Bearer sk-old", "Bearer sk-new"]
