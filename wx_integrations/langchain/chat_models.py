"""ChatWatsonx: chat models of watsonx.ai, deployments and the Model Gateway for LangChain.

What a plain chat does not need is imported where it is used, because every
program pays for what is imported here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Literal, Self, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import ConfigDict, PrivateAttr

from wx_integrations.core import calls
from wx_integrations.core.errors import ConfigurationError, ServiceError
from wx_integrations.langchain import blocks
from wx_integrations.langchain.answers import to_result
from wx_integrations.langchain.arguments import refuse_unknown
from wx_integrations.langchain.chat_fields import ChatFields
from wx_integrations.langchain.choices import choice_of
from wx_integrations.langchain.counting import Counting
from wx_integrations.langchain.forms import Method, Parsed, ToolLike, WithRaw
from wx_integrations.langchain.messages import linked_media
from wx_integrations.langchain.metadata import warn
from wx_integrations.langchain.profiles import shipped
from wx_integrations.langchain.tracing import Tracing
from wx_integrations.langchain.turns import CALL, TRACED

blocks.register()


def _message_id(run: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None) -> str | None:
    """Return the id that LangChain gives the message of a run."""
    return f"{LC_ID_PREFIX}-{run.run_id}" if run is not None else None


class ChatWatsonx(Tracing, Counting, ChatFields, BaseChatModel):
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

    model_config = ConfigDict(defer_build=False)

    _advised: bool = PrivateAttr(default=False)
    _token_counts: dict[str, int] = PrivateAttr(default_factory=dict)
    _tokenizer_missing: bool = PrivateAttr(default=False)
    _estimate_told: bool = PrivateAttr(default=False)

    # ------------------------------------------------------------------ one call

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = self._turn(messages, stop, kwargs, self._fetched(messages))
        try:
            completion = self.session_with(kwargs).client.run(calls.chat(turn.target, turn.request))
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
            completion = await self.session_with(kwargs).async_client.run(calls.chat(turn.target, turn.request))
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
        from wx_integrations.langchain.fold import Fold

        turn = self._stream_turn(messages, stop, kwargs, self._fetched(messages))
        fold = Fold(turn.reading, _message_id(run_manager))
        client = self.session_with(kwargs).client
        with closing(client.stream(calls.chat_stream(turn.target, turn.request))) as frames:
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
        from wx_integrations.core.adoption import Adopted
        from wx_integrations.langchain.fold import Fold

        turn = self._stream_turn(messages, stop, kwargs, await self._afetched(messages))
        fold = Fold(turn.reading, _message_id(run_manager))
        client = self.session_with(kwargs).async_client
        async with Adopted(client.stream(calls.chat_stream(turn.target, turn.request))) as frames:
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
        from wx_integrations.langchain.media import fetch

        return fetch(urls, self.settled_connection)

    async def _afetched(self, messages: Sequence[BaseMessage]) -> Mapping[str, str]:
        if self.media_urls != "fetch" or not (urls := linked_media(messages)):
            return {}
        from wx_integrations.langchain.media import afetch

        return await afetch(urls, self.settled_connection)

    # ------------------------------------------------------------------ when the service refuses the model

    def _advise(self, error: ServiceError, target: calls.Target) -> None:
        """Look the refused model up, once, and say what may be meant; a failing look-up changes nothing."""
        if model_id := self._to_look_up(error, target):
            from wx_integrations.langchain import lookup

            lookup.advise(error, model_id, self.client)

    async def _aadvise(self, error: ServiceError, target: calls.Target) -> None:
        if model_id := self._to_look_up(error, target):
            from wx_integrations.langchain import lookup

            await lookup.aadvise(error, model_id, self.async_client)

    def _to_look_up(self, error: ServiceError, target: calls.Target) -> str | None:
        if self._advised or not (self.validate_model and isinstance(target, calls.Model)):
            return None
        from wx_integrations.core.advice import concerns_model

        if not concerns_model(error):
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
        from wx_integrations.langchain import lookup

        self.profile = lookup.profile(self._listed_model(), self.client)
        return self.profile

    async def arefresh_profile(self) -> ModelProfile:
        """Take the profile from the service's live model list, and return it."""
        from wx_integrations.langchain import lookup

        self.profile = await lookup.aprofile(self._listed_model(), self.async_client)
        return self.profile

    def _listed_model(self) -> str:
        if self.model_id is None:
            raise ConfigurationError("only models of the catalogue (model_id) are in the model list", field="model_id")
        return self.model_id

    # ------------------------------------------------------------------ tools and structured output

    def bind_tools(
        self,
        tools: Sequence[ToolLike],
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
        from wx_integrations.langchain.schemas import tool_of

        refuse_unknown(kwargs, (*CALL, *TRACED), "bind_tools")
        offered = [tool_of(tool, strict=strict) for tool in tools]
        bound = dict(kwargs)
        given = {
            "tools": offered or None,
            "tool_choice": tool_choice if offered else None,
            "force_once": force_once if offered else None,
            "parallel_tool_calls": parallel_tool_calls if offered else None,
            "first_tool_call_only": first_tool_call_only,
        }
        choice_of({**bound, "tool_choice": tool_choice}, [tool["function"]["name"] for tool in offered])
        bound |= {name: value for name, value in given.items() if value is not None}
        return self.bind(**bound)

    @overload
    def with_structured_output(
        self,
        schema: type[Parsed],
        *,
        method: Method | None = None,
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Parsed]: ...

    @overload
    def with_structured_output(
        self,
        schema: type[Parsed],
        *,
        method: Method | None = None,
        include_raw: Literal[True],
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, WithRaw[Parsed]]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any] | None = None,
        *,
        method: Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]: ...

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method | None = None,
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
        refuse_unknown(kwargs, CALL, "with_structured_output")
        from wx_integrations.langchain.structured import structured_output

        return structured_output(self, schema, method=method, include_raw=include_raw, strict=strict, further=kwargs)

    # ------------------------------------------------------------------ copies

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain's `dumps` takes it: yes, without secrets."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that stands for each secret in LangChain's `dumps`."""
        from wx_integrations.langchain import serialization

        return serialization.secrets(self)

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """The settings that LangChain's `dumps` writes beside the constructor's arguments."""
        from wx_integrations.langchain import serialization

        return serialization.attributes(self)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model; changed settings are checked, and the profile follows the model.

        Args:
            update: settings by name.
            deep: copy what the settings hold as well; what is live is shared.

        Raises:
            ConfigurationError: a setting is unknown, wrong or contradicts another.
        """
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("_serialized", None)  # langchain-core keeps it, and it describes the original
        copied._advised = False
        if update and "model_id" in update and "profile" not in update:
            copied.profile = shipped(copied.model_id)
        return copied
