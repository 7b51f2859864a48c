import asyncio
import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from harness.errors import StartError
from harness.simulator import router
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import PATHS, WIRES, body

FORM = {"grant_type": "client_credentials", "client_id": "agent", "client_secret": "s3cret"}
AUTH = {"auth": {"keys": ["s3cret"], "token_latency": {"median_s": 0.4}, "token_lifetime_s": 60}}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def guarded() -> Api:
    return Api(SimulatorConfig.model_validate(AUTH))


def test_it_is_healthy_once_it_answers() -> None:
    assert Api().ask("GET", "/healthz").json() == {"status": "ready"}


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/v1/messages"), ("POST", "/v1/nothing")])
def test_an_unknown_path_is_told_what_there_is(method: str, path: str) -> None:
    answer = Api().ask(method, path)
    assert answer.status_code == 404
    assert "/v1/chat/completions" in answer.json()["error"]["message"]


def test_a_token_costs_its_latency_and_opens_the_door_until_it_ends() -> None:
    api = guarded()
    given = api.ask("POST", "/oauth/token", data=FORM)
    assert given.json() | {"access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 60,
    }
    assert api.clock.monotonic() == pytest.approx(0.4)
    token = given.json()["access_token"]
    assert api.chat(headers=bearer(token)).status_code == 200
    api.clock.advance(60)
    refused = api.chat(headers=bearer(token))
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert [row["source"] for row in api.rows()] == [None, "auth"]


def test_a_key_that_is_listed_opens_the_door_and_no_other() -> None:
    api = guarded()
    codes = [api.chat(headers=bearer(key)).status_code for key in ("s3cret", "guess")]
    assert [*codes, api.chat().status_code] == [200, 401, 401]


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        (FORM | {"client_secret": "guess"}, 401, "invalid_client"),
        (FORM | {"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({}, 400, "unsupported_grant_type"),
    ],
)
def test_a_token_is_refused_as_oauth_has_it(form: dict[str, str], status: int, error: str) -> None:
    answer = guarded().ask("POST", "/oauth/token", data=form)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_without_auth_a_token_is_given_to_anyone_and_needed_by_none() -> None:
    api = Api()
    assert api.ask("POST", "/oauth/token", data=FORM).status_code == 200
    assert api.chat().status_code == 200


def test_the_metrics_tell_what_was_served() -> None:
    api = Api(SimulatorConfig.model_validate({"faults": [{"kind": "auth", "times": 1}]}))
    for text in ("one", "two", "three"):
        api.chat(text)
    page = api.ask("GET", "/metrics")
    lines = page.text.splitlines()
    name = "agentrig_simulator_requests_total"
    assert f'{name}{{decision="auth",protocol="openai",stream="false"}} 1.0' in lines
    assert f'{name}{{decision="ok",protocol="openai",stream="false"}} 2.0' in lines
    assert 'agentrig_simulator_duration_seconds_count{protocol="openai"} 3.0' in lines
    assert "agentrig_simulator_tokens_total 16.0" in lines
    assert "agentrig_simulator_in_work 0.0" in lines
    assert page.headers["content-type"].startswith("text/plain")


def test_a_journal_that_cannot_be_written_is_told_to_who_can_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "FLUSH_S", 0)
    api = Api()
    trouble = StartError("the disk is full")

    def fail() -> None:
        raise trouble

    monkeypatch.setattr(api.simulator.journal, "flush", fail)

    async def live() -> None:
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        sent: list[str] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["type"])

        life = asyncio.create_task(api.router({"type": "lifespan"}, messages.get, send))
        messages.put_nowait({"type": "lifespan.startup"})
        for _ in range(20):
            await asyncio.sleep(0)
        messages.put_nowait({"type": "lifespan.shutdown"})
        await life
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    asyncio.run(live())
    assert api.troubles == [trouble]


def test_a_client_may_tell_its_secret_as_http_has_it() -> None:
    def asked(name: str, secret: str) -> int:
        told = base64.b64encode(f"{quote(name)}:{quote(secret)}".encode()).decode()
        form = {"grant_type": "client_credentials"}
        headers = {"authorization": f"Basic {told}"}
        return guarded().ask("POST", "/oauth/token", data=form, headers=headers).status_code

    assert [asked("agent", "s3cret"), asked("agent", "guess")] == [200, 401]
    form = {"grant_type": "client_credentials"}
    headers = {"authorization": "Basic %%%"}
    assert guarded().ask("POST", "/oauth/token", data=form, headers=headers).status_code == 401


def test_what_is_asked_for_in_vain_is_counted() -> None:
    api = Api()
    for path in ("/v1/audio/speech", "/v1/audio/speech", "/v2/chat"):
        api.ask("POST", path)
    assert api.ask("GET", "/sim/stats").json()["unserved"] == {
        "POST /v1/audio/speech": 2,
        "POST /v2/chat": 1,
    }


