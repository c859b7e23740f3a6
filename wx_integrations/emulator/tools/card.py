"""What an emulated tool is: a card for the list, and something to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wx_integrations.emulator.brain import Brain

Input = str | Mapping[str, Any]


@dataclass(frozen=True)
class ToolCard:
    """A tool as the service lists it."""

    name: str
    description: str
    agent_description: str | None = None
    input_schema: Mapping[str, Any] | None = None
    config_schema: Mapping[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """Return the tool as the service writes it, without what it does not have."""
        fields = {
            "name": self.name,
            "description": self.description,
            "agent_description": self.agent_description,
            "input_schema": self.input_schema,
            "config_schema": self.config_schema,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Bench:
    """What a tool may use while it runs.

    Attributes:
        brain: for embeddings.
        keep_image: stores a picture under a name's ending and returns its address.
    """

    brain: Brain
    keep_image: Callable[[str, bytes], str]


class EmulatedTool(Protocol):
    """One tool; `run` returns the output as the service would."""

    @property
    def card(self) -> ToolCard:
        """How the list shows it."""

    def run(self, input: Input, config: Mapping[str, Any], bench: Bench) -> str:
        """Run it.

        Raises:
            ToolFailed: it cannot do that.
        """


class ToolFailed(Exception):
    """The tool cannot do what is asked; becomes an error body of the service.

    Attributes:
        status: 400 for a wrong input, 501 for what needs the network that the emulator does not use.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def text_of(input: Input, *names: str) -> str:
    """Return the text of an input: itself, or the first of these fields that an object has.

    Raises:
        ToolFailed: there is none.
    """
    if isinstance(input, str):
        found: Any = input
    else:
        found = next((input[name] for name in names if name in input), None)
    if not isinstance(found, str) or not found.strip():
        raise ToolFailed(f"input must have {' or '.join(names)}, a text that is not empty")
    return found


def count_of(config: Mapping[str, Any], name: str, default: int, most: int) -> int:
    """Return a number from 1 to `most` of the settings.

    Raises:
        ToolFailed: it is none.
    """
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ToolFailed(f"config.{name} must be an integer from 1 to {most}")
    return value


def check_config(config: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse settings that a tool does not have.

    Raises:
        ToolFailed: names the first one.
    """
    for name in config:
        if name not in known:
            raise ToolFailed(f"config.{name} is not known" + (f"; known: {', '.join(known)}" if known else ""))
