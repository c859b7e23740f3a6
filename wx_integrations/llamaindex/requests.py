"""Requests of an LLM: settings and call-time arguments become one strict body. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llama_index.core.base.llms.types import ChatMessage, TextBlock, ThinkingBlock
from pydantic import ValidationError

from wx_integrations.core.calls import Deployment, Gateway, Target
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import CALL_OPTIONS
from wx_integrations.core.toolchoice import select_tool
from wx_integrations.core.wire import chat as wire
from wx_integrations.llamaindex import media, messages, parameters

if TYPE_CHECKING:  # few programs need its shapes
    from wx_integrations.core.wire.text import GenerationRequest

TARGETS = ("model_id", "deployment_id", "model")
TOOLS = ("tools", "tool_choice", "tool_choice_option", "strict", "allow_parallel_tool_calls")
OURS = frozenset({*TARGETS, *TOOLS, *CALL_OPTIONS, "use_text_generation"})


class Conversation(NamedTuple):
    """A chat request and how to read its answer."""

    request: wire.ChatRequest
    single_call: bool
    """Whether only the first tool call counts."""


def target_names(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's own target, as `target_for` takes it."""
    return {name: kwargs[name] for name in TARGETS if kwargs.get(name) is not None}


def conversation(
    target: Target,
    history: Sequence[ChatMessage],
    contents: media.Contents,
    layers: Sequence[parameters.Layer],
    kwargs: Mapping[str, Any],
    *,
    strict: bool | None,
) -> Conversation:
    """Build a chat request.

    Args:
        layers: the constructor's parameters.
        kwargs: the call's: parameters, tools and how to choose among them.
        strict: for tools, unless the call says otherwise.

    Raises:
        ConfigurationError: an argument is unknown, or something does not fit the API.
    """
    own = _parameters(kwargs)
    settings = parameters.for_chat(*layers, own)
    given = kwargs.get("tools") or ()
    said = kwargs.get("strict")
    offered = _offered(given, strict if said is None else said) if given else []
    try:
        request = wire.ChatRequest(
            messages=messages.to_wire(history, contents, gateway=isinstance(target, Gateway)),
            tools=offered or None,
            **_choice(kwargs, offered),
            **settings,
        )
    except ValidationError as error:
        raise ConfigurationError.from_validation(error, "chat") from None
    return Conversation(request, single_call=kwargs.get("allow_parallel_tool_calls") is False)


def _offered(given: Sequence[Any], strict: bool | None) -> list[wire.Tool]:
    from wx_integrations.llamaindex.tools import to_wire  # few chats have tools

    return to_wire(given, strict=strict)


def generation(
    target: Target, prompt: str, layers: Sequence[parameters.Layer], kwargs: Mapping[str, Any]
) -> GenerationRequest:
    """Build a text generation request.

    Raises:
        ConfigurationError: an argument is unknown, or something does not fit the API.
    """
    from wx_integrations.core.wire.text import GenerationRequest

    if any(kwargs.get(name) for name in TOOLS if name != "allow_parallel_tool_calls"):
        raise ConfigurationError("text generation knows no tools", hint="Use a model with chat", field="tools")
    fields = parameters.for_generation(*layers, _parameters(kwargs))
    # a deployed prompt template brings its own input
    text = None if isinstance(target, Deployment) and not prompt else prompt
    return GenerationRequest(input=text, **fields)


def text_only(history: Sequence[ChatMessage]) -> None:
    """Refuse messages that cannot become a prompt.

    Raises:
        ConfigurationError: a message has more than text.
    """
    for index, message in enumerate(history):
        for block in message.blocks:
            if not isinstance(block, TextBlock | ThinkingBlock):
                raise ConfigurationError(
                    f"message {index} ({message.role.value}): text generation takes text only, "
                    f"not a {block.block_type} block",
                    hint="Use a model with chat",
                    field="messages",
                )


def _parameters(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    parameters.known_names_only(kwargs, OURS)
    return {name: value for name, value in kwargs.items() if name not in OURS}


def _choice(kwargs: Mapping[str, Any], offered: Sequence[wire.Tool]) -> dict[str, Any]:
    choice, option = kwargs.get("tool_choice"), kwargs.get("tool_choice_option")
    if choice is not None and option is not None:
        raise ConfigurationError(
            "both tool_choice and tool_choice_option are given", hint="Give tool_choice", field="tool_choice"
        )
    selected = select_tool(option if choice is None else choice, [tool.function.name for tool in offered])
    return {"tool_choice_option": selected.tool_choice_option, "tool_choice": selected.tool_choice}
