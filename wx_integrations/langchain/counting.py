"""Counting tokens: the service's tokenizer with a cache, and an offline estimate where it cannot be asked."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, get_buffer_string

from wx_integrations.core import calls
from wx_integrations.core.errors import ConfigurationError, InvalidRequest, NotFound, Unauthorized, WatsonxError
from wx_integrations.core.fields import ModelFields
from wx_integrations.langchain.forms import ToolLike
from wx_integrations.langchain.metadata import WatsonxWarning

_KEPT = 1024
_CHARACTERS_PER_TOKEN = 4


def estimate(text: str) -> int:
    """Return roughly how many tokens a text has: one per 4 ASCII characters, one per other character."""
    plain = sum(char.isascii() for char in text)
    return math.ceil(plain / _CHARACTERS_PER_TOKEN) + len(text) - plain


if TYPE_CHECKING:
    Base = ModelFields
else:  # a mixin: each further pydantic class with this many fields costs milliseconds at import
    Base = object


class Counting(Base):
    """`get_num_tokens` and its kin through the tokenization endpoint.

    Texts already counted are not sent again. Deployments and the Model Gateway
    have no tokenizer, and a service that cannot be reached has none just now:
    then counts are estimated, with one warning.
    """

    _token_counts: dict[str, int]
    _tokenizer_missing: bool
    _estimate_told: bool

    def get_num_tokens(self, text: str) -> int:
        """Return how many tokens a text has."""
        if (counter := self._own_counter()) is not None:
            return len(counter(text))
        if (known := self._known(text)) is not None:
            return known
        try:
            return self._counted(text, self.client.run(calls.tokenize(self.target, text)).result.token_count)
        except WatsonxError as error:
            return self._estimated(text, error)

    async def aget_num_tokens(self, text: str) -> int:
        """Return how many tokens a text has."""
        if (counter := self._own_counter()) is not None:
            return len(counter(text))
        if (known := self._known(text)) is not None:
            return known
        try:
            answer = await self.async_client.run(calls.tokenize(self.target, text))
        except WatsonxError as error:
            return self._estimated(text, error)
        return self._counted(text, answer.result.token_count)

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[ToolLike] | None = None,
    ) -> int:
        """Return how many tokens messages and tools have as text, without what the model's chat template adds.

        Images, audio and video are not counted; the service tells only how many they took.
        """
        return self.get_num_tokens(_as_text(messages, tools))

    async def aget_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[ToolLike] | None = None,
    ) -> int:
        """Return how many tokens messages and tools have as text."""
        return await self.aget_num_tokens(_as_text(messages, tools))

    def get_token_ids(self, text: str) -> list[int]:
        """Return a text's token ids, if `custom_get_token_ids` is set: the service tells no ids.

        Raises:
            ConfigurationError: it is not set.
        """
        if (counter := self._own_counter()) is not None:
            return counter(text)
        raise ConfigurationError(
            "watsonx.ai tells how many tokens there are, not their ids",
            hint="Use get_num_tokens, or set custom_get_token_ids",
            field="custom_get_token_ids",
        )

    def _own_counter(self) -> Callable[[str], list[int]] | None:
        counter: Callable[[str], list[int]] | None = getattr(self, "custom_get_token_ids", None)
        return counter

    def _known(self, text: str) -> int | None:
        if not text:
            return 0
        if not isinstance(self.target, calls.Model):
            self._tell(f"{type(self.target).__name__.lower()}s have no tokenizer")
            return estimate(text)
        if self._tokenizer_missing:
            return estimate(text)
        return self._token_counts.get(self._key(text))

    def _key(self, text: str) -> str:
        return f"{self.target.name}\0{text}"

    def _counted(self, text: str, count: int) -> int:
        if len(self._token_counts) >= _KEPT:
            self._token_counts.pop(next(iter(self._token_counts)), None)
        self._token_counts[self._key(text)] = count
        return count

    def _estimated(self, text: str, error: WatsonxError) -> int:
        """Return an estimate after a failure; who may not ask is told so instead."""
        if isinstance(error, ConfigurationError | Unauthorized):
            raise error
        if isinstance(error, NotFound | InvalidRequest):
            self._tokenizer_missing = True
        self._tell(error.message)
        return estimate(text)

    def _tell(self, why: str) -> None:
        if not self._estimate_told:
            self._estimate_told = True
            warnings.warn(f"token counts are estimated: {why}", WatsonxWarning, stacklevel=4)

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        private = {**(state.get("__pydantic_private__") or {}), "_token_counts": {}}
        return {**state, "__pydantic_private__": private}


def _as_text(messages: Sequence[BaseMessage], tools: Sequence[Any] | None) -> str:
    text = get_buffer_string(messages)
    if tools:
        from wx_integrations.langchain.schemas import tool_of

        text += "\n" + json.dumps([tool_of(tool) for tool in tools], ensure_ascii=False)
    return text
