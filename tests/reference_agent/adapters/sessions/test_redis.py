from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from reference_agent.adapters.sessions.redis import keys_of


@given(st.text(min_size=1), st.text(min_size=1))
@example("}x", "{}")
@example("%7D", "}")
def test_thekeys_of_of_a_session_are_on_one_node_and_its_own(session: str, other: str) -> None:
    assert len({key_slot(key.encode()) for key in keys_of(session)}) == 1
    assert session == other or not set(keys_of(session)) & set(keys_of(other))
