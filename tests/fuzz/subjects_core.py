"""The clients of the core, both colours, and what stands on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import httpx
import numpy as np

from tests.fuzz.json_reading import ANYTHING, Wrong
from tests.fuzz.reading import Facts
from tests.fuzz.seeds import Kind
from tests.fuzz.subjects import MODEL, PROJECT, URL, Stage, Subject
from wx_integrations.core import calls
from wx_integrations.core.agent_tools import ServiceTools
from wx_integrations.core.calls import Call, Gateway, Model, StreamCall
from wx_integrations.core.connection import Connection
from wx_integrations.core.embedder import Embedder
from wx_integrations.core.errors import PartialFailure, ServiceError
from wx_integrations.core.ranker import Ranker
from wx_integrations.core.session import Session
from wx_integrations.core.toolbox import Toolbox
from wx_integrations.core.toolcalls import AssembledCall, Assembler, whole_calls
from wx_integrations.core.wire.chat import ChatRequest, Completion, Delta, Usage, UserMessage, Warning  # noqa: A004
from wx_integrations.core.wire.embeddings import Embeddings
from wx_integrations.core.wire.frames import Chunk, model_of, notes_of, usage_of
from wx_integrations.core.wire.models import ModelSpecsPage
from wx_integrations.core.wire.rerank import Ranking
from wx_integrations.core.wire.text import Generation, GenerationRequest

CUT = ("length", "max_tokens", "token_limit", "time_limit", "cancelled")
HI = ChatRequest(messages=[UserMessage(content="hi")])
ONCE = GenerationRequest(input="Once")
TEXTS = ["a", "b"]
"""What is embedded through the gateway and ranked; the ML sample embeds one text."""
_MODEL, _GATEWAY = Model(MODEL, PROJECT), Gateway("openai/gpt-6", PROJECT)


class CoreSubjects:
    """Builds the subjects of the core."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.session = Session(self._connection(token="t"), waiting=stage.time.waiting)

    def _connection(self, url: str = URL, **login: Any) -> Connection:
        transport = self.stage.playback
        return Connection(
            url=url,
            project_id=PROJECT,
            max_retries=0,
            httpx_client=httpx.Client(transport=transport),
            async_httpx_client=httpx.AsyncClient(transport=transport),
            **login,
        )

    def all(self) -> list[Subject]:
        """Return the subjects."""
        whole: list[tuple[Kind, Call[Any], Callable[[Any], Facts], Callable[[Facts], Facts]]] = [
            ("chat", calls.chat(_MODEL, HI), _completion, _same),
            ("generation", calls.generate(_MODEL, ONCE), _generation, _same),
            ("gateway_generation", calls.generate(_GATEWAY, ONCE), _generation, _same),
            ("embeddings", calls.embed(_MODEL, ["a"]), _embeddings, _same),
            ("gateway_embeddings", calls.embed(_GATEWAY, TEXTS), _embeddings, _same),
            ("rerank", calls.rerank(_MODEL, "q", TEXTS), _ranking, _same),
            ("tokenization", calls.tokenize(_MODEL, "a", return_tokens=True), _tokens, _same),
            ("specs", calls.model_specs(), _specs, _same),
            ("tool_run", calls.run_tool("GoogleSearch", "x"), lambda answer: {"output": answer.output}, _same),
        ]
        made = [subject for row in whole for subject in self._runs(*row)]
        made += self._streams("chat_stream", calls.chat_stream(_MODEL, HI), _chunks)
        made += self._streams("generation_stream", calls.generate_stream(_MODEL, ONCE), _frames)
        made += self._streams("gateway_generation_stream", calls.generate_stream(_GATEWAY, ONCE), _frames)
        return [*made, *self._engines(), *self._refusals(), *self._logins()]

    def _runs(
        self, kind: Kind, call: Call[Any], see: Callable[[Any], Facts], expected: Callable[[Facts], Facts]
    ) -> list[Subject]:
        client, aclient, kinds = self.session.client, self.session.async_client, frozenset({kind})
        return [
            Subject(f"Client.run {kind}", kinds, lambda: see(client.run(call)), expected),
            Subject(f"AsyncClient.run {kind}", kinds, lambda: see(self.stage.wait(aclient.run(call))), expected),
        ]

    def _streams(self, kind: Kind, call: StreamCall[Any], see: Callable[[list[Any]], Facts]) -> list[Subject]:
        async def collected() -> list[Any]:
            return [value async for value in self.session.async_client.stream(call)]

        kinds: frozenset[Kind] = frozenset({kind})
        return [
            Subject(f"Client.stream {kind}", kinds, lambda: see(list(self.session.client.stream(call))), _same),
            Subject(f"AsyncClient.stream {kind}", kinds, lambda: see(self.stage.wait(collected())), _same),
        ]

    def _engines(self) -> list[Subject]:
        embedder, gateway = Embedder(self.session, _MODEL), Embedder(self.session, _GATEWAY)
        arrays = Embedder(self.session, _MODEL, arrays=True)
        ranker = Ranker(self.session, _MODEL)
        toolbox = Toolbox(ServiceTools(self.session))

        def tools() -> Facts:
            toolbox.forget()
            return {
                "tools": [
                    {"name": tool.name, "description": tool.description, "schema": tool.about.input_schema}
                    for tool in toolbox.tools()
                ]
            }

        def embedded(engine: Embedder, texts: list[str]) -> Callable[[], Facts]:
            return lambda: {"vectors": engine.embed(texts).vectors}

        def matrix() -> Facts:
            return {"vectors": [[float(number) for number in row] for row in arrays.embed(["a"]).vectors]}

        return [
            Subject("Embedder", frozenset({"embeddings"}), embedded(embedder, ["a"]), vectors_for(1)),
            Subject("Embedder arrays", frozenset({"embeddings"}), matrix, _as_32_bits),
            Subject("Embedder gateway", frozenset({"gateway_embeddings"}), embedded(gateway, TEXTS), vectors_for(2)),
            Subject(
                "Ranker",
                frozenset({"rerank"}),
                lambda: {"places": [*ranker.rank("q", TEXTS)]},
                best_of_two,
            ),
            Subject("Toolbox", frozenset({"tool_list"}), tools, _same),
        ]

    def _refusals(self) -> list[Subject]:
        def refused(run: Callable[[], Any]) -> Callable[[], Facts]:
            def read() -> Facts:
                try:
                    run()
                except ServiceError as error:
                    return {"status": error.status, "code": error.code, "message": _tail(error)}
                return {"status": None}

            return read

        client, aclient = self.session.client, self.session.async_client
        ask, stream = calls.chat(_MODEL, HI), calls.chat_stream(_MODEL, HI)
        runs: dict[str, Callable[[], Any]] = {
            "Client.run": lambda: client.run(ask),
            "AsyncClient.run": lambda: self.stage.wait(aclient.run(ask)),
            "Client.stream": lambda: list(client.stream(stream)),
            "Client.request": lambda: client.get("/ml/v1/x"),
        }
        return [
            Subject(f"{name} refused", frozenset({"refusal"}), refused(run), _refusal) for name, run in runs.items()
        ]

    def _logins(self) -> list[Subject]:
        """A client that has to get a token first; each time anew."""

        def login(colour: Literal["sync", "async"], **settings: Any) -> Callable[[], Facts]:
            def read() -> Facts:
                playback = self.stage.playback
                good, given = playback.token_answer, playback.answer
                playback.answer, playback.token_answer = good, given
                session = Session(self._connection(**settings), waiting=self.stage.time.waiting)
                try:
                    if colour == "sync":
                        session.client.request_raw("GET", "/ml/v1/x")
                    else:
                        self.stage.wait(session.async_client.request_raw("GET", "/ml/v1/x"))
                    return {"header": playback.authorization}
                finally:
                    playback.answer, playback.token_answer = given, good

            return read

        software = {"url": "https://cpd.example.com", "username": "u", "password": "secret"}
        iam = {"api_key": "secret-key"}
        return [
            Subject("IAM", frozenset({"iam_token"}), login("sync", **iam), _same),
            Subject("IAM async", frozenset({"iam_token"}), login("async", **iam), _same),
            Subject("software", frozenset({"platform_token"}), login("sync", **software), _same),
        ]


