"""ChatWatsonx: chat models of watsonx.ai, deployments and the Model Gateway for LangChain."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import asdict, dataclass
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import PrivateAttr, ValidationError

from wx_integrations.core import calls
from wx_integrations.core.errors import ConfigurationError, ServiceError
from wx_integrations.core.toolcalls import select_tool
from wx_integrations.core.wire.chat import ChatRequest
from wx_integrations.core.wire.gateway import GatewayChatRequest
from wx_integrations.langchain import blocks, lookup, serialization, structured
from wx_integrations.langchain.answers import Fold, Reading, to_result
from wx_integrations.langchain.chat_fields import ChatFields
from wx_integrations.langchain.content import MediaRules
from wx_integrations.langchain.counting import Counting
from wx_integrations.langchain.media import afetch, fetch
from wx_integrations.langchain.messages import linked_media, to_wire
from wx_integrations.langchain.metadata import WatsonxWarning, warn
from wx_integrations.langchain.parameters import (
    CALL_NAMES,
    NAMES,
    TARGET_NAMES,
    merged,
    params_as_dict,
    refuse_unknown,
)
from wx_integrations.langchain.profiles import shipped
from wx_integrations.langchain.schemas import tool_of, wire_tools

blocks.register()

_CALL = frozenset({*NAMES, *CALL_NAMES, *TARGET_NAMES, "stream"})
"""Every name a call takes; `stream` is LangChain's switch between whole and streamed answers."""

_TRACED = ("ls_structured_output_format", "structured_output_format")
"""Names that LangChain takes out of a call itself."""

