"""Runs one GGUF file in this process: llama.cpp's server inside the wheel `xllamacpp`.

The server is started at the first use. It is spoken to over its own loopback
port, behind a key that only this object knows: closing such a stream really
cancels the work, also while a long prompt is still being read.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import secrets
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.local.errors import MissingExtra

_BATCH = 64
"""Tokens of a prompt read in one go; a cancel is noticed between two batches (about a second with 1.5 B parameters)."""

_SCRATCH = 2048
"""Tokens of context beside the conversations', for what is read once and kept."""
_HTTP_THREADS = 16
"""Waiting requests hold one each; they sleep."""

Frame = dict[str, Any]


def find_engine() -> Any:
    """Return the module of the engine, which only the extra `local` brings.

    Raises:
        MissingExtra: it is not installed, or does not load here.
    """
    try:
        return importlib.import_module("xllamacpp")
    except ImportError as error:
        raise MissingExtra(str(error)) from error


class TimeUp(Exception):
    """The time limit of a request is over."""


@dataclass(frozen=True)
class EngineSettings:
    """How a model is run.

    Attributes:
        threads: for reading and writing; as many threads as cores is many times slower than one less.
        context: tokens of prompt and answer together.
        parallel: requests answered at the same time, each with its own context.
    """

    threads: int = 1
    context: int = 8192
    parallel: int = 1


class Engine:
    """A model file being run; safe to use from many threads; `close` frees the memory.

    Args:
        name: what refusals call the model.
        embedding: run it for sentence vectors instead of text.
    """

    def __init__(
        self, path: Path, settings: EngineSettings | None = None, *, name: str | None = None, embedding: bool = False
    ) -> None:
        self.path = path
        self.settings = settings or EngineSettings()
        self.name = name or path.stem
        self._embedding = embedding
        self._lock = threading.Lock()
        self._running = _Running()
        self._slots = _Slots(self.settings.parallel)
        self._closed = False
        self._sound_grammars: set[str] = set()
        self._end = weakref.finalize(self, _Running.stop, self._running)

    def close(self) -> None:
        """Stop the server; streams that are still open end with a Refusal."""
        with self._lock:
            self._closed = True
            self._end()

    @property
    def started(self) -> bool:
        return self._running.client is not None

    # ------------------------------------------------------------------ asking

    def ask(self, path: str, body: Mapping[str, Any]) -> Frame:
        """Send a request and return its whole answer; `scratch` in the body keeps what was read for the next such one.

        Raises:
            Refusal: the engine cannot do it.
            MissingExtra: the engine is not installed.
        """
        client = self._client()
        with self._failures(), self._slots.taken(body) as placed:
            answer = client.post(path, json=placed)
        return self._read(answer.content)

    def stream(self, path: str, body: Mapping[str, Any], deadline: float | None = None) -> Iterator[Frame]:
        """Send a request and yield its frames; closing the iterator cancels the work.

        Args:
            deadline: on the clock of `time.monotonic`.

        Raises:
            TimeUp: the deadline has passed.
            Refusal: the engine cannot do it.
        """
        client = self._client()
        left = None if deadline is None else max(deadline - time.monotonic(), 0.001)
        with self._failures(), self._slots.taken({**body, "stream": True}) as placed:
            request = client.build_request("POST", path, json=placed, timeout=httpx.Timeout(None, read=left))
            response = client.send(request, stream=True)
            with contextlib.closing(response):
                if response.status_code != 200:
                    self._read(response.read())
                for line in response.iter_lines():
                    if deadline is not None and time.monotonic() > deadline:
                        raise TimeUp
                    if line.startswith("data: ") and line != "data: [DONE]":
                        yield self._read(line[6:])

    def tokens(self, text: str, *, special: bool = False) -> list[tuple[int, str]]:
        """Return a text's tokens: their ids and pieces; bytes that are not UTF-8 show as the replacement character."""
        body = {"content": text, "add_special": special, "with_pieces": True}
        pieces = self.ask("/tokenize", body)["tokens"]
        return [(piece["id"], _piece(piece["piece"])) for piece in pieces]

    def text_of(self, ids: Sequence[int]) -> str:
        """Return the text of some tokens."""
        return str(self.ask("/detokenize", {"tokens": list(ids)})["content"])

    def prompt_of(self, messages: Sequence[Mapping[str, Any]], template: Mapping[str, Any] | None = None) -> str:
        """Return a conversation as the model's own chat template writes it."""
        body = {"messages": list(messages), **({"chat_template_kwargs": dict(template)} if template else {})}
        return str(self.ask("/apply-template", body)["prompt"])

    def vectors(self, inputs: Sequence[str | Sequence[int]]) -> tuple[list[list[float]], int]:
        """Return one vector per input (text or tokens) and the tokens read."""
        answer = self.ask("/v1/embeddings", {"input": list(inputs)})
        data = sorted(answer["data"], key=lambda item: item["index"])
        return [item["embedding"] for item in data], int(answer["usage"]["prompt_tokens"])

    def check_grammar(self, grammar: str) -> None:
        """Refuse a grammar that the engine cannot compile; it would silently write anything instead.

        One token is written with everything else but a letter suppressed: an
        active JSON grammar does not let the letter through.

        Raises:
            Refusal: the grammar does not hold.
        """
        if grammar in self._sound_grammars:
            return
        letter = self.tokens("Z")[-1][0]
        body = {"prompt": "a", "n_predict": 1, "temperature": 0, "logit_bias": [[letter, 100]], "grammar": grammar}
        if self.ask("/completion", {**body, "cache_prompt": False})["content"].strip() == "Z":
            raise Refusal(
                400, "invalid_input_argument", "The JSON schema is not valid, or uses what cannot be enforced."
            )
        self._sound_grammars.add(grammar)

    # ------------------------------------------------------------------ the server

    def _client(self) -> httpx.Client:
        with self._lock:
            if self._closed:
                raise Refusal(503, "downstream_request_failed", f"{self.name} has been closed.")
            if self._running.client is None:
                self._running.start(self._parameters(), self.name)
            assert self._running.client is not None
            return self._running.client

    def _parameters(self) -> Any:
        chosen = find_engine().CommonParams()
        chosen.model.path = str(self.path)
        chosen.n_ctx = self.settings.context * self.settings.parallel + (0 if self._embedding else _SCRATCH)
        chosen.n_parallel = self.settings.parallel + (0 if self._embedding else 1)
        chosen.kv_unified = True
        chosen.cpuparams.n_threads = self.settings.threads
        chosen.cpuparams_batch.n_threads = self.settings.threads
        chosen.n_threads_http = _HTTP_THREADS
        chosen.embedding = self._embedding
        chosen.n_batch = chosen.n_ubatch = self.settings.context if self._embedding else _BATCH
        chosen.cache_ram_mib = 0
        chosen.verbosity = -1
        chosen.warmup = chosen.ui = chosen.endpoint_slots = False
        chosen.sse_ping_interval = -1
        return chosen

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except httpx.ReadTimeout as error:
            raise TimeUp from error
        except (httpx.TransportError, RuntimeError) as error:
            if self._closed:
                message = f"{self.name} was closed while it answered."
                raise Refusal(503, "downstream_request_failed", message) from error
            message = f"The engine of {self.name} broke off: {error}"
            raise Refusal(500, "downstream_request_failed", message) from error

    def _read(self, data: bytes | str) -> Frame:
        frame: Frame = json.loads(data)
        if error := frame.get("error"):
            raise self._refusal(error)
        return frame

    def _refusal(self, error: Mapping[str, Any]) -> Refusal:
        if error.get("type") == "exceed_context_size_error":
            return Refusal(
                400,
                "invalid_input_argument",
                f"The prompt has {error['n_prompt_tokens']} tokens, but {self.name} runs with a context of"
                f" {self.settings.context} here. Send less, or start it with a larger context.",
            )
        status = int(error.get("code", 500))
        message = str(error.get("message", "the engine failed"))
        if status == 400:
            return Refusal(400, "invalid_input_argument", message)
        return Refusal(500, "downstream_request_failed", message)


