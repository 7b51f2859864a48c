"""The experiments, fitted to an agent."""

from dataclasses import replace

import pytest

from harness.experiment.load import OWN, load
from harness.own.config import LimitsTable
from harness.own.fit_to_agent import fit
from harness.records.spec import AutoscaleSpec
from harness.records.weather import WeatherRule
from harness.run import pipeline
from harness.under_test import AgentUnderTest, HttpRequest, RequestShape

SPECS = [load(name, pipeline.known()) for name in OWN]
COMMAND = AgentUnderTest(name="bot", argv=("./run",), concurrency_limit=6, env={"STORE": "{store}"})
SPOILED = {"body_truncated", "eof_clean", "error_event"}
STATED = LimitsTable(p99_ms=2000, attempts=3)
IN_PIECES = RequestShape(stream=True)
IN_ONE_PIECE = (
    "own-leave is left out: nobody can leave in the middle of one piece. "
    "Set request.stream, where it can stream."
)
RUNNING = AgentUnderTest(name="bot", addresses=("127.0.0.1:1", "127.0.0.1:2"), killable=False)


def test_each_has_an_arm_of_the_users_and_controls_of_ours() -> None:
    for spec in SPECS:
        assert [name for name, arm in spec.arms.items() if arm.agent == "yours"] == ["yours"]
        assert all(arm.control for arm in spec.arms.values() if arm.agent == "reference")


def test_what_a_control_breaks_is_no_promise() -> None:
    specs, _ = fit(SPECS, COMMAND, LimitsTable(p99_ms=9000, error_ratio=0.5, attempts=9))
    limits = {
        check.id: check.limit for spec in specs for check in spec.checks if "yours" not in check.holds_in
    }
    assert (limits["p99"], limits["errors-explained"], limits["attempts-bounded"]) == (1500, 0, 3)


def test_promises_become_limits() -> None:
    specs, left_out = fit(SPECS, COMMAND, LimitsTable(p99_ms=700, error_ratio=0.02, attempts=5))
    limits = {check.id: check.limit for spec in specs for check in spec.checks if "yours" in check.holds_in}
    assert (limits["p99"], limits["no-errors"], limits["attempts-bounded"]) == (700, 0.02, 5)
    assert limits["transient-survived"] == 0.9
    assert {spec.fleet.concurrency_limit for spec in specs} == {6}
    assert left_out == [IN_ONE_PIECE]


def test_a_fleet_of_what_nobody_here_starts_is_not_scaled() -> None:
    autoscale = AutoscaleSpec(target=4.0, most=3)
    spec = next(each for each in SPECS if each.name == "own-clients")
    scaled = spec.model_copy(update={"fleet": spec.fleet.model_copy(update={"autoscale": autoscale})})
    assert [each.name for each in fit([scaled], COMMAND, STATED)[0]] == ["own-clients"]
    assert fit([scaled], replace(COMMAND, killable=False), STATED) == (
        [],
        ["own-clients is left out: only containers that `command` starts can be more, or fewer."],
    )


@pytest.mark.parametrize(
    ("agent", "rule", "said"),
    [
        (RUNNING, WeatherRule(kind="stall", target="model", window_s=(1, 2)), "no weather befalls them"),
        (
            replace(COMMAND, killable=False),
            WeatherRule(kind="descriptors", target="container", window_s=(1, 2)),
            "only containers that `command` starts can be short of file descriptors",
        ),
        (replace(COMMAND, killable=False), WeatherRule(kind="stall", target="model", window_s=(1, 2)), None),
        (COMMAND, WeatherRule(kind="descriptors", target="container", window_s=(1, 2)), None),
    ],
)
def test_weather_that_cannot_befall_the_agent_is_left_out(
    agent: AgentUnderTest, rule: WeatherRule, said: str | None
) -> None:
    """All would hold in it."""
    spec = next(each for each in SPECS if each.name == "own-clients")
    spec = spec.model_copy(update={"fleet": spec.fleet.model_copy(update={"weather": (rule,)})})
    fitted, left_out = fit([spec], agent, STATED)
    if said is None:
        assert (len(fitted), left_out) == (1, [])
    else:
        assert fitted == []
        assert left_out[0].endswith(f"{said}.")


def test_what_cannot_be_killed_is_not_and_it_is_said() -> None:
    specs, left_out = fit(SPECS, replace(COMMAND, killable=False), STATED)
    assert not any(spec.fleet.events for spec in specs)
    assert left_out == [
        "own-sessions: no container is killed: only those that `command` starts can be.",
        IN_ONE_PIECE,
        "own-restored is left out: only containers that `command` starts can be restored.",
    ]