_NO_PARALLEL_SWITCH = (
    "parallel_tool_calls=False: watsonx.ai has no such switch, so the model may still call several tools at once; "
    "first_tool_call_only=True keeps the first call only"
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One call, ready to be sent, and how to read its answer."""

    target: calls.Target
    request: ChatRequest
    reading: Reading


class ChatWatsonx(Counting, ChatFields, BaseChatModel):
    """Chat models of IBM watsonx.ai.

    Give `model_id` (a model of the catalogue, within a project or space),
    `deployment_id`, or `model` (the Model Gateway). Connection settings that
    are left out come from WATSONX_* variables. Building one touches no
    network.

        model = ChatWatsonx(model_id="ibm/granite-4-h-small", temperature=0)
        model.invoke("What is granite?")

    Raises:
        ConfigurationError: an argument is unknown, wrong or missing; nothing was sent.
    """

    _advised: bool = PrivateAttr(default=False)

    # ------------------------------------------------------------------ one call

    def _turn(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        given: Mapping[str, Any],
        fetched: Mapping[str, str],
    ) -> Turn:
        """Put defaults and call-time settings together; call-time wins."""
        refuse_unknown(given, _CALL, f"a call of {type(self).__name__}")
        target = self.target_for(**{name: given.get(name) for name in TARGET_NAMES})
        gateway = isinstance(target, calls.Gateway)
        parameters = self._merged(stop, given)
        tools = wire_tools(given.get("tools") or ())
        names = [tool.function.name for tool in tools]
        rules = MediaRules(forward=self.media_urls == "forward", fetched=fetched)
        wire = to_wire(messages, gateway=gateway, rules=rules)
        if parameters.get("context") and any(message.role == "system" for message in wire):
            raise ConfigurationError(
                "a deployed prompt template takes no system message",
                hint="Put the instructions into context, or into the template",
                field="messages",
            )
        try:
            request = (GatewayChatRequest if gateway else ChatRequest)(
                messages=wire,
                tools=tools or None,
                **_choice(given, names, messages),
                **_parallel(given, names, gateway=gateway),
                **parameters,
            )
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, "the request") from None
        first_only = given.get("first_tool_call_only")
        return Turn(
            target, request, self._reading(names, self.first_tool_call_only if first_only is None else first_only)
        )

    def _merged(self, stop: list[str] | None, given: Mapping[str, Any]) -> dict[str, Any]:
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

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = self._turn(messages, stop, kwargs, self._fetched(messages))
        try:
            completion = self.client.run(calls.chat(turn.target, turn.request))
        except ServiceError as error:
            self._advise(error, turn.target)
            raise
        warn(completion.warnings)
        return to_result(completion, turn.reading)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = self._turn(messages, stop, kwargs, await self._afetched(messages))
        try:
            completion = await self.async_client.run(calls.chat(turn.target, turn.request))
        except ServiceError as error:
            await self._aadvise(error, turn.target)
            raise
        warn(completion.warnings)
        return to_result(completion, turn.reading)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        turn = self._stream_turn(messages, stop, kwargs, self._fetched(messages))
        fold = Fold(turn.reading)
        with closing(self.client.stream(calls.chat_stream(turn.target, turn.request))) as frames:
            try:
                for frame in frames:
                    yield from fold.feed(frame)
            except ServiceError as error:
                self._advise(error, turn.target)
                raise
        warn(fold.notes)
        yield from fold.finish()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = self._stream_turn(messages, stop, kwargs, await self._afetched(messages))
        fold = Fold(turn.reading)
        async with aclosing(self.async_client.stream(calls.chat_stream(turn.target, turn.request))) as frames:
            try:
                async for frame in frames:
                    for chunk in fold.feed(frame):
                        yield chunk
            except ServiceError as error:
                await self._aadvise(error, turn.target)
                raise
        warn(fold.notes)
        for chunk in fold.finish():
            yield chunk

    def _fetched(self, messages: Sequence[BaseMessage]) -> Mapping[str, str]:
        if self.media_urls != "fetch" or not (urls := linked_media(messages)):
            return {}
        return fetch(urls, self.settled_connection)

    async def _afetched(self, messages: Sequence[BaseMessage]) -> Mapping[str, str]:
        if self.media_urls != "fetch" or not (urls := linked_media(messages)):
            return {}
        return await afetch(urls, self.settled_connection)

    # ------------------------------------------------------------------ when the service refuses the model

    def _advise(self, error: ServiceError, target: calls.Target) -> None:
        """Look the refused model up, once, and say what may be meant; a failing look-up changes nothing."""
        if model_id := self._to_look_up(error, target):
            lookup.advise(error, model_id, self.client)

    async def _aadvise(self, error: ServiceError, target: calls.Target) -> None:
        if model_id := self._to_look_up(error, target):
            await lookup.aadvise(error, model_id, self.async_client)

    def _to_look_up(self, error: ServiceError, target: calls.Target) -> str | None:
        if not (self.validate_model and isinstance(target, calls.Model) and lookup.concerns_model(error)):
            return None
        if self._advised:
            return None
        self._advised = True
        return target.model_id

    # ------------------------------------------------------------------ profile

    def _resolve_model_profile(self) -> ModelProfile | None:
        return shipped(self.model_id)

    def refresh_profile(self) -> ModelProfile:
        """Take the profile from the service's live model list, and return it.

        Raises:
            ConfigurationError: the model is not one of the catalogue, or not in the list.
        """
        self.profile = lookup.profile(self._listed_model(), self.client)
        return self.profile

    async def arefresh_profile(self) -> ModelProfile:
        """Take the profile from the service's live model list, and return it."""
        self.profile = await lookup.aprofile(self._listed_model(), self.async_client)
        return self.profile

    def _listed_model(self) -> str:
        if self.model_id is None:
            raise ConfigurationError("only models of the catalogue (model_id) are in the model list", field="model_id")
        return self.model_id

    # ------------------------------------------------------------------ tools and structured output

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        force_once: bool | None = None,
        parallel_tool_calls: bool | None = None,
        first_tool_call_only: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools it may call.

        Args:
            tools: BaseTools, callables, pydantic classes, TypedDicts, or dictionaries
                (OpenAI, Anthropic, Bedrock, titled JSON Schema); none bind nothing.
            tool_choice: a tool's name or OpenAI's dictionary, "any"/"required"/True for any
                tool, "auto", "none"; None and False say nothing to the service.
            strict: sent as each function's `strict`.
            force_once: a forced `tool_choice` holds until a tool has answered in this turn, so
                that an agent's loop ends.
            parallel_tool_calls: sent to the Model Gateway; watsonx.ai itself has no such
                switch, so False gives a warning there.
            first_tool_call_only: keep the first call of an answer and drop the others.
            **kwargs: further settings of the calls.

        Raises:
            ConfigurationError: a tool is not usable, or the choice names no tool.
        """
        refuse_unknown(kwargs, (*_CALL, *_TRACED), "bind_tools")
        offered = [tool_of(tool, strict=strict) for tool in tools]
        bound = dict(kwargs)
        given = {
            "tools": offered or None,
            "tool_choice": tool_choice if offered else None,
            "force_once": force_once if offered else None,
            "parallel_tool_calls": parallel_tool_calls if offered else None,
            "first_tool_call_only": first_tool_call_only,
        }
        _choice({**bound, "tool_choice": tool_choice}, [tool["function"]["name"] for tool in offered])
        bound |= {name: value for name, value in given.items() if value is not None}
        return self.bind(**bound)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: structured.Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return the model with answers in the shape of a schema.

        Args:
            schema: a pydantic class (v2 or v1), TypedDict, JSON Schema, or OpenAI's
                dictionary forms; may be left out with method "json_mode".
            method: "json_schema" (`response_format`), "function_calling", "json_mode" or
                "guided_json"; by default what the model's profile says it can.
            include_raw: give `{"raw", "parsed", "parsing_error"}` and raise nothing while parsing.
            strict: sent with the schema.
            **kwargs: further settings of the calls.

        Raises:
            ConfigurationError: the schema is not usable.
            OutputTruncated: (when run) the answer hit the token limit.
            OutputParserException: (when run) the answer does not fit the schema.
        """
        refuse_unknown(kwargs, _CALL, "with_structured_output")
        return structured.structured_output(
            self, schema, method=method, include_raw=include_raw, strict=strict, further=kwargs
        )

    # ------------------------------------------------------------------ what LangChain wants to know

    @property
    def _llm_type(self) -> str:
        return "watsonx-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**self._whereabouts(self.target), **self.parameters}

    def _whereabouts(self, target: calls.Target) -> dict[str, Any]:
        facts = {name: value for name, value in asdict(target).items() if value is not None}
        return {**facts, "kind": type(target).__name__.lower(), "url": self.settled_connection.hosts.ml}

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        target = self.target_for(**{name: kwargs.get(name) for name in TARGET_NAMES})
        rest = {name: value for name, value in kwargs.items() if name not in (*NAMES, *TARGET_NAMES, "params")}
        effective = self._merged(stop, kwargs)
        return {
            "_type": self._llm_type,
            "model": target.name,
            **self._whereabouts(target),
            **rest,
            **effective,
            "stop": effective.get("stop"),
        }

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Return the key under which LangChain caches an answer: whatever decides what it is."""
        key = {
            **self._get_invocation_params(stop=stop, **kwargs),
            "output_version": self.output_version,
            "thinking_tags": self.thinking_tags,
            "recover_tool_calls": self.recover_tool_calls,
            "first_tool_call_only": kwargs.get("first_tool_call_only", self.first_tool_call_only),
        }
        return json.dumps(key, sort_keys=True, default=repr)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        target = self.target_for(**{name: kwargs.get(name) for name in TARGET_NAMES})
        effective = self._merged(stop, kwargs)
        params = LangSmithParams(ls_provider="ibm", ls_model_type="chat", ls_model_name=target.name)
        if (temperature := effective.get("temperature")) is not None:
            params["ls_temperature"] = temperature
        limit = effective.get("max_completion_tokens", effective.get("max_tokens"))
        if limit is not None:
            params["ls_max_tokens"] = limit
        if effective.get("stop"):
            params["ls_stop"] = effective["stop"]
        return params

    # ------------------------------------------------------------------ copies

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        return serialization.secrets(self)

    @property
    def lc_attributes(self) -> dict[str, Any]:
        return serialization.attributes(self)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model; changed settings are checked, and the profile follows the model."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("_serialized", None)  # langchain-core keeps it, and it describes the original
        copied._advised = False
        if update and "model_id" in update and "profile" not in update:
            copied.profile = shipped(copied.model_id)
        return copied


# --------------------------------------------------------------------------- tool settings of a call


def _no_tools_choice(choice: Any) -> None:
    if choice not in (None, False, "auto", "none"):
        raise ConfigurationError(
            f"tool_choice={choice!r} without tools", hint="Give tools, or leave tool_choice out", field="tool_choice"
        )


def _choice(given: Mapping[str, Any], names: Sequence[str], messages: Sequence[BaseMessage] = ()) -> dict[str, Any]:
    """Return `tool_choice` or `tool_choice_option` as they are sent, or neither."""
    choice, option = given.get("tool_choice"), given.get("tool_choice_option")
    if choice is False:
        choice = None
    if choice is not None and option is not None:
        raise ConfigurationError(
            "both tool_choice and tool_choice_option are given", hint="Give tool_choice only", field="tool_choice"
        )
    wanted = choice if choice is not None else option
    if not names:
        _no_tools_choice(wanted)
        return {}
    selection = select_tool(wanted, names)
    if given.get("force_once") and selection.tool_choice_option != "none" and _tool_has_answered(messages):
        return {}
    sent = {"tool_choice": selection.tool_choice, "tool_choice_option": selection.tool_choice_option}
    return {name: value for name, value in sent.items() if value is not None}


def _tool_has_answered(messages: Sequence[BaseMessage]) -> bool:
    """Whether a tool's result came after the latest message of the user."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return False
        if isinstance(message, ToolMessage):
            return True
    return False


def _parallel(given: Mapping[str, Any], names: Sequence[str], *, gateway: bool) -> dict[str, Any]:
    """Return `parallel_tool_calls` for those who know it; elsewhere say that it cannot be turned off."""
    wanted = given.get("parallel_tool_calls")
    if wanted is None or not names:
        return {}
    if gateway:
        return {"parallel_tool_calls": wanted}
    if wanted is False and not given.get("first_tool_call_only"):
        warnings.warn(_NO_PARALLEL_SWITCH, WatsonxWarning, stacklevel=2)
    return {}
