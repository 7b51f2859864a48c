import json

import pytest

from harness.simulator.quota import BucketLevel, QuotaVerdict
from harness.simulator.wire.azure import AzureChat
from harness.simulator.wire.protocol import WireProblem
from harness.simulator_config import RetryAfterForm
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import WIRES, body

WIRE = AzureChat()


@pytest.mark.parametrize(
    ("path", "name", "model"),
    [
        ("/openai/deployments/my%20gpt/chat/completions", "azure", "my gpt"),
        ("/openai/v1/chat/completions", "azure", "m"),
        ("/openai/responses", "azure-responses", "m"),
        ("/openai/v1/responses", "azure-responses", "m"),
        ("/openai/deployments/small/embeddings", "azure-embeddings", "small"),
    ],
)
def test_the_deployment_is_the_model_else_the_body_names_it(path: str, name: str, model: str) -> None:
    wire = WIRES.of(path)
    assert wire is not None
    assert (wire.name, wire.provider) == (name, "azure")
    assert wire.parse(path, body(name)).model == model


@pytest.mark.parametrize(
    "path", ["/openai/deployments//chat/completions", "/openai/chat", "/openai/v2/responses"]
)
def test_other_paths_are_none_of_its(path: str) -> None:
    assert WIRES.of(path) is None


def test_the_key_is_the_api_key_or_the_bearer_token() -> None:
    assert WIRE.key({b"api-key": b"k", b"authorization": b"Bearer t"}) == "k"
    assert WIRE.key({b"authorization": b"Bearer t"}) == "t"


def test_who_is_throttled_reads_when_to_come_back_in_the_message_too() -> None:
    problem = WireProblem(status=429, type="requests", message="Too many.", code="429")
    _, told = WIRE.error(problem, "r", 1.2)
    assert json.loads(told)["error"]["message"] == "Too many. Please retry after 2 seconds."
    _, told = WIRE.error(problem, "r", None)
    assert json.loads(told)["error"]["message"] == "Too many."


def test_the_quota_is_told_by_what_remains_of_it() -> None:
    verdict = QuotaVerdict(
        admitted=True,
        kind="rate_limit_requests",
        retry_after_s=None,
        form=RetryAfterForm.EXACT,
        requests=BucketLevel(60, 41.7, 0.12),
        tokens=BucketLevel(9000, 100, 90),
    )
    assert dict(WIRE.quota_headers(verdict, 0)) == {
        b"x-ratelimit-remaining-requests": b"41",
        b"x-ratelimit-remaining-tokens": b"100",
    }


def test_a_wrong_key_is_refused_in_its_own_words_and_a_filter_in_openais() -> None:
    api = Api()
    for kind, code in (("auth", "401"), ("content_filter", "content_filter")):
        api.ask("PATCH", "/sim/config", json={"faults": [{"kind": kind}]})
        refused = api.ask("POST", "/openai/v1/chat/completions", content=body("azure"))
        assert refused.json()["error"]["code"] == code
        assert "apim-request-id" in refused.headers
