"""A calibration as a run would have made it, for tests to change."""

from harness.records.calibration import Calibration, Cost, RequestKind


def calibration(
    *,
    agent_s: float = 0.003,
    per_request_s: float = 0.08,
    load_s: float = 0.0005,
    cores: float = 2.0,
    others_cores: float = 0.0,
    overhead_s: float = 0.005,
    container_start_s: float = 0.7,
) -> Calibration:
    costs = tuple(
        Cost(
            kind=RequestKind(per_request=per_request, tools=tools),
            agent_s=per_request_s if per_request else agent_s,
            model_s=0.0005,
            overhead_s=overhead_s,
            start_s=container_start_s,
        )
        for per_request in (False, True)
        for tools in (False, True)
    )
    return Calibration(
        cores=cores,
        physical_cores=2,
        others_cores=others_cores,
        costs=costs,
        load_s=load_s,
        capture_s=0.0005,
        start_s=3.0,
        took_s=5.0,
    )
