"""A campaign: cases made from seeds, each read by every subject of its kind and compared with the oracle."""

from __future__ import annotations

import random
import signal
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from tests.fuzz.frames import read_stream
from tests.fuzz.json_reading import ANYTHING, Unsure, Wrong
from tests.fuzz.mutations import Case, make
from tests.fuzz.reading import Facts, read_whole
from tests.fuzz.seeds import Answer, Kind, Seed, seeds
from tests.fuzz.subjects import Stage, Subject
from tests.fuzz.subjects_core import CoreSubjects
from tests.fuzz.subjects_langchain import LangChainSubjects
from tests.fuzz.subjects_llamaindex import LlamaIndexSubjects
from wx_integrations.core.errors import WatsonxError

PATIENCE = 120.0
"""Seconds after which a case counts as hanging."""
_LARGEST_SHOWN = 300


class Hang(BaseException):
    """A case took too long."""


@dataclass(frozen=True)
class Finding:
    """Something that must not be.

    Attributes:
        what: "crash", "hang", "leak", "accepted" (something that is wrong), "refused" (something that is right)
            or "differs" (a wrong value).
    """

    what: str
    subject: str
    case: Case
    detail: str

    def __str__(self) -> str:
        return f"{self.what}: {self.subject} on {self.case}\n    {self.detail}"


@dataclass
class Figures:
    """What a campaign did."""

    cases: int = 0
    runs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    bytes: int = 0
    slowest: tuple[float, str] = (0.0, "")


def read(kind: Kind, answer: Answer) -> Facts:
    """Return what an answer says, as the oracle reads it.

    Raises:
        Wrong: it must be refused.
        Unsure: it may be.
    """
    if kind == "refusal":
        if answer.status < 400:
            raise Unsure("no error any more")
        if answer.headers.get("content-encoding"):
            return {"status": answer.status, "code": ANYTHING, "message": ANYTHING}
        return read_whole(kind, answer)
    if not 200 <= answer.status < 300:
        raise Wrong(f"status {answer.status}")
    if answer.status == 204:
        raise Unsure("no content")
    answer = replace(answer, body=decompressed(answer))
    return read_stream(kind, answer) if kind.endswith("_stream") else read_whole(kind, answer)


def decompressed(answer: Answer) -> bytes:
    coding = answer.headers.get("content-encoding")
    if coding is None:
        return answer.body
    if coding != "gzip":
        raise Unsure(f"coded as {coding}")
    unpacker = zlib.decompressobj(31)
    try:
        return unpacker.decompress(answer.body) + unpacker.flush()
    except zlib.error:
        raise Wrong("not gzip") from None


