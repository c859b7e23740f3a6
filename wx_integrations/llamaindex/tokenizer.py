"""The tokenizer LlamaIndex counts with, by the service's tokenization endpoint."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from wx_integrations.core import calls
from wx_integrations.core.session import Session

if TYPE_CHECKING:  # loaded with the first text
    from wx_integrations.core.wire.tokenization import Tokenization

CACHE_SIZE = 4096


class WatsonxTokenizer:
    """A function from a text to its tokens, remembered for the texts seen last.

        Settings.tokenizer = llm.tokenizer

    LlamaIndex calls tokenizers synchronously; in a coroutine, `await
    tokenizer.acall(text)` beforehand fills the memory without blocking.

    Args:
        session: the clients that ask.
        target: the model whose tokens they are.
        cache_size: how many texts are remembered.
    """

    def __init__(self, session: Session, target: calls.Target, *, cache_size: int = CACHE_SIZE) -> None:
        self.target = target
        self._session = session
        self._cache_size = cache_size
        self._cache: OrderedDict[str, list[str]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, text: str) -> list[str]:
        """Return the text's tokens; the empty text has none."""
        known = self._known(text)
        if known is None:
            known = self._learnt(text, self._session.client.run(calls.tokenize(self.target, text, return_tokens=True)))
        return list(known)

    async def acall(self, text: str) -> list[str]:
        """Return the text's tokens without blocking the event loop."""
        known = self._known(text)
        if known is None:
            answer = await self._session.async_client.run(calls.tokenize(self.target, text, return_tokens=True))
            known = self._learnt(text, answer)
        return list(known)

    def _known(self, text: str) -> list[str] | None:
        if not text:
            return []
        with self._lock:
            if text in self._cache:
                self._cache.move_to_end(text)
            return self._cache.get(text)

    def _learnt(self, text: str, answer: Tokenization) -> list[str]:
        tokens = answer.result.tokens
        if tokens is None:  # counted only: as many nameless tokens
            tokens = [""] * answer.result.token_count
        with self._lock:
            self._cache[text] = tokens
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return tokens

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._session, self.target))
