"""Parameters of an answer: from constructor, `additional_params` and the call, one by one, to the wire.

LlamaIndex users know two vocabularies: the chat API's (`max_tokens`, `stop`,
`seed`) and text generation's (`max_new_tokens`, `stop_sequences`,
`random_seed`). Where both mean the same thing either is understood; a name
that the endpoint does not have is refused, never left out.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.schemas import inline
from wx_integrations.core.wire import chat as wire

CHAT = frozenset(wire.ChatParameters.model_fields)
_BESIDE = frozenset({"moderations", "crypto"})
"""Of text generation, but beside its `parameters`."""

_TO_CHAT = MappingProxyType({"max_new_tokens": "max_tokens", "stop_sequences": "stop", "random_seed": "seed"})
_TO_GENERATION = MappingProxyType(
    {
        "max_tokens": "max_new_tokens",
        "max_completion_tokens": "max_new_tokens",
        "stop": "stop_sequences",
        "seed": "random_seed",
    }
)
_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_new_tokens"})
"""Three names of one limit: a later layer's replaces an earlier one's, whichever name it has."""

Layer = Mapping[str, Any]


class ParameterFields(BaseModel):
    """The parameters of an answer as an adapter's arguments; None leaves the choice to the service.

    All can be given per call too; a call's win one by one.
    """

    model_config = ConfigDict(defer_build=True)  # only the last of the line is ever made

    temperature: float | None = None
    """0 to 2; 0 always takes the likeliest token."""
    max_new_tokens: int | None = None
    """The limit of output tokens, under the name text generation has for it."""
    max_tokens: int | None = None
    """The older name of `max_completion_tokens`."""
    max_completion_tokens: int | None = None
    """The most tokens of the answer; 0 means as many as the model can (the service's default is 1024)."""
    top_p: float | None = None
    """0 to 1: considers the likeliest tokens that add up to this probability."""
    frequency_penalty: float | None = None
    """-2 to 2: makes words that were already used less likely, the more often they were."""
    presence_penalty: float | None = None
    """-2 to 2: makes words that were already used less likely."""
    repetition_penalty: float | None = None
    """Makes tokens that were already used less likely; 1 changes nothing."""
    length_penalty: Any = None
    """A number for chats; `{"decay_factor": > 1, "start_index": >= 0}` for text generation."""
    logit_bias: dict[str, int] | None = None
    """Token ids as text, and how much likelier (up to 100) or unlikelier (-100) each becomes."""
    logprobs: bool | None = None
    """Give the log probabilities in the response."""
    top_logprobs: int | None = None
    """0 to 20 alternatives for each token; needs `logprobs=True`."""
    n: int | None = None
    """Answers per request; LlamaIndex shows the first."""
    seed: int | None = None
    """The same seed and the same question give the same answer, as far as the service can."""
    stop: str | list[str] | None = None
    """Texts that end the answer: up to 4 for chats, 6 for text generation."""
    time_limit: int | None = None
    """Milliseconds the service may take."""
    response_format: Any = None
    """A wire format (`{"type": "json_object"}`, ...) or a pydantic class."""
    guided_choice: list[str] | None = None
    """The answer is one of these."""
    guided_regex: str | None = None
    """The answer matches this."""
    guided_grammar: str | None = None
    """The answer follows this grammar (EBNF)."""
    guided_json: dict[str, Any] | None = None
    """The answer is JSON of this JSON Schema."""
    include_reasoning: bool | None = None
    """Whether the service sends the model's reasoning; it does by default."""
    reasoning_effort: str | None = None
    """How long a reasoning model thinks before it answers: low, medium or high."""
    chat_template_kwargs: dict[str, Any] | None = None
    """Settings of the model's chat template, such as `{"thinking": True}`."""
    moderations: dict[str, Any] | None = None
    """Detectors for input and output: hap, pii, granite_guardian."""
    context: str | None = None
    """Text for a deployed prompt template."""
    crypto: dict[str, Any] | None = None
    """The encryption key to use: `{"key_ref": ...}`; not for deployments."""
    additional_params: dict[str, Any] | None = None
    """Further parameters by their names on the wire; for text generation e.g. decoding_method, top_k."""

    @property
    def parameter_layers(self) -> tuple[Layer, Layer]:
        """What the constructor gave: fields, then `additional_params`."""
        fields = self.__dict__
        own = {name: fields[name] for name in _FIELDS if fields[name] is not None}
        return own, self.additional_params or {}


_FIELDS = tuple(name for name in ParameterFields.model_fields if name != "additional_params")


@cache
def generation_names() -> frozenset[str]:
    """The parameters of text generation; its shapes are loaded when first asked for."""
    from wx_integrations.core.wire.text import GenerationParameters

    return frozenset(GenerationParameters.model_fields)


def known_names() -> frozenset[str]:
    """Every name that an endpoint knows."""
    return CHAT | generation_names() | _BESIDE


def known_names_only(layer: Layer, also: frozenset[str] = frozenset()) -> None:
    """Refuse names that no endpoint knows.

    Raises:
        ConfigurationError: names the parameter and the nearest known one.
    """
    for name in layer:
        if name not in CHAT and name not in also and name not in known_names():
            near = difflib.get_close_matches(name, sorted(known_names() | also), n=1)
            raise ConfigurationError(
                f"unknown parameter {name!r}", hint=f"Did you mean {near[0]!r}?" if near else None, field=name
            )


def for_chat(*layers: Layer) -> dict[str, Any]:
    """Return the chat API's parameters; later layers win, None means not given.

    Raises:
        ConfigurationError: a parameter belongs to text generation only.
    """
    merged = _merged(layers, _TO_CHAT)
    for name in merged:
        if name not in CHAT:
            raise ConfigurationError(
                f"{name} belongs to text generation; the chat API does not have it",
                hint="Leave it out, or set use_text_generation=True",
                field=name,
            )
    _tidy_stop(merged, "stop")
    if merged.get("logprobs") is False and not (layers and layers[-1].get("top_logprobs")):
        merged.pop("top_logprobs", None)
    if (shape := merged.get("response_format")) is not None:
        merged["response_format"] = response_format(shape)
    return merged


def for_generation(*layers: Layer) -> dict[str, Any]:
    """Return the fields of a text generation request besides its input.

    Raises:
        ConfigurationError: a parameter belongs to the chat API only, or has a wrong value.
    """
    from wx_integrations.core.wire.text import GenerationParameters, GenerationRequest

    merged = _merged(layers, _TO_GENERATION)
    for name in merged:
        if name not in generation_names() | _BESIDE:
            raise ConfigurationError(
                f"{name} belongs to the chat API; text generation does not have it",
                hint="Leave it out, or set use_text_generation=False",
                field=name,
            )
    _tidy_stop(merged, "stop_sequences")
    beside = {name: merged.pop(name) for name in _BESIDE if name in merged}
    try:
        parameters = GenerationParameters(**merged) if merged else None
        GenerationRequest(**beside)
    except ValidationError as error:
        raise ConfigurationError.from_validation(error, "text generation") from None
    return {"parameters": parameters, **beside}


def response_format(shape: Any) -> Any:
    """Return the shape as the wire has it; a pydantic class becomes its JSON Schema."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return json_schema_format(shape)
    return shape


def json_schema_format(output: type[BaseModel], *, strict: bool | None = None) -> wire.JsonSchemaFormat:
    """Return the response format for a pydantic class."""
    schema = inline(output.model_json_schema())
    name = "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in output.__name__)
    return wire.JsonSchemaFormat(json_schema=wire.JsonSchema(name=name, schema_=schema, strict=strict))


def limit(*layers: Layer) -> int | None:
    """Return the limit of output tokens, whichever of its names it has; 0 means the model's own maximum."""
    for layer in reversed(layers):
        for name in _LIMITS & layer.keys():
            if isinstance(value := layer[name], int):
                return value
    return None


def _tidy_stop(merged: dict[str, Any], name: str) -> None:
    """One text is a list of one; none at all takes an earlier layer's away."""
    if isinstance(merged.get(name), str):
        merged[name] = [merged[name]]
    if merged.get(name) == []:
        del merged[name]


def _merged(layers: tuple[Layer, ...], names: Mapping[str, str]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        said: dict[str, Any] = {}
        for given, value in layer.items():
            if value is None:
                continue
            name = names.get(given, given)
            if name in said and said[name] != value:
                raise ConfigurationError(
                    f"{given} and another name of {name} have different values", hint="Give one", field=given
                )
            said[name] = value
        if _LIMITS & said.keys():
            for other in _LIMITS & merged.keys():
                del merged[other]
        merged |= said
    return merged
