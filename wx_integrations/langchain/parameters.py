"""Defaults and call-time settings become one strict request; pure.

Call-time wins. A name nobody knows is refused with the nearest known one, and
names of the text generation API with what chat calls the same thing.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import CALL_OPTIONS
from wx_integrations.core.schemas import inline
from wx_integrations.core.wire.chat import ChatParameters, check_parameters
from wx_integrations.langchain.schemas import parameters_of, response_format_of

NAMES = tuple(ChatParameters.model_fields)
"""Every parameter of a chat request that is neither a message nor a tool."""

CALL_NAMES = (
    *("tools", "tool_choice", "tool_choice_option", "force_once"),
    *("parallel_tool_calls", "first_tool_call_only", "params"),
    *CALL_OPTIONS,
)
"""What a call takes beside the parameters and the target."""

TARGET_NAMES = ("model_id", "model", "deployment_id")

TEXT_GENERATION: Mapping[str, str] = {
    "max_new_tokens": "use max_completion_tokens",
    "min_new_tokens": "chat has no lower bound; leave it out",
    "decoding_method": 'use temperature=0 for "greedy", or leave it out for "sample"',
    "random_seed": "use seed",
    "stop_sequences": "use stop",
    "top_k": "chat has no top_k; use top_p or temperature",
    "typical_p": "chat has no typical_p; use top_p",
    "truncate_input_tokens": "chat does not cut its input; shorten the messages",
    "return_options": "use logprobs and top_logprobs",
    "include_stop_sequence": "chat never includes it; leave it out",
    "prompt_variables": "use context for a deployed prompt template",
    "guardrails": "use moderations",
    "guardrails_hap_params": "use moderations",
    "guardrails_pii_params": "use moderations",
}
"""Names of the text generation API, and what chat has instead."""

_TWINS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Old and new name of one limit; the service prefers the new one (official Node SDK's tests)."""


def refuse_unknown(names: Iterable[str], known: Collection[str], owner: str) -> None:
    """Refuse names that are not known.

    Raises:
        ConfigurationError: names the first unknown one, and the nearest known one or chat's counterpart.
    """
    for name in names:
        if name in known:
            continue
        if name in TEXT_GENERATION:
            hint: str | None = f"{name} belongs to text generation: {TEXT_GENERATION[name]}"
        else:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else None
        raise ConfigurationError(f"{owner} has no parameter {name!r}", hint=hint, field=name)


def params_as_dict(params: Any) -> dict[str, Any]:
    """Return `params`, a dictionary or an object with `to_dict` such as the official SDK's, as a new dictionary.

    Raises:
        ConfigurationError: it is neither.
    """
    if params is None:
        return {}
    if isinstance(params, BaseModel):
        params = params.model_dump(exclude_none=True)
    elif callable(getattr(params, "to_dict", None)):
        params = params.to_dict()
    if not isinstance(params, Mapping):
        raise ConfigurationError(
            f"params: a dictionary or an object with to_dict is needed, not {type(params).__name__}", field="params"
        )
    return {str(name): value for name, value in params.items() if value is not None}


def normal(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without empty ones and with schemas in the shape of the wire."""
    kept = {name: value for name, value in parameters.items() if value is not None}
    if kept.get("stop") == []:
        del kept["stop"]
    if "response_format" in kept:
        kept["response_format"] = response_format_of(kept["response_format"])
    guide = kept.get("guided_json")
    if guide is not None:
        kept["guided_json"] = inline(guide) if isinstance(guide, Mapping) else parameters_of(guide)
    return kept


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of one call: the defaults, overridden by what the call gives.

    None gives nothing; an empty `stop` takes the default's away.
    """
    whole = normal(defaults)
    if not given:
        return whole
    for name, value in given.items():
        if value is None:
            continue
        whole.pop(_TWINS.get(name, ""), None) if _TWINS.get(name) not in given else None
        whole[name] = value
    if given.get("logprobs") is False and "top_logprobs" not in given:
        whole.pop("top_logprobs", None)
    return normal(whole)


def check(parameters: Mapping[str, Any], owner: str) -> None:
    """Refuse values that the API does not take.

    Raises:
        ConfigurationError: names each field and its bounds.
    """
    try:
        check_parameters(normal(parameters))
    except ValidationError as error:
        raise ConfigurationError.from_validation(error, owner) from None
