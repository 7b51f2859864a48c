"""The control API, below `/sim`: what the simulator is told, and what it has seen."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness import __version__
from harness.simulation import FaultRule, SimulatorConfig
from harness.simulator.faults import known_faults
from harness.simulator.serve import Simulator

UNAUTHORIZED, UNPROCESSABLE = 401, 422


class Reset(BaseModel):
    """When the run begins."""

    model_config = ConfigDict(extra="forbid")
    start_s: float | None = None
    """Unix seconds; now when it is left out."""


class Stats(BaseModel):
    """Counts since the last reset."""

    requests: int
    decisions: dict[str, int]


class Row(BaseModel):
    """A row of the journal, with its number."""

    number: int
    row: dict[str, Any]


def build_control(simulator: Simulator, token: str | None) -> FastAPI:  # noqa: C901 - a list of routes
    """Build the control API.

    Args:
        simulator: what is controlled.
        token: a bearer token that every call must carry; None on loopback.
    """

    def check(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token is not None and not secrets.compare_digest(given.encode(), token.encode()):
            raise HTTPException(UNAUTHORIZED, "send the token: `Authorization: Bearer TOKEN`")

    app = FastAPI(
        title="agentrig model API simulator: control",
        version=__version__,
        dependencies=[Depends(check)],
    )

    @app.get("/config")
    async def get_config() -> SimulatorConfig:
        return simulator.state.config

    @app.patch("/config")
    async def patch_config(change: dict[str, Any]) -> SimulatorConfig:
        return _change(simulator, simulator.state.config.model_dump() | change)

    @app.get("/faults")
    async def get_faults() -> list[FaultRule]:
        return list(simulator.state.config.faults)

    @app.post("/faults")
    async def add_fault(rule: FaultRule) -> list[FaultRule]:
        config = simulator.state.config
        return list(_change(simulator, config.model_dump() | {"faults": (*config.faults, rule)}).faults)

    @app.delete("/faults")
    async def clear_faults() -> list[FaultRule]:
        return list(_change(simulator, simulator.state.config.model_dump() | {"faults": ()}).faults)

    @app.get("/requests")
    async def requests(since: Annotated[int, Field(ge=0)] = 0) -> list[Row]:
        return [Row(number=n, row=dataclasses.asdict(row)) for n, row in simulator.journal.since(since)]

    @app.get("/stats")
    async def stats() -> Stats:
        return Stats(requests=simulator.journal.count, decisions=dict(simulator.journal.decisions))

    @app.post("/reset")
    async def reset(body: Reset) -> Stats:
        simulator.reset(body.start_s)
        return Stats(requests=0, decisions={})

    return app


def _change(simulator: Simulator, values: dict[str, Any]) -> SimulatorConfig:
    try:
        config = SimulatorConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise HTTPException(UNPROCESSABLE, f"{where}: {first['msg']}") from error
    for rule in config.faults:
        if rule.kind not in known_faults():
            known = ", ".join(known_faults())
            raise HTTPException(UNPROCESSABLE, f"there is no fault {rule.kind!r}; known: {known}")
    simulator.configure(config)
    return config
