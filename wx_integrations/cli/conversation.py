"""A conversation with a model: streamed answers, tools that are run in between; nothing here writes to a screen."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from wx_integrations.core import calls
from wx_integrations.core.calls import Target
from wx_integrations.core.client import Client
from wx_integrations.core.errors import ConfigurationError, StreamBroken, WatsonxError
from wx_integrations.core.toolcalls import AssembledCall, Assembler, parse_arguments
from wx_integrations.core.wire.chat import (
    AssistantMessage,
    ChatParameters,
    ChatRequest,
    Function,
    FunctionCall,
    Message,
    SystemMessage,
    Tool,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from wx_integrations.core.wire.frames import StreamDelta

MOST_ROUNDS = 10
"""Answers within one turn; each but the last calls tools."""


@dataclass(frozen=True)
class Offered:
    """A tool the model may call.

    Attributes:
        parameters: the JSON Schema of the arguments.
        run: the arguments to the result; raises ValueError or WatsonxError when it cannot.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[[dict[str, Any]], str]

    def as_tool(self) -> Tool:
        """Return the tool as it is sent."""
        function = Function(name=self.name, description=self.description, parameters=dict(self.parameters))
        return Tool(function=function)


@dataclass(frozen=True)
class Said:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True)
class Thought:
    """A piece of the thinking before the answer."""

    text: str


@dataclass(frozen=True)
class Called:
    """A tool call and its result."""

    name: str
    arguments: str
    result: str
    failed: bool


Event = Said | Thought | Called


@dataclass
class Conversation:
    """What was said so far, and how to go on.

    Attributes:
        system: what the model is told first.
        parameters: how to answer.
        tools: what the model may call.
        messages: the conversation without the system message.
    """

    client: Client
    target: Target
    system: str | None = None
    parameters: ChatParameters = field(default_factory=ChatParameters)
    tools: Sequence[Offered] = ()
    messages: list[Message] = field(default_factory=list)

    def say(self, text: str) -> Generator[Event, None, None]:
        """Say something and yield the answer as it arrives; a turn that fails or is left leaves no trace.

        Raises:
            WatsonxError: the service or the connection failed.
        """
        turn: list[Message] = [UserMessage(content=text)]
        for _ in range(MOST_ROUNDS):
            answer = yield from self._answer([*self.messages, *turn])
            turn.append(answer)
            if answer.tool_calls is None:
                self.messages += turn
                return
            for call in answer.tool_calls:
                event = self._run(call)
                turn.append(ToolMessage(content=event.result, tool_call_id=call.id))
                yield event
        raise ConfigurationError(f"the model called tools {MOST_ROUNDS} times in a row and never answered")

    def _answer(self, messages: list[Message]) -> Generator[Event, None, AssistantMessage]:
        first = [SystemMessage(content=self.system)] if self.system else []
        given = {name: getattr(self.parameters, name) for name in self.parameters.model_fields_set}
        tools = [tool.as_tool() for tool in self.tools] or None
        request = ChatRequest(**given, messages=[*first, *messages], tools=tools)
        text: list[str] = []
        assembler = Assembler()
        cut = False
        with closing(self.client.stream(calls.chat_stream(self.target, request))) as chunks:
            for chunk in chunks:
                for choice in chunk.get("choices", ()):
                    delta = choice.get("delta") or StreamDelta()
                    if thought := delta.get("reasoning_content") or delta.get("reasoning"):
                        yield Thought(thought)
                    if said := delta.get("content"):
                        text.append(said)
                        yield Said(said)
                    assembler.feed(0, delta.get("tool_calls") or ())
                    cut = cut or choice.get("finish_reason") == "length"
        assembler.finish(cut=cut)
        called = [_as_call(call) for call in assembler.calls()]
        return AssistantMessage(content="".join(text) or (None if called else ""), tool_calls=called or None)

    def _run(self, call: ToolCall) -> Called:
        name, arguments = call.function.name, call.function.arguments
        tool = next((tool for tool in self.tools if tool.name == name), None)
        try:
            if tool is None:
                raise ValueError(f"there is no tool {name!r}")
            result = tool.run(parse_arguments(arguments))
        except (ValueError, WatsonxError) as error:
            return Called(name, arguments, f"Error: {error}", failed=True)
        return Called(name, arguments, result, failed=False)


def _as_call(call: AssembledCall) -> ToolCall:
    if not call.name:
        raise StreamBroken("the model called a tool without a name")
    return ToolCall(id=call.id, function=FunctionCall(name=call.name, arguments=call.arguments))
