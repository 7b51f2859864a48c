import hashlib

from harness.load.identity import identify


def test_ids_follow_from_run_experiment_arm_and_index() -> None:
    identity = identify("run-1", "throttling", "no-jitter", 7)
    digest = hashlib.sha256(b"run-1/throttling/no-jitter/7").hexdigest()
    assert identity.trace_id == digest[:32]
    assert identity.span_id == digest[32:48]
    assert identity.request_id == "run-1.throttling.no-jitter.7"


def test_the_traceparent_is_sampled_and_in_w3c_form() -> None:
    identity = identify("r", "e", "a", 0)
    assert identity.traceparent == f"00-{identity.trace_id}-{identity.span_id}-01"


def test_no_two_requests_of_a_run_share_a_trace() -> None:
    names = [(e, a, i) for e in ("x", "y") for a in ("p", "q") for i in range(50)]
    assert len({identify("r", *name).trace_id for name in names}) == len(names)
