"""One call of a chat model: defaults and call-time settings become a target, a request and how to read its answer."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import BaseMessage
from pydantic import ValidationError

from wx_integrations.core import calls
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire import chat as wire
from wx_integrations.core.wire.chat import ChatRequest
from wx_integrations.langchain.answers import Reading
from wx_integrations.langchain.arguments import params_as_dict, refuse_unknown
from wx_integrations.langchain.chat_fields import ChatFields
from wx_integrations.langchain.choices import choice_of, parallel_of
from wx_integrations.langchain.content import MediaRules
from wx_integrations.langchain.messages import to_wire
from wx_integrations.langchain.parameters import CALL_NAMES, NAMES, TARGET_NAMES, merged

CALL = frozenset({*NAMES, *CALL_NAMES, *TARGET_NAMES, "stream"})
"""Every name a call takes; `stream` is LangChain's switch between whole and streamed answers."""

TRACED = ("ls_structured_output_format", "structured_output_format")
"""Names that LangChain takes out of a call itself."""


class Turn(NamedTuple):
    """One call, ready to be sent, and how to read its answer."""

    target: calls.Target
    request: ChatRequest
    reading: Reading


if TYPE_CHECKING:
    Base = ChatFields
else:  # a mixin: each further pydantic class with this many fields costs milliseconds at import
    Base = object


class Turns(Base):
    """Builds the calls of a chat model; nothing is sent here."""

    def _target_of(self, given: Mapping[str, Any]) -> calls.Target:
        """Return what a call goes to."""
        return (
            self.target_for(**{name: given[name] for name in TARGET_NAMES if name in given}) if given else self.target
        )

    def _turn(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        given: Mapping[str, Any],
        fetched: Mapping[str, str],
    ) -> Turn:
        """Put defaults and call-time settings together; call-time wins."""
        refuse_unknown(given, CALL, f"a call of {type(self).__name__}")
        target = self._target_of(given)
        gateway = isinstance(target, calls.Gateway)
        parameters = self._merged(stop, given)
        tools = _wire_tools(given.get("tools"))
        names = [tool.function.name for tool in tools]
        rules = MediaRules(forward=self.media_urls == "forward", fetched=fetched)
        sent = to_wire(messages, gateway=gateway, rules=rules)
        if parameters.get("context") and any(message.role == "system" for message in sent):
            raise ConfigurationError(
                "a deployed prompt template takes no system message",
                hint="Put the instructions into context, or into the template",
                field="messages",
            )
        try:
            request = _request_class(gateway)(
                messages=sent,
                tools=tools or None,
                **choice_of(given, names, messages),
                **parallel_of(given, names, gateway=gateway),
                **parameters,
            )
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, "the request") from None
        first_only = given.get("first_tool_call_only")
        return Turn(
            target, request, self._reading(names, self.first_tool_call_only if first_only is None else first_only)
        )

    def _merged(self, stop: list[str] | None, given: Mapping[str, Any]) -> dict[str, Any]:
        if stop is None and not given:
            return merged(self.parameters, {})
        params = params_as_dict(given.get("params"))
        refuse_unknown(params, NAMES, "params")
        own = {name: given[name] for name in NAMES if given.get(name) is not None}
        if stop is not None:
            own["stop"] = stop
        return merged(self.parameters, {**params, **own})

    def _reading(self, names: Sequence[str], first_only: bool) -> Reading:
        written = tuple(names) if self.recover_tool_calls else ()
        return Reading(thoughts=self.thinking_tags, written=written, first_call_only=first_only)

    def _stream_turn(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        given: Mapping[str, Any],
        fetched: Mapping[str, str],
    ) -> Turn:
        turn = self._turn(messages, stop, given, fetched)
        if turn.request.n is not None and turn.request.n > 1:
            raise ConfigurationError(
                "n is more than 1, and LangChain adds a stream up to one message",
                hint="Use generate() without streaming, or n=1",
                field="n",
            )
        return turn


def _wire_tools(tools: Sequence[Any] | None) -> "list[wire.Tool]":
    if not tools:
        return []
    from wx_integrations.langchain.schemas import wire_tools

    return wire_tools(tools)


def _request_class(gateway: bool) -> type[ChatRequest]:
    if not gateway:
        return ChatRequest
    from wx_integrations.core.wire.gateway import GatewayChatRequest  # few need it, and it costs milliseconds

    return GatewayChatRequest
