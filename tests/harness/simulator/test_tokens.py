from hypothesis import given
from hypothesis import strategies as st

from harness.clock import FakeClock
from harness.simulator.tokens import TokenIssuer


def test_a_token_holds_until_its_end() -> None:
    clock = FakeClock()
    issuer = TokenIssuer(clock.now)
    token = issuer.issue(60)
    clock.advance(59)
    assert issuer.holds(token)
    clock.advance(1)
    assert not issuer.holds(token)


def test_a_token_of_another_server_or_with_another_end_does_not_hold() -> None:
    clock = FakeClock()
    issuer, other = TokenIssuer(clock.now), TokenIssuer(clock.now)
    prefix, end_ms, signature = issuer.issue(60).split(".")
    assert not other.holds(f"{prefix}.{end_ms}.{signature}")
    assert not issuer.holds(f"{prefix}.{int(end_ms) + 1}.{signature}")


@given(st.text() | st.from_regex(r"sim-token\.[0-9]{1,30}\.[0-9a-f]{0,32}", fullmatch=True))
def test_no_other_text_holds(text: str) -> None:
    assert not TokenIssuer(FakeClock().now, b"secret").holds(text)
