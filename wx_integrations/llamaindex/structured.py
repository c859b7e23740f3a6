"""Structured predictions: by JSON schema where the model follows one, by a forced tool call otherwise.

An answer that is cut off at its token limit raises `OutputTruncated`; partial
JSON is shown while streaming, but never returned as the result.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, Literal

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported there
from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import Model, PydanticProgramMode
from pydantic import BaseModel

from wx_integrations.core.errors import OutputTruncated, UnexpectedResponse
from wx_integrations.llamaindex import parameters
from wx_integrations.llamaindex.endpoints import Endpoints

dispatcher = get_dispatcher(__name__)

Method = Literal["json_schema", "function_calling"]


class StructuredPrediction(Endpoints):
    """`structured_predict` and its three twins; `as_structured_llm` works through them."""

    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer a prompt with an object of the class.

        Args:
            output_cls: a pydantic class.
            prompt: what to ask, with places to fill in.
            llm_kwargs: parameters of this call.
            **prompt_args: what to fill in.

        Raises:
            OutputTruncated: the answer hit its token limit.
            UnexpectedResponse: there is no answer, or a call's arguments are no JSON object.
            ValueError: the model did not call; as `pydantic.ValidationError`, the answer does not fit the class.
        """
        kwargs = dict(llm_kwargs or {})
        method = self._method()
        if method is None:
            predicted: Model = super().structured_predict(output_cls, prompt, llm_kwargs=kwargs, **prompt_args)
            return predicted
        _begun(output_cls, prompt, prompt_args)
        if method == "json_schema":
            response = self.chat(self._asked(prompt, prompt_args), **self._shaped(output_cls, kwargs))
        else:
            asked = self._asked(prompt, prompt_args)
            response = self.chat_with_tools(chat_history=asked, **_forced(output_cls, kwargs))
        return _ended(self._read(response, output_cls, method))

    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer a prompt with an object of the class; see `structured_predict`."""
        kwargs = dict(llm_kwargs or {})
        method = self._method()
        if method is None:
            predicted: Model = await super().astructured_predict(output_cls, prompt, llm_kwargs=kwargs, **prompt_args)
            return predicted
        _begun(output_cls, prompt, prompt_args)
        if method == "json_schema":
            response = await self.achat(self._asked(prompt, prompt_args), **self._shaped(output_cls, kwargs))
        else:
            asked = self._asked(prompt, prompt_args)
            response = await self.achat_with_tools(chat_history=asked, **_forced(output_cls, kwargs))
        return _ended(self._read(response, output_cls, method))

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        kwargs = dict(llm_kwargs or {})
        method = self._method()
        if method is None:
            yield from super()._structured_stream_call(output_cls, prompt, kwargs, **prompt_args)
            return
        if method == "json_schema":
            responses = self.stream_chat(self._asked(prompt, prompt_args), **self._shaped(output_cls, kwargs))
        else:
            asked = self._asked(prompt, prompt_args)
            responses = self.stream_chat_with_tools(chat_history=asked, **_forced(output_cls, kwargs))
        reading = Reading(self, output_cls, method)
        for response in responses:
            yield reading.partial(response)
        yield reading.whole()

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        kwargs = dict(llm_kwargs or {})
        method = self._method()
        if method is None:
            return await super()._structured_astream_call(output_cls, prompt, kwargs, **prompt_args)
        if method == "json_schema":
            responses = await self.astream_chat(self._asked(prompt, prompt_args), **self._shaped(output_cls, kwargs))
        else:
            asked = self._asked(prompt, prompt_args)
            responses = await self.astream_chat_with_tools(chat_history=asked, **_forced(output_cls, kwargs))

        async def objects() -> AsyncGenerator[Any, None]:
            reading = Reading(self, output_cls, method)
            async for response in responses:
                yield reading.partial(response)
            yield reading.whole()

        return objects()

    # ------------------------------------------------------------------ how

    def _method(self) -> Method | None:
        """Return how to ask: as the user says, as the profile says; None leaves it to the framework (a prompt)."""
        mode = self.pydantic_program_mode
        if mode is PydanticProgramMode.FUNCTION:
            return "function_calling"
        if mode is not PydanticProgramMode.DEFAULT or self._generates({}):
            return None
        if self.structured_output is not None:
            return self.structured_output
        if self.profile is not None and self.profile.structured_output:
            return "json_schema"
        return "function_calling" if self.metadata.is_function_calling_model else None

    def _read(self, response: ChatResponse, output_cls: type[Model], method: Method) -> Model:
        """Return the object of a whole answer, validated."""
        if method == "json_schema":
            return output_cls.model_validate_json(whole_text(response))
        [selection, *_] = self.get_tool_calls_from_response(response)
        return output_cls.model_validate(selection.tool_kwargs)

    def _asked(self, prompt: PromptTemplate, arguments: Mapping[str, Any]) -> list[ChatMessage]:
        return self._extend_messages(prompt.format_messages(llm=self, **arguments))

    def _shaped(self, output_cls: type[BaseModel], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a call's arguments with the schema instead of tools."""
        kept = {name: value for name, value in kwargs.items() if name not in ("tool_choice", "tool_required")}
        return {**kept, "response_format": parameters.json_schema_format(output_cls, strict=self.strict)}