class Campaign:
    """Runs cases.

    Args:
        seed: of the dice.
        only: substrings of the subjects' names to try; all by default.
    """

    def __init__(self, seed: int = 0, only: Sequence[str] = ()) -> None:
        self.chance = random.Random(seed)
        self.stage = Stage()
        every = [
            *CoreSubjects(self.stage).all(),
            *LangChainSubjects(self.stage).all(),
            *LlamaIndexSubjects(self.stage).all(),
        ]
        self.subjects = [subject for subject in every if not only or any(part in subject.name for part in only)]
        self.seeds = seeds()
        self.figures = Figures()

    def close(self) -> None:
        self.stage.close()

    def subjects_for(self, kind: Kind) -> list[Subject]:
        return [subject for subject in self.subjects if kind in subject.kinds]

    def run(self, cases: int, on_case: Callable[[int], object] | None = None) -> Figures:
        """Run so many random cases."""
        for number in range(cases):
            self.try_case(make(self.chance.choice(self.seeds), self.chance))
            if on_case is not None:
                on_case(number)
        return self.figures

    def try_case(self, case: Case) -> None:
        """Let every subject of its kind read one case."""
        expected = self._expected(case)
        self.figures.cases += 1
        self.figures.bytes += len(case.answer.body)
        for subject in self.subjects_for(case.seed.kind):
            self.figures.runs += 1
            began = time.process_time()
            outcome, finding = self._outcome(subject, case, expected)
            took = time.process_time() - began
            if took > self.figures.slowest[0]:
                self.figures.slowest = (took, f"{subject.name} on {case} ({len(case.answer.body)} bytes)")
            self.figures.outcomes[outcome] += 1
            if finding is not None:
                self.figures.findings.append(finding)

    def _expected(self, case: Case) -> Facts | Wrong | Unsure:
        try:
            return read(case.seed.kind, case.answer)
        except (Wrong, Unsure) as verdict:
            return verdict

    def _outcome(self, subject: Subject, case: Case, expected: Facts | Wrong | Unsure) -> tuple[str, Finding | None]:
        playback = self.stage.playback
        playback.answer = case.answer

        def found(what: str, detail: str) -> tuple[str, Finding]:
            return what, Finding(what, subject.name, case, detail[:3000])

        try:
            with _patience():
                seen = subject.read()
        except Hang:
            return found("hang", traceback.format_exc())
        except Exception as error:
            if not isinstance(error, (WatsonxError, *subject.documented)):
                playback.lent = 0
                return found("crash", traceback.format_exc())
            self.figures.errors[type(error).__name__] += 1
            _ = str(error), repr(error)
            if playback.lent:
                playback.lent = 0
                return found("leak", f"after {error!r}")
            return self._refused(subject, expected, error, found)
        if playback.lent:
            playback.lent = 0
            return found("leak", "the answer's body was not closed")
        return self._answered(subject, expected, seen, found)

    def _refused(
        self,
        subject: Subject,
        expected: Facts | Wrong | Unsure,
        error: Exception,
        found: Callable[[str, str], tuple[str, Finding]],
    ) -> tuple[str, Finding | None]:
        if isinstance(expected, Wrong | Unsure):
            return "refused rightly", None
        try:
            should = subject.expected(expected)
        except (Wrong, Unsure):
            return "refused rightly", None
        if isinstance(error, subject.documented):
            return "refused as documented", None
        if should.get("calls") is ANYTHING:
            return "refused, not compared", None
        return found("refused", f"{error!r} instead of {_short(should)}")

    def _answered(
        self,
        subject: Subject,
        expected: Facts | Wrong | Unsure,
        seen: Facts,
        found: Callable[[str, str], tuple[str, Finding]],
    ) -> tuple[str, Finding | None]:
        if isinstance(expected, Unsure):
            return "read, not compared", None
        try:
            if isinstance(expected, Wrong):
                raise expected
            should = subject.expected(expected)
        except Unsure:
            return "read, not compared", None
        except Wrong as verdict:
            return found("accepted", f"{verdict}, but read as {_short(seen)}")
        difference = differs(should, seen)
        if difference:
            return found("differs", difference)
        return "read rightly", None


def differs(should: Any, seen: Any, place: str = "") -> str:
    """Return where what was seen is not what it should be; keys that were not looked at do not count."""
    if should is ANYTHING:
        return ""
    if isinstance(should, dict) and isinstance(seen, dict) and place.count(".") < 3:
        parts = [differs(should.get(name, "(absent)"), value, f"{place}.{name}") for name, value in seen.items()]
        return "; ".join(part for part in parts if part)
    if isinstance(should, list) and isinstance(seen, list) and len(should) == len(seen) and place.count(".") < 3:
        parts = [differs(*pair, f"{place}[{number}]") for number, pair in enumerate(zip(should, seen, strict=True))]
        return "; ".join(part for part in parts if part)
    if should == seen and not (isinstance(should, bool) ^ isinstance(seen, bool)):
        return ""
    return f"{place or 'it'} is {_short(seen)}, should be {_short(should)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LARGEST_SHOWN else text[:_LARGEST_SHOWN] + "…"


@contextmanager
def _patience() -> Iterator[None]:
    """Raise Hang in whatever takes too long; only where signals can do so."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def unchanged(seed: Seed) -> Case:
    """Return a seed as a case."""
    return Case(seed, seed.answer, "as recorded")
