import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ExitCode, InputError
from harness.experiment.load import OWN, Known, catalogue, default_experiments, load, parse
from harness.records.spec import Policy

KNOWN = Known(checks=("no-errors", "init-once"), faults=("overloaded", "auth"))
GOOD = """
name = "mine"
title = "Mine"
claim = "it holds"
[load]
rate_rps = 2.0
[arms.good]
title = "good"
[arms.bad]
title = "bad"
control = true
policy = "blind"
[[checks]]
id = "no-errors"
holds_in = ["good"]
caught_in = ["bad"]
"""


def complaint(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(text, "mine.toml", KNOWN)
    assert caught.value.exit_code is ExitCode.BAD_INPUT
    return str(caught.value)


def test_a_good_file_becomes_a_spec() -> None:
    spec = parse(GOOD, "mine.toml", KNOWN)
    assert spec.name == "mine"
    assert spec.arms["bad"].policy == Policy.BLIND
    assert spec.load.rate_rps == 2.0


def test_the_catalogue_begins_with_the_claims_in_order_and_each_has_a_control_arm() -> None:
    claims = [name for name in catalogue() if name in {"cold-start", "busy-routing", "throttling"}]
    assert claims == ["cold-start", "busy-routing", "throttling"]
    everything = Known(checks=_Anything(), faults=_Anything(), weather=_Anything())
    for name in catalogue():
        spec = load(name, everything)
        assert spec.name == name
        assert any(arm.control for arm in spec.arms.values())


def test_what_takes_long_runs_only_when_it_is_named() -> None:
    named = {
        *("autoscale", "fleet-rate", "frozen", "memory-weather", "outside-weather", "restored"),
        *("scale-to-zero", "soak"),
    }
    assert set(catalogue()) - set(default_experiments()) == named
    assert set(OWN) - set(default_experiments(own=True)) == {"own-memory", "own-restored"}


def test_weather_that_there_is_not_is_told_and_a_file_has_none() -> None:
    weather = '[[fleet.weather]]\nkind = "hail"\nwindow_s = [1.0, 2.0]\n'
    assert "there is no 'hail'" in complaint(f'{GOOD}[fleet]\nstore = "redis"\n{weather}')
    assert 'give store = "redis"' in complaint(f"{GOOD}{weather}")
    of_an_arm = weather.replace("fleet.weather", "arms.good.weather")
    assert 'give store = "redis"' in complaint(f"{GOOD}{of_an_arm}")


def test_weather_of_a_container_that_there_is_not_befalls_nobody_and_is_refused() -> None:
    known = Known(checks=KNOWN.checks, faults=(), weather=("stall",))
    weather = '[[fleet.weather]]\nkind = "stall"\ntarget = "model"\nwindow_s = [1.0, 2.0]\ncontainer = 3\n'
    with pytest.raises(InputError, match="has 2 containers, and no container 3"):
        parse(f"{GOOD}{weather}", "mine.toml", known)
    later = '[[fleet.events]]\naction = "add"\nat_s = 0.5\n'
    assert parse(f"{GOOD}{weather}{later}", "mine.toml", known).fleet.weather[0].container == 3


@pytest.mark.parametrize("more", ['target = "model"', "container = 1"])
def test_weather_of_the_store_itself_can_be_nowhere_else(more: str) -> None:
    known = Known(
        checks=KNOWN.checks, faults=(), weather=("read_only", "stall"), weather_of_store=("read_only",)
    )
    fleet = f'{GOOD}[fleet]\nstore = "redis"\n[[fleet.weather]]\nwindow_s = [1.0, 2.0]\n{more}\n'
    assert parse(f'{fleet}kind = "stall"', "mine.toml", known).fleet.weather[0].kind == "stall"
    with pytest.raises(InputError, match="read_only is done to the store itself, and befalls all"):
        parse(f'{fleet}kind = "read_only"', "mine.toml", known)


@pytest.mark.parametrize(
    ("kind", "target", "said"),
    [
        ("descriptors", "model", 'does not befall model; give target = "container"'),
        ("unresolved", "tools", 'does not befall tools; give target = "model"'),
        ("stall", "container", "does not befall container; give another target"),
    ],
)
def test_weather_that_can_befall_one_target_alone_is_refused_elsewhere(
    kind: str, target: str, said: str
) -> None:
    only = {"descriptors": "container", "unresolved": "model"}
    known = Known(checks=KNOWN.checks, faults=(), weather=("stall", *only), weather_only=only)
    rule = f'{GOOD}[[fleet.weather]]\nwindow_s = [1.0, 2.0]\nkind = "{kind}"\n'
    with pytest.raises(InputError, match=said):
        parse(f'{rule}target = "{target}"', "mine.toml", known)
    there = only.get(kind, "model")
    assert parse(f'{rule}target = "{there}"', "mine.toml", known).fleet.weather[0].target == there


UNDONE = Known(
    checks=KNOWN.checks,
    faults=(),
    weather=("failover", "read_only", "descriptors", "stall"),
    weather_undone={"failover": "store", "read_only": "store", "descriptors": "descriptors"},
)


def rules(*of: str) -> str:
    return f'{GOOD}[fleet]\nstore = "redis"\n' + "".join(f"[[fleet.weather]]\n{each}\n" for each in of)


FAILOVER = 'kind = "failover"\nwindow_s = [5.0, 7.0]'
STARVED = 'kind = "descriptors"\ntarget = "container"\nwindow_s = [1.0, 9.0]'


@pytest.mark.parametrize(
    "text",
    [
        rules(FAILOVER, 'kind = "read_only"\nwindow_s = [6.0, 8.0]'),
        rules(FAILOVER, 'kind = "read_only"\nwindow_s = [7.0, 8.0]'),
        rules('kind = "read_only"\nwindow_s = [1.0, 2.0]\nevery_s = 3.0\ntimes = 3', FAILOVER),
        rules(FAILOVER, 'kind = "failover"\nwindow_s = [5.0, 7.0]'),
        rules(STARVED, f"{STARVED}\ncontainer = 2"),
    ],
)
def test_weather_that_the_end_of_other_weather_would_undo_is_refused(text: str) -> None:
    """Or kill a primary that is dead already."""
    with pytest.raises(InputError, match=r"mine.toml: fleet.weather: good: .* would undo the other"):
        parse(text, "mine.toml", UNDONE)


@pytest.mark.parametrize(
    "text",
    [
        rules(FAILOVER, 'kind = "read_only"\nwindow_s = [7.1, 8.0]'),
        rules(FAILOVER, 'kind = "stall"\nwindow_s = [5.0, 7.0]'),
        rules(f"{STARVED}\ncontainer = 1", f"{STARVED}\ncontainer = 2"),
        rules(FAILOVER, STARVED),
    ],
)
def test_weather_of_something_else_may_come_at_once(text: str) -> None:
    assert len(parse(text, "mine.toml", UNDONE).fleet.weather) == 2


@pytest.mark.parametrize(("begins_s", "said"), [(19.0, None), (20.0, "is over after 20 s, before any of it")])
def test_weather_that_begins_after_the_load_befalls_nobody_and_is_refused(
    begins_s: float, said: str | None
) -> None:
    """All would hold in it."""
    rule = f'[[fleet.weather]]\nkind = "stall"\ntarget = "model"\nwindow_s = [{begins_s}, 90.0]\n'
    text = GOOD.replace("rate_rps = 2.0", "rate_rps = 2.0\nduration_s = 20.0") + rule
    if said is None:
        assert parse(text, "mine.toml", UNDONE).fleet.weather
    else:
        with pytest.raises(InputError, match=said):
            parse(text, "mine.toml", UNDONE)
        quick = text.replace("duration_s = 20.0", "duration_s = 95.0") + "[quick]\nduration_s = 15.0\n"
        with pytest.raises(InputError, match=r"quick: .* is over after 15 s"):
            parse(quick, "mine.toml", UNDONE)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[[fleet.weather]]\nwindow_s = [1.0, 2.0]", None),
        ("[[fleet.weather]]\nwindow_s = [9.0, 11.0]\nevery_s = 5.0\ntimes = 3", None),  # as often as fits
        ("[[fleet.weather]]\nwindow_s = [10.0, 11.0]", "stall of 10 to 11 s would never begin: the load is"),
        ("[[fleet.weather]]\nwindow_s = [1.0, 2.0]\nevery_s = 5.0", "stall has every_s, and would come once"),
        ("[[fleet.weather]]\nwindow_s = [1.0, 2.0]\ntimes = 3", "stall comes 3 times; give every_s"),
        ("[[fleet.weather]]\nwindow_s = [1.0, 2.0]\ndelay = { median_s = 1.0 }", "stall takes no delay"),
        ("[[fleet.weather]]\nwindow_s = [1.0, 2.0]\nmemory_mb = 2", "memory_mb, which is of eviction; leave"),
    ],
)
def test_weather_of_which_a_part_would_be_of_no_effect_is_refused(more: str, said: str | None) -> None:
    known = Known(
        checks=KNOWN.checks,
        faults=(),
        weather=("eviction", "latency", "stall"),
        weather_takes={"eviction": ("memory_mb",), "latency": ("delay",), "stall": ()},
    )
    begun = '[[fleet.weather]]\nkind = "stall"\ntarget = "model"\n'
    text = GOOD.replace("rate_rps = 2.0", "rate_rps = 2.0\nduration_s = 10.0")
    text = f"{text}{begun}window_s = [1.0, 2.0]\n{more.replace('[[fleet.weather]]', begun)}\n"
    if said is None:
        assert len(parse(text, "mine.toml", known).fleet.weather) == 2
    else:
        with pytest.raises(InputError, match=said):
            parse(text, "mine.toml", known)


