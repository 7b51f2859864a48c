"""What a share of the traces that a sampler kept tells of all of them.

Of a share that is within its limit in the sample, as many wrong ones may have been left out as make it too
large. So what a sample shows counts where chance does not explain it: where all hold just one wrong case too
many, so few wrong ones are in one sample of twenty at the most; and where they hold as many as are allowed,
so many are. Which are kept is drawn without regard to what is wrong with them, so the number of wrong ones
is hypergeometric.
"""

from __future__ import annotations

import math
from typing import Final

CHANCE: Final = 0.05


def is_no_chance(wrong: int, cases: int, *, kept: float, limit: float) -> bool:
    """Say whether all cases are on the same side of a limit as those that a sampler kept.

    Args:
        wrong: cases of the sample that are wrong.
        cases: of the sample.
        kept: share of all that are in it.
        limit: the largest share of wrong ones that is allowed.
    """
    from scipy.stats import hypergeom  # noqa: PLC0415 - takes a second to import, and few stores are sampled

    every = max(cases, round(cases / kept))
    allowed = math.floor(limit * every + 1e-9)  # 0.29 * 100 is 28.999
    if wrong > limit * cases:
        return bool(hypergeom.sf(wrong - 1, every, allowed, cases) <= CHANCE)
    return allowed >= every or bool(hypergeom.cdf(wrong, every, allowed + 1, cases) <= CHANCE)
