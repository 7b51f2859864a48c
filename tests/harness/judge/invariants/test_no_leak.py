from tests.harness.histories import Arm
from tests.harness.judge.cases import find
from tests.harness.judge.conversations import say


def test_conversations_that_know_their_own_words_alone_hold() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "t", "B", "B")
    say(arm, "s", "C", "A", "C")
    finding = find("no-leak", arm)
    assert finding.holds
    assert finding.observed == 0


def test_a_word_of_another_conversation_is_found_with_both_traces() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    told = say(arm, "t", "B", "B")
    leaking = say(arm, "s", "C", "A", "B", "C")
    finding = find("no-leak", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert finding.traces == (leaking, told)


def test_a_failed_answer_can_leak_too() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "t", "B", "A", failed=True)
    assert find("no-leak", arm).holds is False


def test_an_answer_with_many_strange_words_counts_once() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "s", "B", "A", "B")
    say(arm, "t", "C", "A", "B", "A", "C")
    assert find("no-leak", arm).observed == 1


def test_a_word_that_nobody_told_is_no_leak() -> None:
    arm = Arm()
    say(arm, "s", "A", "A", "Z")
    say(arm, "t", "B", "B")
    assert find("no-leak", arm).holds


def test_one_conversation_alone_tells_nothing() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "s", "B", "A", "B")
    assert find("no-leak", arm).holds is None


def test_answers_that_recall_nothing_tell_nothing() -> None:
    arm = Arm()
    say(arm, "s", "A")
    say(arm, "t", "B")
    assert find("no-leak", arm).holds is None
