"""A policy of the balancer that another package adds: what would not do is told with that package's name."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.fleet import installed
from harness.fleet.envoy_parts import Json, typed
from harness.fleet.policies import BalancerPolicy, Picks, Setting
from harness.outside.plugins import Extended, Origin, PluginError
from harness.records.spec import Policy
from tests.harness.plugged import installed_in, lay

ORIGIN = Origin(group="agentrig.policies", name="acme", value="acme_policy:POLICY", package="acme-rig 1.0")
NAMED = "acme-rig 1.0: its entry point acme of agentrig.policies (acme_policy:POLICY)"
KIND = "extensions.load_balancing_policies.random.v3.Random"


def at_random(_setting: Setting) -> Json:
    return typed("envoy.load_balancing_policies.random", KIND)


ACME = BalancerPolicy(name="acme", like=Policy.BUSY_503, picks=at_random)


@pytest.fixture
def adds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Any], None]:
    """Return what lets a package add a policy; Envoy takes whatever it says."""
    lay(tmp_path, "acme-rig", {"agentrig.policies": {"acme": "acme_policy:POLICY"}})
    (tmp_path / "acme_policy.py").write_text("POLICY = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(installed, "_refusal", lambda *_: None)

    def added(policy: Any) -> None:
        installed._picks.cache_clear()
        monkeypatch.setattr("acme_policy.POLICY", policy)
        ours = installed.POLICIES._ours
        there = Extended("agentrig.policies", ours, installed.taken, installed_in(tmp_path))
        monkeypatch.setattr(installed, "POLICIES", there)

    return added


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (at_random, "is no policy: it is of type function, not harness.fleet.policies.BalancerPolicy"),
        (BalancerPolicy, "is no policy: it is of type type"),
        (replace(ACME, like="busy-503"), "is no policy: like: Input should be an instance of Policy"),
        (replace(ACME, picks="round"), "is no policy: picks: Input should be callable"),
        (replace(ACME, name="other"), "is the policy 'other': name its entry point so"),
        (replace(ACME, hashed_by="a b"), "is no policy: hashed_by: 'a b' can't name a header"),
    ],
)
def test_what_is_no_policy_is_refused(found: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match="is ") as refused:
        installed.taken(found, ORIGIN)
    assert said in str(refused.value)


@pytest.mark.parametrize("name", ["../x", "Acme", "a b", "", "x" * 42])
def test_a_name_that_no_experiment_can_give_is_refused(name: str) -> None:
    """`up --policy` could, and the name is part of a file's."""
    with pytest.raises(ValueError, match="a name that no experiment can give"):
        installed.taken(replace(ACME, name=name), replace(ORIGIN, name=name))


def never_ends(_setting: Setting) -> Json:
    signal.raise_signal(signal.SIGALRM)  # as if the time was up
    return at_random(_setting)


def exits(_setting: Setting) -> Json:
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("picks", "said"),
    [
        (exits, "failed at picks(): SystemExit: 0"),
        (never_ends, "failed at picks(): TooSlowError: it took more than 120 s"),
        (dict, "failed at picks(): TypeError"),
        (lambda _: None, "it is no table of name and typed_config"),
        (lambda _: at_random(_) | {"more": 1}, "it is no table of name and typed_config"),
        (lambda _: {"name": "x", "typed_config": {}}, "its @type is None, and begins not with"),
        (lambda _: typed("x", "extensions.filters.http.router.v3.Router"), "and begins not with"),
        (lambda _: typed("x", KIND, {"a": {1}}), "it can't be written as JSON: TypeError"),
        (lambda _: typed("x", KIND, {"a": float("nan")}), "it can't be written as JSON: ValueError"),
    ],
)
def test_what_picks_none_is_told_by_name(
    picks: Callable[[Setting], Json], said: str, adds: Callable[[Any], None]
) -> None:
    adds(replace(ACME, picks=picks))
    with pytest.raises(PluginError) as refused:
        installed.picks("acme", agents=2, concurrency_limit=1)
    assert said in str(refused.value)
    assert str(refused.value).startswith(NAMED)


def test_what_envoy_refuses_is_told_by_name(
    adds: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    adds(ACME)
    monkeypatch.setattr(installed, "_refusal", lambda *_: "no such field")
    with pytest.raises(PluginError, match=r"acme-rig 1\.0: .* what Envoy refuses from picks\(\): no such"):
        installed.picks("acme", agents=2, concurrency_limit=1)


def test_it_is_told_the_fleet_and_is_like_one_of_ours(adds: Callable[[Any], None]) -> None:
    asked: list[Setting] = []

    def noted(setting: Setting) -> Json:
        asked.append(setting)
        return at_random(setting)

    adds(replace(ACME, picks=noted, hashed_by="X-Session"))
    made = installed.picks("acme", agents=3, concurrency_limit=2, balancers=2)
    assert made == Picks(name="acme", extension=at_random(asked[0]), hashed_by="X-Session")
    assert asked == [Setting(agents=3, concurrency_limit=2, balancers=2)]
    assert installed.like("acme") is Policy.BUSY_503
    assert installed.likeness("acme") == "busy-503"


def test_what_it_changes_of_its_answer_afterwards_changes_nothing(adds: Callable[[Any], None]) -> None:
    said = at_random(Setting(agents=2, concurrency_limit=1, balancers=1))
    adds(replace(ACME, picks=lambda _: said))
    made = installed.picks("acme", agents=2, concurrency_limit=1)
    said["typed_config"]["@type"] = "of something that Envoy has not seen"
    assert made is not None
    assert made.extension["typed_config"]["@type"].endswith(KIND)


def test_ours_are_as_they_were_and_what_there_is_not_is_named() -> None:
    assert {name: installed.like(name) for name in Policy} == {each.value: each for each in Policy}
    assert [installed.picks(name, agents=1, concurrency_limit=1) for name in Policy] == [None] * len(Policy)
    assert installed.likeness("ping") == ""
    with pytest.raises(
        InputError, match=r"no policy 'busy-awar'; did you mean 'busy-aware'\? Known: blind, "
    ):
        installed.like("busy-awar")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("not json): {'node': 1}", "not json"),
        (f"a {'x' * 700} z", f"a {'x' * 148} ... {'x' * 148} z"),
    ],
)
def test_of_what_envoy_says_the_ends_are_shown(said: str, shown: str) -> None:
    assert installed._shown(said) == shown
