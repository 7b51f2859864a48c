"""Any number of workers together send the one plan, and what they count is what one would have counted."""

import msgpack
import pytest

from harness.load.kit.shares import Share
from harness.load.kit.tally import Tally
from tests.bench.workers_dry import Asked, merged, same, worker


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("workers", [2, 4, 20])
def test_shares_are_the_plan_and_their_histograms_those_of_one(workers: int, turns: int) -> None:
    asked = Asked(rate_rps=100.0, workers=workers, seconds=8.0, turns=turns)
    whole = worker(asked, Share(0, 1))
    parts = [worker(asked, Share(number, workers)) for number in range(workers)]
    assert sum(part.calls for part in parts) == whole.calls > 600
    assert tuple(map(sum, zip(*(part.numbers for part in parts), strict=True))) == whole.numbers
    together, _ = merged(parts)
    assert same(together, Tally.from_wire(msgpack.loads(whole.wire))) == []
    assert max(len(part.wire) for part in parts) < 100_000


def test_a_part_that_is_missing_is_seen() -> None:
    asked = Asked(rate_rps=100.0, workers=2, seconds=8.0)
    together, _ = merged([worker(asked, Share(0, 2))])
    assert "histogram" in same(together, merged([worker(asked, Share(0, 1))])[0])
