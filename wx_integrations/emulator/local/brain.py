"""The brain with real weights: models on this machine behind the emulator's protocol.

Files are fetched and engines started when they are first needed, or all at
once by `prepare`. Every card's `model_id` names what really runs; its aliases
let code written for the hosted models run unchanged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wx_integrations.core.wire.chat import ChatRequest
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator.brain import Embedded, ModelCard, Piece, Ranked, Reasoning, Refusal
from wx_integrations.emulator.local.catalogue import PROFILES, LocalModel
from wx_integrations.emulator.local.choosing import AskingChooser, Chooser, NearnessChooser
from wx_integrations.emulator.local.engine import Engine, EngineSettings, find_engine
from wx_integrations.emulator.local.errors import FetchError
from wx_integrations.emulator.local.fetch import Progress, fetch_models
from wx_integrations.emulator.local.judge import cosine, judge
from wx_integrations.emulator.local.requests import text_turns
from wx_integrations.emulator.local.sampling import chat_sampling, generation_sampling, grammar_of, is_json
from wx_integrations.emulator.local.served import chat_card, embedding_card, own_card
from wx_integrations.emulator.local.tools import call_tool
from wx_integrations.emulator.local.vectors import embed
from wx_integrations.emulator.local.writing import deadline_of, write_answer, write_on

Profile = Literal["default", "small"]

DEFAULT_CONTEXT = 8192
_PASSAGE_SHARE = 0.75


@dataclass(frozen=True)
class _Served:
    """A card and where its weights come from: the catalogue or a file of the user's."""

    card: ModelCard
    source: LocalModel | Path
    embedding: bool = False