def test_an_event_that_says_how_often_it_comes_again_and_comes_once_is_refused() -> None:
    event = '[[fleet.events]]\naction = "kill"\nat_s = 1.0\nevery_s = 2.0\n'
    assert "fleet.events: kill has every_s, and would come once; give times" in complaint(GOOD + event)
    assert len(parse(f"{GOOD}{event}times = 2\n", "mine.toml", KNOWN).fleet.events) == 1


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("window_s = 3", "window_s: input should be a list (given: 3)"),
        ("window_s = [3, 4, 5]", "window_s: has 3 items, and 2 are the most"),
        ("window_s = [3, 4]\ndelay = 0.5", "delay: input should be a table (given: 0.5)"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_file(key: str, said: str) -> None:
    """Not in those of Python, in which a list of two is a tuple, and a table a dictionary."""
    assert said in complaint(f'{GOOD}[[fleet.weather]]\nkind = "stall"\ntarget = "model"\n{key}\n')


def test_weather_that_there_is_not_is_told_once() -> None:
    known = Known(
        checks=KNOWN.checks, faults=(), weather=("stall",), weather_only={"descriptors": "container"}
    )
    rule = '[[fleet.weather]]\nkind = "stal"\ntarget = "container"\nwindow_s = [1.0, 2.0]\n'
    with pytest.raises(InputError) as caught:
        parse(GOOD + rule, "mine.toml", known)
    assert str(caught.value).splitlines() == [
        "mine.toml: fleet.weather: there is no 'stal'; did you mean 'stall'? Known: stall."
    ]


@pytest.mark.parametrize(
    ("kind", "target", "servers", "of", "said"),
    [
        ("round_robin", "tools", 1, "reference", "leads to several replicas; give tool_servers"),
        ("round_robin", "tools", 2, "reference", None),
        ("unresolved", "model", 1, "yours", "befalls the reference agent alone"),
        ("unresolved", "model", 1, "reference", None),
        ("stall", "model", 1, "yours", None),
    ],
)
def test_weather_that_would_befall_nothing_is_refused(
    kind: str, target: str, servers: int, of: str, said: str | None
) -> None:
    known = Known(
        checks=KNOWN.checks,
        faults=(),
        weather=("round_robin", "stall", "unresolved"),
        weather_spreads=("round_robin",),
        weather_of_ours=("unresolved",),
    )
    text = GOOD.replace('title = "good"', f'title = "good"\nagent = "{of}"')
    assert text != GOOD
    rule = f'[[fleet.weather]]\nwindow_s = [1.0, 2.0]\nkind = "{kind}"\ntarget = "{target}"\n'
    text = f"{text}[fleet]\ntool_servers = {servers}\n{rule}"
    if said is None:
        assert parse(text, "mine.toml", known).fleet.weather[0].kind == kind
    else:
        with pytest.raises(InputError, match=said):
            parse(text, "mine.toml", known)


def test_an_unknown_experiment_is_told_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'throttling'"):
        load("throtling", KNOWN)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(str(tmp_path / "nowhere.toml"), KNOWN)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "binary.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load(str(file), KNOWN)


def test_broken_toml_names_the_line() -> None:
    assert "mine.toml: is not valid TOML" in complaint("name = \n")
    assert "line 1" in complaint("name = \n")


def test_an_unknown_key_names_its_path_the_nearest_key_and_the_known_ones() -> None:
    said = complaint(GOOD.replace("rate_rps", "rate_rsp"))
    assert "mine.toml: load.rate_rsp: there is no such key; did you mean 'rate_rps'?" in said
    assert "duration_s" in said


def test_an_unknown_key_in_a_list_of_tables_names_its_place() -> None:
    said = complaint(GOOD + "limt = 3\n")
    assert "checks[0].limt: there is no such key; did you mean 'limit'?" in said


def test_a_value_out_of_range_names_key_and_value() -> None:
    said = complaint(GOOD.replace("rate_rps = 2.0", "rate_rps = -1"))
    assert "mine.toml: load.rate_rps: input should be greater than or equal to 0 (given: -1)" in said


def test_a_missing_key_is_told_as_missing() -> None:
    assert "mine.toml: claim: is missing" in complaint(GOOD.replace('claim = "it holds"', ""))


def test_every_problem_is_told_at_once() -> None:
    said = complaint(GOOD.replace("rate_rps = 2.0", "rate_rps = -1\nburts = 3"))
    assert len(said.splitlines()) == 2


def test_an_experiment_without_a_control_arm_is_refused() -> None:
    said = complaint(GOOD.replace("control = true\n", "").replace('caught_in = ["bad"]', ""))
    assert "none has control = true" in said


def test_a_control_arm_that_no_check_must_catch_is_refused() -> None:
    assert "no check has to catch the control arm bad" in complaint(GOOD.replace('caught_in = ["bad"]', ""))


def test_a_check_of_an_arm_that_is_not_there_is_refused() -> None:
    assert "no-errors names arms that are not there: god" in complaint(GOOD.replace('["good"]', '["god"]'))


def test_a_check_that_expects_a_fault_in_an_arm_that_is_no_control_is_refused() -> None:
    assert "caught_in arms that are not controls: good" in complaint(
        GOOD.replace('["bad"]', '["bad", "good"]')
    )


def test_an_unknown_check_is_told_with_the_nearest() -> None:
    assert "did you mean 'no-errors'" in complaint(GOOD.replace("no-errors", "no-error"))


def test_an_unknown_fault_is_told_with_the_known_ones() -> None:
    said = complaint(GOOD + '[[simulator.faults]]\nkind = "overlode"\n')
    assert (
        "simulator.faults: there is no 'overlode'; did you mean 'overloaded'? Known: auth, overloaded."
        in said
    )


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace('"blind"', '"busy-awar"'),
        GOOD + '[fleet]\npolicy = "busy-awar"\n',
        GOOD + '[[matrix]]\n"fleet.policy" = ["blind", "busyawar"]\n',
        GOOD + '[[matrix]]\n"arms.bad.policy" = ["busyawar"]\n',
    ],
)
def test_an_unknown_policy_is_told_wherever_it_stands(text: str) -> None:
    assert re.search(
        r"fleet\.policy: there is no 'busy-?awar'; did you mean 'busy-aware'\? Known: blind, ",
        complaint(text),
    )


