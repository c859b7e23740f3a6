"""The storm: which requests get which trouble, and what each call met."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate

from tests.soak.questions import HASTE
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.exchange import Frame, Reply
from wx_integrations.emulator.faults import (
    Broken,
    Cut,
    ErrorEvent,
    ErrorObject,
    Fault,
    Page,
    Slow,
    Status,
)
from wx_integrations.emulator.service import Visit
from wx_integrations.emulator.troubles import Altered, Answer

MARK = re.compile(rb"mark(\d{7})")
HASTY = re.compile(HASTE.encode())
EXPIRIES = 0.002
"""Share of the troubles that end every token."""
PAUSE = 2.0
"""Seconds, by the clients' clock, that some refusals ask to wait."""
SILENCE = 60.0
"""Seconds without a word: longer than anybody waits."""


@dataclass(frozen=True)
class Met:
    """One request of a call as the service saw it.

    Attributes:
        kind: the trouble it got, None for none.
        status: the answer's, 0 for no answer.
        asked: the seconds it was asked to wait before the next.
        arrived: when it came; seconds that only go forward.
        answered: when the answer was ready.
    """

    kind: str | None
    status: int
    asked: float | None = None
    arrived: float = 0.0
    answered: float = 0.0


class Expiry(Fault):
    """Makes every token so far count as expired, and counts from how many accounts that took a good one.

    Attributes:
        ended: good tokens that expired.
        exchanged: tokens that were given out.
    """

    def __init__(self, emulator: Emulator, uncounted: str) -> None:
        self.emulator = emulator
        self.ended = 0
        self.exchanged = 0
        self._uncounted = uncounted
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
            if reply.status == 200 and account != self._uncounted:
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
        unmarked: requests that belong to no call.
        counts: how often each trouble struck.
        requests: for answers; those for tokens are counted apart.
        token_requests: of the accounts whose exchanges are counted.
        calm: whether nothing happens any more.
        gentle: whether tokens are left alone.
    """

    def __init__(self, emulator: Emulator, *, share: float, seed: int, uncounted: str = "") -> None:
        self.share = share
        self.expiry = Expiry(emulator, uncounted)
        self.met: defaultdict[int, list[Met]] = defaultdict(list)
        self.unmarked: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.requests = 0
        self.token_requests = 0
        self.calm = False
        self.gentle = False
        self._uncounted = uncounted
        self._chance = random.Random(seed)
        self._lock = threading.Lock()

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Answer as the dice say."""
        if visit.route.secret:
            return self._token(visit, answer)
        arrived = time.monotonic()
        mark = MARK.search(visit.request.body)
        kind, fault = self._drawn(visit)
        reply = fault.apply(visit, answer) if fault is not None else answer()
        asked = PAUSE if "retry-after" in reply.headers else None
        met = Met(kind, 0 if reply.trouble else reply.status, asked, arrived, time.monotonic())
        with self._lock:
            if mark is None:
                self.unmarked[visit.request.path] += 1
            else:
                self.met[int(mark[1])].append(met)
        return reply

    def _drawn(self, visit: Visit) -> tuple[str | None, Fault | None]:
        streamed = visit.request.path.endswith("_stream")
        hasty = HASTY.search(visit.request.body) is not None
        with self._lock:
            self.requests += 1
            if self.calm or self._chance.random() >= self.share:
                return None, None
            kinds = list(WHOLE) + (list(STREAMED) if streamed else []) + (list(SLOW) if hasty else [])
            kind = self._chance.choice(kinds)
            if self._chance.random() < EXPIRIES and not self.gentle:
                kind = "expired token"
            self.counts[kind] += 1
        return kind, self.expiry if kind == "expired token" else {**WHOLE, **STREAMED, **SLOW}[kind]

    def _token(self, visit: Visit, answer: Answer) -> Reply:
        """Token requests fail before a token is made, so that each one made has arrived."""
        account = visit.request.form.get("apikey", "")
        with self._lock:
            self.token_requests += account != self._uncounted
            strikes = not self.calm and not self.gentle and self._chance.random() < self.share
            kind = self._chance.choice(list(TOKEN)) if strikes else None
            if kind is not None:
                self.counts[kind] += 1
        if kind is not None:
            return TOKEN[kind].apply(visit, answer)
        return self.expiry.exchange(account, answer)


@dataclass(frozen=True)
class Full(Fault):
    """429 for lack of shared capacity, which states no limit for this client to keep to.

    Attributes:
        asks: for a pause, in seconds or as a date.
    """

    asks: str | None = None

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Answer 429; a date counts from the date of the answer, whose clock is wrong."""
        now = visit.service.clock()
        dates = {"date": formatdate(now, usegmt=True), "retry-after": formatdate(int(now) + PAUSE, usegmt=True)}
        headers = {None: {}, "seconds": {"retry-after": f"{PAUSE:g}"}, "date": dates}[self.asks]
        return Status(429, "consumption_limit_reached", "The capacity is used up", headers).apply(visit, answer)


@dataclass(frozen=True)
class Dribble(Fault):
    """The right answer in sixteen pieces (of a stream: its frames), slowly.

    Attributes:
        dries_up: after so many pieces there is silence; None for never.
    """

    dries_up: int | None = None

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Slow the right answer down."""
        right = answer()
        size = max(16, len(right.body) // 16) if isinstance(right.body, bytes) else 1
        slow = Slow(each=0.01, size=size).apply(visit, lambda: right)
        assert isinstance(slow.body, Altered)
        pieces = slow.body

        def frames() -> Iterator[Frame]:
            for number, frame in enumerate(pieces):
                yield replace(frame, wait=SILENCE) if number == self.dries_up else frame

        return replace(slow, body=Altered(pieces, frames()))


WHOLE: dict[str, Fault] = {
    "429": Full(),
    "429, seconds": Full("seconds"),
    "429, date": Full("date"),
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
    "dribble": Dribble(),
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
"""What may happen to a stream besides."""
SLOW: dict[str, Fault] = {
    "silence": Slow(before=SILENCE),
    "silence in the body": Dribble(dries_up=0),
    "dribble that dries up": Dribble(dries_up=3),
}
"""What may happen besides to a call that does not wait for long."""
TOKEN: dict[str, Fault] = {
    "token: 429": Status(429),
    "token: 500": Status(500),
    "token: 503": Status(503),
    "token: reset": Broken("reset"),
    "token: refused": Broken("refuse"),
    "token: not HTTP": Broken("garbage"),
    "token: 200, web page": Page(),
}
