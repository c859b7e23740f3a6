"""Texts into batches of a bounded size, and a refused batch into halves; pure.

One request takes up to 1000 texts (watsonx.ai API reference, "Text
embeddings" and "Text rerank"). Tokens are estimated from bytes: counting them
would take the model's own tokenizer or a request per text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wx_integrations.core.calls.values import HALF
from wx_integrations.core.errors import ConfigurationError

MAX_TEXTS = 1000
"""Texts one request takes."""
MAX_BYTES = 4_000_000
"""Bytes of text in one request unless set otherwise: four kilobytes for each of a thousand texts."""
WIDEST_CHARACTER = 4
"""Bytes in UTF-8."""
BYTES_PER_TOKEN = 3
"""On the low side for English prose (about 4), about right for Chinese (one character)."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much fits into one request.

    Attributes:
        texts: at most this many.
        tokens: estimated, at most this many; None for no bound.
        bytes: UTF-8, at most this many; None for no bound.
        per_text: tokens a text is cut to by the service, which bounds its estimate.
    """

    texts: int = MAX_TEXTS
    tokens: int | None = None
    bytes: int | None = MAX_BYTES
    per_text: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive texts that go into one request.

    Attributes:
        start: the first text's index among all.
        rounds: how often this batch was tried before.
    """

    start: int
    texts: list[str]
    rounds: int = 0

    @property
    def end(self) -> int:
        """The index after the last text's."""
        return self.start + len(self.texts)

    def halves(self) -> tuple[Batch, Batch]:
        """Return the first and the second half, which is never the longer one."""
        middle = (len(self.texts) + 1) // 2
        return (
            Batch(self.start, self.texts[:middle]),
            Batch(self.start + middle, self.texts[middle:]),
        )

    def again(self) -> Batch:
        """Return the batch for another round."""
        return replace(self, rounds=self.rounds + 1)


def size_of(text: str) -> int:
    """Return a text's bytes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text takes, rather too many than too few; at least 1."""
    return 1 + size_of(text) // BYTES_PER_TOKEN


class Batcher:
    """Fills batches with texts as they come; a text larger than the room goes alone.

    Args:
        room: how much fits into one request.
        start: the first text's index.
    """

    def __init__(self, room: Room, start: int = 0) -> None:
        self._room = room
        self._start = start
        self._texts: list[str] = []
        self._bytes = 0
        self._tokens = 0

    def push(self, text: str) -> Batch | None:
        """Take a text; return the batch that is full without it, or with it."""
        size = size_of(text)
        tokens = 1 + size // BYTES_PER_TOKEN
        if self._room.per_text is not None:
            tokens = min(tokens, self._room.per_text)
        full = self.flush() if self._texts and not self._fits(size, tokens) else None
        self._texts.append(text)
        self._bytes += size
        self._tokens += tokens
        if full is None and len(self._texts) >= self._room.texts:
            return self.flush()
        return full

    def _fits(self, size: int, tokens: int) -> bool:
        room = self._room
        return (
            len(self._texts) < room.texts
            and (room.bytes is None or self._bytes + size <= room.bytes)
            and (room.tokens is None or self._tokens + tokens <= room.tokens)
        )

    def flush(self) -> Batch | None:
        """Return what was taken and not returned yet."""
        if not self._texts:
            return None
        batch = Batch(self._start, self._texts)
        self._start, self._texts, self._bytes, self._tokens = batch.end, [], 0, 0
        return batch


def batches(texts: Iterable[str], room: Room | None = None, start: int = 0) -> Iterator[Batch]:
    """Yield texts in batches, in order, taking no more of them than the batch needs."""
    batcher = Batcher(room or Room(), start)
    for text in texts:
        full = batcher.push(text)
        if full is not None:
            yield full
    rest = batcher.flush()
    if rest is not None:
        yield rest


def slices(texts: Sequence[str], room: Room) -> Iterator[Batch]:
    """Yield the batches of texts that are all there, without a look at each while they are surely small enough."""
    for start in range(0, len(texts), room.texts):
        some = list(texts[start : start + room.texts])
        most = WIDEST_CHARACTER * sum(map(len, some))
        fits = (room.bytes is None or most <= room.bytes) and (
            room.tokens is None or len(some) + most // BYTES_PER_TOKEN <= room.tokens
        )
        if not fits:
            yield from batches(texts[start:], room, start)
            return
        yield Batch(start, some)


# --------------------------------------------------------------------------- what may be sent

_SHOWN = 5
_HINT = "Leave it out, or set empty='send' to leave it to the service"


def flaw_of(text: Any, index: int, name: str, *, allow_empty: bool) -> ConfigurationError | None:
    """Return what makes a text unfit to be sent, if anything does.

    Args:
        index: the text's.
        name: the argument's name, for the message.
        allow_empty: whether empty texts are sent as they are.
    """
    if not isinstance(text, str):
        return ConfigurationError(f"{name}[{index}] is {type(text).__name__}, not text", field=name)
    if not allow_empty and (not text or text.isspace()):
        return ConfigurationError(f"{name}[{index}] is empty", hint=_HINT, field=name)
    if not _is_characters(text):
        hint = "Decode it with errors='replace', or leave it out"
        return ConfigurationError(f"{name}[{index}] holds {HALF}", hint=hint, field=name)
    return None


def _is_characters(text: str) -> bool:
    """Whether UTF-8 can write a text."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_texts(texts: Sequence[Any], name: str, *, allow_empty: bool) -> None:
    """Refuse what is no list of texts, what UTF-8 cannot write, and empty texts unless allowed.

    Raises:
        ConfigurationError: names the first indices.
    """
    if isinstance(texts, str | bytes):
        raise ConfigurationError(
            f"{name} is a single {type(texts).__name__}", hint=f"Give a list of texts: {name}=[...]", field=name
        )
    if (
        set(map(type, texts)) <= {str}
        and (allow_empty or not ("" in texts or any(map(str.isspace, texts))))
        and (all(map(str.isascii, texts)) or all(map(_is_characters, texts)))
    ):
        return
    flaws = []
    for index, text in enumerate(texts):
        flaw = flaw_of(text, index, name, allow_empty=allow_empty)
        if flaw is not None:
            flaws.append((index, flaw))
    if len(flaws) == 1:
        raise flaws[0][1]
    if flaws:
        shown = "; ".join(flaw.message for _, flaw in flaws[:_SHOWN])
        more = f"; and {len(flaws) - _SHOWN} more" if len(flaws) > _SHOWN else ""
        raise ConfigurationError(shown + more, hint=flaws[0][1].hint, field=name)
