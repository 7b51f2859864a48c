from gevent import monkey

from harness.load import arrivals, caller, launcher, open_loop, rows, spans, workers
from harness.load.kit import (
    leader,
    limits,
    node,
    panel,
    picked,
    profiles,
    run_time,
    settings,
    shares,
    tally,
    throttling,
)

SAFE = (
    *(arrivals, caller, launcher, open_loop, rows, spans, workers),
    *(leader, limits, node, panel, picked, profiles, run_time, settings, shares, tally, throttling),
)


def test_what_the_harness_imports_of_the_load_leaves_its_process_unpatched() -> None:
    assert all(module.__name__.startswith("harness.load") for module in SAFE)
    assert not monkey.is_module_patched("socket")
    assert not monkey.is_module_patched("threading")
