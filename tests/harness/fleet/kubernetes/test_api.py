"""How a cluster is asked, and what is said of one that refuses, is busy, hangs or is away."""

import httpx
import pytest

from harness.fleet.kubernetes.api import PAUSE_S, TRIES, Cluster, ClusterError
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


def test_what_was_sent_once_is_not_sent_again_where_it_would_count_twice() -> None:
    fake = FakeCluster(silent=httpx.ReadError("reset by peer"), silent_for=1)
    with pytest.raises(ClusterError):
        asked(fake, "POST", "/api/v1/namespaces")
    assert not fake.clock.slept


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
