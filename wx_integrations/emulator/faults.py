"""Scripted trouble: what goes wrong, where and how often.

```python
faults = Faults(seed=1)
faults.add(Status(503), path="text/chat", nth=[1, 2])       # the first two chats
faults.add(RateLimited(retry_after=1), probability=0.1)     # one in ten of everything
faults.add(Cut(after=3), path="text/chat_stream", times=1)  # one stream breaks off
emulator = Emulator(faults=faults)
```
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.service import Visit
from wx_integrations.emulator.troubles import (
    INSTANCE,
    LIMIT_TEXT,
    Answer,
    Broken,
    Cut,
    ErrorEvent,
    ErrorObject,
    Fault,
    Malformed,
    Page,
    RateLimited,
    Slow,
    StaleToken,
    Status,
)

__all__ = [
    "Broken",
    "Cut",
    "ErrorEvent",
    "ErrorObject",
    "Fault",
    "Faults",
    "Malformed",
    "Page",
    "RateLimited",
    "Rule",
    "Slow",
    "StaleToken",
    "Status",
]


@dataclass
class Rule:
    """A fault and when it strikes; `seen` counts the requests that fit, from 1."""

    fault: Fault
    path: str | None = None
    method: str | None = None
    nth: Collection[int] | None = None
    times: int | None = None
    probability: float | None = None
    seen: int = 0
    struck: int = 0

    def fits(self, visit: Visit) -> bool:
        """Whether a request is of the kind that the rule is about."""
        path = visit.request.path
        wanted = self.path
        if wanted is not None and path != wanted and not path.endswith("/" + wanted.lstrip("/")):
            return False
        return self.method is None or visit.request.method == self.method.upper()

    def strikes(self, chance: random.Random) -> bool:
        """Say whether the fault strikes the fitting request that was just counted."""
        if self.nth is not None and self.seen not in self.nth:
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        if self.probability is not None and chance.random() >= self.probability:
            return False
        self.struck += 1
        return True


@dataclass
class Limit:
    """At most so many requests in a window of seconds; tells the rest in x-requests-limit headers."""

    requests: int
    per: float
    path: str | None
    times: list[float] = field(default_factory=list)

    def admit(self, now: float) -> tuple[bool, int]:
        """Count a request; returns whether it may pass and how many still may."""
        self.times = [time for time in self.times if now - time < self.per]
        if len(self.times) >= self.requests:
            return False, 0
        self.times.append(now)
        return True, self.requests - len(self.times)


class Faults:
    """The trouble plan of an emulator; rules are tried in order, the first that strikes counts.

    Args:
        seed: of the dice for rules with a probability.
    """

    def __init__(self, seed: int = 0) -> None:
        self.rules: list[Rule] = []
        self._limits: list[Limit] = []
        self._chance = random.Random(seed)  # noqa: S311
        self._lock = threading.Lock()

    def add(
        self,
        fault: Fault,
        *,
        path: str | None = None,
        method: str | None = None,
        nth: Collection[int] | None = None,
        times: int | None = None,
        probability: float | None = None,
    ) -> Rule:
        """Add a rule; without conditions it strikes every request.

        Args:
            path: a path or its end, such as "text/chat" or "/identity/token".
            nth: which of the fitting requests, counted from 1.
            times: how often at most.
            probability: from 0 to 1.
        """
        rule = Rule(fault, path, method, nth, times, probability)
        with self._lock:
            self.rules.append(rule)
        return rule

    def limit(self, requests: int, *, per: float = 1.0, path: str | None = None) -> None:
        """Refuse more than so many inference requests per so many seconds with 429."""
        with self._lock:
            self._limits.append(Limit(requests, per, path))

    def clear(self) -> None:
        """Forget all rules and limits."""
        with self._lock:
            self.rules.clear()
            self._limits.clear()

    def serve(self, visit: Visit, answer: Answer) -> tuple[Reply, str | None]:
        """Answer a request with the trouble that strikes it; returns the trouble's name too."""
        with self._lock:
            fitting = [rule for rule in self.rules if rule.fits(visit)]
            for rule in fitting:
                rule.seen += 1
            struck = next((rule for rule in fitting if rule.strikes(self._chance)), None)
        if struck is not None:
            return struck.fault.apply(visit, answer), type(struck.fault).__name__
        return self._limited(visit, answer)

    def _limited(self, visit: Visit, answer: Answer) -> tuple[Reply, str | None]:
        if not visit.route.path.startswith("/ml/") or visit.request.method != "POST":
            return answer(), None
        headers: dict[str, str] = {}
        for limit in self._limits:
            if not Rule(Status(429), limit.path).fits(visit):
                continue
            with self._lock:
                passed, left = limit.admit(visit.service.clock())
            headers = {"x-requests-limit-rate": str(limit.requests), "x-requests-limit-remaining": str(left)}
            if not passed:
                text = LIMIT_TEXT.format(rate=limit.requests, per=f"{limit.per:g}", id=INSTANCE)
                return Status(429, message=text, headers=headers).apply(visit, answer), "Limit"
        reply = answer()
        return replace(reply, headers={**reply.headers, **headers}), None
