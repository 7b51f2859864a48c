"""What a dashboard is made of. Plain records: `render` turns them into Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """Grafana's names of units."""

    PER_SECOND = "reqps"
    SECONDS = "s"
    SHARE = "percentunit"
    COUNT = "short"
    BYTES = "bytes"
    CORES = "cores"


@dataclass(frozen=True, slots=True)
class Query:
    """A question to Prometheus.

    Attributes:
        expr: in PromQL, with Grafana's variables in it.
        legend: what each line is called; `{{label}}` is its label.
        exemplars: whether to show single requests as points that open their traces.
    """

    expr: str
    legend: str
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A way on to Jaeger's search.

    Attributes:
        title: what it is called.
        search: of the query string, in addition to service and time.
        service: whose traces.
    """

    title: str
    search: str
    service: str = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture.

    Attributes:
        title, description: what it shows; a title says it, a description how to read it.
        unit: of all its values.
        queries: what it draws.
        width: of 24 columns.
        kind: `timeseries`, or `stat` for one figure.
        limit: where the picture turns red; None where no value is wrong as such.
        link: to the traces behind it.
    """

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    width: int = 12
    kind: str = "timeseries"
    limit: float | None = None
    link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice at the top of a dashboard.

    Attributes:
        name, label: in expressions, and for people.
        query: of the values to choose from, in Grafana's words; None for a text to type.
        default: of a text.
    """

    name: str
    label: str
    query: str | None = None
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One page.

    Attributes:
        name: of its file, and in its address.
        title, description: for people.
        panels: in reading order; they wrap at 24 columns.
        variables: beside those that every dashboard has.
        of_containers: whether a choice of these is one of them.
    """

    name: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()
    of_containers: bool = True
