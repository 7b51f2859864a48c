"""How a cluster is asked, and what is said of one that refuses, is busy, hangs or is away."""

import httpx
import pytest

from harness.fleet.kubernetes.api import CALL_S, PATIENCE_S, PAUSE_S, TRIES, Cluster, ClusterError
from tests.harness.fleet.kubernetes.fake_api import FakeCluster


def asked(fake: FakeCluster, method: str = "GET", path: str = "/version") -> object:
    return fake.cluster().call(method, path)


def test_what_it_tells_is_json() -> None:
    assert asked(FakeCluster()) == {"gitVersion": "v1.34.4"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (httpx.ReadError(""), "ReadError"),
        (httpx.RemoteProtocolError("Server disconnected"), "Server disconnected"),
        (httpx.ReadTimeout("timed out"), "took too long"),
    ],
)
def test_one_that_is_away_is_named_with_its_address(error: Exception, said: str) -> None:
    fake = FakeCluster(silent=error)
    with pytest.raises(ClusterError, match=rf"here does not answer at https://cluster\.test.*{said}"):
        asked(fake)
    assert fake.clock.slept == [PAUSE_S] * (TRIES - 1)


def test_a_connection_that_is_lost_once_costs_nothing() -> None:
    fake = FakeCluster(silent=httpx.ReadError("reset by peer"), silent_for=1)
    assert asked(fake) == {"gitVersion": "v1.34.4"}


def test_what_was_made_although_its_answer_was_lost_is_there_once() -> None:
    fake = FakeCluster(done_but_lost=1)
    made = {"metadata": {"name": "n"}}
    cluster = fake.cluster()
    assert cluster.call("POST", "/api/v1/namespaces", json=made) is None
    assert list(fake.namespaces) == ["n"]
    with pytest.raises(ClusterError, match="already exists"):
        cluster.call("POST", "/api/v1/namespaces", json=made)


def test_one_that_has_answered_is_waited_for_while_its_server_is_replaced() -> None:
    fake = FakeCluster()
    cluster = fake.cluster()
    cluster.call("GET", "/version")
    fake.silent, fake.silent_for = httpx.ConnectError("refused"), int(PATIENCE_S / PAUSE_S) - 1
    assert cluster.call("GET", "/version")
    assert PATIENCE_S - 2 <= sum(fake.clock.slept) < PATIENCE_S
    fake.silent_for = None
    with pytest.raises(ClusterError, match="does not answer"):
        cluster.call("GET", "/version")
    assert cluster.gave_up
    fake.silent = None
    assert cluster.call("GET", "/version")
    assert not cluster.gave_up


def test_one_answer_that_hangs_for_longer_than_that_is_asked_for_again() -> None:
    fake = FakeCluster()
    cluster = fake.cluster()
    cluster.call("GET", "/version")

    def hang(request: httpx.Request) -> httpx.Response:
        if not fake.clock.slept:
            fake.clock.sleep(CALL_S)
            raise httpx.ReadTimeout("timed out")
        return fake.answer(request)

    cluster._client = httpx.Client(base_url="https://c.test", transport=httpx.MockTransport(hang))
    assert cluster.call("GET", "/version")


@pytest.mark.parametrize(
    ("said", "waited_s"), [("4", 4.0), ("Wed, 21 Oct 2026 07:28:00 GMT", PAUSE_S), ("9" * 9, PATIENCE_S)]
)
def test_it_is_left_alone_for_as_long_as_it_says(said: str, waited_s: float) -> None:
    fake = FakeCluster()
    answers = [httpx.Response(429, headers={"retry-after": said}), httpx.Response(200, json={})]
    client = httpx.Client(base_url="https://c.test", transport=httpx.MockTransport(lambda _: answers.pop(0)))
    Cluster(client, fake.execute, clock=fake.clock, name="here").call("GET", "/version")
    assert fake.clock.slept == [waited_s]


def test_a_refusal_of_pages_is_cut() -> None:
    fake = FakeCluster()
    answer = httpx.Response(400, json={"message": "x" * 1_000_000})
    client = httpx.Client(base_url="https://c.test", transport=httpx.MockTransport(lambda _: answer))
    with pytest.raises(ClusterError) as caught:
        Cluster(client, fake.execute, clock=fake.clock, name="here").call("GET", "/version")
    assert len(str(caught.value)) < 2000


def test_one_that_is_busy_is_asked_again() -> None:
    fake = FakeCluster(busy=TRIES - 1)
    assert asked(fake) == {"gitVersion": "v1.34.4"}
    fake.busy = TRIES
    with pytest.raises(ClusterError, match="the server is busy") as caught:
        asked(fake)
    assert caught.value.status == 429


def test_a_right_that_is_missing_is_named() -> None:
    fake = FakeCluster(refuses=("POST", "/namespaces"))
    with pytest.raises(ClusterError, match=r'User "bot" cannot POST .* docs/kubernetes\.md says') as caught:
        fake.cluster().call("POST", "/api/v1/namespaces", json={"metadata": {"name": "n"}})
    assert not caught.value.passes


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(401, json={"message": "Unauthorized"}), "log in again"),
        (httpx.Response(404, text="404 page not found"), "404 page not found"),
        (httpx.Response(410, json={"message": "too old resource version"}), "too old resource version"),
        (httpx.Response(500, json=["odd"]), "odd"),
        (httpx.Response(502), "HTTP 502"),
        (httpx.Response(200, text="<html>"), "is no Kubernetes"),
    ],
)
def test_any_other_refusal_is_a_sentence(answer: httpx.Response, said: str) -> None:
    fake = FakeCluster()
    client = httpx.Client(base_url="https://c.test", transport=httpx.MockTransport(lambda _: answer))
    cluster = Cluster(client, fake.execute, clock=fake.clock, name="here")
    with pytest.raises(ClusterError, match=said):
        cluster.call("GET", "/version")


def test_a_refusal_that_is_none_for_the_caller_is_nothing() -> None:
    fake = FakeCluster()
    assert fake.cluster().call("GET", "/api/v1/namespaces/none", unless=(404,)) is None
