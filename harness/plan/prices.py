"""What a fleet costs: a file of prices, and the arithmetic. No price is built in: they differ and change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from harness.errors import InputError
from harness.outside.text import parse_toml, read_text
from harness.plan.estimate import Point
from harness.records.workload import Workload
from harness.simulator_config import Strict

Price = Annotated[float, Field(ge=0)]


class Prices(Strict):
    """Prices, in whatever currency.

    Attributes:
        currency: what is written behind a sum.
        container_hour: of a container that is up.
        request: of each.
        million_tokens_in, million_tokens_out: of the model.
    """

    currency: Annotated[str, Field(max_length=10)] = "USD"
    container_hour: Price = 0.0
    request: Price = 0.0
    million_tokens_in: Price = 0.0
    million_tokens_out: Price = 0.0


def read_prices(path: Path) -> Prices:
    """Read a file of prices.

    Raises:
        InputError: it can't be read, or something in it is wrong.
    """
    try:
        return Prices.model_validate(parse_toml(read_text(path, "Give a TOML file of prices."), str(path)))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def per_thousand(point: Point, workload: Workload, prices: Prices, spare: float = 1.0) -> float | None:
    """Return what 1,000 requests cost; None where tokens have a price, and nothing tells how many there are.

    Args:
        point: what the fleet does.
        workload: that it serves; attempts that were refused cost no tokens.
        prices: of containers, requests and tokens.
        spare: containers that are paid for, over those that were simulated.
    """
    service = workload.service
    in_full = service.tokens is not None and service.tokens_out is not None
    if not in_full and (prices.million_tokens_in or (prices.million_tokens_out and not service.tokens_out)):
        return None
    out = service.tokens_out or 0.0
    tokens_in = max(0.0, (service.tokens or 0) - out)
    tokens = tokens_in * prices.million_tokens_in + out * prices.million_tokens_out
    containers = point.figures.container_s * spare * prices.container_hour / 3600
    return 1000 * (containers + prices.request + service.mean_calls * tokens / 1e6)
