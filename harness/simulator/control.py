"""The control API, below `/sim`: what the simulator is told, and what it has seen."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from harness import __version__
from harness.errors import StartError
from harness.outside.headers import is_near
from harness.outside.plugins import PluginError
from harness.outside.strangers import is_anothers
from harness.records.seen import FaultClass, JournalRow
from harness.simulator.control_page import page_of
from harness.simulator.installed import FAULTS, unknown_names
from harness.simulator.serve import ModelSimulator
from harness.simulator_config import (
    MOST_RULES,
    Auth,
    FaultRule,
    FaultRules,
    Latency,
    Protocols,
    Quota,
    Seed,
    SimulatorConfig,
    ToolTurns,
)

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, CONFLICT, NOT_JSON, UNPROCESSABLE = 400, 401, 403, 409, 415, 422
FULL = 507
UNASKED = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
"""What a page of somebody else may let a browser send without asking."""
MOST_ROWS = 1000
LONGEST_LEASE_S = 600.0
NO_LEASE = "this lease is over: it was not renewed in time, or somebody else changed the configuration"


class ConfigChange(BaseModel):
    """What is to be changed: a key that is named here is replaced whole, the others stay."""

    model_config = ConfigDict(extra="forbid")
    seed: Seed = 1
    latency: Latency = Latency()
    tool_turns: ToolTurns = 0
    protocols: Protocols = ()
    models: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = ()
    context_windows: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    auth: Auth | None = None
    quota: Quota | None = None
    faults: FaultRules = ()


LeaseName = Annotated[str, Field(min_length=1, max_length=200)]


class Renewal(BaseModel):
    """Whose lease holds on, and for how many seconds from now."""

    model_config = ConfigDict(extra="forbid")
    name: LeaseName
    seconds: Annotated[float, Field(gt=0, le=LONGEST_LEASE_S)] = 15.0


class LeaseOf(Renewal):
    """What is changed for as long as a lease holds: what is named is replaced whole, the other stays."""

    quota: Quota | None = None
    faults: FaultRules = ()


class Reset(BaseModel):
    """When the run begins."""

    model_config = ConfigDict(extra="forbid")
    start_s: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] | None = None
    """Unix seconds; now when it is left out."""


class Stats(BaseModel):
    """Counts since the last reset, and what is going on now."""

    requests: int
    """That are over."""
    decisions: dict[str, int]
    in_work: int
    attempts: int
    """Requests that came, those in work included."""
    calls: int
    """Calls that those were attempts of: the same body is a retry where one of the same trace failed."""
    bodies: int
    """Different bodies among them."""
    forgotten_after_s: float | None
    """An attempt that came so many seconds after the one before may have been counted as a new call."""
    fired: list[int]
    """How often each fault rule fired; from zero again when rules are replaced."""
    sources: dict[str, int]
    """Requests that were not answered, by what decided that: fault, quota, auth or request."""
    unserved: dict[str, int]
    """Requests to paths that are not served, by method, path and model."""
    resets: int
    """How often the counts were set back since the process began."""


class Row(BaseModel):
    """A row of the journal, with its number."""

    number: int
    row: JournalRow


class Kind(BaseModel):
    """A fault that there is."""

    kind: str
    fault_class: FaultClass


class Problem(BaseModel):
    """What is wrong with a request."""

    detail: str


def build_control(simulator: ModelSimulator, token: str | None) -> FastAPI:
    """Build the control API.

    Args:
        simulator: what is controlled.
        token: a bearer token that every call must carry; None on loopback.
    """
    error_responses: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem}
        for status in (BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, CONFLICT, NOT_JSON, UNPROCESSABLE)
    }
    app = FastAPI(
        title="agentrig model API simulator: control",
        version=__version__,
        docs_url=None,
        openapi_url="/sim/openapi.json",
        redoc_url=None,
        exception_handlers={RequestValidationError: _answer_validation_error},
    )
    checks = [Depends(_from_a_program), Depends(_TokenCheck(token))]
    routes = APIRouter(prefix="/sim", dependencies=checks, responses=error_responses)
    _add_config_routes(routes, simulator)
    _add_lease_routes(routes, simulator)
    _add_journal_routes(routes, simulator)
    app.include_router(routes)

    @app.get("/sim/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page_of(app.openapi()))

    return app


def _add_config_routes(routes: APIRouter, simulator: ModelSimulator) -> None:
    """Add the routes for what the simulator is told."""

    @routes.get("/config")
    async def get_config() -> SimulatorConfig:
        return simulator.config

    @routes.patch("/config")
    async def patch_config(change: ConfigChange) -> SimulatorConfig:
        named = {name: getattr(change, name) for name in change.model_fields_set}
        return _configure(simulator, simulator.config.model_copy(update=named))

    @routes.get("/faults")
    async def get_faults() -> list[FaultRule]:
        return list(simulator.config.faults)

    @routes.get("/faults/kinds")
    async def get_kinds() -> list[Kind]:
        try:
            return [Kind(kind=fault.kind, fault_class=fault.fault_class) for fault in FAULTS.values()]
        except PluginError as error:
            raise HTTPException(UNPROCESSABLE, str(error)) from error

    @routes.post("/faults")
    async def add_fault(rule: FaultRule) -> list[FaultRule]:
        config = simulator.config
        changed = config.model_copy(update={"faults": (*config.faults, rule)})
        return list(_configure(simulator, changed).faults)

    @routes.delete("/faults")
    async def clear_faults() -> list[FaultRule]:
        return list(_configure(simulator, simulator.config.model_copy(update={"faults": ()})).faults)


def _add_lease_routes(routes: APIRouter, simulator: ModelSimulator) -> None:
    """Add the routes for what expires unless it is renewed."""

    @routes.put("/lease")
    async def begin_lease(lease: LeaseOf) -> SimulatorConfig:
        named = {name: getattr(lease, name) for name in lease.model_fields_set & {"quota", "faults"}}
        config = _checked(simulator.config.model_copy(update=named))
        simulator.lease(lease.name, config, lease.seconds)
        return config

    @routes.post("/lease")
    async def renew_lease(renewal: Renewal) -> SimulatorConfig:
        if not simulator.renew(renewal.name, renewal.seconds):
            raise HTTPException(CONFLICT, NO_LEASE)
        return simulator.config

    @routes.delete("/lease")
    async def end_lease(name: LeaseName) -> SimulatorConfig:
        if not simulator.end_lease(name):
            raise HTTPException(CONFLICT, NO_LEASE)
        return simulator.config


def _add_journal_routes(routes: APIRouter, simulator: ModelSimulator) -> None:
    """Add the routes for what the simulator has seen."""

    def counted() -> Stats:
        journal = simulator.journal
        return Stats(
            requests=journal.count,
            decisions=dict(journal.decisions),
            in_work=simulator.in_work,
            attempts=journal.attempts,
            calls=journal.names.calls,
            bodies=journal.names.contents,
            forgotten_after_s=journal.names.forgotten_after_s,
            fired=list(simulator.fired),
            sources=dict(journal.sources),
            unserved=dict(journal.unserved),
            resets=journal.resets,
        )

    @routes.get("/requests", response_model=list[Row])
    async def requests(
        since: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = MOST_ROWS
    ) -> Response:
        rows = simulator.journal.since(since, limit)
        # Written at once: models made of each row would keep model calls waiting.
        told = to_json([{"number": number, "row": row} for number, row in rows])
        return Response(told, media_type="application/json")

    @routes.get("/stats")
    async def stats() -> Stats:
        return counted()

    @routes.post("/journal/flush", responses={FULL: {"model": Problem}})
    async def flush() -> Stats:
        """Hand the journal to its file: each row that the answer counts is in it by then."""
        try:
            simulator.journal.flush()
        except StartError as error:
            raise HTTPException(FULL, str(error)) from error
        return counted()

    @routes.post("/reset")
    async def reset(body: Reset) -> Stats:
        simulator.reset(body.start_s)
        return counted()


def _from_a_program(request: Request) -> None:
    """Refuse what a page of somebody else can let a browser send: also a body of which no type is said."""
    headers = request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    another = is_anothers(headers.get("host", ""), headers.get("origin"), headers.get("sec-fetch-site"))
    if kind in UNASKED or another:
        raise HTTPException(NOT_JSON, "send application/json, and not from another's page")


class _TokenCheck:
    """Refuses a call without the token, where there is one; else one to a name that may be somebody else's.

    Such a name can be made to mean this machine, and then a page of it may send and read whatever it likes.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._bearer = HTTPBearer(auto_error=False)

    async def __call__(self, request: Request) -> None:
        if self._token is None:
            if not is_near(host := request.headers.get("host", "")):
                raise HTTPException(FORBIDDEN, f"this is not called {host!a}: use 127.0.0.1 or localhost")
            return
        given: HTTPAuthorizationCredentials | None = await self._bearer(request)
        if given is None or not secrets.compare_digest(given.credentials.encode(), self._token.encode()):
            raise HTTPException(
                UNAUTHORIZED,
                "send the token that the simulator was started with: `Authorization: Bearer TOKEN`",
                {"www-authenticate": "Bearer"},
            )


def _configure(simulator: ModelSimulator, config: SimulatorConfig) -> SimulatorConfig:
    simulator.configure(_checked(config))
    return config


def _checked(config: SimulatorConfig) -> SimulatorConfig:
    if len(config.faults) > MOST_RULES:
        raise HTTPException(UNPROCESSABLE, f"there are {MOST_RULES} faults already: clear them first")
    try:
        said = unknown_names(config)
    except PluginError as error:
        said = str(error)
    if said is not None:
        raise HTTPException(UNPROCESSABLE, said)
    return config


async def _answer_validation_error(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong in one sentence, and never send back what was sent."""
    detail = "the request is wrong"
    if isinstance(error, RequestValidationError | ValidationError):
        first = error.errors()[0]
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return JSONResponse({"detail": detail.encode("ascii", "replace").decode()}, UNPROCESSABLE)
