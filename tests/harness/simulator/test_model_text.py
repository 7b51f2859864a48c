import pytest

from harness.simulator.model_text import words
from tests.harness.simulator.wires import STREAMING, answered, call, conversation

ASKED = "Which canary words have I told you in this conversation?"


@pytest.mark.parametrize("protocol", STREAMING)
def test_asked_for_its_canary_words_it_lists_the_users_in_order_each_as_often_as_it_was_told(
    protocol: str,
) -> None:
    said = [
        ("user", "Mine is CANARY-b2."),
        ("assistant", "CANARY-b2, CANARY-x9"),
        ("user", "And CANARY-a1."),
        ("assistant", "OK"),
        ("user", f"Again CANARY-b2. {ASKED}"),
    ]
    answer = answered(call(protocol=protocol, **conversation(protocol, *said)))
    assert answer.text == "CANARY-b2, CANARY-a1, CANARY-b2"


def test_asked_for_its_canary_words_before_it_was_told_one_it_says_so() -> None:
    assert words("0", 3, ASKED, [ASKED]) == ["None."]


def test_not_asked_for_them_it_repeats_none() -> None:
    text = "".join(words("5f2a", 8, "Remember CANARY-a1.", ["Remember CANARY-a1."]))
    assert "CANARY" not in text
    assert len(text.split()) == 8
