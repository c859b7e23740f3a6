"""The parameters of a request in the engine's words; what the engine has no word for is refused.

Without a temperature the models here answer greedily, so that the same
question gets the same answer: small models gain nothing from chance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from wx_integrations.core.wire.chat import ChatParameters, JsonObjectFormat, JsonSchemaFormat
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.local.regex import grammar_of_regex

DEFAULT_CHAT_TOKENS = 1024
DEFAULT_GENERATION_TOKENS = 20
_JSON_GRAMMAR = "%llguidance {}\nstart: %json "
_FURTHER_CHOICES = 0.8
"""The temperature of the second and later choices when none was asked for; they would all be the same otherwise."""


def chat_sampling(parameters: ChatParameters, choice: int = 0) -> dict[str, Any]:
    """Return the engine's sampling settings for a chat.

    Raises:
        Refusal: a parameter that this engine does not have.
    """
    if parameters.length_penalty is not None:
        raise _unknown("length_penalty")
    temperature = parameters.temperature
    if temperature is None:
        temperature = _FURTHER_CHOICES if choice else 0.0
    body = _common(temperature, parameters.top_p, parameters.seed, choice)
    body["max_tokens"] = chat_limit(parameters)
    body["stop"] = list(parameters.stop or ())
    body["frequency_penalty"] = parameters.frequency_penalty or 0.0
    body["presence_penalty"] = parameters.presence_penalty or 0.0
    body |= _repetition(parameters.repetition_penalty)
    if parameters.logit_bias:
        body["logit_bias"] = [[_token_id(token), bias] for token, bias in parameters.logit_bias.items()]
    if parameters.logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = parameters.top_logprobs or 0
    template = dict(parameters.chat_template_kwargs or {})
    if parameters.reasoning_effort is not None:
        template.setdefault("reasoning_effort", parameters.reasoning_effort)
    if template:
        body["chat_template_kwargs"] = template
    return body


def _token_id(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Refusal(400, "invalid_input_argument", f"logit_bias: {text!r} is not the number of a token.")
    return int(text)


def chat_limit(parameters: ChatParameters) -> int:
    """Return how many tokens may be written; -1 for as many as the context holds."""
    limit = parameters.max_completion_tokens
    if limit is None:
        limit = parameters.max_tokens
    return DEFAULT_CHAT_TOKENS if limit is None else limit or -1


def generation_sampling(parameters: GenerationParameters) -> dict[str, Any]:
    """Return the engine's sampling settings for the continuation of a text.

    Raises:
        Refusal: a parameter that this engine does not have.
    """
    if parameters.length_penalty is not None:
        raise _unknown("length_penalty")
    sampled = parameters.decoding_method == "sample"
    temperature = (1.0 if parameters.temperature is None else parameters.temperature) if sampled else 0.0
    body = _common(temperature, parameters.top_p, parameters.random_seed, 0)
    limit = parameters.max_new_tokens
    body["n_predict"] = DEFAULT_GENERATION_TOKENS if limit is None else limit
    body["stop"] = list(parameters.stop_sequences or ())
    body |= _repetition(parameters.repetition_penalty)
    if parameters.top_k is not None:
        body["top_k"] = parameters.top_k
    if parameters.typical_p is not None:
        body["typical_p"] = parameters.typical_p
    options = parameters.return_options
    if options and (options.token_logprobs or options.token_ranks or options.top_n_tokens or options.generated_tokens):
        body["n_probs"] = options.top_n_tokens or 1
    return body


def _common(temperature: float, top_p: float | None, seed: int | None, choice: int) -> dict[str, Any]:
    body: dict[str, Any] = {"temperature": temperature, "cache_prompt": False}
    body["top_p"] = 1.0 if top_p is None else top_p
    if seed is not None:
        body["seed"] = (seed + choice) % 2**32
    return body


def _repetition(penalty: float | None) -> dict[str, Any]:
    return {} if penalty is None else {"repeat_penalty": penalty, "repeat_last_n": -1}


def _several() -> Refusal:
    return Refusal(
        400, "invalid_input_argument", "Give one of response_format and the guided_ parameters, not several."
    )


def _unknown(name: str) -> Refusal:
    return Refusal(400, "invalid_input_argument", f"The engine for local models has no {name}; leave it out.")


def grammar_of(parameters: ChatParameters) -> str | None:
    """Return the grammar the answer must follow, if any.

    Raises:
        Refusal: more than one kind was asked for, or the expression cannot be enforced.
    """
    schema = wanted_schema(parameters)
    grammars = [] if schema is None else [json_grammar(schema)]
    if parameters.guided_choice is not None:
        grammars.append(choice_grammar(parameters.guided_choice))
    if parameters.guided_regex is not None:
        grammars.append(grammar_of_regex(parameters.guided_regex))
    if parameters.guided_grammar is not None:
        grammars.append(parameters.guided_grammar)
    if len(grammars) > 1:
        raise _several()
    return grammars[0] if grammars else None


def wanted_schema(parameters: ChatParameters) -> Mapping[str, Any] | None:
    """Return the JSON schema that the answer must follow, if any.

    Raises:
        Refusal: two were given.
    """
    schemas: list[Mapping[str, Any]] = []
    if isinstance(parameters.response_format, JsonSchemaFormat):
        schemas.append(parameters.response_format.json_schema.schema_)
    elif isinstance(parameters.response_format, JsonObjectFormat):
        schemas.append({"type": "object"})
    if parameters.guided_json is not None:
        schemas.append(parameters.guided_json)
    if len(schemas) > 1:
        raise _several()
    return schemas[0] if schemas else None


def json_grammar(schema: Mapping[str, Any]) -> str:
    """Return the grammar of the JSON values that a schema allows, on one line as models are used to write it."""
    style = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": True}
    return _JSON_GRAMMAR + json.dumps({**_closed(schema), "x-guidance": style})


def _closed(schema: Any) -> Any:
    """Return the schema with objects closed that leave open whether they have more properties.

    What is written fits the open schema too, and a small model does not go on inventing properties.
    """
    if isinstance(schema, Mapping):
        closed = {name: _closed(value) for name, value in schema.items()}
        if schema.get("properties") and not schema.keys() & {"additionalProperties", "patternProperties", "allOf"}:
            closed["additionalProperties"] = False
        return closed
    return [_closed(item) for item in schema] if isinstance(schema, list) else schema


def is_json(grammar: str) -> bool:
    """Tell whether a grammar came from `json_grammar`."""
    return grammar.startswith(_JSON_GRAMMAR)


def choice_grammar(choices: Sequence[str]) -> str:
    """Return the grammar that allows exactly these texts."""
    if not choices:
        raise Refusal(400, "invalid_input_argument", "guided_choice is empty.")
    return "root ::= " + " | ".join(literal(choice) for choice in choices)


def literal(text: str) -> str:
    """Return a text as a literal of the engine's grammar language."""
    return '"' + re.sub(r'[\x00-\x1f"\\]', lambda found: f"\\x{ord(found[0]):02x}", text) + '"'