def test_containers_that_run_already_get_no_faults_they_cannot_meet() -> None:
    specs, left_out = fit(SPECS, RUNNING, STATED)
    assert [spec.name for spec in specs] == ["own-clients", "own-sessions"]
    assert {spec.fleet.agents for spec in specs} == {2}
    names = ["own-busy", "own-sessions:", "own-retry", "own-leave", "own-restored", "own-memory"]
    assert [said.split(" ", 1)[0] for said in left_out] == names
    assert "know no simulator" in left_out[0]


def test_with_a_port_for_the_simulator_they_can() -> None:
    specs, _ = fit(SPECS, replace(RUNNING, simulator_port=8081, request=IN_PIECES), LimitsTable())
    assert {spec.name for spec in specs} == set(OWN) - {"own-restored", "own-memory"}


@pytest.mark.parametrize(("limit", "burst"), [(1, 4), (4, 16), (50, 200)])
def test_a_burst_that_overfills_does_so_at_any_limit(limit: int, burst: int) -> None:
    specs, _ = fit(SPECS, replace(COMMAND, concurrency_limit=limit), LimitsTable())
    bursts = {spec.name: spec.load.burst for spec in specs}
    assert bursts["own-busy"] == burst
    assert bursts["own-clients"] == 8


def test_a_limit_too_high_to_overfill_is_said() -> None:
    specs, left_out = fit(SPECS, replace(COMMAND, concurrency_limit=51), STATED)
    assert "own-busy" not in {spec.name for spec in specs}
    assert left_out == [
        "own-busy is left out: 2 containers of 51 slots are too many to overfill.",
        IN_ONE_PIECE,
    ]


@pytest.mark.parametrize(("limit", "burst"), [(1, 8), (4, 8), (10, 20)])
def test_readers_leave_where_it_streams_and_then_each_slot_is_asked_for(limit: int, burst: int) -> None:
    agent = replace(COMMAND, concurrency_limit=limit, request=IN_PIECES)
    specs, said = fit(SPECS, agent, STATED)
    (leave,) = (spec for spec in specs if spec.name == "own-leave")
    assert [phase.burst for phase in leave.load.phases] == [0, burst]
    limits = [leave.fleet_of(arm).concurrency_limit for arm in ("yours", "keeps-slots")]
    assert limits == [limit, max(limit, 4)]
    assert said == []


def test_an_experiment_of_the_reference_agent_alone_stays_as_it_is() -> None:
    spec = load("throttling", pipeline.known())
    assert fit([spec], COMMAND, LimitsTable(attempts=9)) == ([spec], [])


def test_retries_are_asked_with_each_way_in_which_an_answer_only_looks_whole() -> None:
    (retry,) = (spec for spec in SPECS if spec.name == "own-retry")
    spoiled = {rule.kind: rule for rule in retry.simulator.faults if rule.kind in SPOILED}
    assert set(spoiled) == SPOILED
    for rule in spoiled.values():
        assert rule.probability * retry.load.rate_rps * retry.load.duration_s > 10, "five are needed"
        assert rule.match.attempt == 1, "one retry is enough"


def test_the_first_token_is_checked_where_one_was_promised() -> None:
    def checks(limits: LimitsTable) -> dict[str, float | None]:
        specs, _ = fit(SPECS, COMMAND, limits)
        return {check.id: check.limit for spec in specs for check in spec.checks if check.holds_in}

    assert "ttft" not in checks(LimitsTable())
    assert checks(LimitsTable(ttft_ms=300))["ttft"] == 300


def test_what_nobody_promised_is_said_to_be_ours() -> None:
    _, said = fit(SPECS, COMMAND, LimitsTable(attempts=3))
    assert said == [
        "[limits] p99_ms is not in agentrig.toml: 2000 is taken, which is ours and nobody's promise.",
        IN_ONE_PIECE,
    ]


def test_an_agent_is_called_by_its_name() -> None:
    specs, _ = fit(SPECS, replace(COMMAND, request=IN_PIECES), STATED)
    assert [spec.arms["yours"].title for spec in specs] == ["bot"] * len(OWN)
    assert all(spec.title.startswith("bot: ") for spec in specs)


def test_an_agent_that_is_told_of_no_session_is_not_asked_to_remember() -> None:
    alone = replace(COMMAND, request=RequestShape(session_header=""))
    specs, said = fit(SPECS, alone, STATED)
    assert "own-sessions" not in {spec.name for spec in specs}
    assert said[0].startswith("own-sessions is left out: the agent is told of no session.")
    in_body = HttpRequest(body={"q": "{prompt}", "thread": "{session}"})
    told = replace(COMMAND, request=RequestShape(session_header="", request=in_body))
    assert "own-sessions" in {spec.name for spec in fit(SPECS, told, STATED)[0]}


def test_weather_befalls_only_a_store_that_is_named() -> None:
    specs, left_out = fit(SPECS, replace(COMMAND, env={}, request=IN_PIECES), STATED)
    assert "own-memory" not in {spec.name for spec in specs}
    (said,) = left_out
    assert said.startswith("own-memory is left out: the agent is told of no session store. Put {store}")
