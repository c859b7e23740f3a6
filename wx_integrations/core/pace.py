"""How fast requests may follow each other, learnt from the answers; pure: every method is told the time.

The service limits requests per second for an instance ("Rate limit of 2
requests per 1s was reached for instance id ...") and may refuse for lack of
shared capacity (429 `consumption_limit_reached`, 503). It may state its limit
in `x-requests-limit-rate`, which the official Python SDK reads as requests
per second, and what is left of it in `x-requests-limit-remaining` and
`-reset`.

Until the service states a limit or refuses, the pace is open. After a refusal
it halves, comes back to what worked within a moment, stays there, and then
probes slowly for more: a pure halving-and-adding rule would lose a quarter of
the limit. A refusal out of a clear sky costs little of what is believed to
work; refusals in close succession cost a lot.
"""

import math
import re
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

REFUSALS = (429, 503)
"""Statuses that mean "too much"."""

SHARE = 0.97
"""How much of a stated limit is used: windows are counted where the requests arrive."""
FLOOR = 1.0
"""Requests per second that are always tried."""
CUT, RECOVERY = 0.5, 4.0
"""What a refusal leaves of the rate, and the requests' worth of time until all of it is back."""
DOUBT = 0.95
"""What a refusal leaves of the rate believed to work, when the service states no limit."""
MEMORY, SOME, TOO_MANY = 0.04, 0.045, 0.3
"""How much the latest answer counts in the share of refusals; the shares that are no accident, and an overload."""
STAY = 30.0
"""Requests' worth of time in which it is not lowered again for that."""
DISTRUST = 0.7
"""What a refusal leaves of the rate when that share is reached, unless more is known to work."""
CLIMB = 30.0
"""Requests' worth of time in which most of the way back to the rate believed to work is made."""
SLOWEST, FASTEST = 3.0, 10.0
"""Requests per second between which time is worth as many requests as the rate says."""
STEADY, SURGE, DOUBLING = 5e-4, 0.02, 30.0
"""Growth beyond it: so much per request, and so much, doubling every so many: 5 % after 40, 30 % after 110."""
SEEKING = 8.0
"""Requests' worth of time in which an unknown rate doubles until it is refused."""
LULL = 1.0
"""Seconds after a refusal in which half as many bulk requests are under way."""
REOPEN = 60.0
"""Seconds without refusal, and without anybody waiting, after which the pace is open again."""
LONGEST_PAUSE = 300.0
"""Seconds that a `Retry-After` or a reset can hold everybody up."""

START, MOST, WIDEST = 5, 16, 256
"""Bulk requests at a time: in the beginning (as the official SDK), at most by default, and at most whoever asks."""
BUDGET = 64_000_000
"""Bytes of answers under way at a time, unless the user says how many: a thousand vectors of 768 take ten megabytes,
and three times that as Python floats."""
GOOD, BAD, CREEP = 1.5, 2.0, 1.05
"""Times the usual seconds of an answer up to which more at a time are good, and beyond which fewer are better; and how
fast the usual may rise while few are under way."""
SPARE = 2
"""Bulk requests more than a known rate needs at a time: some sleep until they are repeated."""


class Signals(NamedTuple):
    """What an answer says about the limit.

    Attributes:
        retry_after: seconds it asks to wait.
        rate: requests per second it allows, by its headers.
        named: requests per second it allows, by its words.
        remaining: requests it still allows now.
        reset: seconds until it allows more.
    """

    retry_after: float | None = None
    rate: float | None = None
    named: float | None = None
    remaining: int | None = None
    reset: float | None = None


NOTHING = Signals()
_PREFIX = b"x-requests-limit-"
_TEXT = rb"Rate limit of (\d+) requests? per (\d+(?:\.\d+)?) ?s"


def read_signals(
    raw: Iterable[tuple[bytes, bytes]], *, retry_after: float | None = None, now: float = 0.0, body: bytes = b""
) -> Signals:
    """Return what headers, and the body of a refusal, say about the limit.

    Args:
        raw: the headers as bytes.
        retry_after: the seconds of `Retry-After`, already read.
        now: POSIX time, to turn a reset given as a date into seconds.
        body: of a refusal; the service's words name the limit.
    """
    found: dict[bytes, float] = {}
    for name, value in raw:
        if len(name) > len(_PREFIX) and name[: len(_PREFIX)].lower() == _PREFIX:
            number = _number(value)
            if number is not None:
                found[name[len(_PREFIX) :].lower()] = number
    words = re.search(_TEXT, body) if body else None
    named = float(words[1]) / float(words[2]) if words is not None and float(words[2]) > 0 else None
    if not found and named is None and retry_after is None:
        return NOTHING
    remaining, reset = found.get(b"remaining"), found.get(b"reset")
    return Signals(
        retry_after=retry_after,
        rate=found.get(b"rate") or None,
        named=named or None,
        remaining=None if remaining is None else int(remaining),
        reset=None if reset is None else _seconds(reset, now),
    )


