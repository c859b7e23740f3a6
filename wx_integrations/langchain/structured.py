"""Structured output: ask for it in one of four ways, and take only what is whole."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from operator import itemgetter
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1
from pydantic_core import from_json, to_json

from wx_integrations.core.errors import ConfigurationError, OutputTruncated
from wx_integrations.langchain.forms import Method, Schema
from wx_integrations.langchain.metadata import was_cut
from wx_integrations.langchain.schemas import function_of, json_schema_format, parameters_of

_METHODS = ("json_schema", "function_calling", "json_mode", "guided_json")

_FENCE = re.compile(r"```(?:json)?[^\S\n]*+\n")


def default_method(profile: ModelProfile | None) -> Method:
    """Return what a model can do best; a model nothing is known about gets a forced tool call, as in langchain-ibm."""
    if profile and profile.get("structured_output"):
        return "json_schema"
    return "function_calling"


def structured_output(
    model: BaseChatModel,
    schema: Schema | None,
    *,
    method: Method | None,
    include_raw: bool,
    strict: bool | None,
    further: Mapping[str, Any],
) -> Runnable[LanguageModelInput, Any]:
    """Return the model followed by a parser for the schema; see `ChatWatsonx.with_structured_output`."""
    chosen = method or default_method(model.profile)
    if chosen not in _METHODS:
        raise ConfigurationError(f"method {chosen!r} is not known", hint=f"Use {', '.join(_METHODS)}", field="method")
    if schema is None and chosen != "json_mode":
        raise ConfigurationError(f"method {chosen!r} needs a schema", field="schema")
    if strict is not None and chosen in ("json_mode", "guided_json"):
        raise ConfigurationError(f"strict has no meaning with method {chosen!r}", field="strict")
    asking = {**further, "ls_structured_output_format": _for_tracing(schema, chosen, strict)}
    name = None
    bound: Runnable[LanguageModelInput, AIMessage]
    if schema is None or chosen == "json_mode":
        bound = model.bind(response_format={"type": "json_object"}, **asking)
    elif chosen == "json_schema":
        bound = model.bind(response_format=json_schema_format(schema, strict=strict), **asking)
    elif chosen == "guided_json":
        bound = model.bind(guided_json=parameters_of(schema), **asking)
    else:
        function = function_of(schema, strict=strict)
        name = function["name"]
        bound = model.bind_tools([{"type": "function", "function": function}], tool_choice=name, **asking)
    parser = StructuredParser(output=schema, function=name)
    if not include_raw:
        return bound | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _for_tracing(schema: Schema | None, method: Method, strict: bool | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    return {"kwargs": {"method": method, "strict": strict}, "schema": schema}


class StructuredParser(BaseTransformOutputParser[Any]):
    """Reads an answer of a known shape; refuses one that is cut, empty or of another shape.

    While streaming, dictionaries grow and pydantic objects come once, whole.

    Attributes:
        output: the schema; None for any JSON.
        function: the function whose arguments are the output; None if the text is.
    """

    output: Any = None
    function: str | None = None

    @property
    def OutputType(self) -> Any:  # noqa: N802  # LangChain's name
        return self.output if isinstance(self.output, type) else dict[str, Any]

    @property
    def _type(self) -> str:
        return "watsonx-structured"

    def parse(self, text: str) -> Any:
        """Return a text's output."""
        return self._validated(_json(text), text)

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return an answer's output.

        Raises:
            OutputTruncated: the answer hit a limit.
            OutputParserException: the answer is empty, a refusal, or does not fit.
        """
        first = result[0]
        if not (isinstance(first, ChatGeneration) and isinstance(first.message, AIMessage)):
            return self.parse(first.text)
        message = first.message
        self._check(message)
        if self.function is None:
            return self.parse(message.text)
        for call in message.tool_calls:
            if call["name"] == self.function:
                return self._validated(call["args"], str(call["args"]))
        raise self._no_call(message)

    async def aparse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        return self.parse_result(result, partial=partial)

    # ------------------------------------------------------------------ whole answers

    def _check(self, message: AIMessage) -> None:
        metadata = message.response_metadata
        if was_cut(metadata.get("finish_reason")) or was_cut(metadata.get("finish_reason_raw")):
            raise OutputTruncated(
                f"the answer ended early ({metadata.get('finish_reason_raw') or metadata.get('finish_reason')}), "
                "so the structured output is not whole",
                text=_written(message),
                hint="Raise max_completion_tokens (0 means the model's maximum) or time_limit",
            )
        if refusal := message.additional_kwargs.get("refusal"):
            raise OutputParserException(f"the model refused: {refusal}", llm_output=str(refusal))
        if self.function is None and not message.text.strip():
            what = "only tool calls" if message.tool_calls else "nothing"
            raise OutputParserException(f"the model answered {what}, not the structured output", llm_output="")

    def _no_call(self, message: AIMessage) -> OutputParserException:
        for broken in message.invalid_tool_calls:
            return OutputParserException(
                f"the arguments of {broken['name']} are not a JSON object: {broken['error'] or 'malformed'}",
                llm_output=broken["args"] or "",
            )
        return OutputParserException(
            f"the model answered without calling {self.function}; another method may suit it better",
            llm_output=message.text,
        )

    def _validated(self, data: Any, text: str) -> Any:
        schema = self.output
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            try:
                if issubclass(schema, BaseModel):
                    return schema.model_validate_json(to_json(data))
                return schema.parse_obj(data)  # type: ignore[attr-defined]  # pydantic v1
            except (ValidationError, ValidationErrorV1) as error:
                raise OutputParserException(
                    f"the answer does not fit {schema.__name__}: {error}", llm_output=text
                ) from error
        if schema is not None and not isinstance(data, dict):
            raise OutputParserException("the answer is JSON, but not an object", llm_output=text)
        return data

    # ------------------------------------------------------------------ streams

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:
        growing = _Growing(self)
        for piece in input:
            yield from growing.feed(piece)
        yield from growing.finish()

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:
        growing = _Growing(self)
        async for piece in input:
            for value in growing.feed(piece):
                yield value
        for value in growing.finish():
            yield value


class _Growing:
    """A structured answer on its way."""

    def __init__(self, parser: StructuredParser) -> None:
        self._parser = parser
        self._pieces: list[str | BaseMessage] = []
        self._text = ""
        self._shown: Any = None
        whole_only = isinstance(parser.output, type) and is_basemodel_subclass(parser.output)
        self._shows_growth = not whole_only

    def feed(self, piece: str | BaseMessage) -> Iterator[Any]:
        """Yield the output so far, if it is a dictionary that has grown."""
        self._pieces.append(piece)
        if not self._shows_growth:
            return
        new = self._new_text(piece)
        if not new:
            return
        self._text += new
        try:
            value = from_json(self._text, allow_partial="trailing-strings")
        except ValueError:
            return
        if isinstance(value, dict) and value and value != self._shown:
            self._shown = value
            yield value

    def _new_text(self, piece: str | BaseMessage) -> str:
        if isinstance(piece, str):
            return piece
        if self._parser.function is None:
            return piece.text
        chunks = piece.tool_call_chunks if isinstance(piece, AIMessageChunk) else []
        return "".join(chunk["args"] or "" for chunk in chunks if chunk["index"] == 0)

    def finish(self) -> Iterator[Any]:
        """Yield the whole output, unless it was shown already; raises what `parse_result` raises."""
        if not self._pieces:
            return
        value = self._parser.parse_result([self._whole()])
        if value != self._shown:
            yield value

    def _whole(self) -> Generation:
        chunks = [piece for piece in self._pieces if isinstance(piece, AIMessageChunk)]
        if len(chunks) == len(self._pieces):
            return ChatGeneration(message=chunks[0] + chunks[1:] if chunks[1:] else chunks[0])
        messages = [piece for piece in self._pieces if isinstance(piece, BaseMessage)]
        if messages:
            return ChatGeneration(message=messages[-1])
        return Generation(text="".join(piece for piece in self._pieces if isinstance(piece, str)))


def _json(text: str) -> Any:
    """Return a text's JSON; a text that is one fenced block counts as the block.

    Raises:
        OutputParserException: it is not JSON.
    """
    body = text.strip()
    if body.endswith("```") and (opening := _FENCE.match(body)):
        body = body[opening.end() : -3]
    try:
        return from_json(body)
    except ValueError as error:
        raise OutputParserException(f"the answer is not JSON ({error})", llm_output=text) from None


def _written(message: AIMessage) -> str:
    """Return what an answer had written, as text or as arguments of a call."""
    if message.text:
        return str(message.text)
    parts = [call["args"] or "" for call in message.invalid_tool_calls]
    parts += [to_json(call["args"]).decode() for call in message.tool_calls]
    return "".join(parts)
