"""The model list: cards as the service shows them, with its filters and pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from wx_integrations.emulator.brain import ModelCard
from wx_integrations.emulator.exchange import Reply, json_reply
from wx_integrations.emulator.refusals import Refused
from wx_integrations.emulator.service import Route, Visit

FILTERS = re.compile(r"([!]?[^,!]+)(,[!]?[^,!]+)*(:(or|and))?")
TASKS = (
    ("question_answering", "Question answering", "Based on a set of documents, answer questions about them.", 1),
    ("summarization", "Summarization", "Make a long text short.", 2),
    ("retrieval_augmented_generation", "Retrieval-augmented generation", "Answer from passages that were found.", 3),
    ("classification", "Classification", "Sort texts into classes.", 4),
    ("generation", "Generation", "Write a text.", 5),
    ("extraction", "Extraction", "Find what matters in a text.", 6),
    ("code", "Code generation and conversion", "Write and translate code.", 7),
    ("function_calling", "Function calling", "Call tools.", 8),
    ("embedding", "Embedding", "Turn texts into vectors.", 9),
    ("reranking", "Reranking", "Order passages by relevance.", 10),
)
_TASKS_OF = {
    "text_chat": ("question_answering", "retrieval_augmented_generation", "generation", "function_calling"),
    "text_generation": ("question_answering", "summarization", "generation"),
    "embedding": ("embedding",),
    "rerank": ("reranking",),
}


def spec(card: ModelCard) -> dict[str, Any]:
    """Return a model as the list shows it."""
    tasks = dict.fromkeys(task for function in card.functions for task in _TASKS_OF.get(function, ()))
    shown: dict[str, Any] = {
        "model_id": card.model_id,
        "label": card.label,
        "provider": card.provider,
        "source": card.provider,
        "functions": [{"id": function} for function in card.functions],
        "short_description": card.description,
        "long_description": card.description,
        "input_tier": "class_1",
        "output_tier": "class_1",
        "number_params": card.number_params,
        "min_shot_size": 0,
        "task_ids": list(tasks),
        "tasks": [{"id": task, "ratings": {"quality": 3}} for task in tasks],
        "model_limits": {
            "max_sequence_length": card.max_sequence_length,
            "max_output_tokens": card.max_output_tokens,
        },
        "lifecycle": [dict(stage) for stage in card.lifecycle],
    }
    return shown


def specs(visit: Visit) -> Reply:
    """Return one page of the models that pass the filters."""
    query = visit.request.query
    if query.get("tech_preview", "false") not in ("true", "false"):
        message = "Invalid request: `tech_preview` must be true or false"
        raise Refused(400, "invalid_input_argument", message, target=("parameter", "tech_preview"))
    chosen = [spec(card) for card in _offered(visit) if _passes(visit, card, query.get("filters"))]
    return _page(visit, chosen, lambda item: str(item["model_id"]))


def tasks(visit: Visit) -> Reply:
    """Return one page of the tasks that models are rated for."""
    rows = [{"task_id": id_, "label": label, "description": text, "rank": rank} for id_, label, text, rank in TASKS]
    return _page(visit, rows, lambda item: str(item["task_id"]))


def _offered(visit: Visit) -> Sequence[ModelCard]:
    """Every model under its own id and under its aliases, so that clients that look an alias up find it."""
    return [
        replace(card, model_id=name) for card in visit.service.brain.cards for name in (card.model_id, *card.aliases)
    ]


def _page(visit: Visit, rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], str]) -> Reply:
    query = visit.request.query
    text = query.get("limit", "100")
    limit = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= limit <= 200:
        message = "Invalid request: `limit` must be between 1 and 200"
        raise Refused(400, "invalid_input_argument", message, target=("parameter", "limit"))
    start = query.get("start")
    keys = [key(row) for row in rows]
    if start is not None and start not in keys:
        message = "Invalid request: `start` does not name a page"
        raise Refused(400, "invalid_input_argument", message, target=("parameter", "start"))
    first = keys.index(start) if start is not None else 0
    body: dict[str, Any] = {"total_count": len(rows), "limit": limit, "first": {"href": _href(visit, None)}}
    if first + limit < len(rows):
        body["next"] = {"href": _href(visit, keys[first + limit])}
    return json_reply(200, {**body, "resources": rows[first : first + limit]})


def _href(visit: Visit, start: str | None) -> str:
    base = visit.request.url.partition("?")[0]
    query = {name: value for name, value in visit.request.query.items() if name != "start"}
    if start is not None:
        query["start"] = start
    return f"{base}?{urlencode(query)}" if query else base


def _passes(visit: Visit, card: ModelCard, filters: str | None) -> bool:
    if filters is None:
        return True
    if not FILTERS.fullmatch(filters) or len(filters) > 1000:
        raise _bad_filters("does not have the form term,term:and")
    terms, _, mode = filters.rpartition(":")
    if mode not in ("and", "or"):
        terms = filters
    results = [_holds(visit, card, term) for term in terms.split(",")]
    return all(results) if mode == "and" else any(results)


def _holds(visit: Visit, card: ModelCard, term: str) -> bool:
    negated, term = term.startswith("!"), term.removeprefix("!")
    shown = spec(card)
    today = visit.service.timestamp()[:10]
    stages = [stage["id"] for stage in card.lifecycle if str(stage.get("start_date", "")) <= today]
    values: dict[str, Sequence[str]] = {
        "modelid_": [card.model_id],
        "provider_": [card.provider],
        "source_": [shown["source"]],
        "input_tier_": [shown["input_tier"]],
        "output_tier_": [shown["output_tier"]],
        "tier_": [shown["input_tier"], shown["output_tier"]],
        "task_": shown["task_ids"],
        "lifecycle_": stages[-1:],
        "function_": card.functions,
    }
    for prefix, found in values.items():
        if term.startswith(prefix):
            wanted = term.removeprefix(prefix).lower()
            return (wanted in [value.lower() for value in found]) != negated
    raise _bad_filters(f"does not know {term!r}")


def _bad_filters(why: str) -> Refused:
    message = f"Invalid request: `filters` {why}"
    return Refused(400, "invalid_input_argument", message, target=("parameter", "filters"))


ROUTES = (
    Route(
        "GET",
        "/ml/v1/foundation_model_specs",
        specs,
        token=False,
        versioned=True,
        anchor="list-foundation-model-specs",
    ),
    Route(
        "GET",
        "/ml/v1/foundation_model_tasks",
        tasks,
        token=False,
        versioned=True,
        anchor="list-foundation-model-tasks",
    ),
)