@pytest.mark.parametrize(
    ("path", "headers", "names"),
    [
        ("/v1/models", {}, lambda told: [each["id"] for each in told["data"]]),
        ("/openai/v1/models", {}, lambda told: [each["id"] for each in told["data"]]),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, lambda told: [told["first_id"], told["last_id"]]),
        (
            "/v1/models",
            {"x-goog-api-key": "k"},
            lambda told: [each["displayName"] for each in told["models"]],
        ),
        ("/v1beta/models", {}, lambda told: [each["displayName"] for each in told["models"]]),
    ],
)
def test_the_models_are_listed_as_each_provider_lists_them(
    path: str, headers: dict[str, str], names: Callable[[Any], list[str]]
) -> None:
    api = Api(SimulatorConfig(models=("small", "large")))
    assert names(api.ask("GET", path, headers=headers).json()) == ["small", "large"]
    assert api.ask("GET", f"{path}/small", headers=headers).status_code == 200
    assert api.ask("GET", f"{path}/other", headers=headers).status_code == 404
    assert Api().ask("GET", f"{path}/other", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "told"),
    [
        ("/v1/models", {}, {"error": ("model_not_found", "invalid_request_error")}),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, {"error": (None, "not_found_error")}),
        ("/v1beta/models", {}, {"error": (404, None)}),
    ],
)
def test_a_model_that_there_is_none_of_is_told_in_the_providers_words(
    path: str, headers: dict[str, str], told: dict[str, Any]
) -> None:
    body = Api(SimulatorConfig(models=("small",))).ask("GET", f"{path}/other", headers=headers).json()
    assert {"error": (body["error"].get("code"), body["error"].get("type"))} == told
    assert body.get("type") == ("error" if headers else None)
    assert body["error"].get("status") == ("NOT_FOUND" if "beta" in path else None)
    assert "other" in body["error"]["message"]


@pytest.mark.parametrize(
    ("path", "headers", "provider"),
    [
        ("/v1/nothing", {}, "openai"),
        ("/v1/nothing", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("/v1/messages/batches", {}, "anthropic"),
        ("/openai/deployments/m/images/generations", {}, "azure"),
        ("/v1/nothing", {"api-key": "k"}, "azure"),
        ("/v1beta/models/m:embedContent", {}, "gemini"),
        ("/v2/nothing", {"x-goog-api-key": "k"}, "gemini"),
        ("/model/m/rerank", {}, "bedrock"),
        ("/flows/f", {"authorization": "AWS4-HMAC-SHA256 Credential=AK/20260101/x"}, "bedrock"),
    ],
)
def test_a_path_that_is_not_served_is_told_as_the_error_of_whose_client_asks(
    path: str, headers: dict[str, str], provider: str
) -> None:
    answer = Api().ask("POST", path, headers=headers)
    told = answer.json()
    message = told["message"] if provider == "bedrock" else told["error"].pop("message")
    assert answer.status_code == 404
    assert f"POST {path}" in message
    assert "/v1/chat/completions" in message
    openai = {"type": "invalid_request_error", "param": None, "code": None}
    match provider:
        case "openai":
            assert told == {"error": openai}
            assert answer.headers["x-request-id"]
        case "azure":
            assert told == {"error": openai | {"code": "404"}}
            assert answer.headers["apim-request-id"]
        case "anthropic":
            assert (told["type"], told["error"]) == ("error", {"type": "not_found_error"})
            assert answer.headers["request-id"] == told["request_id"]
        case "bedrock":
            assert [*told] == ["message"]
            assert answer.headers["x-amzn-errortype"] == "UnknownOperationException"
            assert answer.headers["x-amzn-requestid"]
        case "gemini":
            assert told == {"error": {"code": 404, "status": "NOT_FOUND"}}


@pytest.mark.parametrize("protocol", PATHS)
def test_a_model_that_there_is_none_of_is_an_error_that_names_it_where_the_provider_does(
    protocol: str,
) -> None:
    api = Api(SimulatorConfig(models=("small",)))
    answer = api.ask("POST", PATHS[protocol], content=body(protocol))
    provider = WIRES.of(PATHS[protocol]).provider  # type: ignore[union-attr]
    told = answer.json()
    assert answer.status_code == 404
    match provider:
        case "openai":
            assert told["error"]["message"].startswith("The model `m` does not exist")
            assert told["error"]["code"] == "model_not_found"
        case "azure":
            assert told["error"]["code"] == "DeploymentNotFound"
        case "anthropic":
            assert told["error"] == {"type": "not_found_error", "message": "model: m"}
        case "gemini":
            assert told["error"]["message"].startswith("models/m is not found for API version v1beta")
        case _:
            assert answer.headers["x-amzn-errortype"] == "ResourceNotFoundException"
            assert [*told] == ["message"]
