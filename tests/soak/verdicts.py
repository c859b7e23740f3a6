"""What a call may come to, given what its requests met: the retry policy once more, from the outside.

Each request leaves the client with one view of it, or one of several when the
network decides. From the views follow, step by step, whether another request
may come, and what the call must come to when none does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.soak.calling import Clock, Errand
from tests.soak.storm import PAUSE, Met
from wx_integrations.core.errors import PartialFailure, WatsonxError
from wx_integrations.core.retry import RetryPolicy

POLICY = RetryPolicy(retry_total=4, retry_backoff_factor=0.1, retry_max_wait=1.0, retry_time_budget=3000)
TRIES = POLICY.retry_total + 1


@dataclass(frozen=True)
class Outcome:
    """What a call came to: an answer or an error."""

    errand: Errand
    number: int
    colour: str
    answer: Any = None
    error: BaseException | None = None


class Verdict(NamedTuple):
    """How a call ended, and what is wrong with that, if anything.

    Attributes:
        label: "right", "cancelled", or the error's name.
        unseen: attempts the error tells of that never reached the service.
        late: whether it gave up waiting for a service that was not told to be slow.
    """

    label: str
    complaint: str = ""
    unseen: int = 0
    late: bool = False


class State(NamedTuple):
    """Where a call is: requests sent, and repetitions for a refused token."""

    sent: int = 0
    granted: int = 0

    @property
    def exhausted(self) -> bool:
        return self.sent - self.granted >= TRIES


# --------------------------------------------------------------------------- views

_REFUSED = frozenset({"429", "429, seconds", "429, date", "500", "502", "503", "503, no body", "504", "520"})
_BROKEN = frozenset({"refused", "reset before headers", "closed before headers", "not HTTP"})
_IN_THE_BODY = frozenset({"reset in the body", "closed in the body"})
_CUT = frozenset({"stream cut", "stream ends early", "stream reset", "error event", "error event at once"})
_SLOW = frozenset({"silence", "silence in the body", "dribble that dries up"})


def views(met: Met, errand: Errand) -> set[str]:
    """Return how a request may look to the client.

    "right", "refused" (a status worth another try), "none" (no whole answer), "token" (401), "page",
    "error" (in a body of status 200), "broken" (after the first streamed byte), "late".
    """
    late = {"late", "broken"} if errand.streams else {"late"}
    # A busy machine may be too slow for a call that does not wait for long.
    return _views(met, errand) | (late if errand.impatient else set())


def _views(met: Met, errand: Errand) -> set[str]:
    kind: str | None = met.kind
    lost = {"none"} if kind in ("reset in the body", "stream reset") else set()
    if kind in _REFUSED:
        return {"refused"}
    if kind in _BROKEN:
        return {"none"}
    if kind == "200, web page":
        return {"page"}
    if kind == "200, error object":
        return {"error"}
    if met.status == 401:  # altered or not: a status above 400 says enough
        return {"token"} | lost
    if kind in _IN_THE_BODY:  # short streams are over before the trouble comes
        return {"broken", "right"} | lost if errand.streams else {"none"}
    if kind in _CUT:
        return {"broken"} | lost
    if kind in _SLOW:
        return set()
    return {"right"} if met.status == 200 else {f"status {met.status}"}


# --------------------------------------------------------------------------- steps


def following(state: State, seen: set[str]) -> set[State]:
    """Return where a call may be when its latest request looked like this and it goes on."""
    found = set()
    if seen & {"refused", "none"} and not state.exhausted:
        found.add(state)
    if "token" in seen and not state.granted:
        found.add(state._replace(granted=1))
    return found


def endings(state: State, met: Met, errand: Errand) -> set[str]:
    """Return what a call may come to with this request as its last: "right" or errors."""
    seen = views(met, errand)
    found = {_NAMES[view] for view in seen if view in _NAMES}
    if "refused" in seen:
        found.add(f"{'RateLimited' if met.status == 429 else 'Unavailable'}{_MAYBE[state.exhausted]}")
    if "none" in seen:
        found.add(f"ConnectionFailed{_MAYBE[state.exhausted]}")
    if "token" in seen:
        found |= {"Unauthorized"} if state.granted else set(NO_TOKEN)
    return found


_NAMES = {
    "right": "right",
    "page": "UnexpectedResponse",
    "error": "ServiceError",
    "broken": "StreamBroken",
    "late": "TimedOut",
}
_MAYBE = {True: "", False: "?"}
"""Marks an error that is right only if attempts which the service has not seen make up for the missing ones."""
NO_TOKEN = (
    "RateLimited, no token",
    "Unavailable, no token",
    "ConnectionFailed, no token",
    "UnexpectedResponse, no token",
)


def legal(seen: Sequence[Met], errand: Errand) -> tuple[set[State], str]:
    """Return where a call may be with its last request, and what is wrong with the others, if anything."""
    states = {State()}
    for number, met in enumerate(seen):
        states = {state._replace(sent=state.sent + 1) for state in states}
        if number == len(seen) - 1:
            break
        states = {after for state in states for after in following(state, views(met, errand))}
        if not states:
            return states, f"request {number + 1} of {len(seen)} was the last allowed"
        gap = seen[number + 1].arrived - met.answered
        if met.asked is not None and gap < met.asked / Clock.SPEED - 1e-9:
            return states, f"asked to wait {met.asked} s, it came back after {gap * Clock.SPEED:.3f} s"
    return states, ""


# --------------------------------------------------------------------------- verdicts


def judge(outcome: Outcome, seen: Sequence[Met]) -> Verdict:
    """Return what a call came to, and what is wrong with that, if anything.

    Args:
        seen: its requests as the service saw them.
    """
    errand, error = outcome.errand, outcome.error
    states, complaint = legal(seen, errand)
    label = "right" if error is None else type(error).__name__
    if complaint:
        return Verdict(label, complaint)
    if isinstance(error, TimeoutError) and errand.fickle:
        return Verdict("cancelled")
    if error is None:
        return Verdict(label, _judge_answer(outcome, seen, states))
    if not isinstance(error, WatsonxError):
        return Verdict(label, f"not an error of the package: {error!r}")
    return _judge_error(outcome, _innermost(error), seen, states)


def _judge_answer(outcome: Outcome, seen: Sequence[Met], states: set[State]) -> str:
    right = outcome.errand.right(outcome.number)
    if outcome.answer != right:
        return f"{outcome.answer!r:.200} instead of {right!r:.200}"
    if not seen:
        return "an answer without a request"
    if any("right" in endings(state, seen[-1], outcome.errand) for state in states):
        return ""
    return "an answer in spite of trouble"


def _judge_error(outcome: Outcome, told: WatsonxError, seen: Sequence[Met], states: set[State]) -> Verdict:
    errand, label = outcome.errand, type(outcome.error).__name__
    name = type(told).__name__
    complaints = [f"{told!r}, expected {sorted(_expected(seen, errand, states))}"]
    for state in sorted(states, reverse=True):
        for ending in _endings(seen, errand, state):
            if ending.split(",")[0].rstrip("?") != name:
                continue
            complaint, unseen = _judge_attempts(told, ending, state, seen)
            if not complaint:
                late = ending == "TimedOut" and seen[-1].kind not in _SLOW
                return Verdict(label, "", unseen, late)
            complaints.append(complaint)
    return Verdict(label, complaints[-1])


def _judge_attempts(told: WatsonxError, ending: str, state: State, seen: Sequence[Met]) -> tuple[str, int]:
    """Return what is wrong with the attempts and waits an error tells of, and how many attempts nobody saw."""
    if ending.endswith("no token"):
        due = 1 if ending.startswith("UnexpectedResponse") else TRIES
        return ("" if _token_attempts(told, due) else f"{told.attempts} attempts to get a token, not {due}"), 0
    unseen = told.attempts - state.sent
    if unseen < 0 or told.attempts - state.granted > TRIES:
        return f"it says {told.attempts} attempts, the service saw {state.sent}", 0
    if ending.endswith("?") and told.attempts - state.granted != TRIES:
        return f"gave up after {told.attempts} of {TRIES} attempts", 0
    asked = [met.asked for met in seen[:-1]]
    least = sum(seconds or 0.0 for seconds in asked)
    most = least + sum(POLICY.retry_max_wait for seconds in [*asked, *[None] * unseen] if seconds is None)
    if not least - 1e-6 <= told.waited <= most + 1e-6:
        return f"it says {told.waited} s of waiting, not {least} to {most}", 0
    return "", unseen


def _token_attempts(told: WatsonxError, due: int) -> bool:
    return told.attempts == due if due > 1 else 1 <= told.attempts <= TRIES


def _expected(seen: Sequence[Met], errand: Errand, states: set[State]) -> set[str]:
    return {ending for state in states for ending in _endings(seen, errand, state)}


def _endings(seen: Sequence[Met], errand: Errand, state: State) -> set[str]:
    if not seen:  # nobody listens, or there was no token
        return set(NO_TOKEN)
    return endings(state, seen[-1], errand)


def _innermost(error: WatsonxError) -> WatsonxError:
    """Return what went wrong with the one batch of a bulk job."""
    return next(iter(error.failed.values())) if isinstance(error, PartialFailure) else error


__all__ = ["PAUSE", "POLICY", "TRIES", "Outcome", "State", "Verdict", "judge", "legal", "views"]
