"""What LangChain is told about a model and its calls: identity, invocation parameters, cache key, LangSmith."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.language_models import LangSmithParams

from wx_integrations.core import calls
from wx_integrations.core.fields import CALL_OPTIONS
from wx_integrations.langchain.parameters import NAMES, TARGET_NAMES
from wx_integrations.langchain.turns import Turns


class Tracing(Turns):
    """Identity of a chat model; every answer depends on it, so the cache key is made of it."""

    @property
    def _llm_type(self) -> str:
        return "watsonx-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**self._whereabouts(self.target), **self.parameters}

    def _whereabouts(self, target: calls.Target) -> dict[str, Any]:
        facts = {name: value for name, value in vars(target).items() if value is not None}
        return {**facts, "kind": type(target).__name__.lower(), "url": self.settled_connection.hosts.ml}

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        target = self._target_of(kwargs)
        rest = {
            name: value
            for name, value in kwargs.items()
            if name not in (*NAMES, *TARGET_NAMES, *CALL_OPTIONS, "params")
        }
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
            "output_version": getattr(self, "output_version", None),
            "thinking_tags": self.thinking_tags,
            "recover_tool_calls": self.recover_tool_calls,
            "first_tool_call_only": kwargs.get("first_tool_call_only", self.first_tool_call_only),
        }
        return json.dumps(key, sort_keys=True, default=repr)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        target = self._target_of(kwargs)
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
