"""Defaults and call-time settings become one strict request; call-time wins; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import CALL_OPTIONS
from wx_integrations.core.wire.chat import ChatParameters, check_parameters

NAMES = tuple(ChatParameters.model_fields)
"""Every parameter of a chat request that is neither a message nor a tool."""

CALL_NAMES = (
    *("tools", "tool_choice", "tool_choice_option", "force_once"),
    *("parallel_tool_calls", "first_tool_call_only", "params"),
    *CALL_OPTIONS,
)
"""What a call takes beside the parameters and the target."""

TARGET_NAMES = ("model_id", "model", "deployment_id")

_TWINS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Old and new name of one limit; the service prefers the new one (official Node SDK's tests)."""


def normal(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without empty ones and with schemas in the shape of the wire."""
    kept = {name: value for name, value in parameters.items() if value is not None}
    if kept.get("stop") == []:
        del kept["stop"]
    if "response_format" in kept or "guided_json" in kept:
        from wx_integrations.langchain import schemas  # few chats have any

        translate = {"response_format": schemas.response_format_of, "guided_json": schemas.guide_of}
        kept |= {name: of(kept[name]) for name, of in translate.items() if name in kept}
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
