"""Whoever reads answers: what a public class makes of one, and what the oracle says it should."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.json_reading import ANYTHING, Wrong
from tests.fuzz.playback import Playback
from tests.fuzz.reading import Facts
from tests.fuzz.seeds import Kind
from tests.support.clock import FakeTime
from wx_integrations.core.fields import ConnectionFields
from wx_integrations.core.session import Session

URL = "https://us-south.ml.cloud.ibm.com"
PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"
MODEL = "ibm/granite-4-h-small"


@dataclass(frozen=True)
class Subject:
    """A public class reading answers of some kind.

    Attributes:
        read: reads the playback's answer and says what it saw; keys as `expected` gives them.
        expected: what it should see, from the oracle's facts; raises Wrong for what it should refuse.
        documented: errors of the framework that its documentation names.
    """

    name: str
    kinds: frozenset[Kind]
    read: Callable[[], Facts]
    expected: Callable[[Facts], Facts]
    documented: tuple[type[Exception], ...] = ()


@dataclass
class Stage:
    """What all subjects share: the playback, one event loop, time that stands still."""

    playback: Playback = field(default_factory=Playback)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    time: FakeTime = field(default_factory=FakeTime)

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def settled(self, adapter: Any) -> Any:
        """Give an adapter a session of its own, on this stage's time."""
        assert isinstance(adapter, ConnectionFields)
        adapter._held.session = Session(adapter.settled_connection, waiting=self.time.waiting)
        return adapter

    def close(self) -> None:
        self.runner.close()


def first(facts: Facts) -> Facts:
    """Return the choice with the lowest index."""
    if not facts["choices"]:
        raise Wrong("no choices")
    choice: Facts = min(facts["choices"], key=lambda choice: choice["index"])
    return choice


def listed_window(facts: Facts) -> Facts:
    """Return the context window of the model asked for, from the model list."""
    for spec in facts["models"]:
        if spec["model"] == MODEL:
            return {"window": spec["window"]}
    raise Wrong("not in the list")


def structured_object(facts: Facts) -> Facts:
    """Return the object that an answer's text is; a text that is none may come to anything but a wrong object."""
    if not facts["choices"]:
        return {"object": "none"}
    try:
        value = json.loads(first(facts)["text"])
    except (ValueError, RecursionError):
        value = None
    return {"object": value if isinstance(value, dict) else "none"}


def thinks(text: str) -> bool:
    """Whether a text begins with a thought between tags, which is taken out of it."""
    return text.lstrip().startswith("<think>")


def calls_of(calls: Any) -> Any:
    """Return calls as they are compared: broken ones behind the others."""
    if calls is ANYTHING:
        return ANYTHING
    good = [(call.id, call.name, call.arguments) for call in calls if call.arguments is not None]
    return good + [(call.id, call.name, None) for call in calls if call.arguments is None]
