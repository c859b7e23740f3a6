"""What `wx serve` adds to the emulator: trouble from the command line, a rate limit, a journal in a file."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TextIO, get_args

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Brain
from wx_integrations.emulator.exchange import Reply, Request, Trouble
from wx_integrations.emulator.faults import (
    Broken,
    Cut,
    ErrorEvent,
    ErrorObject,
    Fault,
    Malformed,
    Page,
    RateLimited,
    Rule,
    Slow,
    StaleToken,
    Status,
)
from wx_integrations.emulator.journal import Entry, Journal
from wx_integrations.emulator.service import Pacing
from wx_integrations.emulator.watsonx import LoggedIn

KEPT = 1000
"""Requests that a server remembers; it may run for weeks."""
FAULTS = (
    "WHAT[@PATH][:WHEN]. WHAT: a status (503), refuse, reset, close, timeout, garbage, cut[=FRAMES], "
    "error-event, error-object, page, malformed, slow=SECONDS, stale-token, or 429=SECONDS for a Retry-After. "
    "WHEN: 10% of the requests, x3 for the first three, #2,5 for the second and the fifth; all by default"
)
_FAULT = re.compile(r"(?P<what>[a-z0-9-]+)(=(?P<value>[0-9.]+))?(@(?P<path>[^:]+))?(:(?P<when>[^:]+))?")
_LIMIT = re.compile(r"(?P<requests>\d+)(/(?P<per>\d+(\.\d+)?))?")


@dataclass(frozen=True)
class Outfit:
    """What a served emulator has beyond its brain.

    Attributes:
        pacing: seconds before the first token and between tokens.
        rules: scripted trouble.
        limit: requests and the seconds they are counted in.
        journal: where each request is written to, one JSON object a line, without secrets.
    """

    pacing: tuple[float, float] = (0.0, 0.0)
    rules: Sequence[Rule] = ()
    limit: tuple[int, float] | None = None
    journal: TextIO | None = None

    def make(self, brain: Brain, *, strict: bool) -> Emulator:
        """Return an emulator with all of it."""
        emulator = ServedEmulator(brain, self.journal, strict=strict, pacing=Pacing(*self.pacing))
        emulator.faults.rules += self.rules
        if self.limit is not None:
            emulator.faults.limit(self.limit[0], per=self.limit[1])
        return emulator


class ServedEmulator(Emulator):
    """An emulator that remembers its newest requests only, and writes each down."""

    def __init__(self, brain: Brain, out: TextIO | None, **settings: Any) -> None:
        super().__init__(brain, **settings)
        self.journal: NewestJournal = NewestJournal()
        self._out = out
        self._lock = threading.Lock()

    def handle(self, request: Request) -> Reply:
        """Answer one request and write it down when its answer begins."""
        reply = super().handle(request)
        entry = self.journal.of_this_thread
        if self._out is not None and entry is not None:
            with self._lock:
                self._out.write(json.dumps(asdict(entry), ensure_ascii=False, default=str) + "\n")
                self._out.flush()
        return reply


class NewestJournal(Journal):
    """A journal that forgets the oldest entries, and knows which one this thread opened last."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count()
        self._here = threading.local()

    @property
    def of_this_thread(self) -> Entry | None:
        """The entry of the request that this thread is at."""
        return getattr(self._here, "entry", None)

    def open(self, request: Request, trace: str, *, secret: bool) -> Entry:
        """Write down a request."""
        entry = super().open(request, trace, secret=secret)
        with self._lock:
            entry.index = next(self._numbers)
            del self.entries[:-KEPT]
        self._here.entry = entry
        return entry


# --------------------------------------------------------------------------- from the command line


def read_rule(text: str) -> Rule:
    """Read a fault as it is written on the command line; see `FAULTS`.

    Raises:
        ConfigurationError: it is not written so.
    """
    match = _FAULT.fullmatch(text.strip())
    if match is None:
        raise _refusal(text)
    path = match["path"]
    rule = (Rule if path else LoggedIn)(_fault(text, match["what"], match["value"]), path)
    when = match["when"]
    if when is None:
        return rule
    try:
        if when.endswith("%"):
            rule.probability = float(when[:-1]) / 100
        elif when.startswith("x"):
            rule.times = int(when[1:])
        elif when.startswith("#"):
            rule.nth = tuple(int(number) for number in when[1:].split(","))
        else:
            raise _refusal(text)
    except ValueError:
        raise _refusal(text) from None
    return rule


def _fault(text: str, what: str, value: str | None) -> Fault:
    try:
        number = None if value is None else float(value)
    except ValueError:
        raise _refusal(text) from None
    with_value: dict[str, Callable[[float], Fault]] = {
        "429": RateLimited,
        "slow": lambda seconds: Slow(before=seconds),
        "cut": lambda frames: Cut(after=int(frames)),
    }
    without: dict[str, Callable[[], Fault]] = {
        "429": RateLimited,
        "cut": Cut,
        "error-event": ErrorEvent,
        "error-object": ErrorObject,
        "page": Page,
        "malformed": Malformed,
        "stale-token": StaleToken,
    }
    if number is not None and what in with_value:
        return with_value[what](number)
    if number is None and what in without:
        return without[what]()
    for trouble in get_args(Trouble):
        if number is None and what == trouble:
            return Broken(trouble)
    if number is None and re.fullmatch("[45][0-9][0-9]", what):
        return Status(int(what))
    raise _refusal(text)


def read_limit(text: str) -> tuple[int, float]:
    """Read a rate limit: requests per second ("8"), or per some seconds ("120/60").

    Raises:
        ConfigurationError: it is not written so.
    """
    match = _LIMIT.fullmatch(text.strip())
    per = float(match["per"] or 1) if match else 0.0
    if match is None or per <= 0:
        raise ConfigurationError(f"--limit: {text!r} is not a rate", hint="Give 8 (a second) or 120/60 (in 60 seconds)")
    return int(match["requests"]), per


def _refusal(text: str) -> ConfigurationError:
    return ConfigurationError(f"--fault: {text!r} is not understood", hint=f"Give {FAULTS}")
