"""What is made in a cluster, held against the API's own schemas."""

import kubernetes_validate
import pytest

from harness.fleet.kubernetes import manifests
from harness.process.leftovers import FLEET_LABEL

LABELS = {FLEET_LABEL: "f1"}
BODIES = {
    "namespace": manifests.namespace("agentrig-f1", LABELS),
    "walls": manifests.walls(["10.0.0.1"]),
    "agent": manifests.agent(
        "agent-1", "bot:1", {"A": "b"}, labels=LABELS, memory_mb=64, cpus=0.5, node="a-node"
    ),
    "agent without a limit": manifests.agent(
        "agent-1", "bot:1", {}, labels=LABELS, memory_mb=64, cpus=None, node="a-node"
    ),
    "agent that is probed": manifests.agent(
        *("agent-1", "bot:1", {}),
        labels=LABELS,
        memory_mb=64,
        cpus=None,
        node="a-node",
        grace_s=60,
        probed="/readyz",
    ),
    "keeper": manifests.keeper("bot:1", ["10.0.0.1:80"], "token", LABELS),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_it_is_what_the_api_takes(body: manifests.Json) -> None:
    kubernetes_validate.validate(body, "1.34", strict=True)


def test_what_is_asked_for_is_no_more_than_the_limits() -> None:
    body = manifests.agent("a", "bot:1", {}, labels=LABELS, memory_mb=16, cpus=0.004, node="a-node")
    (container,) = body["spec"]["containers"]
    least = {"cpu": "4m", "memory": "16Mi"}
    assert container["resources"] == {"limits": least, "requests": least}


@pytest.mark.parametrize(
    ("text", "told"), [("a run/1", "a-run-1"), ("-x-", "x"), ("", ""), ("a" * 80, "a" * 63), ("é", "")]
)
def test_a_label_takes_few_letters(text: str, told: str) -> None:
    assert manifests.label(text) == told
