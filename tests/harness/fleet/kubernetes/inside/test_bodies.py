"""What is made for a bench, held against the API's own schemas."""

import base64

import kubernetes_validate
import pytest

from harness.fleet.kubernetes.inside import bodies
from harness.fleet.kubernetes.inside.errand import GIVEN, ROOM
from harness.fleet.kubernetes.manifests import LIVES_S, Json, namespace
from harness.fleet.kubernetes.namespace import OWNER
from harness.fleet.kubernetes.place import BENCH_NODE
from harness.process.leftovers import FLEET_LABEL

LABELS = {FLEET_LABEL: "b1"}
OWNED = "agentrig-b1/uid-1"


def job(files: tuple[str, ...] = ("agent/bot/agentrig.toml",), env: tuple[str, ...] = ("KEY",)) -> Json:
    words = ("run", "--salt", "$(HOME)", "pa$$word")
    return bodies.job("rig:1", "runs/$(HOME)", words, files=files, env=env, owner=OWNED, labels=LABELS)


BODIES = {
    "namespace that is owned": namespace("agentrig-f1", LABELS, OWNED),
    "account": bodies.account(),
    "rights": bodies.rights("agentrig-b1", OWNED),
    "given": bodies.given((b"a", b"\xff"), {"KEY": "value"}),
    "nothing given": bodies.given((), {}),
    "job": job(),
    "job without anything": job((), ()),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_it_is_what_the_api_takes(body: Json) -> None:
    kubernetes_validate.validate(body, "1.34", strict=True)


def test_the_job_runs_once_and_ends_by_itself() -> None:
    spec = job()["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["activeDeadlineSeconds"] == LIVES_S
    assert spec["ttlSecondsAfterFinished"] > 0
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["serviceAccountName"] == bodies.account()["metadata"]["name"]
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_it_knows_its_words_what_owns_its_fleets_and_its_node() -> None:
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    words = ["runs/$$(HOME)", "run", "--salt", "$$(HOME)", "pa$$$$word"]
    assert container["command"][-5:] == words, "no variable is meant, and of two dollars one is left"
    env = {each["name"]: each for each in container["env"]}
    assert env[OWNER]["value"] == OWNED
    assert env[BENCH_NODE]["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert env["KEY"]["valueFrom"]["secretKeyRef"]["key"] in BODIES["given"]["data"]
    assert "limits" not in container["resources"], "a quota would be the run's bottleneck"


def test_what_is_given_is_found_where_the_words_say() -> None:
    pod = job()["spec"]["template"]["spec"]
    (secret,) = [each["secret"] for each in pod["volumes"] if "secret" in each]
    assert secret["items"] == [{"key": "file-0", "path": "agent/bot/agentrig.toml"}]
    given = bodies.given((b"a", b"\xff"), {"KEY": "value"})
    assert {key: base64.b64decode(value) for key, value in given["data"].items()} == {
        "file-0": b"a",
        "file-1": b"\xff",
        "env.KEY": b"value",
    }
    mounts = {each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounts == {ROOM, GIVEN}


def test_the_rights_go_with_the_namespace() -> None:
    told = bodies.rights("agentrig-b1", OWNED)
    (owner,) = told["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Namespace", "uid-1"), "else they would stay for ever"
    assert told["subjects"][0]["namespace"] == "agentrig-b1"
