"""What the model API simulator is told: latency, quota and faults.

The experiment's TOML, the simulator's command line and its control API all speak these
models; they are the only thing that the three share.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Z_99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""

CANARY = re.compile(r"CANARY-[0-9A-Za-z]+")
"""A word that a prompt tells; the model repeats those of a conversation when it is asked for them."""

MOST_SPREAD = 10_000
"""A lognormal's 99th percentile is at most so many times its median."""
MOST_RULES = 1000

Provider = Literal["openai", "azure", "anthropic", "bedrock", "gemini"]
"""Whose model API: faults and quotas tell their errors in its words."""
PROVIDERS: tuple[str, ...] = get_args(Provider)

Seconds = Annotated[float, Field(ge=0, le=3600)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A frozen model that refuses keys it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Distribution(Strict):
    """A duration in seconds: constant at `median_s`, or lognormal when `p99_s` is given.

    A lognormal is fixed by two of its quantiles: mu = ln(median), sigma = ln(p99/median)/z99.
    """

    median_s: Seconds = 0.0
    p99_s: Seconds | None = None

    @model_validator(mode="after")
    def _p99_above_median(self) -> Self:
        if self.p99_s is not None and (self.median_s <= 0 or self.p99_s <= self.median_s):
            msg = "p99_s must be greater than median_s, and median_s greater than 0"
            raise ValueError(msg)
        if self.p99_s is not None and self.p99_s > MOST_SPREAD * self.median_s:
            msg = f"p99_s can be at most {MOST_SPREAD:,} times median_s: beyond, a mean says nothing"
            raise ValueError(msg)
        return self

    @property
    def sigma(self) -> float:
        """The lognormal's shape parameter; 0 for a constant."""
        return 0.0 if self.p99_s is None else math.log(self.p99_s / self.median_s) / Z_99

    @property
    def mean_s(self) -> float:
        """The mean in seconds."""
        return self.median_s * math.exp(self.sigma**2 / 2)


class UnderLoad(Strict):
    """How much slower answers get, in proportion to the calls that are in work.

    Attributes:
        factor: what durations are multiplied by at `concurrency` calls in work, and beyond.
        concurrency: calls in work at which the slow-down is whole.
    """

    factor: Annotated[float, Field(ge=1, le=100)]
    concurrency: Annotated[int, Field(ge=2)]

    def slowed(self, in_work: int) -> float:
        """Return the factor for a call that is one of `in_work`; 1 when it is alone."""
        share = min(1.0, max(0, in_work - 1) / (self.concurrency - 1))
        return 1 + (self.factor - 1) * share


class Latency(Strict):
    """How long an answer takes: `ttft` to the first token, then `itl` for each further one.

    Attributes:
        ttft, itl: drawn anew for each call, the same in each of its attempts.
        tokens: that an answer has, unless the caller allows less; it then takes the time of these.
        per_input_token_s: what each token of the input adds to the time of the first one.
        connect: what the first call over each TCP connection takes more, as a TLS handshake does.
        under_load: None when load makes nothing slower.
    """

    ttft: Distribution = Distribution()
    itl: Distribution = Distribution()
    tokens: Annotated[int, Field(ge=1, le=4096)] = 8
    per_input_token_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    connect: Distribution = Distribution()
    under_load: UnderLoad | None = None


class RetryAfterMode(StrEnum):
    """What a throttled caller is told about when to come back."""

    EXACT = "exact"
    """The time until the bucket holds what the request needs, in ms."""
    ROUNDED = "rounded"
    """The same, rounded up to whole seconds."""
    ABSENT = "absent"
    """Nothing."""
    WRONG = "wrong"
    """A tenth of the truth."""
    HTTP_DATE = "http_date"
    """The time at which it does, as an HTTP date."""
    NEGATIVE = "negative"
    """A time in the past: the truth, below zero."""
    DAY = "day"
    """A day, whatever the truth."""


class RetryAfterForm(StrEnum):
    """How a time to come back is written."""

    EXACT = "exact"
    """In whole seconds, and in ms where the provider's clients look for these."""
    WHOLE = "whole"
    """In whole seconds."""
    HTTP_DATE = "http_date"
    """As the date and time of day at which they are over."""


class Quota(Strict):
    """A token bucket per API key and model.

    Attributes:
        rpm: requests a minute that it refills with; enforced continuously.
        burst: requests that it holds when full.
        tpm: tokens a minute, None for no limit on tokens.
        burst_tokens: tokens that it holds when full, a minute's when None.
        charge_failed: whether refused requests use quota as well.
        reserve_max_tokens: whether `max_tokens` is taken at the start, and what was not used
            given back at the end (Bedrock); else what the answer will have is taken.
        retry_after: what a refused caller is told; None for what the provider itself tells, which is
            nothing for Bedrock and `exact` for all others.
    """

    rpm: Annotated[float, Field(gt=0)]
    burst: Annotated[float, Field(ge=1)] = 1
    tpm: Annotated[float, Field(gt=0)] | None = None
    burst_tokens: Annotated[float, Field(ge=1)] | None = None
    charge_failed: bool = False
    reserve_max_tokens: bool = False
    retry_after: RetryAfterMode | None = None


class Match(Strict):
    """Which calls a fault is for; what is not named matches all."""

    provider: Provider | None = None
    model: str | None = None
    session: str | None = None
    run: str | None = None
    attempt: Annotated[int, Field(ge=1)] | None = None


class Occurrence(Strict):
    """When a rule fires.

    Attributes:
        kind: of what then goes wrong.
        probability: drawn for each that the rule is for.
        times: at most so often, for those who come first; every_n: only each n-th.
    """

    kind: Annotated[str, Field(min_length=1)]
    probability: Probability = 1.0
    times: Annotated[int, Field(ge=1)] | None = None
    every_n: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _whoever_comes_first(self) -> Self:
        if self.times is not None and self.probability < 1:
            msg = "times and a probability below 1 would depend on who comes first: give one of them"
            raise ValueError(msg)
        return self


class FaultRule(Occurrence):
    """One fault, and when it is served.

    A rule fires when its match, window, `every_n` and `times` all agree and the draw
    from hash(seed, call, attempt) falls below `probability`. Permanent kinds draw from
    hash(seed, call) alone: a bad request stays bad. So do others that are `lasting`.

    Attributes:
        kind: a name of the simulator's fault registry, such as `rate_limit_requests`.
        window_s: [from, to) in seconds since the run's start.
        lasting: whether each attempt of a call that has it has it again, within the window: that is then no
            outage which clears.
        after_chunks: for stream faults, how many chunks go out before; of a shorter stream, all but its end.
        retry_after_s: what the caller is told; `"until_clear"` is the end of the window.
        retry_after_form: how it is written.
        delay_s: for faults that take time, how long; each has a default of its own.
    """

    match: Match = Match()
    window_s: tuple[Seconds, Seconds] | None = None
    lasting: bool = False
    after_chunks: Annotated[int, Field(ge=0)] = 1
    retry_after_s: Annotated[float, Field(ge=-86_400, le=604_800)] | Literal["until_clear"] | None = None
    retry_after_form: RetryAfterForm = RetryAfterForm.EXACT
    delay_s: Seconds | None = None

    @model_validator(mode="after")
    def _window_in_order(self) -> Self:
        if self.window_s is not None and self.window_s[0] >= self.window_s[1]:
            msg = "window_s must be [from, to] with from < to"
            raise ValueError(msg)
        if self.retry_after_s == "until_clear" and self.window_s is None:
            msg = 'retry_after_s = "until_clear" needs a window_s'
            raise ValueError(msg)
        return self


class Auth(Strict):
    """Who may call.

    Attributes:
        keys: API keys (for Bedrock: access key ids) that are accepted, and the client secrets
            that the token endpoint gives tokens for.
        token_latency: how long the token endpoint takes.
        token_lifetime_s: after which a token is refused.
    """

    keys: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    token_latency: Distribution = Distribution()
    token_lifetime_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0


Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
ToolTurns = Annotated[int, Field(ge=0, le=8)]
Protocols = tuple[Annotated[str, Field(min_length=1, max_length=100)], ...]
FaultRules = Annotated[tuple[FaultRule, ...], Field(max_length=MOST_RULES)]


class SimulatorConfig(Strict):
    """Everything that the simulator is told.

    Attributes:
        seed: all its draws come from hash(seed, call, attempt).
        latency: of an answer.
        tool_turns: how many calls of tools an answer to a user's message takes first, when the caller
            offers any: in the order in which they are offered, the last again and again.
        protocols: of installed packages, by name, that are spoken beside ours, and before them.
        models: that there are; any, when none is named.
        context_windows: tokens of input that fit a model, by its name; `*` for all others.
        auth: None when anyone may call.
        quota: None for none.
        faults: the first that fires is served.
    """

    seed: Seed = 1
    latency: Latency = Latency()
    tool_turns: ToolTurns = 0
    protocols: Protocols = ()
    models: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = ()
    context_windows: Mapping[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    auth: Auth | None = None
    quota: Quota | None = None
    faults: FaultRules = ()
