"""Which arguments are known, and `params` in its several forms; pure.

A name nobody knows is refused with the nearest known one, and names of the
text generation API with what chat calls the same thing.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from wx_integrations.core.errors import ConfigurationError

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
