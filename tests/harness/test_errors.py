from pathlib import Path

from harness.errors import ChildDiedError, Death, ExitCode, InputError


def test_a_death_by_signal_is_told_as_one_with_last_lines_and_log() -> None:
    death = Death(name="agent-2", status=-9, last_lines=("serving", "boom"), log=Path("logs/agent-2.log"))
    said = str(ChildDiedError(death))
    assert "agent-2 was killed by signal 9" in said
    assert "  | boom" in said
    assert "logs/agent-2.log" in said


def test_a_death_by_exit_tells_its_status_and_that_it_said_nothing() -> None:
    said = str(ChildDiedError(Death(name="envoy", status=3, last_lines=(), log=Path("x"))))
    assert "envoy ended with exit status 3" in said
    assert "(it printed nothing)" in said


def test_wrong_input_and_a_failed_start_have_their_own_exit_codes() -> None:
    assert InputError("x").exit_code == ExitCode.BAD_INPUT == 3
    assert ChildDiedError(Death(name="a", status=1, last_lines=(), log=Path("x"))).exit_code == 4
