"""Two recordings side by side: every call's requests, differences and reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.reasons import REASONS, Reason, reason_of
from tests.oracle.recorder import Call, Step
from tests.oracle.traffic import RESULT, Difference, Sent, compare, shown, steady


@dataclass(frozen=True)
class Recording:
    """What a client got and what it sent, by call.

    Attributes:
        family: the client's name in the results and steps.
    """

    family: str
    results: Mapping[str, Any]
    steps: Mapping[Call, Step]

    def sent(self, call: str) -> list[Sent]:
        """Return the requests of a call."""
        return [Sent.of(entry) for entry in self.steps[self.family, call].entries]

    def result(self, call: str) -> str:
        """Return what the caller of a call gets, for a table's cell."""
        found = self.results[call]
        return shown(steady(found["ok"])) if "ok" in found else f"raises {found['error'].partition(':')[0]}"


@dataclass(frozen=True)
class Compared:
    """One call of two clients.

    Attributes:
        differences: with their reasons, None where there is none.
        refused: whether something of ours was refused.
    """

    call: str
    theirs: Sequence[Sent]
    ours: Sequence[Sent]
    differences: Sequence[tuple[Difference, Reason | None]]
    refused: bool = False


@dataclass
class Comparison:
    """All calls of one client, compared with ours."""

    client: str
    calls: list[Compared] = field(default_factory=list)

    @classmethod
    def of(cls, theirs: Recording, ours: Recording, reasons: Sequence[Reason] = REASONS) -> Comparison:
        """Compare two recordings.

        Raises:
            KeyError: ours lacks a call.
        """
        found = cls(theirs.family)
        for call in theirs.results:
            left, right = theirs.sent(call), ours.sent(call)
            differences = compare(left, right)
            if theirs.result(call) != ours.result(call):
                differences.append(Difference("", RESULT, theirs.result(call), ours.result(call)))
            pairs = [(one, reason_of(theirs.family, call, one, reasons)) for one in differences]
            refused = bool(ours.steps[ours.family, call].refusals)
            found.calls.append(Compared(call, left, right, pairs, refused))
        return found

    @property
    def unexplained(self) -> list[tuple[str, Difference]]:
        """The differences without a reason, with their calls."""
        return [(call.call, one) for call in self.calls for one, reason in call.differences if reason is None]

    @property
    def reasons(self) -> list[Reason]:
        """The reasons of all differences, once for each difference."""
        return [reason for call in self.calls for _, reason in call.differences if reason is not None]


def unused(comparisons: Sequence[Comparison]) -> list[Reason]:
    """Return the reasons that no difference has any more."""
    used = {reason for comparison in comparisons for reason in comparison.reasons}
    return [reason for reason in REASONS if reason not in used]