class LocalBrain:
    """Answers with models on this machine.

    Args:
        profile: "default" (Qwen2.5-Coder-1.5B and MiniLM, 1.2 GB) or "small" (SmolLM2-135M and MiniLM, 0.2 GB).
        chat_model: a GGUF file to chat with instead of the profile's.
        folder: where fetched models are kept.
        threads: of each engine. As many as there are cores is many times slower than one less.
        context: tokens of prompt and answer together, at most what the model knows.
        parallel: conversations answered at the same time, each with its own context.
        on_progress: hears of downloads.
        proxy: like pip's --proxy.
        offline: never download.

    Raises:
        FetchError: the profile or the file is not what it should be; downloads fail later, in `prepare` or at use.
    """

    def __init__(
        self,
        profile: Profile = "default",
        *,
        chat_model: str | Path | None = None,
        folder: Path | None = None,
        threads: int = 1,
        context: int = DEFAULT_CONTEXT,
        parallel: int = 1,
        on_progress: Progress | None = None,
        proxy: str | None = None,
        offline: bool = False,
    ) -> None:
        if profile not in PROFILES:
            raise FetchError(profile, "There is no such profile.", f"Choose one of {', '.join(PROFILES)}.")
        self._folder, self._on_progress, self._proxy, self._offline = folder, on_progress, proxy, offline
        self._threads, self._context, self._parallel = threads, context, parallel
        chat, embedding = PROFILES[profile]
        own = None if chat_model is None else Path(chat_model).expanduser()
        judges = own is not None or chat.thorough
        self._served = {
            served.card.model_id: served
            for served in (
                _Served(embedding_card(embedding, reranks=not judges), embedding, embedding=True),
                _Served(own_card(own, context), own)
                if own
                else _Served(chat_card(chat, min(context, chat.context), reranks=judges), chat),
            )
        }
        self._engines: dict[str, Engine] = {}
        self._choosers: dict[str, Chooser] = {}
        self._lock = threading.Lock()
        self._closed = False

    @property
    def cards(self) -> Sequence[ModelCard]:
        return [served.card for served in self._served.values()]

    def prepare(self, on_progress: Progress | None = None) -> None:
        """Fetch all weights and see that the engine is there, so that the first question need not wait for it.

        Raises:
            FetchError: a model cannot be had.
            MissingExtra: the engine is not installed.
        """
        find_engine()
        self._fetch([served.source for served in self._served.values()], on_progress or self._on_progress)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()

    # ------------------------------------------------------------------ answers

    def chat(self, model_id: str, request: ChatRequest, choice: int = 0) -> Iterator[Piece]:
        engine = self._engine(model_id)
        deadline = deadline_of(request.time_limit)
        grammar = grammar_of(request)
        if grammar and is_json(grammar):
            engine.check_grammar(grammar)
        sampling = self._defaults(model_id) | chat_sampling(request, choice)
        if request.tools and request.tool_choice_option != "none":
            chooser = self._chooser(model_id, engine)
            if pieces := call_tool(engine, chooser, request, sampling, deadline):
                yield from pieces
                return
        turns = text_turns(request, thorough=self._thorough(model_id))
        for piece in write_answer(engine, turns, sampling, grammar=grammar, deadline=deadline):
            if request.include_reasoning is not False or not isinstance(piece, Reasoning):
                yield piece

    def generate(self, model_id: str, text: str, parameters: GenerationParameters) -> Iterator[Piece]:
        engine = self._engine(model_id)
        prompt: str | list[int] = text
        if parameters.truncate_input_tokens is not None:
            ids = [token for token, _ in engine.tokens(text)]
            prompt = ids[-parameters.truncate_input_tokens :]
        yield from write_on(
            engine,
            prompt,
            generation_sampling(parameters),
            least=parameters.min_new_tokens or 0,
            keep_stop=parameters.include_stop_sequence is not False,
            deadline=deadline_of(parameters.time_limit),
        )

    def embed(self, model_id: str, texts: Sequence[str], truncate: int | None) -> Embedded:
        limit = self._served[model_id].card.max_sequence_length
        return embed(self._engine(model_id), texts, truncate, limit)

    def rerank(self, model_id: str, query: str, passages: Sequence[str], truncate: int | None) -> Ranked:
        engine = self._engine(model_id)
        limit = self._served[model_id].card.max_sequence_length
        if self._served[model_id].embedding:
            embedded = embed(engine, [query, *passages], limit if truncate is None else truncate, limit)
            return Ranked(cosine(embedded.vectors[0], embedded.vectors[1:]), embedded.token_count)
        room = int(limit * _PASSAGE_SHARE) - len(engine.tokens(query))
        return judge(engine, query, passages, min(room, truncate or room))

    def tokenize(self, model_id: str, text: str) -> Sequence[str]:
        return [piece for _, piece in self._engine(model_id).tokens(text)]

    # ------------------------------------------------------------------ engines

    def _defaults(self, model_id: str) -> dict[str, Any]:
        source = self._served[model_id].source
        return dict(source.sampling) if isinstance(source, LocalModel) else {}

    def _thorough(self, model_id: str) -> bool:
        source = self._served[model_id].source
        return not isinstance(source, LocalModel) or source.thorough

    def _chooser(self, model_id: str, engine: Engine) -> Chooser:
        if not self._thorough(model_id):
            return NearnessChooser(
                self._engine(next(name for name, served in self._served.items() if served.embedding))
            )
        with self._lock:
            return self._choosers.setdefault(model_id, AskingChooser(engine))

    def _engine(self, model_id: str) -> Engine:
        with self._lock:
            if self._closed:
                raise Refusal(503, "downstream_request_failed", "The local models have been stopped.")
            if model_id not in self._engines:
                self._engines[model_id] = self._new_engine(self._served[model_id])
            return self._engines[model_id]

    def _new_engine(self, served: _Served) -> Engine:
        try:
            path = self._fetch([served.source], self._on_progress)[0]
        except FetchError as error:
            raise Refusal(503, "downstream_request_failed", str(error)) from error
        limit = served.card.max_sequence_length
        settings = EngineSettings(self._threads, limit, 1 if served.embedding else self._parallel)
        return Engine(path, settings, name=served.card.model_id, embedding=served.embedding)

    def _fetch(self, sources: Sequence[LocalModel | Path], on_progress: Progress | None) -> list[Path]:
        models = [source for source in sources if isinstance(source, LocalModel)]
        got = fetch_models(
            models, folder=self._folder, on_progress=on_progress, proxy=self._proxy, offline=self._offline
        )
        return [got[source.name] if isinstance(source, LocalModel) else source for source in sources]