def _number(value: bytes) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _seconds(reset: float, now: float) -> float:
    """Return a reset as seconds from now: small numbers are that already, large ones are POSIX time."""
    if reset < 1e9:
        return reset
    return max(0.0, (reset / 1000 if reset > 1e11 else reset) - now)


class Meter:
    """Events per second, of late."""

    def __init__(self, most: int = 512) -> None:
        self._times: deque[float] = deque(maxlen=most)

    def count(self, now: float) -> None:
        self._times.append(now)

    def rate(self, now: float, seconds: float) -> float:
        """Return the mean over so many seconds, or over as many as are remembered."""
        times = self._times
        if times and len(times) == times.maxlen and times[0] > now - seconds:
            return len(times) / max(now - times[0], 1e-3)
        return sum(time > now - seconds for time in times) / seconds


class Window:
    """How many requests at a time are worth while: more, as long as they do not slow each other down.

    Beyond that they only wait for the service, or for this process to read
    the answers, and hold memory meanwhile.

    Attributes:
        width: requests at a time.
        usual: seconds an answer takes when few are under way; None before the first.
        size: bytes of an answer, of late.
    """

    def __init__(self) -> None:
        self.width = float(START)
        self.usual: float | None = None
        self.size = 0.0
        self._seconds = 0.0
        self._answers = 0

    def answered(self, seconds: float, size: int) -> None:
        """Learn from a good answer that took so long and was so large."""
        self.size += (size - self.size) / 8 if self.size else size
        self._seconds += seconds
        self._answers += 1
        if self.usual is None:
            self.usual = seconds
        if self._answers < 2 * self.width:
            return
        mean = self._seconds / self._answers
        self.usual = min(mean, self.usual * (CREEP if self.width <= START else 1.0))
        if mean <= GOOD * self.usual:
            self.width = min(self.width + max(1.0, self.width / 4), WIDEST)
        elif mean > BAD * self.usual:
            self.width = max(float(START), self.width * 0.8)
        self._seconds, self._answers = 0.0, 0