class Reading:
    """Reads a stream of responses as objects: partial ones on the way, the whole one at the end."""

    def __init__(self, llm: StructuredPrediction, output_cls: type[Model], method: Method) -> None:
        self._llm = llm
        self._class = output_cls
        self._method = method
        self._current: Any = None
        self._last: ChatResponse | None = None

    def partial(self, response: ChatResponse) -> Any:
        """Return what can be read so far; fields that have not arrived are None."""
        from llama_index.core.program.streaming_utils import process_streaming_content_incremental
        from llama_index.core.program.utils import process_streaming_objects

        self._last = response
        if self._method == "json_schema":
            self._current = process_streaming_content_incremental(response, self._class, self._current)
        else:
            before = None if self._current is None else [self._current]
            self._current = process_streaming_objects(response, self._class, cur_objects=before, llm=self._llm)
        return self._current

    def whole(self) -> Any:
        """Return the object of the finished answer, validated."""
        if self._last is None:
            raise UnexpectedResponse("the stream ended without an answer")
        return self._llm._read(self._last, self._class, self._method)


def whole_text(response: ChatResponse) -> str:
    """Return an answer's text.

    Raises:
        OutputTruncated: it hit its token limit.
        UnexpectedResponse: there is none.
    """
    text = response.message.content or ""
    reason = response.additional_kwargs.get("finish_reason")
    if reason == "length":
        raise OutputTruncated("the answer hit the token limit", text=text, hint="Raise max_tokens")
    if not text.strip():
        raise UnexpectedResponse(_why_empty(response), excerpt=text)
    return text


def _why_empty(response: ChatResponse) -> str:
    facts = response.additional_kwargs
    if refusal := response.message.additional_kwargs.get("refusal"):
        return f"the model refuses: {refusal}"
    notes = "; ".join(warning.get("message", "") for warning in facts.get("warnings", ()))
    return f"the answer is empty (finish_reason: {facts.get('finish_reason')})" + (f": {notes}" if notes else "")


def _forced(output_cls: type[BaseModel], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that make the model call the class."""
    from llama_index.core.program.function_program import get_function_tool

    kept = {name: value for name, value in kwargs.items() if name not in ("tool_choice", "allow_parallel_tool_calls")}
    return {**kept, "tools": [get_function_tool(output_cls)], "tool_required": True}


def _begun(output_cls: type[BaseModel], prompt: PromptTemplate, arguments: Mapping[str, Any]) -> None:
    dispatcher.event(
        LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=dict(arguments))
    )


def _ended(result: Model) -> Model:
    dispatcher.event(LLMStructuredPredictEndEvent(output=result))
    return result
