"""A ChatWatsonx on the in-process emulator, and one way to call it in both colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Brain
from wx_integrations.emulator.scripted import ScriptedBrain
from wx_integrations.emulator.transport import EmulatorTransport
from wx_integrations.langchain import ChatWatsonx

URL = "https://us-south.ml.cloud.ibm.com"
MODEL = "ibm/granite-4-h-small"
PROJECT = "12ac4cf1-252f-424b-b52d-5cdd9814987f"
LIMIT = 200
"""Given with every model here, because the service remarks on a missing limit, and remarks are warnings."""


@dataclass
class Stage:
    """An emulator and the models on it."""

    brain: Brain | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.emulator = Emulator(self.brain, **self.options)
        self.transport = EmulatorTransport(self.emulator)

    def settings(self, **settings: Any) -> dict[str, Any]:
        """Return constructor arguments for a model on this stage."""
        named = {"deployment_id", "model", "model_id"} & settings.keys()
        defaults: dict[str, Any] = {
            "url": URL,
            "api_key": "key",
            "project_id": PROJECT,
            "max_completion_tokens": LIMIT,
            "httpx_client": httpx.Client(transport=self.transport),
            "async_httpx_client": httpx.AsyncClient(transport=self.transport),
        }
        if not named:
            defaults["model_id"] = MODEL
        return {**defaults, **settings}

    def model(self, **settings: Any) -> ChatWatsonx:
        return ChatWatsonx(**self.settings(**settings))

    @property
    def sent(self) -> Any:
        """The body of the latest chat request."""
        return self.chats()[-1]

    def chats(self) -> list[Any]:
        """The bodies of all chat requests, in order."""
        paths = ("text/chat", "text/chat_stream", "chat/completions")
        return [entry.body for entry in self.emulator.journal if entry.path.endswith(paths)]


def scripted(**options: Any) -> tuple[Stage, ScriptedBrain]:
    """Return a stage whose brain says what it is told."""
    brain = ScriptedBrain()
    return Stage(brain, options), brain


@dataclass(frozen=True)
class Caller:
    """Calls runnables in one colour, so that a test is written once."""

    colour: Literal["sync", "async"]

    async def invoke(self, runnable: Runnable[Any, Any], given: Any, *args: Any, **kwargs: Any) -> Any:
        if self.colour == "sync":
            return runnable.invoke(given, *args, **kwargs)
        return await runnable.ainvoke(given, *args, **kwargs)

    async def stream(self, runnable: Runnable[Any, Any], given: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if self.colour == "sync":
            return list(runnable.stream(given, *args, **kwargs))
        return [piece async for piece in runnable.astream(given, *args, **kwargs)]

    async def batch(self, runnable: Runnable[Any, Any], given: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        if self.colour == "sync":
            return runnable.batch(given, *args, **kwargs)
        return await runnable.abatch(given, *args, **kwargs)

    async def generate(self, model: ChatWatsonx, messages: list[Any], **kwargs: Any) -> Any:
        if self.colour == "sync":
            return model.generate([messages], **kwargs)
        return await model.agenerate([messages], **kwargs)


def whole(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    """Return chunks added up, as a user adds them up."""
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


def frames(*data: str, names: bool = True) -> str:
    """Return event data as the service frames them."""
    if not names:
        return "".join(f"data: {item}\n\n" for item in data)
    return "".join(f"id: {number}\nevent: message\ndata: {item}\n\n" for number, item in enumerate(data, 1))


def calls_of(message: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and arguments of a message's calls."""
    return [(call["name"], call["args"]) for call in message.tool_calls]
