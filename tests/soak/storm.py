"""The storm: which requests get which trouble, and what each call met."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.faults import (
    Broken,
    Cut,
    ErrorEvent,
    ErrorObject,
    Fault,
    Page,
    RateLimited,
    Slow,
    Status,
)
from wx_integrations.emulator.service import Visit
from wx_integrations.emulator.troubles import Answer

MARK = re.compile(rb"mark(\d{7})")
IMPATIENT = re.compile(rb"impatient")
EXPIRIES = 0.002
"""Share of the troubles that end every token."""
PAUSE = 0.01
"""Seconds that refusals ask to wait."""


@dataclass(frozen=True)
class Met:
    """One request of a call as the service saw it: the trouble it got, or none, and the status it was given."""

    kind: str | None
    status: int


class Expiry(Fault):
    """Makes every token so far count as expired, and counts from how many accounts that took a good one.

    Attributes:
        ended: good tokens that expired.
        exchanged: tokens that were given out.
    """

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.ended = 0
        self.exchanged = 0
        self._good: set[str] = set()
        self._lock = threading.Lock()

    def happen(self, expire: Callable[[], object]) -> None:
        """Let tokens expire, and count those that were good."""
        with self._lock:
            expire()
            self.ended += len(self._good)
            self._good.clear()

    def exchange(self, account: str, answer: Answer) -> Reply:
        """Give a token out."""
        with self._lock:
            reply = answer()
            if reply.status == 200:
                self.exchanged += 1
                self._good.add(account)
            return reply

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Expire the tokens, then answer, which refuses this very request."""
        self.happen(self.emulator.office.expire_all)
        return answer()


class Storm(Fault):
    """Gives a share of all requests one trouble or another, drawn anew each time.

    Attributes:
        met: what the requests of each call met, in order, by the call's mark.
        counts: how often each trouble struck.
    """

    def __init__(self, emulator: Emulator, *, share: float, seed: int) -> None:
        self.share = share
        self.expiry = Expiry(emulator)
        self.met: defaultdict[int, list[Met]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self.requests = 0
        self.calm = False
        self._chance = random.Random(seed)
        self._lock = threading.Lock()

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Answer as the dice say."""
        if visit.route.secret:
            return self._token(visit, answer)
        mark = MARK.search(visit.request.body)
        kind, fault = self._drawn(visit)
        reply = fault.apply(visit, answer) if fault is not None else answer()
        if mark is not None:
            with self._lock:
                self.met[int(mark[1])].append(Met(kind, 0 if reply.trouble else reply.status))
        return reply

    def _drawn(self, visit: Visit) -> tuple[str | None, Fault | None]:
        streamed = visit.request.path.endswith("_stream")
        impatient = IMPATIENT.search(visit.request.body) is not None
        with self._lock:
            self.requests += 1
            if self.calm or self._chance.random() >= self.share:
                return None, None
            kinds = list(WHOLE) + (list(STREAMED) if streamed else []) + (list(IMPATIENTLY) if impatient else [])
            kind = "expired token" if self._chance.random() < EXPIRIES else self._chance.choice(kinds)
            self.counts[kind] += 1
        return kind, self.expiry if kind == "expired token" else {**WHOLE, **STREAMED, **IMPATIENTLY}[kind]

    def _token(self, visit: Visit, answer: Answer) -> Reply:
        """Token requests fail before a token is made, so that each one made has arrived."""
        with self._lock:
            strikes = not self.calm and self._chance.random() < self.share
            kind = self._chance.choice(list(TOKEN)) if strikes else None
            if kind is not None:
                self.counts[kind] += 1
        if kind is not None:
            return TOKEN[kind].apply(visit, answer)
        return self.expiry.exchange(visit.request.form.get("apikey", ""), answer)


@dataclass(frozen=True)
class Full(Fault):
    """429 for lack of shared capacity, which states no limit for this client to keep to."""

    retry_after: float | None = None
    as_date: bool = False

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Answer 429."""
        limited = RateLimited(self.retry_after, self.as_date).apply(visit, answer)
        told = {name: value for name, value in limited.headers.items() if name == "retry-after"}
        return Status(429, "consumption_limit_reached", "The capacity is used up", told).apply(visit, answer)


WHOLE: dict[str, Fault] = {
    "429": Full(),
    "429, seconds": Full(PAUSE),
    "429, date": Full(PAUSE, as_date=True),
    "500": Status(500),
    "502": Status(502),
    "503": Status(503),
    "504": Status(504),
    "520": Status(520),
    "503, no body": Status(503, body="empty"),
    "refused": Broken("refuse"),
    "reset before headers": Broken("reset"),
    "closed before headers": Broken("close"),
    "not HTTP": Broken("garbage"),
    "reset in the body": Cut(after=20, how="reset"),
    "closed in the body": Cut(after=20, how="close"),
    "200, web page": Page(),
    "200, error object": ErrorObject(),
}
"""What may happen to any request."""
STREAMED: dict[str, Fault] = {
    "stream cut": Cut(after=2, how="close"),
    "stream ends early": Cut(after=2, how="end"),
    "stream reset": Cut(after=2, how="reset"),
    "error event": ErrorEvent(after=2),
    "error event at once": ErrorEvent(after=0, plain=True),
}
IMPATIENTLY: dict[str, Fault] = {
    "silence": Slow(before=30.0),
    "dribble": Slow(each=30.0, size=16),
}
"""What only happens to calls that do not wait for long."""
TOKEN: dict[str, Fault] = {
    "token: 500": Status(500),
    "token: 503": Status(503),
    "token: reset": Broken("reset"),
    "token: refused": Broken("refuse"),
}
