"""The emulated service: what every route may use, and one visit to it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from wx_integrations.emulator.brain import Brain, ModelCard
from wx_integrations.emulator.exchange import Reply, Request
from wx_integrations.emulator.hosts import Place
from wx_integrations.emulator.refusals import DOCS, Family, Refused
from wx_integrations.emulator.tokens import TokenOffice

if TYPE_CHECKING:
    from wx_integrations.emulator.tools.toolbox import Toolbox

Ending = Literal["eof", "close_empty", "close_bare", "close_usage"]


@dataclass(frozen=True)
class Deployed:
    """A deployment: the model behind it and, for a deployed prompt, its template.

    Attributes:
        template: text with `{variable}` places; such a deployment takes no system message.
    """

    model_id: str
    template: str | None = None


@dataclass(frozen=True)
class Pacing:
    """How fast answers come, in seconds: before the first token and between tokens."""

    first: float = 0.0
    each: float = 0.0


@dataclass(frozen=True)
class Framing:
    """How a stream of `/ml/v1` is framed.

    Attributes:
        ending: what follows the usage frame: nothing ("eof"); `event: close` with `data: {}`
            ("close_empty") or without data ("close_bare"); or the usage frame itself under
            `event: close` ("close_usage").
        finish: whether the finish reason has a frame of its own or sits on the last delta.
    """

    ending: Ending = "eof"
    finish: Literal["own_frame", "on_last_delta"] = "own_frame"


class Ids:
    """Makes ids that look like the service's and are the same in every run."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._numbers = itertools.count(1)

    def hex(self) -> str:
        """Return 32 hexadecimal digits, never the same twice."""
        return hashlib.sha256(f"{self._seed}/{next(self._numbers)}".encode()).hexdigest()[:32]


@dataclass
class Service:
    """What every route may use.

    Attributes:
        deployments: by id or serving name; None lets every id answer with the first fitting model.
        projects: ids of projects and spaces that exist; None lets every id exist.
        version: what `/ml/wml_services/v2/version` answers.
        tools: the utility agent tools; None turns them off.
    """

    brain: Brain
    office: TokenOffice
    clock: Callable[[], float]
    ids: Ids
    strict: bool
    deployments: Mapping[str, Deployed] | None = None
    projects: frozenset[str] | None = None
    pacing: Pacing = field(default_factory=Pacing)
    framing: Framing = field(default_factory=Framing)
    version: str = "5.3.0"
    tools: Toolbox | None = None

    def timestamp(self) -> str:
        """Return the time as the service writes it, such as 2025-12-02T15:10:11.178Z."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def card(self, name: str) -> ModelCard | None:
        """Return the model of that id or alias."""
        return next((card for card in self.brain.cards if card.answers_to(name)), None)


@dataclass(frozen=True)
class Visit:
    """One request at one route."""

    service: Service
    route: Route
    request: Request
    trace: str
    arguments: Mapping[str, str]


@dataclass(frozen=True)
class Route:
    """What is served where.

    Attributes:
        path: with `{name}` for one segment.
        place: the family of hosts that serves it; software hosts serve everything.
        family: the family of error bodies.
        token: whether the request must carry a good token.
        versioned: whether the `version` date must be given; if not, a given one is still checked.
        anchor: the place in the API reference, for `more_info`.
        secret: whether the body carries credentials, so that the journal masks it.
    """

    method: str
    path: str
    serve: Callable[[Visit], Reply]
    place: Place = "ml"
    family: Family = "ml"
    token: bool = True
    versioned: bool = False
    anchor: str = ""
    secret: bool = False


def unsupported_model(model_id: Any) -> Refused:
    """Return the refusal for a model that is not served."""
    return Refused(404, "model_not_supported", f"Model '{model_id}' is not supported")


def missing_function(model_id: str, function: str) -> Refused:
    """Return the refusal for a model that cannot do what is asked."""
    return Refused(404, "model_no_support_for_function", f"Model '{model_id}' does not support function '{function}'")


def missing_deployment(name: str) -> Refused:
    """Return the refusal for a deployment that does not exist."""
    message = f"Deployment with id '{name}' does not exist. Re-try with a valid deployment id."
    return Refused(404, "deployment_does_not_exist", message)


__all__ = [
    "DOCS",
    "Deployed",
    "Framing",
    "Ids",
    "Pacing",
    "Route",
    "Service",
    "Visit",
    "missing_deployment",
    "missing_function",
    "unsupported_model",
]
