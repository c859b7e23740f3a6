"""An examination: steps are functions of a case, each returns a finding, a value; no finding holds a secret."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pydantic import SecretStr

from wx_integrations import __version__
from wx_integrations.cli import cures
from wx_integrations.cli.reach import Ways
from wx_integrations.core.client import Client, Shared
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, WatsonxError
from wx_integrations.core.hosts import REGIONS, TABLE, Hosts
from wx_integrations.core.retry import Waiting
from wx_integrations.core.secrets import HIDDEN, SECRETS, opened
from wx_integrations.core.wire.models import ModelSpec

Outcome = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What a step found.

    Attributes:
        step: its name.
        detail: the facts in one sentence.
        advice: what to do, if something is to be done.
        seconds: what it took.
        facts: the same for programs.
    """

    step: str
    outcome: Outcome
    detail: str
    advice: str | None = None
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Known:
    """What the steps found out for those after them."""

    connection: Connection | None = None
    ways: Ways | None = None
    clients: list[Client] = field(default_factory=list)
    token: SecretStr | None = None
    exchanged: bool = False
    """Whether the token came from an exchange, which is not to be repeated."""
    account: str | None = None
    scope_refused: bool = False
    specs: list[ModelSpec] = field(default_factory=list)


@dataclass
class Case:
    """What is examined, and what is known so far.

    Attributes:
        settings: given by hand; they win over the environment.
        environ: the environment.
        model, embedding_model: what to try; a usual or the first fitting model otherwise.
        deployment: what to try instead of a model.
        search_regions: look for the project in other regions too, which sends the token to IBM's hosts there.
        timeout: seconds for each step of a request.
        regions: where to look.
        now: POSIX time.
        known: what the steps found out for those after them.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    model: str | None = None
    embedding_model: str | None = None
    deployment: str | None = None
    search_regions: bool = False
    timeout: float = 30.0
    regions: Sequence[Hosts] = tuple(hosts for hosts in TABLE if hosts.ml in REGIONS.values())
    now: Callable[[], float] = time.time

    known: Known = field(default_factory=Known)

    @property
    def connection(self) -> Connection:
        """The settings, once they are read."""
        assert self.known.connection is not None
        return self.known.connection

    @property
    def ways(self) -> Ways:
        """The ways out, once the network was tried."""
        assert self.known.ways is not None
        return self.known.ways

    def client(self) -> Client:
        """Return a client of its own for one step, so that no step waits for the pace another was told to keep."""
        connection = self.connection.model_copy(update={"verify": self.ways.context})
        made = Client(shared=Shared(connection, Waiting()))  # with its own time it has its own limiter
        if self.known.exchanged and self.known.token is not None:
            made.set_token(self.known.token)
        self.known.clients.append(made)
        return made

    def secrets(self) -> list[str]:
        """Return every secret that a finding might repeat, to strike it out."""
        found = [self.environ.get(f"WATSONX_{name.upper()}") for name in (*SECRETS, "apikey")]
        if self.known.connection is not None:
            found += [opened(getattr(self.known.connection, name)) for name in SECRETS]
        found.append(opened(self.known.token))
        return [secret for secret in found if secret and len(secret) > 3]

    def close(self) -> None:
        """Close what was opened."""
        for resource in (*self.known.clients, self.known.ways):
            if resource is not None:
                resource.close()


@dataclass(frozen=True)
class Step:
    """One step and those that must not have failed before it."""

    name: str
    check: Callable[[Case], Finding]
    needs: tuple[str, ...] = ()


def examine(case: Case, steps: Sequence[Step], *, clock: Callable[[], float] = time.perf_counter) -> Iterator[Finding]:
    """Yield the findings of the steps, in order, as they are made."""
    outcomes: dict[str, Outcome] = {}
    try:
        for step in steps:
            cause = next((name for name in step.needs if outcomes.get(name) in ("failed", "skipped")), None)
            if cause is not None:
                finding = Finding(step.name, "skipped", f"needs {cause}")
            else:
                start = clock()
                finding = replace(_checked(step, case), seconds=round(clock() - start, 4))
            outcomes[step.name] = finding.outcome
            yield _without_secrets(finding, case.secrets())
    finally:
        case.close()


def _checked(step: Step, case: Case) -> Finding:
    try:
        return step.check(case)
    except ConfigurationError as error:
        return Finding(step.name, "failed", error.message, cures.for_setting(error), facts=facts_of(error))
    except WatsonxError as error:
        known = case.known
        cure = cures.for_answer(error, case.connection, account=known.account, logged_in=known.token is not None)
        return Finding(step.name, "failed", error.message, cure, facts=facts_of(error))


def facts_of(error: WatsonxError) -> dict[str, Any]:
    """Return what programs want to know of an error."""
    names = ("field", "env", "status", "code", "trace")
    known = {name: getattr(error, name, None) for name in names}
    return {"error": type(error).__name__, **{name: value for name, value in known.items() if value is not None}}


def _without_secrets(finding: Finding, secrets: Sequence[str]) -> Finding:
    text = json.dumps(asdict(finding))
    for secret in secrets:
        text = text.replace(json.dumps(secret)[1:-1], HIDDEN)
    return Finding(**json.loads(text))


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings for `--json`."""
    return {"ok": is_well(findings), "version": __version__, "steps": [asdict(finding) for finding in findings]}


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether nothing failed."""
    return not any(finding.outcome == "failed" for finding in findings)