# --------------------------------------------------------------------------- what is seen


def _same(facts: Facts) -> Facts:
    return facts


def _completion(answer: Completion) -> Facts:
    choices = []
    for choice in answer.choices:
        said = choice.message or Delta()
        found = whole_calls(said.tool_calls or (), cut=choice.finish_reason in CUT)
        choices.append({**_said(said), "index": choice.index, "calls": _seen(found), "reason": choice.finish_reason})
    return {**_about(answer.model_name, answer.usage, answer.warnings), "choices": choices}


def _about(model: str | None, usage: Usage | None, notes: list[Warning]) -> Facts:
    return {
        "model": model,
        "usage": usage and (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        "warnings": [(note.id, note.message) for note in notes],
    }


def _said(said: Delta) -> Facts:
    return {
        "text": said.content or "",
        "thought": said.reasoning_content or said.reasoning or "",
        "refusal": said.refusal or "",
    }


def _seen(found: list[AssembledCall]) -> Any:
    from tests.fuzz.arguments import Called

    for call in found:
        assert (call.parsed is None) != (call.error is None)
    return [Called(call.id, call.name, call.parsed) for call in found]


def _chunks(chunks: list[Chunk]) -> Facts:
    facts: Facts = {"model": None, "usage": None, "warnings": []}
    choices: dict[int, Facts] = {}
    assembler = Assembler()
    for chunk in chunks:
        about = _about(model_of(chunk), usage_of(chunk), notes_of(chunk))
        facts["model"] = facts["model"] or about["model"]
        facts["usage"] = about["usage"] or facts["usage"]
        facts["warnings"] += about["warnings"]
        for choice in chunk.get("choices", ()):
            index, said = choice.get("index", 0), choice.get("delta") or {}
            whole = choices.setdefault(
                index, {"index": index, "text": "", "thought": "", "refusal": "", "reason": None}
            )
            whole["text"] += said.get("content") or ""
            whole["thought"] += said.get("reasoning_content") or said.get("reasoning") or ""
            whole["refusal"] += said.get("refusal") or ""
            assembler.feed(index, said.get("tool_calls") or ())
            whole["reason"] = choice.get("finish_reason") or whole["reason"]
    for index, choice_facts in choices.items():
        assembler.finish(index, cut=choice_facts["reason"] in CUT)
        choice_facts["calls"] = _seen(assembler.calls(index))
    return {**facts, "choices": [choices[index] for index in sorted(choices)]}


def _generation(answer: Generation) -> Facts:
    return {
        "model": answer.model_id,
        "results": [
            {
                "text": result.generated_text,
                "reason": result.stop_reason,
                "read": result.input_token_count,
                "written": result.generated_token_count,
                "tokens": result.generated_tokens,
            }
            for result in answer.results
        ],
    }


def _frames(frames: list[Generation]) -> Facts:
    results = [result for frame in frames for result in frame.results]
    return {
        "text": "".join(result.generated_text for result in results),
        "read": max((result.input_token_count or 0 for result in results), default=0),
        "written": max((result.generated_token_count or 0 for result in results), default=0),
        "model": next((frame.model_id for frame in frames if frame.model_id), None),
    }


def _embeddings(answer: Embeddings) -> Facts:
    return {"vectors": [row.embedding for row in answer.results], "read": answer.input_token_count}


def _ranking(answer: Ranking) -> Facts:
    return {"places": [(place.index, place.score) for place in answer.results], "read": answer.input_token_count}


def _tokens(answer: Any) -> Facts:
    return {"count": answer.result.token_count, "tokens": answer.result.tokens}


def _specs(page: ModelSpecsPage) -> Facts:
    return {
        "models": [
            {
                "model": spec.model_id,
                "functions": None if spec.functions is None else [function.id for function in spec.functions],
                "tasks": spec.task_ids,
                "window": spec.model_limits.max_sequence_length if spec.model_limits else None,
                "most": spec.model_limits.max_output_tokens if spec.model_limits else None,
                "dimension": spec.model_limits.embedding_dimension if spec.model_limits else None,
            }
            for spec in page.resources
        ]
    }


def vectors_for(wanted: int) -> Callable[[Facts], Facts]:
    """Return what bulk embedding makes of an answer to so many texts."""

    def expected(facts: Facts) -> Facts:
        if len(facts["vectors"]) != wanted:
            raise Wrong("not as many vectors as texts")
        return {"vectors": facts["vectors"]}

    return expected


def _as_32_bits(facts: Facts) -> Facts:
    """Return what is left of the vectors in 32 bits a number."""
    vectors = vectors_for(1)(facts)["vectors"]
    if any(abs(number) > float(np.finfo(np.float32).max) for row in vectors for number in row):
        raise Wrong("too large")
    return {"vectors": [[float(np.float32(number)) for number in row] for row in vectors]}


def best_of_two(facts: Facts) -> Facts:
    """Return what ranking two documents makes of an answer."""
    indices = [index for index, _ in facts["places"]]
    if sorted(indices) != list(range(len(TEXTS))):
        raise Wrong("not the documents sent")
    return {"places": sorted(sorted(facts["places"]), key=lambda place: -place[1])}


def _refusal(facts: Facts) -> Facts:
    return facts


def _tail(error: ServiceError) -> str:
    """Return the message behind the label that names status and code."""
    return error.message.removeprefix(f"HTTP {error.status}{f' {error.code}' if error.code else ''}: ")


__all__ = ["ANYTHING", "CoreSubjects", "PartialFailure"]