class Pace:
    """The rate and the number of requests at a time that the service bears.

    Attributes:
        paused_until: nobody sends before.
        stated: the limit the service states, in requests per second.
        refusals: how many requests were refused.
        cuts: how often the pace was halved.
    """

    def __init__(self) -> None:
        self.paused_until = -math.inf
        self.stated: float | None = None
        self.refusals = 0
        self.cuts = 0
        self._believed: float | None = None
        self._base = FLOOR
        self._seeks = False
        self._shared = False
        self._informed = self._by_header = False
        self._grows_since = -math.inf
        self._cut_at = -math.inf
        self._refused_share = 0.0
        self._bound_at = -math.inf
        self._good = Meter()
        self._window = Window()

    # ------------------------------------------------------------------ what is allowed

    def rate(self, now: float) -> float | None:
        """Return the requests per second allowed; None for no limit."""
        cap = None if self.stated is None else self.stated * SHARE
        if self._believed is None:
            return cap
        if now - self._cut_at > REOPEN and now - self._bound_at > REOPEN:
            self._believed, self._shared = None, False
            return cap
        worth = self._worth(now)
        trusted = cap is not None and not self._shared
        goal = cap if cap is not None and trusted else self._believed
        if self._seeks and not trusted:
            rate = self._base * 2 ** min(worth / SEEKING, 50.0)
        else:
            rate = goal - (goal - self._base) * math.exp(-worth / CLIMB)
            if not trusted:
                rate *= 1 + STEADY * worth + SURGE * (2 ** min(worth / DOUBLING, 50.0) - 1)
        dipped = (now - self._cut_at) * rate
        if dipped < RECOVERY:
            rate *= CUT + (1 - CUT) * dipped / RECOVERY
        return max(FLOOR if cap is None else min(FLOOR, cap), rate if cap is None else min(rate, cap))

    def _worth(self, now: float) -> float:
        """Return the time since the last decision, as requests."""
        return (now - self._grows_since) * min(max(self._base, SLOWEST), FASTEST)

    def is_open(self, now: float) -> bool:
        """Whether nothing holds a request up."""
        return self.stated is None and self._believed is None and now >= self.paused_until

    def held(self, now: float) -> None:
        """Note that somebody had to wait for the rate."""
        self._bound_at = now

    def width(self, now: float, most: int, *, careful: bool = False) -> int:
        """Return how many bulk requests may be under way at a time.

        Args:
            most: how many at most.
            careful: keep the answers under way within `BUDGET`, if that leaves enough of them.
        """
        width, rate = self._window.width, self.rate(now)
        if rate is not None and self._window.usual is not None:
            width = max(width, rate * self._window.usual * 1.25 + SPARE)
        elif rate is None and now - self._cut_at < LULL:
            width *= CUT
        if careful and self._window.size:
            most = min(most, max(START, int(BUDGET / self._window.size)))
        return max(1, min(int(width), most))

    # ------------------------------------------------------------------ what came back

    def answered(
        self,
        status: int,
        sent: float,
        now: float,
        signals: Signals = NOTHING,
        *,
        bulk: bool = False,
        size: int = 0,
        under_way: int = 0,
    ) -> None:
        """Learn from an answer.

        Args:
            status: its HTTP status.
            sent: when its request was sent.
            now: when it came.
            signals: what it says about the limit.
            bulk: whether it belongs to a bulk job.
            size: bytes of its body.
            under_way: requests that wait for an answer now.
        """
        if signals is not NOTHING:
            self._obey(status, now, signals)
            if self.stated is not None and not self._informed:
                self._inform(sent, now, under_way)
        if status in REFUSALS:
            self._refused(status, sent, now)
        elif status < 500:
            self._good.count(now)
            self._refused_share *= 1 - MEMORY
            if bulk:
                self._window.answered(now - sent, size)

    def _obey(self, status: int, now: float, signals: Signals) -> None:
        stated = signals.rate or (None if self._by_header else signals.named)
        if stated is not None:
            self._by_header = self._by_header or signals.rate is not None
            self._shared = self._shared and self.stated == stated
            self.stated = stated
        pause = signals.retry_after if status in REFUSALS else None
        if pause is None and signals.remaining == 0:
            pause = signals.reset
        if pause:
            self.paused_until = max(self.paused_until, now + min(pause, LONGEST_PAUSE))

    def _inform(self, sent: float, now: float, under_way: int) -> None:
        """Count what was sent before the limit was known against it."""
        self._informed = True
        self._refused_share = 0.0
        rate = (self.stated or FLOOR) * SHARE
        recent = 1 + under_way + self._good.rate(now, 1.0)
        self.paused_until = max(self.paused_until, min(sent + recent / rate, now + 1.0))

    def _refused(self, status: int, sent: float, now: float) -> None:
        self.refusals += 1
        if sent < self._cut_at:
            return  # the same overload as the last cut
        self._refused_share += (1 - self._refused_share) * MEMORY
        rate = self.rate(now)
        good = self._good.rate(now, 1.0)
        if rate is None and status != 429 and self._refused_share <= SOME:
            pass  # an accident is no reason to hold up those who are not bulk
        elif rate is None:
            steady = self._good.rate(now, 2.0) > good / 2  # there was work a second ago too
            self._settle(good, now, seeks=not steady or good < FLOOR)
        elif self._believed is None:
            self._settle(rate, now)
        elif self._refused_share <= SOME:
            pass  # an accident
        elif self._seeks:
            self._settle(max(rate * DISTRUST, good), now)
        elif self._refused_share > TOO_MANY:
            self._shared = True  # with others, so that what is stated is not all ours; or it is counted otherwise
            base = max(rate * DISTRUST, min(0.9 * good, rate), FLOOR)
            self._settle(base, now, goal=math.sqrt(base * max(self._believed, base)))
        elif (self.stated is None or self._shared) and self._worth(now) >= STAY:
            self._settle(max(self._believed, rate) * DOUBT, now)
        self._cut_at = now
        self.cuts += 1

    def _settle(self, base: float, now: float, *, goal: float | None = None, seeks: bool = False) -> None:
        self._base = max(base, FLOOR)
        self._believed = self._base if goal is None else max(goal, FLOOR)
        self._grows_since, self._seeks = now, seeks