class _Slots:
    """Spreads requests over the engine's slots; the last one is kept for requests that say `scratch`.

    A slot remembers what it read last, and a request that allows it (`cache_prompt`) goes on from there.
    """

    def __init__(self, count: int) -> None:
        self._busy = [0] * count
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def taken(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Hold a slot; the value is the body that names it."""
        placed = dict(body)
        if placed.pop("scratch", False):
            yield {**placed, "id_slot": len(self._busy)}
            return
        with self._lock:
            slot = self._busy.index(min(self._busy))
            self._busy[slot] += 1
        try:
            yield {**placed, "id_slot": slot}
        finally:
            with self._lock:
                self._busy[slot] -= 1


class _Running:
    """The server and the client that speaks to it; apart from the engine, so that it can outlive it for a moment."""

    def __init__(self) -> None:
        self.server: Any = None
        self.client: httpx.Client | None = None

    def start(self, parameters: Any, name: str) -> None:
        key = secrets.token_urlsafe(24)
        parameters.api_keys = [key]
        try:
            self.server = find_engine().Server(parameters)
        except RuntimeError as error:
            raise Refusal(
                500,
                "downstream_request_failed",
                f"{name} could not be loaded: the file is damaged, of an unknown kind, or there is too little memory.",
            ) from error
        self.client = httpx.Client(
            base_url=self.server.listening_address,
            headers={"Authorization": f"Bearer {key}"},
            timeout=None,  # noqa: S113 - the model decides how long it thinks; deadlines are per request
            limits=httpx.Limits(max_keepalive_connections=0),  # the server drops idle connections without a word
            trust_env=False,
        )

    def stop(self) -> None:
        """Break the streams first: the server waits for them otherwise."""
        client, self.client = self.client, None
        if client is not None:
            client.close()
        self.server = None


def _piece(piece: str | list[int]) -> str:
    return piece if isinstance(piece, str) else bytes(piece).decode("utf-8", "replace")
