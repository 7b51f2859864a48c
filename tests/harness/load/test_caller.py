import pytest

from harness.load.caller import Caller, Labels
from harness.records.sent import Arrival, RequestRow


@pytest.mark.parametrize("prepared", [False, True])
def test_a_call_that_ends_unforeseen_ends_as_a_row_nevertheless(*, prepared: bool) -> None:
    rows: list[RequestRow] = []
    labels = Labels(run_id="r", experiment="опыт", arm="a")  # it is part of an id that no header can carry
    caller = Caller(
        "http://127.0.0.1:1", labels=labels, timeout_s=5, record=rows.append, event=None, now=lambda: 100.5
    )
    arrival = Arrival(index=3, due_s=1.0, session_id="s", prompt="p")
    if prepared:
        caller.prepare(arrival)
    caller.call(arrival, due_s=100.0)
    (row,) = rows
    assert (row.index, row.status, row.error_type, row.due_s) == (3, 0, "UnicodeEncodeError", 100.0)
    assert row.error is not None
    assert "can't encode" in row.error