def test_policies_can_be_what_a_matrix_varies() -> None:
    spec = parse(GOOD + '[[matrix]]\n"fleet.policy" = ["busy-aware", "ping"]\n', "mine.toml", KNOWN)
    assert [cell.spec.name for cell in spec.cells()] == ["mine.policy=busy-aware", "mine.policy=ping"]
    assert [cell.spec.fleet_of("good").policy for cell in spec.cells()] == ["busy-aware", "ping"]


def test_a_policy_of_a_package_is_taken_where_it_is_known() -> None:
    known = replace(KNOWN, policies=(*Policy, "acme"))
    spec = parse(GOOD.replace('"blind"', '"acme"'), "mine.toml", known)
    assert spec.fleet_of("bad").policy == "acme"


def test_quick_changes_only_what_it_names() -> None:
    spec = parse(GOOD + "[quick]\nduration_s = 3.0\n", "mine.toml", KNOWN)
    assert spec.quickened().load == spec.load.model_copy(update={"duration_s": 3.0})


def test_a_seed_reaches_arrivals_and_simulator() -> None:
    spec = parse(GOOD, "mine.toml", KNOWN).seeded(99)
    assert (spec.seed, spec.simulator.seed) == (99, 99)


class _Anything(tuple[str, ...]):
    __slots__ = ()

    def __contains__(self, item: object) -> bool:
        return True
