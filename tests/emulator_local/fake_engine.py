"""An engine that writes what it is told and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.local.engine import Frame, TimeUp

Script = str | Exception | Callable[[Mapping[str, Any]], str]


class FakeEngine:
    """Answers in the order of its script; a prompt is the turns between tags, a token is a word."""

    def __init__(self, *script: Script, reason: str = "eos", refuses: Sequence[str] = ()) -> None:
        self.script = list(script)
        self.reason = reason
        self.refuses = refuses
        self.asked: list[dict[str, Any]] = []
        self.grammars: list[str] = []
        self.deadlines: list[float | None] = []
        self.closed = 0

    def _next(self, body: Mapping[str, Any]) -> str:
        if body.get("n_predict") == 0:
            return ""
        entry = self.script.pop(0)
        if isinstance(entry, Exception):
            raise entry
        return entry(body) if callable(entry) else entry

    def ask(self, path: str, body: Mapping[str, Any]) -> Frame:
        self.asked.append({"path": path, **body})
        return {"content": self._next(body), "tokens_evaluated": 3}

    def stream(self, path: str, body: Mapping[str, Any], deadline: float | None = None) -> Iterator[Frame]:
        self.asked.append({"path": path, **body})
        self.deadlines.append(deadline)
        try:
            text = self._next(body)
            if path.endswith("chat/completions"):
                for word in text.split(" "):
                    yield {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
                yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
                yield {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": len(text.split(" "))}}
                return
            yield {"content": text, "stop": False, "tokens_evaluated": 7, "tokens_predicted": 2}
            yield {"content": "", "stop": True, "stop_type": self.reason, "tokens_evaluated": 7, "tokens_predicted": 2}
        finally:
            self.closed += 1

    def tokens(self, text: str, *, special: bool = False) -> list[tuple[int, str]]:
        words = [(number, f" {word}" if number else word) for number, word in enumerate(text.split(" "))]
        return [(-1, "[CLS]"), *words, (-2, "[SEP]")] if special else words

    def text_of(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))

    def prompt_of(self, messages: Sequence[Mapping[str, Any]], template: Mapping[str, Any] | None = None) -> str:
        return "".join(f"<{turn['role']}>{turn['content']}" for turn in messages) + "<assistant>"

    def check_grammar(self, grammar: str) -> None:
        self.grammars.append(grammar)
        if any(word in grammar for word in self.refuses):
            raise Refusal(400, "invalid_input_argument", "no such grammar")

    @property
    def prompts(self) -> list[str]:
        """The prompts that were to be continued, those that only read aside."""
        return [str(body["prompt"]) for body in self.asked if "prompt" in body and body.get("n_predict") != 0]


class FakeEmbedder:
    """Embeds by counting letters; tells what it was given."""

    def __init__(self) -> None:
        self.given: list[list[str | list[int]]] = []

    def tokens(self, text: str, *, special: bool = False) -> list[tuple[int, str]]:
        ids = [(ord(letter), letter) for letter in text]
        return [(1, "[CLS]"), *ids, (2, "[SEP]")] if special else ids

    def vectors(self, inputs: Sequence[str | Sequence[int]]) -> tuple[list[list[float]], int]:
        self.given.append([item if isinstance(item, str) else list(item) for item in inputs])
        made, read = [], 0
        for item in inputs:
            ids = [1, *map(ord, item), 2] if isinstance(item, str) else list(item)
            read += len(ids)
            counts = [float(ids.count(ord(letter))) for letter in "abcdefghijklmnopqrstuvwxyz"]
            length = sum(count * count for count in counts) ** 0.5 or 1.0
            made.append([count / length for count in counts])
        return made, read


__all__ = ["FakeEmbedder", "FakeEngine", "TimeUp"]
