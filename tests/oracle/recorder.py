"""The emulator as a recorder: what each call of a client asked for, and what was refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.witnesses.inputs import REVOKED_TOKEN, SECOND_KEY, TEMPLATED, THIRD_KEY, TOKEN_SECONDS
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import ModelCard
from wx_integrations.emulator.cards import CARDS
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.exchange import Reply, Request, json_reply
from wx_integrations.emulator.faults import RateLimited, Status
from wx_integrations.emulator.journal import Entry

KEY = "a-good-key"
KEYS = (KEY, SECOND_KEY, THIRD_KEY)
LIFETIME = 3600.0
"""Seconds."""
OLD_MODEL = ModelCard(TEMPLATED, TEMPLATED, "Mistral AI", "Known to litellm.", ("text_generation",), 32_768, 4096)

Call = tuple[str, str]
"""A client's name and a call's."""


@dataclass(frozen=True)
class Refusal:
    """A refusal of the emulator: the path, the status, the error's code and what it is about."""

    path: str
    status: int
    code: str | None = None
    target: str | None = None


@dataclass
class Step:
    """One call: its requests, and the refusals among the answers."""

    entries: list[Entry] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


class Recorder(Emulator):
    """An emulator that is told which call comes next.

    Takes any token but a revoked one, and the three keys.
    """

    def __init__(self, *, strict: bool) -> None:
        brain = DeterministicBrain([*CARDS, OLD_MODEL])
        super().__init__(brain, strict=strict, any_token=True, api_keys=KEYS, token_lifetime=LIFETIME)
        self.office.revoke(REVOKED_TOKEN)
        self.steps: dict[Call, Step] = {}
        self._step = Step()

    def handle(self, request: Request) -> Reply:
        """Answer a request; `/step/...` and `/now/...` are for the recorder itself."""
        _, kind, *rest = request.path.split("/")
        if kind == "step":
            self._begin((rest[0], rest[1]))
            return json_reply(200, {})
        if kind == "now":
            self._TROUBLES[rest[0]](self)
            return json_reply(200, {})
        before = len(self.journal)
        reply = super().handle(request)
        entry = self.journal[before]
        self._step.entries.append(entry)
        if reply.status >= 400:
            self._step.refusals.append(_refusal(entry.path, reply))
        return reply

    def _begin(self, call: Call) -> None:
        self.faults.clear()
        self.office.lifetime = LIFETIME
        self._step = self.steps[call] = Step()

    def _overload(self) -> None:
        self.faults.add(Status(503), path="text/chat", times=1)

    def _limit(self) -> None:
        self.faults.add(RateLimited(0), path="text/chat", times=1)

    def _shorten_tokens(self) -> None:
        self.office.lifetime = TOKEN_SECONDS

    def _expire_tokens(self) -> None:
        self.office.expire_all()

    _TROUBLES: dict[str, Callable[[Recorder], None]] = {
        "overloaded": _overload,
        "limited": _limit,
        "short-tokens": _shorten_tokens,
        "tokens-expire": _expire_tokens,
    }


def _refusal(path: str, reply: Reply) -> Refusal:
    body: Any = json.loads(reply.body) if isinstance(reply.body, bytes) and reply.body[:1] == b"{" else {}
    errors = body.get("errors")
    item = errors[0] if isinstance(errors, list) else {}
    return Refusal(path, reply.status, item.get("code") or body.get("errorCode"), item.get("target", {}).get("name"))
