from tests.harness.histories import Arm
from tests.harness.judge.cases import find
from tests.harness.judge.conversations import say


def test_a_conversation_that_knows_each_of_its_turns_once_holds() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "s", "B", "A", "B")
    say(arm, "s", "C", "A", "B", "C")
    finding = find("turns-kept", arm)
    assert finding.holds
    assert finding.observed == 0
    assert "3 turns before them" in finding.message


def test_a_turn_that_is_lost_is_found_with_the_answer_and_the_turn() -> None:
    arm = Arm()
    first = say(arm, "s", "A", "A")
    second = say(arm, "s", "B", "B")
    finding = find("turns-kept", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert finding.traces == (second, first)


def test_a_turn_that_is_there_twice_is_found() -> None:
    arm = Arm()
    first = say(arm, "s", "A", "A")
    second = say(arm, "s", "B", "A", "A", "B")
    finding = find("turns-kept", arm)
    assert finding.holds is False
    assert finding.message.endswith("0 lost, 1 doubled, 0 out of order")
    assert finding.traces == (second, first)


def test_a_turn_that_was_saved_before_it_was_sent_again_is_found_in_its_own_answer() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    again = say(arm, "s", "B", "A", "B", "B")
    finding = find("turns-kept", arm)
    assert finding.holds is False
    assert finding.traces == (again,)


def test_a_turn_that_failed_at_the_caller_may_be_there_once_or_not_at_all() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "s", "B", failed=True)
    say(arm, "s", "C", "A", "C")
    say(arm, "t", "D", "D")
    say(arm, "t", "E", failed=True)
    say(arm, "t", "F", "D", "E", "F")
    assert find("turns-kept", arm).holds


def test_a_turn_that_failed_at_the_caller_must_not_be_there_twice() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "s", "B", failed=True)
    say(arm, "s", "C", "A", "B", "B", "C")
    assert find("turns-kept", arm).observed == 1


def test_a_turn_without_its_answer_yet_need_not_be_known_to_the_next() -> None:
    arm = Arm()
    say(arm, "s", "A", "A", at_s=0.0)
    say(arm, "s", "B", "A", "B", at_s=1.0)
    say(arm, "s", "C", "A", "C", at_s=1.05)
    assert find("turns-kept", arm).holds


def test_the_word_of_another_conversation_is_no_turn_of_this_one() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "t", "B", "B")
    say(arm, "s", "C", "A", "B", "C")
    assert find("turns-kept", arm).holds


def test_answers_that_repeat_no_word_tell_nothing() -> None:
    arm = Arm()
    say(arm, "s", "A")
    say(arm, "s", "B")
    assert find("turns-kept", arm).holds is None


def test_conversations_of_one_turn_tell_nothing() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "t", "B", "B")
    assert find("turns-kept", arm).holds is None


def test_a_turn_that_stands_before_one_that_it_came_after_is_found() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    second = say(arm, "s", "B", "A", "B")
    third = say(arm, "s", "C", "B", "A", "C")
    finding = find("turns-kept", arm)
    assert finding.holds is False
    assert finding.message.endswith("0 lost, 0 doubled, 1 out of order")
    assert finding.traces[0] == third
    assert second not in finding.traces


def test_two_turns_at_once_may_stand_either_way() -> None:
    arm = Arm()
    say(arm, "s", "A", "A", at_s=0.0)
    say(arm, "s", "B", "A", "B", at_s=1.0)
    say(arm, "s", "C", "A", "B", "C", at_s=1.05)
    say(arm, "s", "D", "A", "C", "B", "D", at_s=2.0)
    assert find("turns-kept", arm).holds


def test_a_turn_that_failed_may_be_saved_later_than_its_time() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "s", "B", failed=True)
    say(arm, "s", "C", "A", "C", "B")
    assert find("turns-kept", arm).holds


def test_what_an_answer_knew_must_be_known_from_then_on() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    lost = say(arm, "s", "B", failed=True)
    say(arm, "s", "C", "A", "B", "C")
    forgot = say(arm, "s", "D", "A", "C", "D")
    finding = find("turns-kept", arm)
    assert finding.observed == 1
    assert finding.traces == (forgot, lost)
