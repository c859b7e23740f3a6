"""What mutations start from: the golden bodies and streams, each with the kind of call that it answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

GOLDEN = Path(__file__).parents[1] / "golden"
Kind = Literal[
    "chat",
    "chat_stream",
    "generation",
    "generation_stream",
    "gateway_generation",
    "gateway_generation_stream",
    "embeddings",
    "gateway_embeddings",
    "rerank",
    "tokenization",
    "specs",
    "tool_list",
    "tool_run",
    "refusal",
    "iam_token",
    "platform_token",
]
STREAMS = frozenset({"chat_stream", "generation_stream", "gateway_generation_stream"})


@dataclass(frozen=True)
class Answer:
    """One HTTP answer.

    Attributes:
        cuts: places where the body is cut into pieces on its way.
    """

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cuts: tuple[int, ...] = ()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces, none of them empty."""
        places = [0, *sorted({cut for cut in self.cuts if 0 < cut < len(self.body)}), len(self.body)]
        for start, end in itertools.pairwise(places):
            if start < end:
                yield self.body[start:end]


@dataclass(frozen=True)
class Seed:
    """A recorded answer."""

    name: str
    kind: Kind
    answer: Answer

    @property
    def streamed(self) -> bool:
        return self.kind in STREAMS


_WHOLE: dict[str, Kind] = {
    "answers/chat": "chat",
    "answers/chat_tool_call": "chat",
    "answers/chat_blocked": "chat",
    "others/chat_logprobs": "chat",
    "others/chat_json": "chat",
    "others/chat_double_encoded": "chat",
    "others/gateway_chat": "chat",
    "answers/generation": "generation",
    "others/generation_details": "generation",
    "others/gateway_completion": "gateway_generation",
    "answers/embeddings": "embeddings",
    "others/gateway_embeddings": "gateway_embeddings",
    "answers/rerank": "rerank",
    "answers/tokenization": "tokenization",
    "others/specs": "specs",
    "utility_tools/list": "tool_list",
    "utility_tools/run_answer_googlesearch": "tool_run",
    "utility_tools/run_answer_webcrawler": "tool_run",
    "utility_tools/run_ragquery_answer": "tool_run",
    "others/iam_token": "iam_token",
    "others/platform_token": "platform_token",
}
_REFUSALS = {"ml": 404, "rate_limit": 429, "iam": 400, "tools": 401, "gateway": 500, "files": 401, "schemas": 404}
_TEXT_STREAMS = {"generation", "generation_empty_frames", "recorded-2024", "recorded-2025"}


def seeds() -> list[Seed]:
    """Return all seeds, in a fixed order."""
    found = [Seed(name, kind, Answer(_read(f"{name}.json"))) for name, kind in _WHOLE.items()]
    found += [
        Seed(f"refusals/{name}", "refusal", Answer(_read(f"refusals/{name}.json"), status))
        for name, status in _REFUSALS.items()
    ]
    for folder in ("streams", "tool_streams", "text_streams"):
        for path in sorted((GOLDEN / folder).glob("*.sse")):
            found.append(
                Seed(
                    f"{folder}/{path.stem}",
                    _stream_kind(folder, path.stem),
                    Answer(path.read_bytes(), content_type="text/event-stream"),
                )
            )
    return found


def _stream_kind(folder: str, name: str) -> Kind:
    if folder == "text_streams" and name == "gateway":
        return "gateway_generation_stream"
    return "generation_stream" if name in _TEXT_STREAMS else "chat_stream"


def _read(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()
